// The page: asks for the nodes, follows the stream, asks again when an event comes.

import * as api from "./api.js";
import * as history from "./history.js";
import * as table from "./nodes.js";
import { byID, refreshTimes, setText, span } from "./dom.js";

const tailEvents = 50; // shown at the start
const settleMillis = 120; // events that come together are answered with one request
const pollMillis = 5_000; // position and lag, when nothing happens
const noticeMillis = 8_000; // how long a refused action is shown
const invitation = "Choose a node to see what happened to it, who said so, and on what evidence.";

let dev = false;
let chosen = new URLSearchParams(location.hash.slice(1)).get("node");
let identity = ""; // of the log
let seen = 0; // newest position that the stream brought
let refreshing = false;
let again = false;
let timer = 0;

const notes = { action: "", server: "" };

/** notice shows what went wrong with the server or with an action, until it is told that all is well again. */
function notice(about, text) {
  notes[about] = text;
  const shown = notes.action || notes.server;
  byID("notice").hidden = shown === "";
  setText(byID("notice"), shown);
}

const silent = "The server does not answer. Trying again.";
const words = (problem) => (problem instanceof api.Problem ? problem.message : silent);

function header(answer) {
  setText(byID("cluster"), answer.cluster);
  document.title = `Rollcall · ${answer.cluster}`;
  setText(byID("position"), `#${answer.position}`);
  const { events, seconds } = answer.lag;
  setText(byID("lag"), events === 0 && seconds === 0 ? "none" : `${events} ${events === 1 ? "event" : "events"}, ${span(seconds)}`);
}

/** refresh brings table and history up to date; one request at a time, and one more when it was asked for meanwhile. */
async function refresh() {
  if (refreshing) {
    again = true;
    return;
  }
  refreshing = true;
  try {
    const answer = await api.nodes(seen);
    header(answer);
    table.render(answer.nodes, { dev, chosen, onChoose: choose, onAct: act });
    if (chosen !== null) await showHistory();
    notice("server", "");
  } catch (problem) {
    notice("server", words(problem));
  } finally {
    refreshing = false;
  }
  if (again) {
    again = false;
    soon();
  }
}

function soon() {
  if (timer) return;
  timer = setTimeout(() => {
    timer = 0;
    refresh();
  }, settleMillis);
}

async function showHistory() {
  const wanted = chosen;
  try {
    const answer = await api.history(wanted);
    if (wanted === chosen) history.show(answer);
  } catch (problem) {
    if (!(problem instanceof api.Problem) || problem.status !== 404) throw problem;
    if (wanted === chosen) history.clear(problem.message);
  }
}

function choose(id) {
  if (id === chosen) {
    close();
    return;
  }
  chosen = id;
  window.history.replaceState(null, "", `#node=${encodeURIComponent(id)}`);
  table.mark(chosen);
  byID("entries").scrollTop = 0;
  showHistory().then(
    () => byID("history").scrollIntoView({ block: "nearest" }),
    (problem) => notice("server", words(problem)),
  );
}

function close() {
  const last = chosen;
  chosen = null;
  window.history.replaceState(null, "", location.pathname);
  table.mark(null);
  history.clear(invitation);
  if (last !== null) table.focusName(last);
}

async function act(id, action, button) {
  button.disabled = true;
  try {
    await api.act(id, action);
    notice("action", "");
  } catch (problem) {
    notice("action", words(problem));
    setTimeout(() => notice("action", ""), noticeMillis);
  } finally {
    button.disabled = false;
  }
}

function link(state, why) {
  const node = byID("link");
  node.dataset.link = state;
  setText(node, state === "lost" ? "reconnecting" : state);
  if (why) notice("server", why);
  if (state === "live") {
    soon();
    sameLog();
  }
}

/** sameLog starts the page again when the server came back with another log: its positions mean something else. */
async function sameLog() {
  try {
    const about = await api.projections();
    if (about.log.identity === "") return;
    if (identity !== "" && about.log.identity !== identity) location.reload();
    identity = about.log.identity;
  } catch {
    // the link says already that the server is away, and this is asked again when it is back
  }
}

async function start() {
  let about;
  try {
    about = await api.projections();
  } catch {
    notice("server", silent);
    setTimeout(start, pollMillis);
    return;
  }
  dev = about.dev;
  identity = about.log.identity;
  setText(byID("version"), `Rollcall ${about.version}`);
  header(about);
  await refresh();
  api.follow(Math.max(1, about.position - tailEvents + 1), (item) => {
    seen = Math.max(seen, item.position);
    history.append(item);
    soon();
  }, link);
  setInterval(refreshTimes, 1_000);
  setInterval(() => document.hidden || soon(), pollMillis);
}

byID("history-close").addEventListener("click", close);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && chosen !== null) close();
});
start();
