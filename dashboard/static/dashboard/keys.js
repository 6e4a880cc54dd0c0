// Keys: / search, g and a page's letter, j k rows, Enter opens, 1-5 span, ? help, Esc. Never in a field, never with a
// modifier; the help has a switch that turns them off (WCAG 2.1.4).
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

function help() {
  let dialog = document.querySelector("dialog[data-keys]");
  if (!dialog) {
    dialog = document.createElement("dialog");
    dialog.dataset.keys = "";
    dialog.setAttribute("aria-label", "Keys");
    const list = document.createElement("dl");
    for (const [key, meaning] of [["/", "search"], ["g, then o r a m u l c s y", "go to a page"], ["j k", "next, previous row"],
      ["Enter", "open it"], ["p", "hold what is live"], ["1 to 5", "span of time"], ["?", "this help"], ["Esc", "close"]]) {
      const name = document.createElement("dt"), text = document.createElement("dd");
      name.textContent = key;
      text.textContent = meaning;
      list.append(name, text);
    }
    const close = document.createElement("button");
    close.textContent = "Turn these keys off in this browser";
    close.addEventListener("click", () => { localStorage.setItem(STORED, "off"); dialog.close(); });
    dialog.append(list, close);
    document.body.append(dialog);
  }
  dialog.showModal();
}

export function start() {
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
