"use strict";
// The bar of sections: marks the one being read, and opens or folds all subjects at once.
(() => {
  const bar = document.querySelector("nav");
  const links = new Map();
  for (const link of bar.querySelectorAll("a")) {
    const part = document.getElementById(link.hash.slice(1));
    if (part) links.set(part, link);
  }

  function mark() {
    const line = bar.getBoundingClientRect().bottom + innerHeight / 5;
    let now = null;
    for (const part of links.keys()) if (part.getBoundingClientRect().top <= line) now = part;
    for (const [part, link] of links) {
      if (part !== now) link.removeAttribute("aria-current");
      else if (!link.hasAttribute("aria-current")) {
        link.setAttribute("aria-current", "true");
        const middle = link.offsetLeft + link.offsetWidth / 2;
        bar.scrollLeft = middle - bar.clientWidth / 2; // where the bar is wider than the screen
      }
    }
  }

  let asked = 0;
  const soon = () => (asked ||= requestAnimationFrame(() => ((asked = 0), mark())));
  addEventListener("scroll", soon, { passive: true });
  addEventListener("resize", soon);
  addEventListener("toggle", soon, true);
  mark();

  const subjects = [...document.querySelectorAll(".subject > details")];
  if (!subjects.length) return;
  const all = document.createElement("button");
  const name = () =>
    (all.textContent = subjects.every((s) => s.open) ? say("Fold all subjects") : say("Open all subjects"));
  all.type = "button";
  all.className = "button";
  all.addEventListener("click", () => {
    const open = !subjects.every((subject) => subject.open);
    for (const subject of subjects) subject.open = open;
    name();
  });
  addEventListener("toggle", name, true);
  name();
  const tools = document.createElement("p");
  tools.className = "tools all-subjects";
  tools.append(all);
  subjects[0].parentElement.before(tools);
})();
