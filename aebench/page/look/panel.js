"use strict";
// Looking closer: a dialog with all that the page knows of one model, or of two beside each other.
// Whatever names a model carries `data-model`; here it becomes a button. Figures come written, and
// whatever comes from results is set as text, never as markup.
(() => {
  const block = document.getElementById("models");
  if (!block) return;
  const data = JSON.parse(block.textContent);
  const words = data.words;
  const byId = new Map(data.models.map((model) => [model.id, model]));
  const byKey = new Map(data.models.flatMap((model) => model.runs.map((run) => [run.at(-1), model])));
  const HASH = /^#model-([0-9a-f]+)(?:-([0-9a-f]+))?$/;

  const { make, fill, number } = panelMake;
  const label = (model) => (model.under === "study" ? model.name : `${model.name}, ${model.under}`);

  // What is shown: a model, and perhaps one beside it
  let [shown, beside] = [null, null];
  const panel = make("dialog", { class: "panel", "aria-labelledby": "panel-title" });
  const brand = make("p", { class: "brand" });
  const title = make("h2", { id: "panel-title", tabindex: "-1", "aria-live": "polite" });
  const [before, after, close] = [
    ["‹", words.previous], ["›", words.next], ["×", words.close],
  ].map(([sign, name]) => {
    const hidden = make("span", { "aria-hidden": "true" }, sign);
    return make("button", { type: "button", class: "button", "aria-label": name, title: name }, hidden);
  });
  const choice = make("select");
  const link = make("a", { class: "panel-link" }, words.link);
  const body = make("div", { class: "panel-body" });
  const tools = make("div", { class: "panel-tools" });
  tools.append(make("label", {}, words.compare, " ", choice), link, before, after, close);
  panel.append(make("div", { class: "panel-head" }, make("div", {}, brand, title), tools), body);
  document.body.append(panel);

  // Its parts

  const called = (model) => (beside ? label(model) : model.name); // the head says under what

  function section(name, ...content) {
    return make("section", { class: "panel-part" }, make("h3", {}, name), ...content);
  }

  // The heading says what one model's table is; two tables under it have captions.
  const table = (caption, heads, rows) => panelMake.table(caption, heads, rows, beside !== null);

  // One strip of a model's film: "in", "out" or "clean".
  const film = (of, part) => panelFilms.held(of[part], of.images);

  function strip(name, detail, shown) {
    const told = make("p", {}, make("span", { dir: "auto" }, name));
    if (detail) told.append(make("small", {}, detail));
    const images = fill(words.images, { n: shown.images });
    const image = panelFilms.picture(shown, `${name}: ${images}${detail ? `, ${detail}` : ""}`);
    return make("div", { class: "panel-strip" }, told, image);
  }

  function legend(coloured) {
    const bar = (from, to, ...content) => {
      const colours = `linear-gradient(to right, ${from}, ${to})`;
      const ramp = make("i", { style: `background: ${colours}`, "aria-hidden": "true" });
      return make("span", {}, ...(content.length > 1 ? [content[0], ramp, content[1]] : [ramp, content[0]]));
    };
    const made = make("p", { class: "panel-legend" });
    const signed = "var(--series-0), transparent";
    made.append(bar(signed, "var(--series-1)", words.dark, words.bright));
    if (coloured) made.append(bar("transparent", "var(--series-3)", words.tint));
    return made;
  }

  // Maps of pairs of strips, all on one scale, each put where it belongs, and told in `about`.
  // `pairs` are [[name, name of brightness], name of colour, strip, strip, what it follows].
  async function maps(pairs, about, meaning) {
    try {
      const pixels = await Promise.all(pairs.map((pair) => Promise.all([pair[2], pair[3]].map(panelFilms.pixels))));
      const found = pixels.map(([first, second]) => panelFilms.difference(first, second));
      const coloured = found.some((each) => each.colour);
      const scale = panelFilms.scale(found.flatMap((each) => [each.brightness, ...(each.colour ? [each.colour] : [])]));
      found.forEach((each, i) => {
        const [brightness, colour, first, , place] = pairs[i];
        const named = coloured ? brightness[1] : brightness[0];
        const rows = [[named, each.brightness, "--series-0", "--series-1"]];
        if (each.colour) rows.push([colour, each.colour, "--series-3", "--series-3"]);
        place.after(...rows.map(([name, map, below, above]) => {
          const told = make("p", { dir: "auto" }, name);
          const canvas = panelFilms.drawn(map, first, scale, below, above, name);
          return make("div", { class: "panel-strip panel-map" }, told, canvas);
        }));
      });
      about.before(legend(coloured));
      about.append(` ${meaning} ${fill(words.scale, { scale })}`);
    } catch {
      about.append(` ${words.no_maps}`);
    }
  }

  function pictures() {
    const made = section(words.pictures);
    const both = [shown, beside].filter((model) => model?.films.plain);
    if (!both.length) {
      made.append(make("p", {}, words.no_pictures));
      return made;
    }
    const original = film(both[0].films.plain, "in");
    made.append(strip(words.original, "", original));
    const pairs = [];
    for (const model of both) {
      const output = film(model.films.plain, "out");
      const row = strip(called(model), `MSE ${model.figures[0]}`, output);
      made.append(row);
      pairs.push([[words.error, words.brightness], words.colour, original, output, row]);
    }
    let meaning = words.scale_original;
    if (both.length > 1) {
      const [a, b] = both.map((model) => model.name);
      const [first, second] = both.map((model) => film(model.films.plain, "out"));
      const end = made.appendChild(make("span"));
      const [grey, brightness, colour] = [
        words.difference, words.difference_brightness, words.difference_colour,
      ].map((text) => fill(text, { a, b }));
      pairs.push([[grey, brightness], colour, second, first, end]);
      meaning += ` ${fill(words.scale_pair, { a, b })}`;
    }
    if (beside && both.length < 2) made.append(make("p", { class: "panel-note" }, words.no_pictures));
    const seed = fill(words.seed, both[0].films.plain);
    const about = made.appendChild(make("p", { class: "panel-note" }, seed));
    maps(pairs, about, meaning);
    return made;
  }

  function noise() {
    const both = [shown, beside].filter((model) => model?.films.noise);
    if (!data.models.some((model) => model.films.noise)) return "";
    const made = section(words.noise);
    if (!both.length) {
      made.append(make("p", {}, words.no_noise));
      return made;
    }
    const first = both[0].films.noise;
    if (first.clean) made.append(strip(words.clean, "", film(first, "clean")));
    made.append(strip(words.noisy, "", film(first, "in")));
    for (const model of both) {
      const noisy = model.films.noise;
      made.append(strip(called(model), `MSE ${noisy.mse}`, film(noisy, "out")));
    }
    made.append(make("p", { class: "panel-note" }, fill(words.noise_note, first)));
    return made;
  }

  function curve() {
    const made = section(words.curve);
    const both = [shown, beside].filter((model) => model?.curve);
    if (!both.length) made.append(make("p", {}, words.no_curve));
    if (!both.length) return made;
    const about = both.map((model) => {
      const { epoch, val } = model.curve;
      return fill(words.curve_about, { name: label(model), first: number(val[0]), last: number(val.at(-1)), n: epoch.at(-1) });
    });
    made.append(panelCurve.draw(both.map((model) => model.curve), words, about.join(" ")));
    const keys = both.map((model, i) => make("li", { class: `of-${i}`, dir: "auto" }, label(model)));
    if (both.length > 1) made.append(make("ul", { class: "panel-keys" }, ...keys));
    made.append(make("p", { class: "panel-note" }, words.curve_note));
    const folded = make("details", {}, make("summary", {}, words.curve_data));
    for (const { curve: losses, ...model } of both) {
      const heads = [[words.epoch], [words.train], [words.val]];
      const rows = losses.epoch.map((epoch, i) => [String(epoch), number(losses.train[i]), number(losses.val[i])]);
      folded.append(table(label(model), heads, rows));
    }
    made.append(folded);
    return made;
  }

  // A row a figure, a column a model; `heads` are [name, what it means].
  function listed(name, heads, values) {
    const models = beside ? [shown, beside] : [shown];
    const rows = heads.map(([head], i) => [head, ...models.map((model) => values(model)[i])]);
    const made = table(name, [[name], ...models.map((model) => [label(model)])], rows);
    made.querySelectorAll("tbody th").forEach((head, i) => (head.title = heads[i][1]));
    if (!beside) made.querySelector("thead").remove();
    made.querySelector("caption").className = "unseen";
    return section(name, made);
  }

  function runs(model) {
    const made = table(say(`${words.runs}: ${label(model)}`), data.runs, model.runs);
    const more = model.more ? [make("p", {}, fill(words.more_runs, { n: model.more }))] : [];
    return [made, ...more];
  }

  function command(model) {
    // An option and its value stay on one line where they fit.
    const options = model.command.split(/ (?=--)/).map((part) => make("span", {}, `${part} `));
    const made = [make("pre", {}, make("code", {}, ...options))];
    if (!navigator.clipboard) return made;
    const copy = make("button", { type: "button", class: "button" }, words.copy);
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(model.command);
      copy.textContent = words.copied;
    });
    return [...made, copy];
  }

  function times(model) {
    const whose = beside ? say(`${label(model)}: `) : "";
    if (!model.times.length) return [make("p", {}, whose, words.no_times)];
    return [table(say(`${words.times}: ${label(model)}`), data.times.map((name) => [name]), model.times)];
  }

  // Showing it

  function choose() {
    choice.replaceChildren(make("option", { value: "" }, words.alone));
    for (const model of data.models) {
      if (model === shown || model.dataset !== shown.dataset) continue;
      choice.append(make("option", { value: model.id }, label(model)));
    }
    choice.value = beside?.id ?? "";
    choice.disabled = choice.length < 2;
  }

  function render() {
    const both = beside ? [shown, beside] : [shown];
    const under = beside || shown.under === "study" ? [] : [shown.under];
    brand.textContent = [shown.dataset, ...under].join(", ");
    title.textContent = beside ? both.map(label).join(` ${words.beside} `) : shown.name;
    link.href = address();
    choose();
    const place = data.models.indexOf(shown);
    before.disabled = place === 0;
    after.disabled = place === data.models.length - 1;
    body.replaceChildren(
      pictures(),
      noise(),
      make(
        "div", { class: "panel-pair" }, curve(),
        listed(words.figures, data.figures, (model) => model.figures),
      ),
      section(words.runs, ...both.flatMap(runs)),
      section(words.times, ...both.flatMap(times)),
      make(
        "div", { class: "panel-pair" },
        listed(words.settings, data.settings, (model) => model.settings),
        section(words.command, ...both.flatMap(command)),
      ),
    );
  }

  const address = () => `#model-${shown.id}${beside ? `-${beside.id}` : ""}`;

  // The address follows what is shown. A frame without an address of its own may refuse.
  function note(hash) {
    try {
      history.replaceState(history.state, "", hash || location.href.split("#")[0]);
    } catch {}
  }

  function show(model, other = null) {
    [shown, beside] = [model, other === model || other?.dataset !== model.dataset ? null : other];
    render();
    if (!panel.open) {
      panel.showModal();
      title.focus();
    }
    panel.scrollTop = 0;
    note(address());
  }

  function step(by) {
    const model = data.models[data.models.indexOf(shown) + by];
    if (model) show(model);
  }

  function follow() {
    const found = HASH.exec(location.hash);
    const [model, other] = (found ?? []).slice(1).map((name) => byId.get(name) ?? byKey.get(name));
    if (model) show(model, other);
    else if (panel.open) panel.close();
  }

  close.addEventListener("click", () => panel.close());
  panel.addEventListener("close", () => HASH.test(location.hash) && note(""));
  panel.addEventListener("click", (event) => event.target === panel && panel.close());
  before.addEventListener("click", () => step(-1));
  after.addEventListener("click", () => step(1));
  choice.addEventListener("change", () => {
    show(shown, byId.get(choice.value));
    choice.focus();
  });
  panel.addEventListener("keydown", (event) => {
    const scrolls = event.target.closest("select, .scroll");
    if (scrolls || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  addEventListener("hashchange", follow);

  // What names a model becomes a button

  function upgrade(root) {
    for (const named of root.querySelectorAll("[data-model]:not(.model)")) {
      if (!byId.has(named.dataset.model)) continue;
      if (named instanceof SVGElement) {
        const text = `${words.open} ${named.textContent.trim()}`;
        named.classList.add("model");
        for (const [name, value] of [["tabindex", 0], ["role", "button"], ["aria-label", text]])
          named.setAttribute(name, value);
        named.closest("svg").setAttribute("role", "group"); // an image has no buttons
      } else {
        const button = make("button", { type: "button", class: "model", "data-model": named.dataset.model });
        button.append(...named.childNodes);
        named.append(button);
        named.removeAttribute("data-model");
      }
    }
  }

  function open(event) {
    const named = event.target.closest?.(".model[data-model]");
    if (!named) return;
    event.preventDefault();
    show(byId.get(named.dataset.model));
  }

  document.addEventListener("click", open);
  document.addEventListener("keydown", (event) => {
    // A button does this by itself, a part of a drawing does not.
    if (event.target instanceof SVGElement && ["Enter", " "].includes(event.key)) open(event);
  });
  document.addEventListener("built", (event) => upgrade(event.target));
  upgrade(document);
  document.addEventListener("DOMContentLoaded", follow); // when the page's own tables are ready
})();
