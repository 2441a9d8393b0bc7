// The log: its newest events as they come, or those before the moment that is looked at.

import { byID, el, setText } from "./dom.js";
import { meta } from "./history.js";
import { claim, plain } from "./words.js";

/** keptMax is how many of the newest events are kept for the marks and the partition; tailMax of them are listed. */
const keptMax = 1000;
const tailMax = 200;

const kept = []; // by rising position
let past = null; // events to show instead; null: live

/** newest returns the kept events, by rising position. */
export const newest = () => kept;

/** keep takes events of the log, by rising position. */
export function keep(items) {
  kept.push(...items.map(plain));
  kept.splice(0, kept.length - keptMax);
}

/** append takes one event of the stream and shows it. */
export function append(item, onMoment) {
  keep([item]);
  if (past !== null) return;
  const list = byID("tail");
  list.prepend(line(kept.at(-1), onMoment, true));
  while (list.childElementCount > tailMax) list.lastElementChild.remove();
  byID("tail-empty").hidden = true;
}

/** render lists the events of the past that are given, or with null the newest. */
export function render(events, onMoment) {
  past = events;
  const list = (past ?? kept).slice(-tailMax).reverse();
  byID("tail").replaceChildren(...list.map((e) => line(e, onMoment, false)));
  byID("tail-empty").hidden = list.length > 0;
  setText(byID("tail-note"), past === null ? "newest first" : "up to the moment shown, newest first");
}

function line(e, onMoment, fresh) {
  const why = e.evidence?.reason;
  return el("li", { class: fresh ? "fresh" : null, data: { position: e.position, kind: e.kind } },
    meta(e, onMoment), el("span", {}, `${claim(e)}${why ? ` (${why})` : ""}`));
}
