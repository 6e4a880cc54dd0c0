// <div data-refresh hx-get … hx-trigger="live:accounts from:body, again"> loads a part of the page anew when accounts
// change, but not under the operator's hands: while focus is in it, or shortly after an action has said what came of it,
// it waits. While nobody sees the page, it waits until somebody does.
const PAUSE_MS = 5000, READ_MS = 15_000;
let actedAt = 0, waits = false;
const unseen = new Set();

document.body.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.requestConfig.verb === "post") actedAt = Date.now();
});

document.body.addEventListener("htmx:beforeRequest", (event) => {
  const { elt, target } = event.detail;
  if (!elt.matches("[data-refresh]")) return;
  if (document.hidden) {
    unseen.add(elt);
    event.preventDefault();
    return;
  }
  if (!target.contains(document.activeElement) && Date.now() - actedAt > READ_MS) return;
  event.preventDefault();
  if (waits) return;
  waits = true;
  setTimeout(() => { waits = false; htmx.trigger(elt, "again"); }, PAUSE_MS);
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  for (const elt of unseen) htmx.trigger(elt, "again");
  unseen.clear();
});
