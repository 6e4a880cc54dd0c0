// A live list of requests. The page has
//
// <table data-live-rows>  with a tbody, or any element whose children are the rows
//   data-live-filter='{"account":"…"}'  of these requests only (docs/dashboard-live.md has the names)
//   data-live-max="50"  rows shown; those still open come on top of that
//   data-live-span="86400"  of rows that began within so many seconds only
//   data-live-only="open"  of rows in this state only
//   data-live-open-first  those still open on top, the oldest first
// <template data-live-row>  one row, of which each clone is filled:
//   data-words={"rate_limit_error":"limit"}  words that stand beside the status
//   data-cell="account"  a column, or a name of CELLS; "–" and data-none when it is empty
//   data-format="count"  by this function of formats.js; a <time data-form> by times.js
//   title  has the text, too, where a cell may cut it
//   data-when="open failed"  shown in these states only: open, good, hung, failed
//   data-href="/requests/{request_id}"  an address with columns in braces
// <p data-live-empty>  shown while the list is empty
// <span data-live-open>  how many of the list's requests are open
// hx-trigger="live:ended from:body"  counts of requests, loaded anew when the ledger has those that have ended
// <button data-live-hold>  holds and lets go, as the event live:toggle-hold (key p) does
//
// A row's root gets data-id and data-state, and the class late after a minute without an event. A list that htmx puts in
// the place of another is followed from then on. Text is put in by textContent alone. The list holds still while the
// pointer is over it, focus or a selection is in it, or its top is scrolled away: no row comes, goes or moves, but those
// that are shown still say what becomes of them.
import * as formats from "./formats.js";
import * as live from "./live.js";
import * as times from "./times.js";

const STATES = { open: "open", answered: "good", hung_up: "hung" };
const CELLS = {
  model: (row) => row.upstream_model || row.client_model,
  models: (row) => [...new Set([row.client_model, row.upstream_model].filter(Boolean))].join(" → "),
  tries: (row) => (row.attempts > 1 ? `${row.attempts} tries` : " "),
  slow: (row) => ((row.first_event_seconds ?? row.duration_seconds) >= SLOW_SECONDS ? "slow" : " "),
  result: (row) => [row.status, words[row.outcome]].filter(Boolean).join(" ") || row.outcome,
  in: (row) => row.input_tokens || null,
  out: (row) => row.output_tokens || null,
  note: (row) => times.local(row.detail) || " ",
  stage: (row) => (row.outcome !== "open" ? " " : row.first_event_seconds == null ? "no event yet" : "streaming"),
  age: (row) => (row.outcome === "open" ? times.age(ageOf(row)) : " "),
};
const LATE_SECONDS = 60, SLOW_SECONDS = 5, COUNTED_MS = 2000;
const drawn = new Map();
let place, list, template, words = {}, max, known = new Map(), isHeldByHand = false, isHovered = false, hasHeard = false, countTimer;

const ageOf = (row) => Math.max(0, times.now() - row.started_at);
const isLate = (row) => row.outcome === "open" && row.first_event_seconds == null && ageOf(row) > LATE_SECONDS;
const stateOf = (row) => STATES[row.outcome] ?? "failed";

function note(message) {
  if (!list) return;
  for (const row of message.rows.map(live.asRow)) {
    if (row.rev < (known.get(row.id)?.rev ?? 0)) continue;
    known.set(row.id, row);
    const shown = drawn.get(row.id);
    if (shown) fill(shown.element, shown.row = row);
  }
  drawUnlessHeld();
}

// The ledger has a request half a second after its end.
function countSoon() {
  countTimer ??= setTimeout(() => {
    countTimer = undefined;
    document.body.dispatchEvent(new Event("live:ended"));
  }, COUNTED_MS);
}

function showOpen(rows) {
  const open = rows.filter((row) => row.outcome === "open").length;
  for (const place of document.querySelectorAll("[data-live-open]")) put(place, formats.count(open));
}

function byTime(one, other) { return other.started_at - one.started_at; }

function openFirst(one, other) {
  const isOpen = one.outcome === "open";
  if (isOpen !== (other.outcome === "open")) return isOpen ? -1 : 1;
  return isOpen ? -byTime(one, other) : byTime(one, other);
}

// As many as there is room for, and all that are open. Others are forgotten.
function rowsToShow() {
  const only = place.dataset.liveOnly;
  const earliest = times.now() - (Number(place.dataset.liveSpan) || Infinity);
  const rows = [...known.values()].filter((row) => row.started_at >= earliest && (!only || stateOf(row) === only))
    .sort("liveOpenFirst" in place.dataset ? openFirst : byTime)
    .filter((row, index) => index < max || row.outcome === "open");
  known = new Map(rows.map((row) => [row.id, row]));
  return rows;
}

// Holding still

// The server's own rows cannot say what becomes of them, so the first drawing waits for focus and selection only.
function isHeld() {
  const selection = getSelection();
  if (list.contains(document.activeElement) || (!selection.isCollapsed && list.contains(selection.anchorNode))) return true;
  return drawn.size > 0 && (isHeldByHand || isHovered || list.getBoundingClientRect().top < 0);
}

function drawUnlessHeld() {
  if (!list || !hasHeard) return;
  const rows = rowsToShow();
  showOpen(rows);
  if (!isHeld()) {
    draw(rows);
    live.sayHeld();
  } else {
    const shown = new Set([...list.children].map((child) => child.dataset.id));
    live.sayHeld(rows.filter((row) => !shown.has(row.id)).length, letGo);
  }
}

function letGo() {
  hold(false);
  if (!list || !hasHeard) return;
  draw(rowsToShow());
  drawUnlessHeld();
}

function hold(isWanted) {
  isHeldByHand = isWanted;
  for (const button of document.querySelectorAll("[data-live-hold]")) button.ariaPressed = String(isWanted);
  drawUnlessHeld();
}

// Drawing

function draw(rows) {
  const ids = new Set(rows.map((row) => row.id));
  for (const id of drawn.keys()) if (!ids.has(id)) drawn.delete(id);
  let next = null;
  for (const row of rows.reverse()) {
    let one = drawn.get(row.id);
    if (!one) {
      drawn.set(row.id, one = { row, element: template.content.firstElementChild.cloneNode(true) });
      fill(one.element, row);
    }
    if (one.element.parentNode !== list || one.element.nextElementSibling !== next) list.insertBefore(one.element, next);
    next = one.element;
  }
  const ours = new Set([...drawn.values()].map((one) => one.element));
  for (const child of [...list.children]) if (!ours.has(child) && child !== template) child.remove();
  for (const empty of document.querySelectorAll("[data-live-empty]")) empty.hidden = rows.length > 0;
}

function fill(element, row) {
  element.dataset.id = row.id;
  element.dataset.state = stateOf(row);
  element.classList.toggle("late", isLate(row));
  for (const part of [element, ...element.querySelectorAll("[data-cell], [data-when], [data-href]")]) {
    const { cell, format, when, href } = part.dataset;
    if (cell) fillCell(part, Object.hasOwn(CELLS, cell) ? CELLS[cell](row) : row[cell], format);
    if (when) part.hidden = !when.split(" ").includes(stateOf(row));
    if (href) part.href = href.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(row[name]));
  }
}

function fillCell(part, value, format) {
  if (part instanceof HTMLTimeElement) {
    times.put(part, value);
  } else if (part.dataset.cell === "models") {
    putModels(part, value || "–");
  } else {
    put(part, format ? formats[format](value) : value == null || value === "" ? "–" : String(value));
    part.toggleAttribute("data-none", part.textContent === "–");
    if (part.hasAttribute("title")) part.title = part.textContent;
    if (part.dataset.cell === "note") part.toggleAttribute("data-private", part.textContent.includes("@"));
  }
}

// Each name in an element of its own, so that lines break between them, as the filter model_names has it.
function putModels(part, text) {
  if (part.textContent === text) return;
  const names = text.split(/ (?=→ )/).map((name) => Object.assign(document.createElement("span"), { textContent: name }));
  part.replaceChildren(...names.flatMap((name) => [name, " "]).slice(0, -1));
  part.title = text;
}

// A selection in a text that stays the same survives.
function put(part, text) { if (part.textContent !== text) part.textContent = text; }

function tick() {
  for (const { element, row } of drawn.values()) {
    if (row.outcome !== "open" || !known.has(row.id)) continue;  // held while a snapshot no longer has it
    element.classList.toggle("late", isLate(row));
    for (const part of element.querySelectorAll('[data-cell="age"]')) put(part, CELLS.age(row));
  }
  drawUnlessHeld();
}

function follow() {
  const found = document.querySelector("[data-live-rows]");
  if (place && found === place) return;
  place = found;
  live.sayLiveOrStill();
  template = document.querySelector("template[data-live-row]");
  words = JSON.parse(template?.dataset.words || "{}");
  list = place && template && (place.tBodies?.[0] ?? place);
  known = new Map();
  hasHeard = false;
  drawn.clear();
  if (!list) return;
  max = Number(place.dataset.liveMax) || 50;
  isHovered = list.matches(":hover");
  list.addEventListener("pointerenter", (event) => { isHovered = event.pointerType === "mouse"; });
  list.addEventListener("pointerleave", () => { isHovered = false; });
  for (const kind of ["pointerenter", "pointerleave"]) list.addEventListener(kind, drawUnlessHeld);
  for (const kind of ["focusin", "focusout"]) list.addEventListener(kind, () => setTimeout(drawUnlessHeld));
  live.watch({ topics: ["requests"], filter: JSON.parse(place.dataset.liveFilter || "{}") });
}

export function start() {
  live.on("snapshot", (message) => {
    known = new Map();
    hasHeard = true;
    note(message);
  });
  live.on("delta", note);
  for (const kind of ["snapshot", "delta"]) live.on(kind, countSoon);
  follow();
  document.body.addEventListener("htmx:afterSwap", follow);
  for (const kind of ["selectionchange", "scroll"]) document.addEventListener(kind, drawUnlessHeld, { passive: true });
  document.addEventListener("live:toggle-hold", () => hold(!isHeldByHand));
  for (const button of document.querySelectorAll("[data-live-hold]")) button.addEventListener("click", () => hold(!isHeldByHand));
  setInterval(tick, 1000);
}
