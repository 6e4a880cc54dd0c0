// The live half of a page, over the WebSocket at /ws/live (docs/dashboard-live.md): the socket, what the page says of
// it, totals, and what has changed. rows.js draws a list of requests, log.js a log; they use on() and watch().
//
// <body data-version>  the build that made the page
// <p data-live-state role="status">  filled here; data-state is live, held, still, lost, signed-out or new-version; a
//   button beside it says what can be done
// data-live-still  somewhere: what the page shows is not followed, so it is still, not live
// <b data-live="in_flight">  a total: in_flight, waiting, rate
// <span data-live-account="3">  requests in flight of the account with this id
// <b data-live-badge="requests" hidden>  requests in flight, in the menu; shown while there are any
// hx-trigger="live:accounts from:body"  also live:quota, live:routes, live:settings: load that part anew
import { count, seconds } from "./formats.js";
import * as times from "./times.js";

const RETRY = [1, 2, 4, 8, 15], HIDDEN_MS = 60_000, SHOWN_AFTER = 3, SILENT_MS = 40_000;
const wanted = { topics: new Set(), filter: {}, level: "info" };
const listeners = {};
let socket, button, columns = [], failures = 0, lostAt = 0, nextAt = 0, heardAt = 0, retry, hideTimer;
let state = "connecting", totals = {};

// Calls the listener with each message of a kind ("snapshot", "delta"), before it is acknowledged.
export function on(kind, listener) { (listeners[kind] ??= []).push(listener); }

// Adds topics; replaces the filter of rows or the lowest level of lines. Answered by a snapshot.
export function watch({ topics = [], ...changes }) {
  for (const topic of topics) wanted.topics.add(topic);
  Object.assign(wanted, changes);
  if (columns.length) send({ t: "watch", ...wanted, topics: [...wanted.topics] });
}

export const asRow = (values) => Object.fromEntries(columns.map((name, index) => [name, values[index]]));

// The socket

function send(message) { if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message)); }

function connect() {
  clearTimeout(retry);
  if (socket || isOver()) return;
  columns = [];
  heardAt = Date.now();
  const here = socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/ws/live`);
  here.addEventListener("message", (event) => { if (here === socket) take(JSON.parse(event.data)); });
  here.addEventListener("close", (event) => { if (here === socket) lose(event.code); });
}

function disconnect() {
  const here = socket;
  socket = undefined;
  here?.close();
}

const isOver = () => state === "signed-out" || state === "new-version";

function lose(code) {
  socket = undefined;
  totals = {};
  if (code === 4401) become("signed-out");
  if (isOver()) return;
  lostAt ||= times.now();
  const wait = RETRY[Math.min(failures++, RETRY.length - 1)] * (0.75 + Math.random() / 2);
  nextAt = times.now() + wait;
  retry = setTimeout(connect, wait * 1000);
}

function retryNow() {
  if (socket) return;
  failures = 0;
  connect();
}

function take(message) {
  heardAt = Date.now();
  for (const handle of [HANDLERS[message.t], ...(listeners[message.t] ?? [])]) handle?.(message);
  if (message.n) send({ t: "ack", n: message.n });
}

const HANDLERS = {
  hello(message) {
    times.setClock(message.now);
    if (message.build !== document.body.dataset.version) {
      become("new-version");
      disconnect();
      return;
    }
    columns = message.columns;
    watch({});
  },
  snapshot(message) {
    failures = lostAt = 0;
    become("live");
    showTotals(message.totals);
  },
  delta: (message) => showTotals(message.totals),
  now: (message) => times.setClock(message.now),
  changed(message) {
    for (const what of message.what) setTimeout(() => document.body.dispatchEvent(new Event(`live:${what}`)), Math.random() * 1000);
  },
};

function showTotals(newest) {
  totals = newest;
  for (const element of document.querySelectorAll("[data-live]")) {
    const value = totals[element.dataset.live];
    if (value !== undefined) element.textContent = count(value);
  }
  showAccounts();
  for (const badge of document.querySelectorAll('[data-live-badge="requests"]')) {
    badge.textContent = count(totals.in_flight);
    badge.hidden = !totals.in_flight;
  }
}

function showAccounts() {
  if (!totals.accounts) return;
  for (const element of document.querySelectorAll("[data-live-account]")) {
    element.textContent = count(totals.accounts[element.dataset.liveAccount] ?? 0);
  }
}

// What the page says of itself. What changes by the second is kept from screen readers.

const SAID = {
  live: () => ["●", "live"],
  held: (act) => ["❚❚", "held", "", act],
  still: () => ["○", "not live", "Reload", () => location.reload()],
  lost: () => ["✕", `Not live since ${times.text(lostAt, "clock")}.`, "Now", retryNow],
  "signed-out": () => ["✕", "Signed out.", "Log in", () => location.reload()],
  "new-version": () => ["!", "A new version runs.", "Reload", () => location.reload()],
};

function become(wanted, act) {
  const next = wanted === "live" && document.querySelector("[data-live-still]") ? "still" : wanted;
  if (state === next) return;
  state = next;
  const place = document.querySelector("[data-live-state]");
  if (!place) return;
  const [sign, text, label = "", onclick] = SAID[state](act);
  place.dataset.state = state;
  place.replaceChildren(quiet(sign), ` ${text}`, quiet(""));
  button ??= Object.assign(document.createElement("button"), { type: "button", className: "button small" });
  if (!button.isConnected) place.after(button);
  button.onclick = onclick;
  offer(label);
}

function offer(label) {
  button.hidden = !label;
  if (button.textContent !== label) button.textContent = label;
}

function quiet(text) {
  const span = document.createElement("span");
  span.ariaHidden = "true";
  span.textContent = text;
  return span;
}

function sayMore(text) {
  const place = document.querySelector("[data-live-state] span:last-of-type");
  if (place && place.textContent !== text) place.textContent = text;
}

// Says that the list is held, with so many new rows that `act` shows; or, without `act`, that it is not.
export function sayHeld(fresh, act) {
  if (state !== "live" && state !== "held") return;
  become(act ? "held" : "live", act);
  offer(fresh ? `${count(fresh)} new – show` : "");
}

// The page shows another list, which may be followed or not.
export function sayLiveOrStill() {
  if (["live", "held", "still"].includes(state)) become("live");
}

function tick() {
  if (socket && Date.now() - heardAt > SILENT_MS) {  // the server tells the time every 15 s: we slept, or the way is cut
    disconnect();
    lose();
  }
  if (lostAt && !isOver() && times.now() - lostAt >= SHOWN_AFTER) {
    become("lost");
    sayMore(socket ? "" : ` Next try in ${seconds(Math.max(0, Math.ceil(nextAt - times.now())))}.`);
  }
}

export function start() {
  addEventListener("online", retryNow);
  document.body.addEventListener("htmx:afterSwap", showAccounts);  // what was loaded may be older
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hideTimer);
    if (!document.hidden) retryNow();
    else hideTimer = setTimeout(() => { clearTimeout(retry); disconnect(); }, HIDDEN_MS);
  });
  setInterval(tick, 1000);
  if (document.querySelector("[data-live-still]")) become("still");
  connect();
}
