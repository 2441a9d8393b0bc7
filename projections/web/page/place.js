// Where the reader is: which node is open, as of when, what is filtered and how it is sorted. It stands in the fragment of
// the address, so that a link shows somebody else the same.

const names = ["node", "at", "find", "tag", "status", "sort"];

function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  const at = Number(given.get("at"));
  return {
    node: given.get("node"), // null: none
    at: Number.isSafeInteger(at) && at > 0 ? at : null, // a position; null: live
    find: given.get("find") ?? "",
    tag: given.get("tag") ?? "", // a tag expression
    status: given.get("status") ?? "", // states with commas between; empty: all
    sort: given.get("sort") ?? "id", // a column, with - before it for the other direction
  };
}

export const place = read();

/** go changes some of it. */
export function go(changes) {
  Object.assign(place, changes);
  const said = new URLSearchParams();
  for (const name of names) {
    const value = place[name];
    if (value !== null && value !== "" && !(name === "sort" && value === "id")) said.set(name, value);
  }
  history.replaceState(null, "", said.size ? `#${said}` : location.pathname);
}

/** onLink calls what is given when the reader follows a link to another place. */
export function onLink(moved) {
  window.addEventListener("hashchange", () => {
    Object.assign(place, read());
    moved();
  });
}
