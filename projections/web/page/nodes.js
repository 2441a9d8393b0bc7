// The table of nodes. Rows are kept and changed in place, so that focus and selection survive an update.

import { byID, el, setText, when } from "./dom.js";

const states = ["alive", "suspect", "failed", "left", "unknown"];
const actions = [
  ["crash", "End it without a word, as a crash does"],
  ["pause", "Stop its process for a while, as an overloaded machine does"],
  ["resume", "Let a paused one go on"],
  ["restart", "Start it again: a new life with a higher incarnation"],
  ["leave", "Let it leave in good order"],
];

const rows = new Map();

export function state(name) {
  return el("span", { class: "state", data: { state: name } }, name);
}

/** render brings the table up to date. onChoose(id) and onAct(id, action, button) are called for what people do. */
export function render(list, { dev, chosen, onChoose, onAct }) {
  const body = byID("rows");
  const seen = new Set();
  let before = null;
  for (const node of list) {
    seen.add(node.id);
    let row = rows.get(node.id);
    if (!row) {
      row = newRow(node.id, dev, onChoose, onAct);
      rows.set(node.id, row);
    }
    const at = before ? before.nextSibling : body.firstChild;
    if (row.element !== at) body.insertBefore(row.element, at);
    before = row.element;
    update(row, node, chosen);
  }
  for (const [id, row] of rows) {
    if (seen.has(id)) continue;
    row.element.remove();
    rows.delete(id);
  }
  byID("empty").hidden = list.length > 0;
  for (const cell of document.querySelectorAll("th.dev")) cell.hidden = !dev;
  counts(list);
}

/** mark shows which node is chosen. */
export function mark(chosen) {
  for (const [id, row] of rows) {
    row.element.dataset.chosen = String(id === chosen);
    row.name.setAttribute("aria-pressed", String(id === chosen));
  }
}

export const focusName = (id) => rows.get(id)?.name.focus();

function newRow(id, dev, onChoose, onAct) {
  const name = el("button", { type: "button", class: "name", "aria-controls": "history" }, id);
  name.addEventListener("click", (event) => {
    event.stopPropagation();
    onChoose(id);
  });
  const cell = (label, attributes = {}) => el("td", { ...attributes, data: { label } });
  const row = {
    name, shown: "",
    state: cell("State"), incarnation: cell("Incarnation", { class: "num" }), address: cell("Address", { class: "mono address" }),
    tags: cell("Tags"), since: cell("Since"), accusers: cell("Accused by"),
  };
  const first = cell("Node");
  first.append(name);
  row.element = el("tr", {}, first, row.state, row.incarnation, row.address, row.tags, row.since, row.accusers);
  row.element.addEventListener("click", (event) => {
    if (!event.target.closest("button")) onChoose(id);
  });
  if (dev) {
    const buttons = actions.map(([action, title]) => {
      const button = el("button", { type: "button", title, "aria-label": `${action} ${id}` }, action);
      button.addEventListener("click", () => onAct(id, action, button));
      return button;
    });
    row.element.append(el("td", { data: { label: "Try it" } }, el("div", { class: "actions" }, ...buttons)));
  }
  return row;
}

function update(row, node, chosen) {
  row.element.dataset.chosen = String(node.id === chosen);
  row.name.setAttribute("aria-pressed", String(node.id === chosen));
  const now = JSON.stringify(node);
  if (row.shown === now) return;
  if (row.shown !== "") flash(row.element);
  row.shown = now;
  row.state.replaceChildren(state(node.state));
  setText(row.incarnation, node.incarnation ? String(node.incarnation) : "–");
  setText(row.address, node.address);
  const tags = Object.entries(node.tags).sort(([a], [b]) => (a < b ? -1 : 1));
  row.tags.replaceChildren(
    ...(tags.length ? [el("div", { class: "tags" }, ...tags.map(([k, v]) => el("span", { class: "tag" }, `${k}=${v}`)))] : []),
  );
  row.since.replaceChildren(...(node.since ? [when(node.since)] : []));
  setText(row.accusers, node.accusers.join(", "));
}

function flash(element) {
  element.classList.remove("fresh");
  void element.offsetWidth; // so that the animation starts again
  element.classList.add("fresh");
}

function counts(list) {
  const byState = new Map(states.map((name) => [name, 0]));
  for (const node of list) byState.set(node.state, (byState.get(node.state) ?? 0) + 1);
  const items = [];
  for (const [name, n] of byState) {
    if (n === 0 && name !== "alive") continue;
    items.push(el("li", {}, el("span", { class: "state", data: { state: name } }, `${n} ${name}`)));
  }
  byID("counts").replaceChildren(...items);
}
