// Keys: / search, g and a page's letter, j k rows, Enter opens, 1-5 span, ? help, Esc. Never in a field, never with a
// modifier; the help, which the foot of the menu opens, too, has a switch that turns them off and on (WCAG 2.1.4).
const STORED = "gateway.keys";
const FIELDS = "input, textarea, select, [contenteditable]";
let waitsForPage = false;

const isOn = () => localStorage.getItem(STORED) !== "off";
const rows = () => [...document.querySelectorAll("[data-rows] a[data-row]")].filter((row) => row.offsetParent);

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(document.activeElement);
  all[Math.max(0, Math.min(all.length - 1, at + step))].focus();
}

function openPage(letter) { document.querySelector(`a[data-key="${CSS.escape(letter)}"]`)?.click(); }

const ACTIONS = {
  "/": () => document.querySelector("[data-search]")?.focus(),
  g: () => { waitsForPage = true; setTimeout(() => { waitsForPage = false; }, 1500); },
  j: () => move(1),
  k: () => move(-1),
  p: () => document.dispatchEvent(new Event("live:toggle-hold")),
  "?": help,
};

function groups() {
  const pages = [...document.querySelectorAll(".wide a[data-key]")].map((link) => [`g ${link.dataset.key}`, link.querySelector("span").textContent]);
  return [
    ["On each page", [["/", "search"], ["1 to 5", "span of time, where there is one"], ["paste", "the id of a request opens it"], ["?", "this help"], ["Esc", "close it"]]],
    ["In a list", [["j k", "next, previous row"], ["Enter", "open it"], ["p", "hold what is live, go on"]]],
    ["To a page: g, then a letter", pages],
  ];
}

function listOf([title, keys]) {
  const section = document.createElement("section"), heading = document.createElement("h3"), list = document.createElement("dl");
  heading.textContent = title;
  for (const [key, meaning] of keys) {
    const name = document.createElement("dt"), text = document.createElement("dd");
    name.textContent = key;
    text.textContent = meaning;
    list.append(name, text);
  }
  section.append(heading, list);
  return section;
}

function help() {
  let dialog = document.querySelector("dialog[data-keys]");
  if (!dialog) {
    dialog = document.createElement("dialog");
    dialog.dataset.keys = "";
    dialog.setAttribute("aria-label", "Keys");
    const heading = document.createElement("h2"), turn = document.createElement("button");
    heading.textContent = "Keys";
    turn.className = "button";
    const say = () => { turn.textContent = `Turn these keys ${isOn() ? "off" : "on"} in this browser`; };
    turn.addEventListener("click", () => { localStorage.setItem(STORED, isOn() ? "off" : "on"); say(); });
    say();
    dialog.append(heading, ...groups().map(listOf), turn);
    document.body.append(dialog);
  }
  dialog.showModal();
}

export function start() {
  const button = document.querySelector("[data-keys-help]");
  if (button) {
    button.hidden = false;
    button.addEventListener("click", help);
  }
  document.addEventListener("keydown", (event) => {
    if (!isOn() || event.ctrlKey || event.metaKey || event.altKey || event.target.closest(FIELDS)) return;
    const key = event.key;
    if (waitsForPage) {
      waitsForPage = false;
      openPage(key);
    } else if (/^[1-5]$/.test(key)) {
      document.querySelector(`[data-span="${key}"]`)?.click();
    } else if (Object.hasOwn(ACTIONS, key)) {
      ACTIONS[key]();
    } else {
      return;
    }
    event.preventDefault();
  });
}
