"use strict";
// Elements of the panel. Text is set as text: no name can become markup.
const panelMake = (() => {
  function make(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => decimal(values[name] ?? ""));

  // A figure as the rest of the page writes it, with three digits: 0.118, 12.3, 4.10 × 10⁻⁵.
  function number(value) {
    if (value === null) return "–";
    const [mantissa, exponent] = value.toExponential(2).split("e");
    const language = document.documentElement.lang;
    const pointed = (text) => text.replace(".", (0.5).toLocaleString(language)[1]);
    if (exponent > 2 && exponent <= 6) return Math.round(value).toLocaleString(language);
    if (exponent >= -4 && exponent <= 2) return pointed(value.toFixed(2 - exponent));
    const power = [...String(Number(exponent))].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
    return `${pointed(mantissa)} × 10${power.join("")}`;
  }

  // `heads` are [name, what it means or nothing], `rows` texts; a caption that is not `seen` is for
  // those who hear the page.
  function table(caption, heads, rows, seen) {
    const head = heads.map(([name, about]) => {
      return make("th", about ? { scope: "col", title: about } : { scope: "col" }, name);
    });
    const lines = rows.map((row) => {
      const cells = row.map((text, i) => {
        const look = text.startsWith("✘") ? "warn" : text.startsWith("✔") ? "good" : "";
        return make(i ? "td" : "th", i ? { class: look } : { scope: "row" }, text);
      });
      return make("tr", {}, ...cells);
    });
    const made = make("table", {}, make("caption", seen ? {} : { class: "unseen" }, caption));
    made.append(make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...lines));
    const region = { class: "scroll", tabindex: "0", role: "region", "aria-label": caption };
    return make("div", region, made);
  }

  return { make, fill, number, table };
})();
