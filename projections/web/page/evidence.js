// What an event's author offers for its claim, laid out to be read: one line a kind of proof.

import { clockTime, el, span } from "./dom.js";
import { listed } from "./words.js";

const millis = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : span(ms / 1000));

const answers = {
  ack: ["alive", "reached it"],
  nack: ["failed", "did not reach it either"],
  silent: ["unknown", "did not answer"],
};

/** layOut returns a list of terms and what stands behind them, or null where an event brings nothing. */
export function layOut(e) {
  const v = e.evidence ?? {};
  const out = el("dl", { class: "evidence" });
  const line = (term, ...what) => out.append(el("div", {}, el("dt", {}, term), el("dd", {}, ...what)));
  if (v.reason) line("Reason", v.reason);
  if (v.claim && v.claim !== "suspected") line("Said as", v.claim);
  if (v.probes) {
    const waited = v.timeout_ms ? `, each waited for ${millis(v.timeout_ms)}` : "";
    const usual = v.rtt_ms ? `; the usual round trip is ${millis(v.rtt_ms)}` : "";
    line("Probes", `${v.probes} ${v.probes === 1 ? "ping" : "pings"} from ${e.author} unanswered${waited}${usual}`);
  }
  if (v.relays?.length) line("Relays", chips(v.relays.map((relay) => {
    const [tone, said] = answers[relay.answer] ?? ["unknown", relay.answer];
    return [tone, relay.id, said];
  })));
  if (v.last_heard) line("Last heard", `${before(v.last_heard, e.time)} (${clockTime(v.last_heard)})`);
  if (v.phi) line("Phi", `${v.phi.toFixed(1)}, how unusual the silence is`);
  if (v.local_health) line("Observer", `${e.author} was not well itself: health score ${v.local_health} of 8`);
  if (v.since) line("Suspicion", `since ${clockTime(v.since)}, ${before(v.since, e.time)}`);
  if (v.accusers?.length) line(e.kind === "refuted" ? "Answers" : "Accusers", chips(v.accusers.map(
    (a) => (a.implicit ? ["unknown", a.id, "suspect itself, counted silently"] : ["suspect", a.id, a.time ? clockTime(a.time) : ""]),
  )));
  if (v.side) {
    line("Side", `${v.side}: reaches ${v.reachable ?? 0} of ${v.total ?? 0} members`);
    if (v.unreachable?.length) line("Missing", listed(v.unreachable));
  }
  if (v.late) line("Late", v.late);
  if (e.address) line("Address", e.address);
  if (e.tags && Object.keys(e.tags).length) {
    line("Tags", tags(e.tags));
  }
  return out.childElementCount ? out : null;
}

/** tags is a list of key=value, by key. */
export function tags(values) {
  const sorted = Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));
  return el("ul", { class: "tags" }, ...sorted.map(([k, v]) => el("li", { class: "tag", title: `${k}=${v}` }, `${k}=${v}`)));
}

function before(iso, then) {
  const seconds = (Date.parse(then) - Date.parse(iso)) / 1000;
  return Number.isFinite(seconds) && seconds >= 0 ? `${span(seconds)} before` : "at a time of its own clock";
}

function chips(list) {
  return el("ul", { class: "chips" }, ...list.map(([tone, name, said]) =>
    el("li", { class: "proof", data: { state: tone } }, el("b", {}, name), said ? ` ${said}` : "")));
}
