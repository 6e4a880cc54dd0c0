// What every page does.
import * as times from "./times.js";
import * as keys from "./keys.js";
import * as live from "./live.js";
import * as rows from "./rows.js";

times.start();
keys.start();
if (document.querySelector("[data-live-state]")) {
  rows.start();
  live.start();
}

// <button data-copy="#id"> copies the text of that element.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const text = document.querySelector(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
    say(button, "Copied");
  } catch {
    say(button, "Select and copy it by hand");
  }
});

function say(button, text) {
  const before = button.textContent;
  button.textContent = text;
  setTimeout(() => { button.textContent = before; }, 1500);
}

// A pasted id of a request or session, also in a line, opens it; another text is searched for.
const ID = /\b((req_)?[0-9a-f]{24}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})\b/;
document.addEventListener("paste", (event) => {
  if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
  const text = event.clipboardData?.getData("text").trim() ?? "";
  const [id] = text.match(ID) ?? [];
  const requests = document.querySelector("a[data-key=r]");
  const field = document.querySelector("[data-search]");
  if (id && requests) {
    location.assign(`${requests.href}?q=${id}`);
  } else if (field && text) {
    event.preventDefault();
    field.focus();
    field.value = text.slice(0, 254);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
});
const hint = document.querySelector("[data-paste-hint]");
if (hint && matchMedia("(hover: hover)").matches) {
  hint.placeholder = `An id? ${navigator.platform.startsWith("Mac") ? "⌘V" : "Ctrl+V"}`;
}

// A part that could not be loaded stays as it is, and the page says so.
const failed = document.querySelector("[data-failed]");
function onFailed(event) {
  failed.textContent = event.detail.xhr?.status
    ? `A part of the page could not be loaded (${event.detail.xhr.status}). Reload to try again.`
    : "The gateway does not answer. What is shown may be old.";
  failed.hidden = false;
}
document.body.addEventListener("htmx:responseError", onFailed);
document.body.addEventListener("htmx:sendError", onFailed);
document.body.addEventListener("htmx:afterSwap", () => { failed.hidden = true; });

// The difference of the two clocks, on the page that shows the server's.
const clock = document.querySelector("[data-server-now]");
if (clock) {
  const difference = Math.round(Date.now() / 1000 - Number(clock.dataset.serverNow));
  if (Math.abs(difference) > 5) {
    clock.textContent = ` this browser's clock is ${Math.abs(difference)} s ${difference > 0 ? "ahead" : "behind"}`;
    clock.hidden = false;
  }
}
