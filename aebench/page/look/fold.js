"use strict";
// Folded parts: built from their text when they are opened, or when an address leads into them.
// Whoever adds something to tables or charts listens for `built`, which bubbles.
(() => {
  const waiting = "details.fold > noscript";

  function build(details) {
    const text = details.querySelector(":scope > noscript");
    if (!text) return;
    const made = document.createElement("template");
    made.innerHTML = text.textContent; // escaped when the page was rendered, like all of it
    text.replaceWith(made.content);
    details.dispatchEvent(new CustomEvent("built", { bubbles: true }));
  }

  function open(details) {
    build(details);
    details.open = true;
  }

  function find(id) {
    const there = document.getElementById(id);
    if (there || !/^[\w:.-]+$/.test(id)) return there;
    for (const text of document.querySelectorAll(waiting)) {
      if (text.textContent.includes(` id="${id}"`)) build(text.parentElement);
    }
    return document.getElementById(id);
  }

  function follow(event) {
    let id = location.hash.slice(1);
    try {
      id = decodeURIComponent(id);
    } catch {} // an address that is no text names nothing here
    const target = id && find(id);
    if (!target) return;
    for (let at = target; at; at = at.parentElement.closest("details")) {
      if (at.matches("details")) open(at);
      else at.querySelectorAll(":scope > details.fold").forEach(open);
    }
    // A page that is opened at an address begins there; from within it, as the style says.
    target.scrollIntoView({ behavior: event.type !== "DOMContentLoaded" ? "auto" : "instant" });
  }

  const openBuilt = () => document.querySelectorAll("details.fold[open]").forEach(build);
  document.addEventListener("toggle", (event) => event.target.open && build(event.target), true);
  addEventListener("hashchange", follow);
  addEventListener("beforeprint", openBuilt);
  // A second click on the same address is no change of it.
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='#']");
    if (link && link.getAttribute("href") === location.hash) follow(event);
  });
  openBuilt();
  addEventListener("DOMContentLoaded", follow);
})();
