// Assignment groups: who directs each, which worker has which shard since when and why, and the group's events.

import * as api from "./api.js";
import { byID, el, number, setText, when } from "./dom.js";
import { meta } from "./history.js";
import { claim, plain } from "./words.js";

const reachBack = 1000; // positions before the standing plan in which a group's events are looked for
const eventsShown = 20;

let shown = "";

/** render lists the groups of an answer of /v1/assignments; moment is what they were read as of. */
export function render(groups, moment, onMoment) {
  byID("groups").hidden = groups.length === 0;
  const now = JSON.stringify([groups, moment.at]);
  if (now === shown) return;
  shown = now;
  const open = new Set([...document.querySelectorAll("#group-list details[open]")].map((d) => d.dataset.group));
  byID("group-list").replaceChildren(...groups.map((g) => group(g, moment, open.has(g.group), onMoment)));
}

function group(g, moment, open, onMoment) {
  const directed = g.director ? `directed by ${g.director}` : g.vacant ? `no director: ${g.former} ${g.vacant}` : "no director";
  const body = el("div", { class: "group" });
  const item = el("details", { data: { group: g.group }, open },
    el("summary", {}, el("b", {}, g.group), ` · ${directed} · `,
      el("span", { class: g.assigned < g.shards ? "bad" : "good" }, `${g.assigned} of ${g.shards} shards assigned`),
      g.plan_position ? ` · plan #${number(g.plan_position)}` : " · no plan yet"),
    body);
  const load = () => fill(body, g, moment, onMoment).catch((problem) => setText(body, problem.message));
  item.addEventListener("toggle", () => item.open && !body.childElementCount && load());
  if (open) load();
  return item;
}

async function fill(body, g, moment, onMoment) {
  const upTo = moment.at ?? Infinity;
  const [detail, page] = await Promise.all([
    api.group(g.group, moment.at ? moment : {}),
    api.events(Math.max(1, g.plan_position - reachBack), api.eventsMax, { group: g.group }),
  ]);
  const facts = [`at most ${g.bound} shards a worker`, g.selector ? `workers: ${g.selector}` : "any node may work"];
  if (g.reason) facts.push(`the plan's reason: ${g.reason}`);
  if (g.refused) facts.push(`${g.refused} events refused`);
  if (g.rejected) facts.push(`${g.rejected} events unreadable`);
  const events = page.events.map(plain).filter((e) => e.position <= upTo).slice(-eventsShown).reverse();
  body.replaceChildren(
    el("p", { class: "quiet" }, facts.join(" · "), g.planned ? " · planned " : "", g.planned ? when(g.planned) : null),
    el("table", { class: "plain" },
      el("thead", {}, el("tr", {}, ...["Shard", "Worker", "Before", "Since", "Because"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, ...detail.group.assignments.map((s) => el("tr", { data: { shard: s.shard } },
        el("th", { scope: "row" }, s.shard), el("td", { class: s.worker ? null : "bad" }, s.worker || "nobody"), el("td", {}, s.from || "–"),
        el("td", { class: "mono" }, `#${s.since}`), el("td", {}, s.reason))))),
    el("ol", { class: "tail" }, ...events.map((e) => el("li", {}, meta(e, onMoment), el("span", {}, claim(e))))));
}
