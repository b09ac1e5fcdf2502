"use strict";
// The chooser of one of many charts, and its place in the address. The others are kept as text
// until one is chosen. All can be read without it.
(() => {
  const form = document.querySelector(".chooser form");
  if (!form) return;
  const chooser = form.parentElement;
  const ids = form.dataset.ids.split(" ");
  const choices = form.dataset.choices.split(",").map((choice) => choice.split(" "));
  const questions = choices[0].map((_, i) => [...form.querySelectorAll(`[name$="-${i}"]`)]);
  let shown = chooser.querySelector(".view");
  let views = null;

  function view(id) {
    if (!views) {
      const kept = document.createElement("template");
      kept.innerHTML = chooser.querySelector(":scope > noscript").textContent; // escaped with the page
      views = new Map([shown, ...kept.content.querySelectorAll(".view")].map((v) => [v.id, v]));
    }
    return views.get(id);
  }

  function show(index) {
    const next = view(ids[index]);
    if (next !== shown) {
      shown.replaceWith(next);
      shown = next;
      shown.dispatchEvent(new CustomEvent("built", { bubbles: true }));
    }
    mark(choices[index]);
  }

  function mark(choice) {
    questions.forEach((options, question) => {
      for (const option of options) {
        option.checked = option.value === choice[question];
        // Of another data set there is always something.
        option.disabled = question > 0 && !choices.some(
          (c) => c[0] === choice[0] && c[question] === option.value);
      }
    });
  }

  // The chart nearest to what is checked: what was changed just now counts most, then the data
  // set, and the cost before the settings.
  function nearest(changed) {
    const wanted = questions.map((options) => options.find((option) => option.checked)?.value);
    const worth = (choice) => choice.reduce((sum, option, question) => {
      const weight = question === changed ? 8 : [4, 1, 2][question];
      return sum + (option === wanted[question] ? weight : 0);
    }, 0);
    const worths = choices.map(worth);
    return worths.indexOf(Math.max(...worths));
  }

  function follow() {
    const index = ids.indexOf(location.hash.slice(1).replace(/-chart$/, "")); // or its heading
    if (index < 0) return;
    show(index);
    chooser.scrollIntoView();
  }

  questions.forEach((options, question) => {
    for (const option of options) {
      option.addEventListener("change", () => {
        show(nearest(question));
        try {
          history.replaceState(history.state, "", `#${shown.id}`);
        } catch {
          // In a frame of its own, as in a notebook, there is no address to change.
        }
      });
    }
  });
  addEventListener("hashchange", follow);
  mark(shown.dataset.choice.split(" "));
  form.hidden = false;
  follow();
})();
