// Two drawings: the life of a node as a bar, and where on the time line things happened.

import { svg } from "./dom.js";

const width = 1000; // of the drawings, in their own units; they stretch

function drawing(height, label) {
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label, class: "strip" });
}

/** life draws the states of a node from its first entry until an end in milliseconds. */
export function life(entries, end) {
  const turns = [];
  for (const e of entries) {
    const { after } = e.outcome;
    if (turns.at(-1)?.state !== after) turns.push({ state: after, at: Date.parse(e.stored) });
  }
  const start = turns[0]?.at ?? end;
  const whole = Math.max(1, end - start);
  const parts = turns.map((turn, i) => ({ ...turn, millis: Math.max(0, (turns[i + 1]?.at ?? end) - turn.at) }));
  const alive = parts.filter((p) => p.state === "alive").reduce((sum, p) => sum + p.millis, 0) / whole;
  const bar = drawing(10, `alive ${percent(alive)} of the time shown`);
  for (const p of parts) {
    const x = ((p.at - start) / whole) * width;
    const wide = Math.max(3, (p.millis / whole) * width); // what was short is still seen
    bar.append(svg("rect", { x: Math.min(x, width - wide), y: 0, width: wide, height: 10, "data-state": p.state }));
  }
  return bar;
}

/** percent writes 99.97 %. It is cut off, not rounded up: 100 % is all of it. */
export const percent = (share) => `${Math.floor(share * 1e4 + 1e-6) / 100} %`;

const places = 250; // marks that are told apart
const weight = { failed: 5, suspect: 4, left: 3, group: 2, alive: 1, unknown: 0 };

/** marks draws one stroke a place on the time line from first to last: the gravest of what happened there. list has {position, tone}. */
export function marks(list, first, last) {
  const gravest = new Map();
  const range = Math.max(1, last - first);
  for (const { position, tone } of list) {
    if (position < first || position > last) continue;
    const at = Math.round(((position - first) / range) * places);
    if ((weight[tone] ?? 0) >= (weight[gravest.get(at)] ?? -1)) gravest.set(at, tone);
  }
  const line = drawing(10, "what happened when: red for failures, amber for suspicions");
  const unit = width / places;
  for (const [at, tone] of gravest) {
    const x = Math.min(at * unit, width - unit * 0.7);
    line.append(svg("rect", { x, y: 0, width: unit * 0.7, height: 10, "data-state": tone }));
  }
  return line;
}
