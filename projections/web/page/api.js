// The HTTP API as the page uses it.

import { kinds } from "./words.js";

const answerMillis = 20_000; // above what the server gives a read of the past
const retryMillis = 2_000;

/** eventsMax is how many events one page of the log holds. */
export const eventsMax = 1000;

/** Problem is an answer that the server refused, in its own words. */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.name = body?.type?.split(":").at(-1) ?? "";
    this.first = body?.first; // history-incomplete: the first position that is there
  }
}

// The origin alone: what a browser was given in front of the host, a user and a token, it sends by itself and refuses to fetch.
const address = (path) => location.origin + path;

async function ask(path, { signal, ...options } = {}) {
  const limit = AbortSignal.timeout(answerMillis);
  const answer = await fetch(address(path), { ...options, signal: signal ? AbortSignal.any([signal, limit]) : limit });
  const body = await answer.json().catch(() => null);
  if (!answer.ok) throw new Problem(answer.status, body);
  return body;
}

const id = encodeURIComponent;

/** query writes what is given: "?at=7", or nothing. */
function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== 0);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

export const projections = () => ask("/v1/projections");

/** nodes, history, groups and group are read as of a moment ({at}) or as they are, once they reach {min_position}. */
export const nodes = (moment, tag, signal) => ask(`/v1/nodes${query({ ...moment, tag })}`, { signal });
export const history = (node, moment, signal) => ask(`/v1/nodes/${id(node)}/history${query(moment)}`, { signal });
export const groups = (moment, signal) => ask(`/v1/assignments${query(moment)}`, { signal });
export const group = (name, moment) => ask(`/v1/assignments/${id(name)}${query(moment)}`);

/** events answers with at most limit events from a position on; of one group, when it is named. */
export const events = (from, limit, { group, signal } = {}) => ask(`/v1/events${query({ from, limit, group })}`, { signal });

const post = (path, body) => ask(path, {
  method: "POST", headers: body ? { "Content-Type": "application/json" } : {}, body: body ? JSON.stringify(body) : undefined,
});

/** control does one of pause, resume, rebuild, and of a parked node retry and skip. The views move together: any name will do. */
export const control = (action, node) => post(`/v1/projections/registry/${id(action)}`, node ? { node } : undefined);

export const act = (node, action) => post(`/dev/nodes/${id(node)}/${id(action)}`);
export const partition = (groups) => post("/dev/partition", { groups });

/**
 * follow calls onEvent with every event from a position on, each once, across reconnects, and onLink with "connecting",
 * "live" or "lost". The browser resumes with Last-Event-ID; where it gives up, follow starts again behind the last event.
 */
export function follow(from, onEvent, onLink) {
  let next = from;
  const open = () => {
    const source = new EventSource(address(`/v1/events/stream?from=${next}`));
    source.onopen = () => onLink("live", "");
    const take = (message) => {
      const position = Number(message.lastEventId);
      if (position < next) return;
      next = position + 1;
      onEvent(JSON.parse(message.data));
    };
    for (const kind of kinds) source.addEventListener(kind, take);
    source.addEventListener("end", (message) => onLink("lost", JSON.parse(message.data).detail));
    source.onerror = () => {
      onLink("lost", "");
      if (source.readyState === EventSource.CLOSED) {
        source.close();
        setTimeout(open, retryMillis);
      }
    };
  };
  open();
}
