// The tail of the log: newest at the bottom, followed until somebody scrolls up, selects, or holds. The page has
//
// <div data-log data-level="info">  scrolls; its children are the lines. data-private-texts: a regular expression
//   without groups, of names and addresses in them
// <template data-log-line>  one line: data-cell="at" (a <time data-form>), level, id, text; data-level at its root;
//   <a data-href="/requests/{id}"> is left out, with the space after it, where there is no request. No
//   content-visibility: with 10,000 lines it made a frame fifteen times as long (Chromium 150)
// <button data-log-level="warning">  lines from this level on; aria-pressed
// <input data-log-filter>  a regular expression or plain text
// <button data-log-wrap>, -clear, -download, -hold
// <p data-log-held hidden>  "held since 14:59:50, 31 new lines", with a button of its own
// <p data-log-skipped hidden>  how many lines came too fast
// <p data-log-empty hidden>  shown while no line is; [data-text] says so. Buttons: [data-log-unfilter] clears the
//   filter, [data-log-lower] shows all levels; hidden where they would change nothing
import { count } from "./formats.js";
import * as live from "./live.js";
import * as times from "./times.js";

const MOST_LINES = 10_000, NEAR_END = 8;
const ORDER = ["debug", "info", "warning", "error", "critical"];
let place, template, privateTexts, matches = () => true;
let lines = [], waiting = [], heldSince = 0, isHeldByHand = false, isScrolledUp = false, lastTop = 0, skipped = 0, hasHeard = false;
let whilePressed = null, followedUntil = 0;

const find = (name) => document.querySelector(`[data-log-${name}]`);
const isLoud = (line) => ORDER.indexOf(line.level) >= ORDER.indexOf(place.dataset.level);

function isHeld() {
  const selection = getSelection();
  return isHeldByHand || isScrolledUp || (!selection.isCollapsed && place.contains(selection.anchorNode));
}

// Lines may grow, when they are wrapped, so the end may lie below what was the end: only a move up counts.
function noteScroll() {
  const isAtEnd = place.scrollTop + place.clientHeight >= place.scrollHeight - NEAR_END;
  isScrolledUp = !isAtEnd && (isScrolledUp || place.scrollTop < lastTop - 1);
  lastTop = place.scrollTop;
  goOnUnlessHeld();
}

function toEnd() {
  place.scrollTop = place.scrollHeight;
  lastTop = place.scrollTop;
  isScrolledUp = false;
}

// What comes in

// Nothing moves while a pointer is down: a click is lost when its link goes away between press and release.
function unlessPressed(act) {
  return (message) => { whilePressed ? whilePressed.push(() => act(message)) : act(message); };
}

const press = () => { whilePressed ??= []; };

// The click comes after the release.
function release() {
  setTimeout(() => {
    const acts = whilePressed ?? [];
    whilePressed = null;
    for (const act of acts) act();
  });
}

const asLine = ([at, level, id, text]) => ({ at, level, id, text });

function take(message) {
  skipped += message.skipped ?? 0;
  waiting.push(...message.lines.map(asLine));
  waiting.splice(0, waiting.length - MOST_LINES);
  goOnUnlessHeld();
}

// A snapshot has what the server still knows; older lines stay. Of a held log, only what came since then waits.
function replace(message) {
  hasHeard = true;
  if (!message.lines.length) {
    showEmpty();
    return;
  }
  const from = message.lines[0][0], top = place.scrollTop;
  for (const line of lines) if (line.at >= from) line.element.remove();
  lines = lines.filter((line) => line.at < from);
  waiting = waiting.filter((line) => line.at < from);
  if (isHeld()) {
    const shown = message.lines.filter(([at]) => at <= followedUntil);
    append(shown.map(asLine));
    place.scrollTop = top;
    message = { ...message, lines: message.lines.slice(shown.length) };
  }
  take(message);
}

// What is shown

function goOnUnlessHeld() {
  if (!isHeld()) goOn();
  else heldSince ||= times.now();
  showHeld();
  showEmpty();
}

function append(added) {
  const fresh = document.createDocumentFragment();
  for (const line of added) fresh.append(line.element = made(line));
  for (const line of [...lines, ...added].slice(0, -MOST_LINES)) line.element.remove();
  lines = [...lines, ...added].slice(-MOST_LINES);
  place.append(fresh);
}

function goOn() {
  append(waiting);
  followedUntil = lines.at(-1)?.at ?? 0;
  waiting = [];
  heldSince = 0;
  toEnd();
}

function made(line) {
  const element = template.content.firstElementChild.cloneNode(true);
  element.dataset.level = line.level;
  for (const part of element.querySelectorAll("[data-cell]")) {
    if (part instanceof HTMLTimeElement) {
      times.put(part, line.at);
    } else {
      part.replaceChildren(...parts(line[part.dataset.cell]));
    }
    if (part.dataset.href) {
      part.href = part.dataset.href.replace("{id}", encodeURIComponent(line.id));
      if (!line.id) {
        part.nextSibling.remove();
        part.remove();
      }
    }
  }
  element.hidden = !isLoud(line) || !matches(line);
  return element;
}

// The text, with names and addresses in elements of their own, which private.js can hide.
function parts(text) {
  return text.split(privateTexts).map((piece, index) => {
    if (index % 2 === 0) return piece;
    const hidden = document.createElement("span");
    hidden.dataset.private = "";
    hidden.textContent = piece;
    return hidden;
  });
}

function showHeld() {
  const held = find("held"), lost = find("skipped");
  if (held) {
    const text = held.querySelector("[data-text]") ?? held;
    held.hidden = !heldSince;
    if (heldSince) text.textContent = `held since ${times.text(heldSince, "clock")}, ${count(waiting.length)} new line${waiting.length === 1 ? "" : "s"}`;
  }
  if (lost && skipped) {
    lost.hidden = false;
    lost.textContent = `${skipped} lines came too fast and are only in the log itself.`;
  }
}

// Without a line the box would be empty without a word.
function showEmpty() {
  const empty = find("empty");
  if (!empty || !hasHeard) return;
  const text = find("filter")?.value ?? "";
  empty.hidden = lines.some((line) => !line.element.hidden);
  empty.querySelector("[data-text]").textContent = text ? `No line matches “${text}” from level ${place.dataset.level} on.` : `No line from level ${place.dataset.level} on.`;
  find("unfilter").hidden = !text;
  find("lower").hidden = place.dataset.level === ORDER[0];
}

function unfilter() {
  find("filter").value = "";
  filter("");
}

function filter(text) {
  const plain = text.toLowerCase();
  let pattern;
  try { pattern = new RegExp(text, "i"); } catch { /* plain text only */ }
  matches = (line) => {
    const whole = `${line.id} ${line.text}`;
    return pattern?.test(whole) || whole.toLowerCase().includes(plain);
  };
  sift();
}

function sift() {
  for (const line of lines) line.element.hidden = !isLoud(line) || !matches(line);
  goOnUnlessHeld();
}

function setLevel(level) {
  place.dataset.level = level;
  for (const button of document.querySelectorAll("[data-log-level]")) button.ariaPressed = String(button.dataset.logLevel === level);
  sift();
  live.watch({ level });
}

function clear() {
  for (const line of lines) line.element.remove();
  lines = [];
  waiting = [];
  skipped = heldSince = 0;
  goOnUnlessHeld();
}

function download() {
  const shown = [...lines, ...waiting].filter((line) => isLoud(line) && matches(line));
  const text = shown.map((line) => `${new Date(line.at * 1000).toISOString()} ${line.level.toUpperCase()} ${line.id} ${line.text}\n`);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(text, { type: "text/plain" }));
  link.download = "gateway.log";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function hold(isWanted) {
  isHeldByHand = isWanted;
  const button = find("hold");
  if (button) button.ariaPressed = String(isWanted);
  goOnUnlessHeld();
}

function start() {
  place = document.querySelector("[data-log]");
  template = document.querySelector("template[data-log-line]");
  if (!place || !template) return;
  privateTexts = new RegExp(`(${place.dataset.privateTexts || "(?!)"})`);
  live.on("snapshot", unlessPressed(replace));
  live.on("delta", unlessPressed(take));
  live.watch({ topics: ["log"] });
  setLevel(place.dataset.level || "info");
  place.addEventListener("scroll", noteScroll, { passive: true });
  place.addEventListener("pointerdown", press);
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, release);
  document.addEventListener("selectionchange", goOnUnlessHeld);
  document.addEventListener("live:toggle-hold", () => hold(!isHeldByHand));
  for (const button of document.querySelectorAll("[data-log-level]")) button.addEventListener("click", () => setLevel(button.dataset.logLevel));
  filter(find("filter")?.value ?? "");
  find("filter")?.addEventListener("input", (event) => filter(event.target.value));
  find("wrap")?.addEventListener("click", (event) => { event.currentTarget.ariaPressed = String(place.classList.toggle("wrap")); });
  find("clear")?.addEventListener("click", clear);
  find("download")?.addEventListener("click", download);
  find("hold")?.addEventListener("click", () => hold(!isHeldByHand));
  find("unfilter")?.addEventListener("click", unfilter);
  find("lower")?.addEventListener("click", () => setLevel(ORDER[0]));
  find("held")?.querySelector("button")?.addEventListener("click", () => { hold(false); goOn(); showHeld(); });
}

start();
