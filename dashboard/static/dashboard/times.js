// Shows <time data-form> in the browser's zone, or in UTC after a click on the zone in the foot of the menu. Forms:
// "clock" (14:59:47, or 24 Nov 14:59 on another day), "short" (14:59), "near" (14:59 within 20 hours), "countdown" ("in
// 20 min"), "ago" ("40 min ago") and "age" ("4 s", "2 min 3 s"), which run on; after data-late seconds what contains an
// age is late.
// "axis" (14:00) and "date" (24 Nov) name places of a chart, in its SVG with data-at instead of datetime.
// Until this module runs, the server's text stands there.
import { seconds } from "./formats.js";

const STORED = "gateway.zone", NEAR_SECONDS = 20 * 3600;
const RUNNING = ["countdown", "ago", "age"].map((form) => `time[data-form="${form}"]`).join();
const OF_UTC = ["UTC", "Etc/UTC"];
const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
let zone = localStorage.getItem(STORED) === "UTC" ? "UTC" : own;
let offset = 0;

// The server's clock, as seconds since the epoch; the live module tells how far ours is off.
export const now = () => Date.now() / 1000 + offset;
export function setClock(serverNow) { offset = serverNow - Date.now() / 1000; }

function part(options) { return new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options }); }

let formats;
function prepare() {
  formats = {
    day: part({ day: "numeric", month: "short", year: "numeric" }),
    clock: part({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
    short: part({ hour: "2-digit", minute: "2-digit" }),
    far: part({ day: "numeric", month: "short" }),
    exact: part({ dateStyle: "medium", timeStyle: "long" }),
  };
}

export function text(at, form) {
  const date = new Date(at * 1000);
  if (form === "age") return age(Math.max(0, now() - at));
  if (form === "countdown") return at > now() ? `in ${about(at - now())}` : "now";
  if (form === "ago") return now() - at < 1 ? "now" : `${about(now() - at)} ago`;
  if (form === "axis") return formats.short.format(date);
  if (form === "date") return formats.far.format(date);
  if (form === "near") {
    if (Math.abs(at - now()) < NEAR_SECONDS) return formats.short.format(date);
    form = "short";
  }
  const isToday = formats.day.format(date) === formats.day.format(new Date(now() * 1000));
  return isToday ? formats[form].format(date) : `${formats.far.format(date)} ${formats.short.format(date)}`;
}

// Instants within a text (dashboard/requests/operator_text.py), as times of the zone.
export function local(said) { return said.replace(/\d{4}-\d\d-\d\dT\d\d:\d\dZ/g, (at) => text(Date.parse(at) / 1000, "short")); }

// The larger unit alone: "20 min", "2 h".
function about(length) { return age(length).split(" ")[0]; }

// What counts up: whole seconds, and from a minute on as formats.js has it.
export function age(length) { return length < 60 ? `${Math.floor(length)}\u00a0s` : seconds(length); }

export function show(element) {
  const at = Date.parse(element.dateTime ?? element.dataset.at) / 1000;
  if (Number.isNaN(at)) return;
  const shown = text(at, element.dataset.form);
  if (element.textContent !== shown) element.textContent = shown;
  const late = element.dataset.late;
  if (late) element.parentElement.classList.toggle("late", now() - at > Number(late));
  if (element.dateTime) element.title = formats.exact.format(new Date(at * 1000));
}

// Puts a moment, in seconds since the epoch, into a <time>.
export function put(element, at) {
  element.dateTime = new Date(at * 1000).toISOString();
  show(element);
}

export function showAll(root = document) {
  for (const element of root.querySelectorAll("[data-form]")) show(element);
}

function nameZone() {
  const button = document.querySelector("[data-zone]");
  if (!button) return;
  if (OF_UTC.includes(own)) {
    button.replaceWith("Times in UTC, which is this browser's zone");
    return;
  }
  button.hidden = false;
  button.textContent = `Times in ${zone}`;
  button.title = zone === "UTC" ? `Show times in ${own}` : "Show times in UTC";
}

export function start() {
  document.cookie = `gateway_time_zone=${own}; path=/; max-age=31536000; samesite=strict`;
  prepare();
  showAll();
  nameZone();
  document.querySelector("[data-zone]")?.addEventListener("click", () => {
    zone = zone === "UTC" ? own : "UTC";
    localStorage.setItem(STORED, zone);
    prepare();
    showAll();
    nameZone();
  });
  document.body.addEventListener("htmx:afterSwap", (event) => showAll(event.target));
  document.body.addEventListener("htmx:oobAfterSwap", () => showAll(document));
  setInterval(() => {
    for (const element of document.querySelectorAll(RUNNING)) show(element);
  }, 1000);
}
