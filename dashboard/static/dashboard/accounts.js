// <div data-refresh hx-get … hx-trigger="live:accounts from:body, again"> loads the accounts anew when they change, but
// not under the operator's hands: while focus is among them, or shortly after an action has said what came of it, it
// waits.
const PAUSE_MS = 5000, READ_MS = 15_000;
let actedAt = 0, waits = false;

document.body.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.requestConfig.verb === "post") actedAt = Date.now();
});

document.body.addEventListener("htmx:beforeRequest", (event) => {
  const { elt, target } = event.detail;
  if (!elt.matches("[data-refresh]")) return;
  if (!target.contains(document.activeElement) && Date.now() - actedAt > READ_MS) return;
  event.preventDefault();
  if (waits) return;
  waits = true;
  setTimeout(() => { waits = false; htmx.trigger(elt, "again"); }, PAUSE_MS);
});
