"use strict";
// The cards of findings: a link to one opens it, and a switch sets them by verdict.
(() => {
  function reveal() {
    const linked = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const card = linked?.closest(".card");
    if (!card) return;
    card.querySelector("details").open = true;
    linked.scrollIntoView({ behavior: "instant", block: "start" });
  }

  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    // A link to where one is already changes nothing, and may have been closed since.
    if (event.target.closest?.(".card-link")?.hash === location.hash) reveal();
  });

  function orderable(list) {
    const studied = [...list.children];
    const rank = (card) => Number(card.dataset.rank);
    const judged = studied.toSorted((a, b) => rank(a) - rank(b)); // which keeps equals in order

    function heading(card, cards) {
      const made = document.createElement(list.querySelector(".claim").localName);
      const count = cards.filter((other) => rank(other) === rank(card)).length;
      made.textContent = say(`${card.dataset.group}: ${count}`);
      made.className = `group ${card.querySelector(".verdict").classList[1]}`;
      return made;
    }

    const orders = {
      [say("the study's order")]: () => studied,
      [say("verdict")]: () =>
        judged.flatMap((card, i) =>
          i && rank(card) === rank(judged[i - 1]) ? [card] : [heading(card, judged), card],
        ),
    };
    const bar = document.createElement("p");
    bar.className = "order";
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", say("Order of the findings"));
    bar.append(say("By"));
    const buttons = Object.entries(orders).map(([name, order], i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button";
      button.textContent = name;
      button.setAttribute("aria-pressed", String(i === 0));
      button.addEventListener("click", () => {
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        list.replaceChildren(...order());
      });
      return button;
    });
    bar.append(...buttons);
    list.before(bar);
  }

  // They are folded away where the page is about something else.
  const enhance = (root) => root.querySelectorAll(".cards").forEach(orderable);
  document.addEventListener("built", (event) => enhance(event.target));
  enhance(document);
  reveal();
})();
