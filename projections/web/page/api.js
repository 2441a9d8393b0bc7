// The HTTP API as the page uses it.

import { kinds } from "./words.js";

const answerMillis = 10_000;
const retryMillis = 2_000;

/** Problem is an answer that the server refused, in its own words. */
export class Problem extends Error {
  constructor(status, body) {
    super(body?.detail ?? `The server answered ${status}.`);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, signal: AbortSignal.timeout(answerMillis) });
  const body = await answer.json().catch(() => null);
  if (!answer.ok) throw new Problem(answer.status, body);
  return body;
}

const id = encodeURIComponent;

export const projections = () => ask("/v1/projections");
export const nodes = (position) => ask(position ? `/v1/nodes?min_position=${position}` : "/v1/nodes");
export const history = (node) => ask(`/v1/nodes/${id(node)}/history`);
export const act = (node, action) => ask(`/dev/nodes/${id(node)}/${id(action)}`, { method: "POST" });

/**
 * follow calls onEvent with every event from a position on, each once, across reconnects, and onLink with "connecting",
 * "live" or "lost". The browser resumes with Last-Event-ID; where it gives up, follow starts again behind the last event.
 */
export function follow(from, onEvent, onLink) {
  let next = from;
  const open = () => {
    const source = new EventSource(`/v1/events/stream?from=${next}`);
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
