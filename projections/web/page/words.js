// Events in plain words: what was said, about whom, and on what evidence.

import { clockTime, span } from "./dom.js";

/** kinds of the vocabulary; the event stream names each message after one. */
export const kinds = [
  "joined", "refuted", "tagged", "left", "suspected", "accused", "failed",
  "health_check_failed", "partitioned", "healed", "id_conflict",
];

const tones = {
  joined: "alive", refuted: "alive", tagged: "alive", healed: "alive", left: "left", suspected: "suspect",
  accused: "suspect", health_check_failed: "suspect", partitioned: "suspect", failed: "failed", id_conflict: "failed",
};

/** tone is the state whose colour a kind has. */
export const tone = (kind) => tones[kind] ?? "unknown";

/** kindName is a kind for people. */
export const kindName = (kind) => kind.replaceAll("_", " ");

const millis = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : span(ms / 1000));

function listed(items) {
  if (items.length < 2) return items.join("");
  return `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
}

/** claim is one sentence: who said what about whom. e has kind, node, author, incarnation, address, evidence. */
export function claim(e) {
  const evidence = e.evidence ?? {};
  switch (e.kind) {
    case "joined":
      return evidence.previous
        ? `${e.node} came back at ${e.address}, incarnation ${e.incarnation} after ${evidence.previous}`
        : `${e.node} joined at ${e.address}, incarnation ${e.incarnation}`;
    case "refuted":
      return `${e.node} answered that it is alive and raised its incarnation to ${e.incarnation}`;
    case "tagged":
      return `${e.node} changed its tags, incarnation ${e.incarnation}`;
    case "left":
      return `${e.node} left`;
    case "suspected":
      return `${e.author} suspected ${e.node}`;
    case "accused":
      return `${e.author} accused ${e.node} as well`;
    case "failed":
      return `${e.author} declared ${e.node} failed`;
    case "health_check_failed":
      return `${e.author} found ${e.node} unusually silent`;
    case "partitioned":
      return `${e.node} counts itself cut off`;
    case "healed":
      return `${e.node} is no longer cut off`;
    case "id_conflict":
      return `${e.node} met a second process with its id`;
    default:
      return `${e.author} said ${kindName(e.kind)} of ${e.node}`;
  }
}

/** grounds is the evidence as sentences, most telling first. */
export function grounds(e) {
  const v = e.evidence ?? {};
  const out = [];
  if (v.reason) out.push(`Reason: ${v.reason}.`);
  if (v.probes) {
    const pings = v.probes === 1 ? "1 ping" : `${v.probes} pings`;
    const waited = v.timeout_ms ? ` within ${millis(v.timeout_ms)}` : "";
    const usual = v.rtt_ms ? `; the usual round trip was ${millis(v.rtt_ms)}` : "";
    out.push(`${pings} went unanswered${waited}${usual}.`);
  }
  if (v.relays?.length) out.push(relays(v.relays, e.node));
  if (v.side) {
    const missing = v.unreachable?.length ? `; among the missing: ${listed(v.unreachable)}` : "";
    out.push(`It is on the side of the ${v.side}: ${v.reachable ?? 0} of ${v.total ?? 0} members reachable${missing}.`);
  }
  if (v.phi) out.push(`Suspicion level phi ${v.phi.toFixed(1)}.`);
  if (v.last_heard) {
    const before = (Date.parse(e.time) - Date.parse(v.last_heard)) / 1000;
    out.push(`${e.author} last heard ${e.node} ${Number.isFinite(before) && before >= 0 ? `${span(before)} before` : `at ${v.last_heard}`}.`);
  }
  if (v.accusers?.length) {
    const names = v.accusers.map((a) => (a.implicit ? `${a.id} (suspect itself, counted silently)` : a.id));
    out.push(`It stands on the word of ${listed(names)}.`);
  }
  if (v.since) out.push(`Under suspicion since ${clockTime(v.since)}.`);
  if (v.local_health) out.push(`${e.author} was not well itself (health score ${v.local_health} of 8).`);
  if (v.late) out.push(`It came late: ${v.late}.`);
  return out;
}

function relays(asked, node) {
  const said = { ack: [], nack: [], silent: [] };
  for (const relay of asked) (said[relay.answer] ?? said.silent).push(relay.id);
  const parts = [];
  if (said.ack.length) parts.push(`${listed(said.ack)} reached ${node}`);
  if (said.nack.length) parts.push(`${listed(said.nack)} did not reach ${node} either`);
  if (said.silent.length) parts.push(`${listed(said.silent)} did not answer`);
  return `Asked through others: ${parts.join("; ")}.`;
}

/** verdict says what the log made of an event, or nothing when it simply applied. */
export function verdict(outcome) {
  if (!outcome || outcome.result === "applied") return "";
  return outcome.reason && outcome.reason !== "evidence only" ? `${outcome.result}: ${outcome.reason}` : outcome.result;
}
