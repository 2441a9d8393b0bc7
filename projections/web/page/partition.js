// Partitions: what members say of being cut off, and in development the means to cut them off.

import * as api from "./api.js";
import { byID, button, dayTime, el, setText } from "./dom.js";
import { listed } from "./words.js";

/**
 * claims folds events, by rising position, to what each member says of itself last: a member that healed, left or began a new
 * life is not cut off. What was said before the events that are given is not known here.
 */
export function claims(events) {
  const cut = new Map();
  for (const e of events) {
    if (e.outcome?.result === "refused") continue;
    if (e.kind === "partitioned") cut.set(e.node, e);
    else if (e.kind === "healed" || e.kind === "joined" || e.kind === "left") cut.delete(e.node);
  }
  return [...cut.values()];
}

/** render shows the banner while somebody that is not failed says that it is cut off. */
export function render(events, nodes) {
  const gone = new Set(nodes.filter((n) => n.state === "failed").map((n) => n.id));
  const said = claims(events);
  const standing = said.some((e) => !gone.has(e.node));
  byID("partition").hidden = !standing;
  if (!standing) return;
  setText(byID("partition-text"), `${listed(said.map((e) => e.node))} ${said.length === 1 ? "counts itself" : "count themselves"} cut off.`);
  byID("partition-list").replaceChildren(...said.map((e) => {
    const v = e.evidence ?? {};
    const missing = v.unreachable?.length ? `; missing: ${listed(v.unreachable)}` : "";
    return el("li", {}, el("b", {}, e.node), ` ${v.side ?? "unknown side"}, reaches ${v.reachable ?? 0} of ${v.total ?? 0}${missing}; since ${dayTime(e.time)}`);
  }));
}

/** offer opens the dialog in which members are put on one side or the other. attempt(work, button) does what is asked and shows what goes wrong. */
export function offer(nodes, attempt) {
  const dialog = byID("split");
  byID("split-nodes").replaceChildren(...nodes.map((n) =>
    el("label", {}, el("input", { type: "checkbox", value: n.id }), ` ${n.id}`)));
  const done = (groups) => (self) => attempt(() => api.partition(groups()), self).then(() => dialog.close());
  const sides = () => {
    const boxes = [...byID("split-nodes").querySelectorAll("input")];
    return [true, false].map((side) => boxes.filter((box) => box.checked === side).map((box) => box.value)).filter((g) => g.length);
  };
  byID("split-buttons").replaceChildren(
    button("cut off", { class: "plain" }, done(sides)),
    button("end every partition", { class: "plain" }, done(() => [])),
    button("close", { class: "plain" }, () => dialog.close()));
  dialog.showModal();
}
