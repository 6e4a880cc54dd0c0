// Hides names and addresses ([data-private]) for screenshots, their titles, too. A classic script, so that it runs
// before the first paint.
(() => {
  const STORED = "gateway.private", root = document.documentElement;
  const isHidden = () => localStorage.getItem(STORED) === "hidden";
  const show = () => {
    root.classList.toggle("hide-private", isHidden());
    if (!isHidden()) {
      for (const titled of document.querySelectorAll("[data-title]")) {
        titled.title = titled.dataset.title;
        delete titled.dataset.title;
      }
    }
    for (const button of document.querySelectorAll("[data-hide-private]")) {
      button.hidden = false;
      button.textContent = isHidden() ? "Show names and addresses" : "Hide names and addresses";
    }
  };
  show();
  document.addEventListener("DOMContentLoaded", show);
  document.addEventListener("pointerover", (event) => {
    const titled = isHidden() && event.target.closest("[data-private][title]:not([title='']), [data-private] [title]:not([title=''])");
    if (titled) [titled.dataset.title, titled.title] = [titled.title, ""];
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-hide-private]")) return;
    localStorage.setItem(STORED, isHidden() ? "shown" : "hidden");
    show();
  });
})();
