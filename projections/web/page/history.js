// The history of one node, and the tail of the log.

import { byID, clockTime, el, setText } from "./dom.js";
import { claim, grounds, kindName, tone, verdict } from "./words.js";

const tailMax = 200;

/** show fills the history panel with an answer of /v1/nodes/{id}/history. */
export function show(answer) {
  setText(byID("history-title"), `History of ${answer.id}`);
  byID("history-close").hidden = false;
  const facts = [many(answer.older + answer.history.length, "event")];
  if (answer.failures) facts.push(many(answer.failures, "verdict"));
  if (answer.flaps) facts.push(`answered ${many(answer.flaps, "accusation")}`);
  if (answer.older) facts.push(`the first ${answer.older} are in the log only`);
  setText(byID("history-facts"), `${facts.join(" · ")} · newest first`);
  const open = new Set([...document.querySelectorAll("#entries details[open]")].map((d) => d.dataset.position));
  byID("entries").replaceChildren(...answer.history.toReversed().map((e) => entry({ ...e, node: answer.id }, open)));
}

/** clear empties the history panel. */
export function clear(text) {
  setText(byID("history-title"), "History");
  setText(byID("history-facts"), text);
  byID("history-close").hidden = true;
  byID("entries").replaceChildren();
}

const many = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

function entry(e, open) {
  const said = verdict(e.outcome);
  const item = el("li", { data: { state: tone(e.kind) } },
    el("div", { class: "meta" },
      el("time", { datetime: e.time, title: `observed ${e.time}, stored ${e.stored}` }, clockTime(e.time)),
      el("span", { class: "kind", data: { state: tone(e.kind) } }, kindName(e.kind)),
      el("span", { class: "mono", title: "position in the log" }, `#${e.position}`),
      said ? el("span", { class: "outcome" }, said) : null),
    el("p", {}, `${claim(e)}.`));
  const why = grounds(e);
  if (why.length) item.append(el("p", { class: "quiet" }, why.join(" ")));
  if (e.evidence) {
    item.append(el("details", { data: { position: e.position }, open: open.has(String(e.position)) },
      el("summary", {}, "Evidence as recorded"),
      el("pre", {}, JSON.stringify(e.evidence, null, 2))));
  }
  return item;
}

/** append puts an event of the stream at the top of the tail. */
export function append(item) {
  const { data, time, type } = item.event;
  const kind = type.split(".")[2] ?? type;
  const e = { ...data, kind, time };
  const said = verdict(item.outcome);
  const why = e.evidence?.reason;
  const tail = byID("tail");
  tail.prepend(el("li", { class: "fresh" },
    el("div", { class: "meta" },
      el("span", { class: "mono", title: "position in the log" }, `#${item.position}`),
      el("time", { datetime: time }, clockTime(time)),
      el("span", { class: "kind", data: { state: tone(kind) } }, kindName(kind)),
      said ? el("span", { class: "outcome" }, said) : null),
    `${claim(e)}${why ? ` (${why})` : ""}`));
  while (tail.childElementCount > tailMax) tail.lastElementChild.remove();
  byID("tail-empty").hidden = true;
}
