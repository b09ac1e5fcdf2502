"use strict";
// Files of what the page shows: every table as CSV, every chart as SVG and its data as CSV.
(() => {
  // ---- CSV: RFC 4180, lines end in CR LF.
  const NUMBER = /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

  function field(value) {
    let text = String(value ?? "");
    // A spreadsheet would run such a text as a formula. An apostrophe makes it one; numbers stay.
    if (/^[=+\-@\t\r]/.test(text) && !NUMBER.test(text)) text = `'${text}`;
    return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  const csv = (rows) => rows.map((row) => row.map(field).join(",") + "\r\n").join("");

  // The text of an element without parts of it; whole where nothing else is there.
  function without(element, parts) {
    const copy = element.cloneNode(true);
    for (const part of copy.querySelectorAll(parts)) part.remove();
    return (copy.textContent.trim() || element.textContent.trim()).replace(/\s+/g, " ");
  }

  function words(cell) {
    const text = without(cell, "small, svg");
    return text === "–" ? "" : text;
  }

  const heading = (element) => (element ? without(element, "a, button") : "");

  // The number behind what is shown; a column of texts keeps its words.
  function value(cell, numeric) {
    const text = words(cell);
    if (!numeric || text === "") return text;
    const plain = cell.dataset.v ?? text.replaceAll(",", "");
    return Number.isNaN(Number(plain)) ? text : plain.replace(/\.0$/, "");
  }

  // A table as records: what stands small below the values of a column is a column of its own.
  function records(table) {
    const heads = [...table.tHead.rows[0].cells];
    const body = [...table.tBodies[0].rows];
    const under = (cell) => [...cell.querySelectorAll("small")].map((s) => s.textContent.trim());
    const has = heads.map((_, i) => body.some((row) => under(row.cells[i]).length));
    return body.map((row) => {
      const made = new Map();
      heads.forEach((head, i) => {
        const name = without(head, "svg");
        made.set(name, value(row.cells[i], head.classList.contains("n")));
        if (has[i]) made.set(`${name}, below`, under(row.cells[i]).join("; "));
      });
      return made;
    });
  }

  // One file of one or several tables; of several each row says first which one it is of.
  function rows(tables) {
    const every = tables.flatMap((table) =>
      records(table).map((record) =>
        tables.length > 1 ? new Map([["table", title(table)], ...record]) : record));
    const names = [...new Set(every.flatMap((record) => [...record.keys()]))];
    return [names, ...every.map((record) => names.map((name) => record.get(name)))];
  }

  const title = (table) => (table.caption ? heading(table.caption) : "table");

  // ---- SVG: a drawing that stands alone, in the light theme, as paper is white.
  const SVG = "http://www.w3.org/2000/svg";
  const INHERITED = [
    "fill", "fill-opacity", "stroke", "stroke-opacity", "stroke-width", "stroke-dasharray",
    "stroke-dashoffset", "stroke-linecap", "stroke-linejoin", "stroke-miterlimit", "paint-order",
    "font-family", "font-size", "font-style", "font-weight", "text-anchor", "visibility",
  ];
  const OWN = { opacity: "1", "clip-path": "none", "dominant-baseline": "auto" };
  const REFERENCE = /url\(#([^)]+)\)/g;

  function resolve(element, copy, isRoot) {
    const style = getComputedStyle(element);
    const parent = isRoot ? null : getComputedStyle(element.parentElement);
    for (const name of ["class", "style", "tabindex"]) copy.removeAttribute(name);
    for (const name of [...INHERITED, ...Object.keys(OWN)]) {
      const now = style.getPropertyValue(name);
      const before = name in OWN ? OWN[name] : parent?.getPropertyValue(name);
      if (now !== before || copy.hasAttribute(name)) {
        copy.setAttribute(name, now.replaceAll('"', "")); // not every viewer knows quotes there
      }
    }
    [...element.children].forEach((child, i) => resolve(child, copy.children[i], false));
  }

  function references(copy) {
    const found = new Set();
    for (const element of [copy, ...copy.querySelectorAll("*")]) {
      for (const { name, value } of element.attributes) {
        for (const match of value.matchAll(REFERENCE)) found.add(match[1]);
        if (name.endsWith("href") && value.startsWith("#")) found.add(value.slice(1));
      }
    }
    return found;
  }

  function alone(svg) {
    const copy = svg.cloneNode(true);
    const shared = document.createElementNS(SVG, "defs");
    const theme = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    resolve(svg, copy, true);
    const known = new Set();
    for (let missing = references(copy); missing.size; missing = references(shared)) {
      for (const id of known) missing.delete(id);
      if (!missing.size) break;
      for (const id of missing) {
        known.add(id);
        const element = document.getElementById(id);
        if (!element || svg.contains(element)) continue;
        const definition = element.cloneNode(true);
        resolve(element, definition, false);
        shared.append(definition);
      }
    }
    const paper = document.createElementNS(SVG, "rect");
    const { x, y, width, height } = svg.viewBox.baseVal;
    for (const [name, at] of Object.entries({ x, y, width, height })) paper.setAttribute(name, at);
    paper.setAttribute("stroke", "none");
    paper.setAttribute("fill", getComputedStyle(document.body).backgroundColor);
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    const named = document.createElementNS(SVG, "title");
    named.textContent = svg.getAttribute("aria-label") ?? "";
    copy.prepend(named, shared, paper);
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    return new XMLSerializer().serializeToString(copy);
  }

  // ---- Buttons.
  function save(text, type, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000); // some browsers read it later
  }

  const file = (text, ending) =>
    `${text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60).replace(/^-|-$/g, "")}.${ending}`;

  const saveCsv = (rows, name) => save(csv(rows), "text/csv;charset=utf-8", name);

  function button(text, label, look, action) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = look;
    made.textContent = text;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", action);
    return made;
  }

  const download = (name, what, made) =>
    button(say(`Download ${name}`), say(`Download ${name}, ${what}`), "button", () => saveCsv(made(), name));

  const HEADING = "h2, h3, h4, h5, h6";

  function offerChart(figure) {
    const plot = figure.querySelector(".plot");
    const svg = plot?.querySelector("svg");
    if (!svg || figure.querySelector(".saves")) return;
    // Charts of several subjects may have one name: that of the data set.
    const section = figure.closest("section");
    const subject = heading(section?.querySelector(HEADING));
    const name = heading(figure.querySelector(HEADING)) || svg.getAttribute("aria-label");
    const which = `“${name}”${subject ? `, ${subject},` : ""}`;
    const stem = `${section?.id ?? ""} ${name}`;
    const line = document.createElement("p");
    line.className = "saves";
    line.append(button("SVG", say(`Save the chart ${which} as SVG`), "save", () =>
      save(alone(svg), "image/svg+xml", file(stem, "svg"))));
    if (dataOf(figure).length) {
      line.append(button("CSV", say(`Save the data of ${which} as CSV`), "save", () =>
        saveCsv(rows(dataOf(figure)), file(stem, "csv"))));
    }
    plot.after(line);
  }

  function offerTable(table) {
    if (!table.caption || table.caption.querySelector(".save")) return;
    const name = title(table);
    table.caption.append(button("CSV", say(`Save “${name}” as CSV`), "save", () =>
      saveCsv(rows([table]), file(name, "csv"))));
  }

  function offer(root) {
    for (const figure of root.querySelectorAll("figure")) offerChart(figure);
    for (const table of root.querySelectorAll("table")) offerTable(table);
  }

  // What is folded away may not be built yet: then its text is read.
  const folded = (root) =>
    [...root.querySelectorAll("noscript")].map((n) =>
      new DOMParser().parseFromString(n.textContent, "text/html"));

  const tablesOf = (root) =>
    [root, ...folded(root)].flatMap((part) => [...part.querySelectorAll("table")]);

  // The data of a chart are in its figure, or in what is folded right behind it.
  function dataOf(figure) {
    const inside = tablesOf(figure);
    const next = figure.nextElementSibling;
    return inside.length || !next?.matches("details") ? inside : tablesOf(next);
  }

  function jobsTable() {
    const built = document.getElementById("jobs-table");
    if (built) return built;
    return folded(document).map((part) => part.getElementById("jobs-table")).find(Boolean);
  }

  function offerFiles() {
    const line = document.querySelector(".taking-csv");
    const held = document.getElementById("findings-rows");
    if (!line || !held) return;
    line.hidden = false;
    const jobs = [...document.querySelectorAll("noscript")]
      .some((n) => n.textContent.includes('id="jobs-table"'));
    if (jobs || document.getElementById("jobs-table")) {
      line.append(download("jobs.csv", say("the table of all jobs"), () => rows([jobsTable()])));
    }
    line.append(download("findings.csv", say("every finding"), () => JSON.parse(held.textContent)));
    const note = document.createElement("small");
    note.textContent = say("Every table and chart has buttons of its own. A text that a spreadsheet " +
      "would take for a formula begins with an apostrophe.");
    line.append(note);
  }

  offer(document);
  offerFiles();
  document.addEventListener("built", (event) => offer(event.target));
})();
