// Events in plain words: what was said, and about whom.

/** kinds of the vocabulary; the event stream names each message after one. */
export const kinds = [
  "joined", "refuted", "tagged", "left", "suspected", "accused", "failed",
  "health_check_failed", "partitioned", "healed", "id_conflict", "planned", "resigned",
];

const tones = {
  joined: "alive", refuted: "alive", tagged: "alive", healed: "alive", left: "left", suspected: "suspect",
  accused: "suspect", health_check_failed: "suspect", partitioned: "suspect", failed: "failed", id_conflict: "failed",
  planned: "group", resigned: "group",
};

/** tone is the state whose colour a kind has. */
export const tone = (kind) => tones[kind] ?? "unknown";

/** kindName is a kind for people. */
export const kindName = (kind) => kind.replaceAll("_", " ");

/** plain is an event of the log as the other functions take it: kind, position, time, stored, outcome, and its data. */
export function plain(item) {
  const { data, time, type } = item.event;
  return { ...data, kind: type.split(".")[2] ?? type, time, position: item.position, stored: item.stored, outcome: item.outcome };
}

/** listed writes n1, n2 and n3. */
export function listed(items) {
  if (items.length < 2) return items.join("");
  return `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
}

/** claim is one sentence: who said what about whom. e has kind, node or group, author, incarnation, address, evidence. */
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
      return `${e.node} no longer counts itself cut off${e.evidence?.reason ? `: ${e.evidence.reason}` : ""}`;
    case "id_conflict":
      return `${e.node} met a second process with its id`;
    case "planned":
      return `${e.author} planned group ${e.group}${e.plan?.reason ? `: ${e.plan.reason}` : ""}`;
    case "resigned":
      return `${e.author} no longer directs group ${e.group}`;
    default:
      return `${e.author} said ${kindName(e.kind)} of ${e.node ?? e.group}`;
  }
}

/** verdict says what the log made of an event, or nothing when it simply applied. */
export function verdict(outcome) {
  if (!outcome || outcome.result === "applied") return "";
  return outcome.reason && outcome.reason !== "evidence only" ? `${outcome.result}: ${outcome.reason}` : outcome.result;
}
