// How the views do: where they stand, how far behind, their hashes, a rebuild, and the nodes that are parked.

import { byID, button, clockTime, count, dayTime, el, number, setText, span, when } from "./dom.js";

const confirmMillis = 4_000; // how long "skip" waits for the second press

let shown = "";

/** render shows an answer of /v1/projections. onControl(action, node, button) is called for what people do. */
export function render(about, onControl) {
  setText(byID("projector-state"), about.state);
  byID("projector-state").dataset.projector = about.state;
  warn(about);
  const now = JSON.stringify({ ...about, time: null, log: { ...about.log, heartbeat: null } });
  setText(byID("heartbeat"), about.log.error
    ? `The log does not answer: ${about.log.error}`
    : about.log.heartbeat ? `The log answered at ${clockTime(about.log.heartbeat)}` : "The log has not answered yet");
  if (now === shown) return;
  shown = now;
  byID("projector-facts").replaceChildren(...facts(about));
  byID("projections").replaceChildren(...about.projections.map((p) => el("tr", { data: { projection: p.name } },
    el("th", { scope: "row" }, p.name), el("td", { class: "num" }, `v${p.version}`), el("td", { class: "num" }, `#${number(p.position)}`),
    el("td", { class: "mono" }, hash(p.sha256)))));
  controls(about, onControl);
  byID("rebuild").replaceChildren(...(about.rebuild ? [rebuild(about.rebuild)] : []));
  byID("parked").replaceChildren(...about.parked.map((p) => parked(p, onControl)));
  byID("parked").hidden = about.parked.length === 0;
  byID("rejected").hidden = about.rejected.total === 0;
  setText(byID("rejected-title"), `${count(about.rejected.total, "event")} could not be read`);
  byID("rejected-list").replaceChildren(...about.rejected.last.map((r) => el("li", {},
    el("span", { class: "mono" }, `#${r.position}`), ` ${r.node ?? ""}: ${r.reason}`)));
}

const hash = (sum) => (sum ? el("abbr", { title: sum }, sum.slice(0, 12)) : "–");

function facts(about) {
  const fact = (term, ...what) => el("div", {}, el("dt", {}, term), el("dd", {}, ...what));
  const list = [
    fact("Position", `#${number(about.position)} of #${number(about.log.last)}`),
    fact("Lag", lagText(about.lag)),
    fact("Folded", count(about.folded, "event")),
    fact("Hash of all", hash(about.sum.sha256), ` at #${number(about.sum.position)}`),
  ];
  if (about.snapshot) {
    list.push(fact("Snapshot", `#${number(about.snapshot.position)}, ${number(about.snapshot.bytes)} bytes, `, when(about.snapshot.taken)));
  }
  return list;
}

/** lagText says how far behind an answer is. */
export const lagText = ({ events, seconds }) => (events === 0 && seconds === 0 ? "none" : `${count(events, "event")}, ${span(seconds)}`);

/** warn says above everything else that what is shown does not follow the log. */
function warn(about) {
  let text = "";
  if (about.state === "paused") {
    text = `The views are paused at #${number(about.position)}; the log is at #${number(about.log.last)}. Resume them under Projections.`;
  } else if (about.state === "stopped") {
    text = `The views have stopped at #${number(about.position)}: ${about.stopped}`;
  } else if (about.state === "catching up" && about.lag.events > 0) {
    text = `The views are catching up: at #${number(about.position)} of #${number(about.log.last)}.`;
  } else if (about.log.error && about.lag.seconds > 0) {
    text = `The log does not answer; what is shown is ${span(about.lag.seconds)} old.`;
  }
  byID("stale").hidden = text === "";
  setText(byID("stale"), text);
}

function controls(about, onControl) {
  const press = (action, title, off) => button(action, { class: "plain", title, disabled: off, data: { control: action } },
    (self) => onControl(action, undefined, self));
  const stopped = about.state === "stopped";
  byID("controls").replaceChildren(
    about.state === "paused"
      ? press("resume", "Let the views follow the log again", stopped)
      : press("pause", "Let the views stand still while the log goes on", stopped),
    press("rebuild", "Fold the whole log again beside the views, and take over when it has caught up", stopped || about.rebuild?.running));
}

function rebuild(r) {
  if (r.running) {
    const left = r.seconds_left ? `, ${span(r.seconds_left)} left` : "";
    return el("p", {}, el("progress", { max: Math.max(1, r.target), value: r.position, "aria-label": "rebuild" }),
      ` rebuilding: #${number(r.position)} of #${number(r.target)}${left}`);
  }
  if (r.error) return el("p", { class: "bad" }, `The rebuild failed: ${r.error}`);
  return el("p", { class: "quiet" }, `Rebuilt at ${dayTime(r.ended)}: ${r.changed ? "what was shown before was wrong" : "nothing was different"}.`);
}

function parked(p, onControl) {
  let armed = 0;
  const skip = button("skip", { class: "plain", "aria-label": `skip what cannot be read of ${p.node}`, data: { control: "skip" } }, (self) => {
    if (armed) {
      clearTimeout(armed);
      onControl("skip", p.node, self);
      return;
    }
    setText(self, "skip for good?");
    armed = setTimeout(() => {
      armed = 0;
      setText(self, "skip");
    }, confirmMillis);
  });
  return el("li", { data: { parked: p.node } },
    el("p", {}, el("b", {}, p.node), " is parked at ", el("span", { class: "mono" }, `#${p.position}`),
      `: ${count(p.events, "event")} cannot be read. It was ${p.state} before; the row follows what can be read.`),
    el("p", { class: "quiet" }, p.reason),
    el("div", { class: "buttons" },
      button("retry", { class: "plain", "aria-label": `retry ${p.node}`, data: { control: "retry" } }, (self) => onControl("retry", p.node, self)), skip));
}
