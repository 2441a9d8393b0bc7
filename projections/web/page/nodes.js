// The table of nodes: filtered, sorted, and never more rows than people read. Rows are kept and changed in place, so that focus
// and selection survive an update.

import { byID, button, count, el, number, setText, when } from "./dom.js";
import { tags } from "./evidence.js";

/** rowsMax is how many rows are shown at first, and how many more each time more are asked for. */
const rowsMax = 100;

const states = ["alive", "suspect", "failed", "left", "unknown"];

// What can be done to a member in development, and in which states it is offered.
const actions = [
  ["crash", "End it without a word, as a crash does", "alive suspect"],
  ["pause", "Stop its process for a while, as an overloaded machine does", "alive"],
  ["resume", "Let a paused one go on", "suspect failed"],
  ["restart", "Start it again: a new life with a higher incarnation", "failed left unknown"],
  ["leave", "Let it leave in good order", "alive suspect"],
];

const byName = new Intl.Collator("en", { numeric: true }).compare;
const gravity = { failed: 0, suspect: 1, unknown: 2, left: 3, alive: 4 };
const columns = {
  id: () => 0,
  state: (a, b) => gravity[a.state] - gravity[b.state],
  incarnation: (a, b) => b.incarnation - a.incarnation,
  address: (a, b) => byName(a.address, b.address),
  since: (a, b) => (a.since === b.since ? 0 : (a.since ?? "") < (b.since ?? "") ? 1 : -1),
  accusers: (a, b) => b.accusers.length - a.accusers.length,
};

const rows = new Map();
let shown = rowsMax;

export function state(name) {
  return el("span", { class: "state", data: { state: name } }, name);
}

/**
 * render brings the table up to date. place says what is filtered and sorted, and which node is open. on has choose(id),
 * act(id, action, button), filter(changes) and more(). dev is whether members can be broken from here.
 */
export function render(list, place, { dev, on }) {
  counts(list, place, on);
  const wanted = arrange(list, place);
  const cut = wanted.slice(0, shown);
  const body = byID("rows");
  const seen = new Set();
  let before = null;
  for (const node of cut) {
    seen.add(node.id);
    let row = rows.get(node.id);
    if (!row) {
      row = newRow(node.id, on);
      rows.set(node.id, row);
    }
    const at = before ? before.nextSibling : body.firstChild;
    if (row.element !== at) body.insertBefore(row.element, at);
    before = row.element;
    update(row, node, place.node);
    row.dev.hidden = !dev;
    offer(row, node, on);
  }
  for (const [id, row] of rows) {
    if (seen.has(id)) continue;
    row.element.remove();
    rows.delete(id);
  }
  byID("empty").hidden = cut.length > 0;
  setText(byID("empty"), list.length
    ? "No node passes the filters."
    : "The log names no node yet. Members appear here as they join.");
  byID("more").hidden = wanted.length <= shown;
  setText(byID("more"), `${number(cut.length)} of ${count(wanted.length, "node")} shown. Show ${number(Math.min(rowsMax, wanted.length - cut.length))} more`);
  for (const cell of document.querySelectorAll("th.dev")) cell.hidden = !dev;
  heads(place.sort);
}

/** showMore lets the next rendering show more rows. */
export function showMore() {
  shown += rowsMax;
}

/** blank empties the table, where what it would show is not known, and says why. */
export function blank(why) {
  for (const row of rows.values()) row.element.remove();
  rows.clear();
  byID("states").replaceChildren();
  byID("more").hidden = true;
  byID("empty").hidden = false;
  setText(byID("empty"), why);
}

function arrange(list, place) {
  const wantedStates = place.status ? new Set(place.status.split(",")) : null;
  const find = place.find.trim().toLowerCase();
  const down = place.sort.startsWith("-");
  const order = columns[down ? place.sort.slice(1) : place.sort] ?? columns.id;
  return list
    .filter((n) => (!wantedStates || wantedStates.has(n.state)) && (!find || n.id.toLowerCase().includes(find) || n.address.includes(find)))
    .sort((a, b) => (order(a, b) || byName(a.id, b.id)) * (down ? -1 : 1));
}

function heads(sort) {
  const down = sort.startsWith("-");
  const key = down ? sort.slice(1) : sort;
  for (const head of document.querySelectorAll("th[data-sort]")) {
    const is = head.dataset.sort === key;
    head.setAttribute("aria-sort", is ? (down ? "descending" : "ascending") : "none");
  }
}

/** mark shows which node is open. */
export function mark(chosen) {
  for (const [id, row] of rows) {
    row.element.dataset.chosen = String(id === chosen);
    row.name.setAttribute("aria-pressed", String(id === chosen));
  }
}

export const focusName = (id) => rows.get(id)?.name.focus();

/** step moves the focus from a name to the next or the one before. */
export function step(from, by) {
  const names = [...byID("rows").querySelectorAll("button.name")];
  names[names.indexOf(from) + by]?.focus();
}

function newRow(id, on) {
  const name = button(id, { class: "name", "aria-controls": "history" }, () => on.choose(id));
  const cell = (label, attributes = {}) => el("td", { role: "cell", ...attributes, data: { label } });
  const row = {
    name, shown: "",
    state: cell("State"), incarnation: cell("Incarnation", { class: "num" }), address: cell("Address", { class: "mono address" }),
    tags: cell("Tags"), since: cell("Since"), accusers: cell("Accused by"), dev: cell("Try it", { class: "dev" }),
  };
  const first = cell("Node", { class: "id" });
  first.append(name);
  row.element = el("tr", { role: "row", data: { node: id } },
    first, row.state, row.incarnation, row.address, row.tags, row.since, row.accusers, row.dev);
  row.element.addEventListener("click", (event) => {
    if (!event.target.closest("button")) on.choose(id);
  });
  return row;
}

/** offer shows the buttons that fit a state; they are made for who sees them. */
function offer(row, node, on) {
  if (row.dev.hidden) return;
  if (!row.dev.firstChild) {
    row.dev.append(el("div", { class: "actions" }, ...actions.map(([action, title, offered]) =>
      button(action, { title, "aria-label": `${action} ${node.id}`, data: { action, offered } }, (self) => on.act(node.id, action, self)))));
  }
  for (const act of row.dev.firstChild.children) act.hidden = !act.dataset.offered.split(" ").includes(node.state);
}

function update(row, node, chosen) {
  row.element.dataset.chosen = String(node.id === chosen);
  row.name.setAttribute("aria-pressed", String(node.id === chosen));
  const now = JSON.stringify(node);
  if (row.shown === now) return;
  if (row.shown !== "") flash(row.element);
  row.shown = now;
  row.state.replaceChildren(state(node.state));
  const remark = (name, text, title) => row.state.append(el("span", { class: "remark", title, data: { remark: name } }, text));
  if (node.parked) remark("parked", "parked", `Parked at #${node.parked.position}: ${node.parked.reason}`);
  if (node.unreachable_from?.length) {
    remark("unreachable", `not from ${node.unreachable_from.join(", ")}`, `Alive, but could not be reached of late from ${node.unreachable_from.join(", ")}`);
  }
  setText(row.incarnation, node.incarnation ? String(node.incarnation) : "–");
  setText(row.address, node.address);
  row.tags.replaceChildren(...(Object.keys(node.tags).length ? [tags(node.tags)] : []));
  row.since.replaceChildren(...(node.since ? [when(node.since)] : []));
  setText(row.accusers, node.accusers.join(", "));
}

function flash(element) {
  element.classList.remove("fresh");
  requestAnimationFrame(() => element.classList.add("fresh")); // a frame later, so that the animation starts again
}

/** counts shows how many nodes are in each state; each is a switch that shows those alone. */
function counts(list, place, on) {
  const wanted = new Set(place.status ? place.status.split(",") : []);
  const byState = new Map(states.map((name) => [name, 0]));
  for (const node of list) byState.set(node.state, (byState.get(node.state) ?? 0) + 1);
  const bar = byID("states");
  for (const [name, n] of byState) {
    let chip = bar.querySelector(`button[data-state="${name}"]`);
    if (!chip) {
      chip = button("", { class: "state chip", data: { state: name } }, () => on.toggle(name));
      bar.append(chip);
    }
    setText(chip, `${number(n)} ${name}`);
    chip.hidden = n === 0 && name !== "alive" && !wanted.has(name);
    chip.setAttribute("aria-pressed", String(wanted.has(name)));
  }
}
