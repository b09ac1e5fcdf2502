"use strict";
// What is wider than its place: says so, and can be scrolled by keyboard; nothing else can. A group
// and no region, for fifty landmarks lead nowhere.
(() => {
  const wide = ".scroll, .plot";

  function look(region) {
    const [table, picture] = ["caption", "[aria-label], [alt]"].map((s) => region.querySelector(s));
    const label = table?.textContent ?? picture?.getAttribute("aria-label") ?? picture?.alt;
    const over = region.scrollWidth > region.clientWidth + 1;
    region.classList.toggle("over", over);
    if (over) {
      region.tabIndex = 0;
      region.setAttribute("role", "group");
      region.setAttribute("aria-label", label ?? say("Wide content"));
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) region.removeAttribute(name);
    }
  }

  // In the next frame: what `look` changes would be seen while sizes are still being told.
  const seen = new ResizeObserver((entries) =>
    requestAnimationFrame(() => entries.forEach((entry) => look(entry.target))),
  );
  const watch = (root) => root.querySelectorAll(wide).forEach((region) => seen.observe(region));
  document.addEventListener("built", (event) => watch(event.target));
  watch(document);
})();
