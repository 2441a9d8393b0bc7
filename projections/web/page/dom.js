// What the other modules build the page with. Text is only ever set as text.

/** el makes an element: el("td", {class: "num", data: {label: "Lag"}}, "12", child). */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "data") Object.assign(node.dataset, value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const byID = (id) => document.getElementById(id);

/** setText changes an element only when it has to, so that selections and screen readers are left in peace. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** clockTime writes 14:03:07.250 in the reader's zone. */
export function clockTime(iso) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return "?";
  return `${clock.format(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
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

/** ago writes how long ago a time was. */
export function ago(iso) {
  const at = Date.parse(iso);
  if (Number.isNaN(at)) return "";
  const seconds = Math.max(0, Math.floor((Date.now() - at) / 1000));
  if (seconds === 0) return "just now";
  return `${seconds < 10 ? `${seconds} s` : span(seconds)} ago`;
}

/** when is a <time> that says how long ago; refreshTimes keeps it true. */
export function when(iso) {
  return el("time", { datetime: iso, title: new Date(iso).toLocaleString(), data: { ago: "true" } }, ago(iso));
}

export function refreshTimes() {
  for (const node of document.querySelectorAll("time[data-ago]")) setText(node, ago(node.dateTime));
}
