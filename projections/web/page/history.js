// The history of one node: what was said of it, by whom, on what evidence, and what the log made of it.

import { byID, button, clockTime, count, dayTime, el, setText, span } from "./dom.js";
import { layOut } from "./evidence.js";
import { life, percent } from "./strip.js";
import { claim, kindName, tone, verdict } from "./words.js";

let shown = ""; // what the panel shows, to leave it alone while nothing has changed

/** show fills the panel with an answer of /v1/nodes/{id}/history. until is the end of its bar in milliseconds; onMoment(position) is called for who wants to see the cluster as of an event. */
export function show(answer, until, onMoment) {
  setText(byID("history-title"), `Timeline of ${answer.id}`);
  byID("history-close").hidden = false;
  const bar = life(answer.history, until);
  byID("life").replaceChildren(bar);
  byID("life").hidden = false;
  const facts = [count(answer.older + answer.history.length, "event")];
  if (answer.older) facts.push(`the first ${answer.older} are in the log only`);
  setText(byID("history-facts"), [...facts, ...befell(answer.report), "newest first"].join(" · "));

  const now = JSON.stringify([answer.id, answer.history]);
  if (now === shown) return;
  shown = now;
  const open = new Set([...document.querySelectorAll("#entries details[open]")].map((d) => d.dataset.position));
  const items = [];
  let incarnation = null;
  for (const e of answer.history.toReversed()) {
    if (e.incarnation !== incarnation) {
      incarnation = e.incarnation;
      items.push(el("li", { class: "life" }, `incarnation ${incarnation}`));
    }
    items.push(entry({ ...e, node: answer.id }, open, onMoment));
  }
  byID("entries").replaceChildren(...items);
}

/** befell says what a report adds up to, in a few words each. */
function befell(report) {
  const facts = [];
  if (report.availability !== null) facts.push(`available ${percent(report.availability)} of ${span(report.known_seconds)}`);
  if (report.suspicions) facts.push(`${count(report.suspicions, "suspicion")}, ${report.false_suspicions} false`);
  if (report.failures) facts.push(count(report.failures, "verdict"));
  if (report.time_to_detect) facts.push(`found within ${span(report.time_to_detect.max_seconds)}`);
  if (report.flaps) facts.push(`answered ${count(report.flaps, "accusation")}`);
  return facts;
}

/** clear empties the panel. */
export function clear(text) {
  shown = "";
  setText(byID("history-title"), "Timeline");
  setText(byID("history-facts"), text);
  byID("history-close").hidden = true;
  byID("life").hidden = true;
  byID("entries").replaceChildren();
}

/** missing says that the open node cannot be shown, and lets it stay open. */
export function missing(id, text) {
  clear(text);
  setText(byID("history-title"), `Timeline of ${id}`);
  byID("history-close").hidden = false;
}

/** meta is the line that stands above an event here and in the log. */
export function meta(e, onMoment) {
  const said = verdict(e.outcome);
  return el("div", { class: "meta" },
    button(`#${e.position}`, { class: "moment mono", title: "show the cluster as of this event", "aria-label": `as of position ${e.position}` },
      () => onMoment(e.position)),
    el("time", { datetime: e.time, title: `observed ${dayTime(e.time)}, stored ${dayTime(e.stored)}` }, clockTime(e.time)),
    el("span", { class: "kind", data: { state: tone(e.kind) } }, kindName(e.kind)),
    turn(e.outcome),
    said ? el("span", { class: "outcome" }, said) : null);
}

function turn(outcome) {
  if (!outcome || outcome.before === outcome.after) return null;
  return el("span", { class: "turn" }, `${outcome.before} → ${outcome.after}`);
}

function entry(e, open, onMoment) {
  const item = el("li", { class: "entry", data: { state: tone(e.kind), kind: e.kind } }, meta(e, onMoment), el("p", {}, `${claim(e)}.`));
  const laid = layOut(e);
  if (laid) item.append(laid);
  if (e.evidence) {
    item.append(el("details", { data: { position: e.position }, open: open.has(String(e.position)) },
      el("summary", {}, "as recorded"),
      el("pre", {}, JSON.stringify(e.evidence, null, 2))));
  }
  return item;
}
