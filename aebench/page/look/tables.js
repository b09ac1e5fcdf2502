"use strict";
// Tables: sorting by a column, and the filter of the jobs. All can be read without it.
(() => {
  const text = (cell) => cell.textContent.trim();

  // What a cell shows, but for what stands small below.
  const large = (cell) =>
    [...cell.childNodes].map((part) => (part.localName === "small" ? "" : part.textContent)).join("").trim();

  function value(cell) {
    const shown = cell.dataset.v ?? large(cell).replaceAll(",", "");
    const number = Number(shown);
    return shown !== "" && Number.isFinite(number) ? number : shown;
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === "number") return -1; // numbers before dashes and words
    if (typeof b === "number") return 1;
    return a.localeCompare(b, say("en"), { numeric: true });
  }

  function sort(table, head, column) {
    const ascending = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [value(row.cells[column]), row]);
    rows.sort((a, b) => (ascending ? compare(a[0], b[0]) : compare(b[0], a[0])));
    body.append(...rows.map((pair) => pair[1]));
  }

  function sortable(table) {
    if (table.tBodies[0].rows.length < 2) return;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, head, column));
      head.append(button);
    });
  }

  function filter(tools) {
    const jobs = document.getElementById("jobs-table");
    if (!jobs) return;
    const label = document.createElement("label");
    const input = document.createElement("input");
    const shown = document.createElement("output");
    input.type = "search";
    input.placeholder = "conv-16 failed";
    label.append(say("Filter: "), input);
    tools.prepend(label, shown);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const row of jobs.tBodies[0].rows) {
        const content = [...row.cells].map(text).join(" ").toLowerCase();
        row.hidden = !words.every((word) => content.includes(word));
        count += row.hidden ? 0 : 1;
      }
      shown.textContent = words.length ? say(`${count} of ${jobs.tBodies[0].rows.length} jobs`) : "";
    });
  }

  function enhance(root) {
    root.querySelectorAll("main table").forEach(sortable);
    root.querySelectorAll("#jobs .tools").forEach(filter);
  }

  document.addEventListener("built", (event) => enhance(event.target));
  enhance(document);
})();
