"use strict";
// The button between the light and the dark theme. What was chosen is remembered where the browser
// lets a file do so; the head of the page puts it back before anything is drawn.
(() => {
  const theme = document.createElement("button");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const name = () => (theme.textContent = isDark() ? say("Light theme") : say("Dark theme"));
  theme.type = "button";
  theme.className = "theme button";
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("aebench-theme", root.dataset.theme);
    } catch {} // a file may be refused a memory
    name();
  });
  dark.addEventListener("change", name);
  name();
  document.querySelector("header").prepend(theme);
})();
