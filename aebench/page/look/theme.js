"use strict";
// The button between the light and the dark theme.
(() => {
  const theme = document.createElement("button");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const name = () => (theme.textContent = isDark() ? "Light theme" : "Dark theme");
  theme.type = "button";
  theme.className = "theme button";
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    name();
  });
  dark.addEventListener("change", name);
  name();
  document.querySelector("header").prepend(theme);
})();
