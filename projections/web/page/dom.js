// What the other modules build the page with. Text is only ever set as text.

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "data") Object.assign(node.dataset, value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** el makes an element: el("td", {class: "num", data: {label: "Lag"}}, "12", child). */
export const el = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);

/** svg makes an element of a drawing. */
export const svg = (name, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

export const byID = (id) => document.getElementById(id);

/** setText changes an element only when it has to, so that selections and screen readers are left in peace. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** button makes one that calls onPress with itself. */
export function button(text, attributes, onPress) {
  const node = el("button", { type: "button", ...attributes }, text);
  node.addEventListener("click", (event) => {
    event.stopPropagation();
    onPress(node);
  });
  return node;
}

const numbers = new Intl.NumberFormat("en");

/** count writes 1,024 events. */
export const count = (n, what) => `${numbers.format(n)} ${what}${n === 1 ? "" : "s"}`;

export const number = (n) => numbers.format(n);

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });

/** clockTime writes 14:03:07.250 in the reader's zone. */
export function clockTime(iso) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return "?";
  return `${clock.format(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}

/** dayTime writes the day as well. */
export function dayTime(iso) {
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? "?" : `${day.format(at)}, ${clockTime(iso)}`;
}

/** span writes a number of seconds as people say it. */
export function span(seconds) {
  const s = Math.max(0, seconds);
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 90) return `${Math.round(s)} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 129600) return `${Math.round(s / 3600)} h`;
  return `${Math.round(s / 86400)} days`;
}

let moment = null; // milliseconds; null: now

/** lookFrom sets the moment that "ago" is counted from: a time of the past, or null for now. */
export function lookFrom(iso) {
  moment = iso === null ? null : Date.parse(iso);
  refreshTimes();
}

/** ago writes how long ago a time was. */
export function ago(iso) {
  const at = Date.parse(iso);
  if (Number.isNaN(at)) return "";
  const seconds = Math.max(0, Math.floor(((moment ?? Date.now()) - at) / 1000));
  if (seconds === 0) return moment === null ? "just now" : "just then";
  return `${seconds < 10 ? `${seconds} s` : span(seconds)} ${moment === null ? "ago" : "earlier"}`;
}

/** when is a <time> that says how long ago; refreshTimes keeps it true. */
export function when(iso) {
  return el("time", { datetime: iso, title: dayTime(iso), data: { ago: "true" } }, ago(iso));
}

export function refreshTimes() {
  for (const node of document.querySelectorAll("time[data-ago]")) setText(node, ago(node.dateTime));
}
