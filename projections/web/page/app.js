// The page: asks for the views, as they are or as of a moment; follows the stream, and asks again when an event comes.

import * as api from "./api.js";
import * as groups from "./groups.js";
import * as history from "./history.js";
import * as partition from "./partition.js";
import * as projector from "./projector.js";
import * as scrubber from "./scrubber.js";
import * as table from "./nodes.js";
import * as tail from "./tail.js";
import { byID, lookFrom, number, refreshTimes, setText } from "./dom.js";
import { go, onLink, place } from "./place.js";
import { plain } from "./words.js";

const settleMillis = 120; // events that come together are answered with one request
const restFactor = 4; // and the page rests so many times as long as the last answer took: a large cluster is asked less often
const restMillisMax = 5_000;
const pollMillis = 2_000; // how the views do, and position and lag when nothing happens
const noticeMillis = 8_000; // how long a refused action is shown
const pastEvents = 1000; // before a moment: what the log lists and the partition is read from
const invitation = "Choose a node to see what happened to it, who said so, and on what evidence.";

let dev = false;
let identity = ""; // of the log
let seen = 0; // newest position that the stream brought
let drawn = 0; // position of the nodes that are shown
let nodes = []; // as shown
let asking = null; // the AbortController of the request under way
let again = false; // asked for meanwhile
let urgent = false; // by the reader, who waits for it
let tookMillis = 0; // of the last answer
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
  setText(byID("position"), `#${number(answer.position)}`);
  setText(byID("lag"), projector.lagText(answer.lag));
}

/** refresh brings everything that is shown up to date; one at a time, and one more when it was asked for meanwhile. */
async function refresh() {
  if (asking) {
    again = true;
    return;
  }
  asking = new AbortController();
  const { at } = place;
  const began = performance.now();
  try {
    await (at === null ? readNow(asking.signal) : readPast(at, asking.signal));
    notice("server", "");
  } catch (problem) {
    if (problem.name !== "AbortError") refused(problem);
  } finally {
    asking = null;
    tookMillis = performance.now() - began;
  }
  if (urgent) {
    urgent = again = false;
    refresh();
  } else if (again) {
    again = false;
    soon();
  }
}

async function readNow(signal) {
  const moment = { min_position: seen };
  const [answer, assigned, about] = await Promise.all([
    api.nodes(moment, place.tag, signal), api.groups(moment, signal), api.projections(),
  ]);
  lookFrom(null);
  header(answer);
  projector.render(about, control);
  nodes = answer.nodes;
  drawn = answer.position;
  if (tail.newest().length) scrubber.reach(answer.position, tail.newest());
  scrubber.show(null, answer);
  partition.render(tail.newest(), nodes);
  groups.render(assigned.groups, {}, look);
  well();
  if (place.node !== null) await showHistory(moment, Date.now(), signal);
}

async function readPast(at, signal) {
  const moment = { at };
  const [answer, assigned, before] = await Promise.all([
    api.nodes(moment, place.tag, signal), api.groups(moment, signal), api.events(Math.max(1, at - pastEvents + 1), pastEvents, { signal }),
  ]).catch((problem) => {
    if (problem.name === "AbortError") throw problem;
    throw Object.assign(problem, { ofThePast: true });
  });
  const events = before.events.map(plain).filter((e) => e.position <= at);
  lookFrom(answer.time);
  nodes = answer.nodes;
  scrubber.show(at, answer);
  tail.render(events, look);
  partition.render(events, nodes);
  groups.render(assigned.groups, moment, look);
  well();
  if (place.node !== null) await showHistory(moment, Date.parse(answer.time), signal);
}

function well() {
  scrubber.trouble("");
  tagProblem("");
  draw();
}

/** draw shows the nodes that were read, filtered and sorted. */
function draw() {
  table.render(nodes, place, { dev: dev && place.at === null, on: { choose, act, toggle } });
}

/** refused says beside what was asked for why it was not answered. */
function refused(problem) {
  if (place.tag !== "" && problem.name === "bad-parameter" && problem.message.startsWith("tag:")) {
    tagProblem(problem.message);
  } else if (problem.ofThePast && problem instanceof api.Problem) {
    const why = problem.name === "history-incomplete" ? `History incomplete: ${problem.message}.` : problem.message;
    scrubber.show(place.at, null);
    scrubber.trouble(why);
    nodes = [];
    table.blank("What the nodes were at that moment is not known here.");
    tail.render([], look);
    history.clear(why);
  } else {
    notice("server", words(problem));
  }
}

function tagProblem(text) {
  byID("tag-problem").hidden = text === "";
  setText(byID("tag-problem"), text);
  byID("tag").setAttribute("aria-invalid", String(text !== ""));
}

function soon() {
  if (timer) return;
  timer = setTimeout(() => {
    timer = 0;
    refresh();
  }, Math.min(restMillisMax, Math.max(settleMillis, restFactor * tookMillis)));
}

/** moved asks for what is shown elsewhere: at once, unless an answer is under way, which is given up. */
function moved() {
  if (asking) {
    urgent = true;
    asking.abort();
    return;
  }
  clearTimeout(timer);
  timer = 0;
  refresh();
}

async function showHistory(moment, until, signal) {
  const wanted = place.node;
  try {
    const answer = await api.history(wanted, moment, signal);
    if (wanted === place.node) history.show(answer, Math.max(until, Date.parse(answer.time)), look);
  } catch (problem) {
    if (!(problem instanceof api.Problem) || (problem.status !== 404 && problem.status !== 400)) throw problem;
    if (wanted === place.node) history.missing(wanted, problem.message);
  }
}

function choose(id) {
  if (id === place.node) {
    close();
    return;
  }
  go({ node: id });
  table.mark(id);
  byID("entries").scrollTop = 0;
  if (window.innerWidth <= 1200) byID("history").scrollIntoView({ block: "nearest" });
  moved();
}

function close() {
  const last = place.node;
  go({ node: null });
  table.mark(null);
  history.clear(invitation);
  if (last !== null) table.focusName(last);
}

/** look shows the cluster as of a position; null: as it is, and follows it again. */
function look(at) {
  if (at === place.at) return;
  go({ at });
  if (at === null) tail.render(null, look);
  scrubber.show(at, null);
  moved();
}

/** lookAt asks which position a time is. */
async function lookAt(time) {
  try {
    const answer = await api.nodes({ at: time }, "");
    if (answer.position > 0) look(answer.position);
    else scrubber.trouble("Nothing was in the log at that time.");
  } catch (problem) {
    scrubber.trouble(words(problem));
  }
}

function toggle(state) {
  const wanted = new Set(place.status ? place.status.split(",") : []);
  if (!wanted.delete(state)) wanted.add(state);
  go({ status: [...wanted].join(",") });
  draw();
}

/** attempt does what a button says, and shows what the server has against it. */
async function attempt(work, button) {
  button.disabled = true;
  try {
    const answer = await work();
    notice("action", "");
    return answer;
  } catch (problem) {
    notice("action", words(problem));
    setTimeout(() => notice("action", ""), noticeMillis);
    return null;
  } finally {
    button.disabled = false;
  }
}

const act = (id, action, button) => attempt(() => api.act(id, action), button);

async function control(action, node, button) {
  const about = await attempt(() => api.control(action, node), button);
  if (about) projector.render(about, control);
  soon();
}

function link(state, why) {
  const node = byID("link");
  node.dataset.link = state;
  setText(node, state === "lost" ? "reconnecting" : state);
  if (why) notice("server", why);
  if (state === "live") poll();
}

/** poll asks how the views do, and starts the page again when the server came back with another log: its positions mean something else. */
async function poll() {
  try {
    const about = await api.projections();
    if (about.log.identity !== "") {
      if (identity !== "" && about.log.identity !== identity) location.reload();
      identity = about.log.identity;
    }
    header(about);
    projector.render(about, control);
    if (tail.newest().length) scrubber.reach(about.position, tail.newest());
    scrubber.show(place.at, null);
    if (place.at === null && about.position > drawn) soon();
  } catch {
    notice("server", silent); // the next one that is answered, or the next refresh, takes it back
    soon();
  }
}

/** beginning asks where the log begins: at 1, unless its limits have dropped what was first. */
async function beginning() {
  try {
    await api.events(1, 1);
    return 1;
  } catch (problem) {
    if (problem instanceof api.Problem && problem.first) return problem.first;
    throw problem;
  }
}

async function start() {
  let about;
  let first;
  let newest;
  try {
    about = await api.projections();
    first = await beginning();
    newest = await api.events(Math.max(first, about.position - api.eventsMax + 1), api.eventsMax);
  } catch (problem) {
    notice("server", words(problem));
    setTimeout(start, pollMillis);
    return;
  }
  dev = about.dev;
  identity = about.log.identity;
  byID("split-open").hidden = !dev;
  setText(byID("version"), `Rollcall ${about.version}`);
  tail.keep(newest.events);
  tail.render(null, look);
  scrubber.begin(first);
  header(about);
  projector.render(about, control);
  scrubber.reach(about.position, tail.newest());
  scrubber.show(place.at, null);
  await refresh();
  api.follow(newest.next, (item) => {
    seen = Math.max(seen, item.position);
    tail.append(item, look);
    if (place.at === null) soon();
  }, link);
  setInterval(refreshTimes, 1_000);
  setInterval(() => document.hidden || poll(), pollMillis);
}

function listen() {
  byID("history-close").addEventListener("click", close);
  byID("more").addEventListener("click", () => {
    table.showMore();
    draw();
  });
  byID("split-open").addEventListener("click", () => partition.offer(nodes, attempt));
  for (const [field, apply] of [["find", draw], ["tag", moved]]) {
    byID(field).value = place[field];
    byID(field).addEventListener("input", (event) => {
      go({ [field]: event.target.value });
      apply();
    });
  }
  for (const head of document.querySelectorAll("th[data-sort] button")) {
    head.addEventListener("click", () => {
      const { sort } = head.closest("th").dataset;
      go({ sort: place.sort === sort ? `-${sort}` : sort });
      draw();
    });
  }
  scrubber.listen(look, lookAt);
  onLink(() => {
    if (place.at === null) tail.render(null, look);
    if (place.node === null) history.clear(invitation);
    moved();
  });
  document.addEventListener("keydown", key);
}

const keys = {
  "/": () => byID("find").focus(),
  n: () => look(null),
  ",": () => scrubber.step(-1, look),
  ".": () => scrubber.step(1, look),
};

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const { target } = event;
  if (target.matches("button.name") && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    table.step(target, event.key === "ArrowDown" ? 1 : -1);
  } else if (event.key === "Escape") {
    if (target.matches("input")) target.blur();
    else if (place.node !== null) close();
  } else if (!target.matches("input:not([type=range])") && keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
}

listen();
start();
