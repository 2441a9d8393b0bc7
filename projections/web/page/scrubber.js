// The time scrubber: a slider over the positions of the log, a field for a time, and the way back to now.

import { byID, count, dayTime, number, setText, span } from "./dom.js";
import { marks } from "./strip.js";
import { tone } from "./words.js";

const slider = byID("moment");
let first = 1; // position that the log begins with
let last = 0; // newest one that is known

/** begin says where the log begins. */
export function begin(position) {
  first = position;
  byID("scrub-first").textContent = `#${number(first)}`;
  byID("scrub-gone").hidden = first <= 1;
  setText(byID("scrub-gone"), `History incomplete: the log begins at #${number(first)}; what was before is no longer there.`);
}

/** reach says how far the log goes, and what its newest events are. */
export function reach(position, events) {
  last = Math.max(last, position);
  slider.min = String(first);
  slider.max = String(Math.max(first, last));
  slider.disabled = last <= first;
  byID("moment-before").disabled = byID("moment-after").disabled = slider.disabled;
  setText(byID("scrub-last"), `#${number(last)}`);
  byID("marks").replaceChildren(marks(events.map((e) => ({ position: e.position, tone: tone(e.kind) })), first, last));
}

/** show puts the slider where at is (a position; null: live) and says what is looked at. answer is what was read there, or null before. */
export function show(at, answer) {
  const past = at !== null;
  document.body.dataset.past = String(past);
  byID("live").disabled = !past;
  const value = String(at ?? last);
  if (slider.value !== value) slider.value = value;
  let text = last ? `Live, at #${number(last)}` : "Live";
  if (past) {
    text = `As of #${number(at)}`;
    if (answer?.time) {
      const behind = Math.max(0, (Date.now() - Date.parse(answer.time)) / 1000);
      text += ` · ${dayTime(answer.time)} · ${span(behind)} ago`;
    }
    if (last > at) text += ` · ${count(last - at, "event")} came since`;
  }
  setText(byID("moment-text"), text);
  slider.setAttribute("aria-valuetext", text);
}

/** trouble says why the moment cannot be shown; an empty text: it can. */
export function trouble(text) {
  byID("scrub-problem").hidden = text === "";
  setText(byID("scrub-problem"), text);
}

/** listen calls onMoment with a position, or null for now, and onTime with a time in RFC 3339. */
export function listen(onMoment, onTime) {
  const to = (position) => onMoment(position >= last ? null : Math.max(first, position));
  slider.addEventListener("input", () => to(Number(slider.value)));
  byID("moment-before").addEventListener("click", () => step(-1, onMoment));
  byID("moment-after").addEventListener("click", () => step(1, onMoment));
  byID("live").addEventListener("click", () => onMoment(null));
  byID("moment-time").addEventListener("change", (event) => {
    const at = new Date(event.target.value);
    if (!Number.isNaN(at.getTime())) onTime(at.toISOString());
  });
}

/** step goes some events back or on; beyond the newest is now. */
export function step(by, onMoment) {
  const position = Number(slider.value) + by;
  onMoment(position >= last ? null : Math.max(first, position));
}
