// Hides names and addresses ([data-private]) for screenshots, their titles, too. A classic script, so that it runs
// before the first paint.
(() => {
  const STORED = "gateway.private", root = document.documentElement;
  const isHidden = () => localStorage.getItem(STORED) === "hidden";
  const show = () => {
    root.classList.toggle("hide-private", isHidden());
    for (const button of document.querySelectorAll("[data-hide-private]")) {
      button.hidden = false;
      button.textContent = isHidden() ? "Show names and addresses" : "Hide names and addresses";
    }
  };
  show();
  document.addEventListener("DOMContentLoaded", show);
  document.addEventListener("pointerover", (event) => {
    const titled = isHidden() && event.target.closest("[data-private][title], [data-private] [title]");
    if (titled) titled.title = "";
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-hide-private]")) return;
    localStorage.setItem(STORED, isHidden() ? "shown" : "hidden");
    show();
  });
})();
