"use strict";
// The learning curves of one model or of two, on a log axis.
const panelCurve = (() => {
  const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [520, 310, 70, 12, 12, 48];

  function add(parent, tag, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  const written = (value) => value.toLocaleString(say("en"), { maximumSignificantDigits: 1 });

  // 1, 2, 5 of every decade between low and high; where there are many, powers of ten alone.
  function ticks(low, high) {
    const found = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
      for (const m of [1, 2, 5]) {
        const value = Number(`${m}e${e}`);
        if (value >= low && value <= high) found.push(value);
      }
    const tens = found.filter((value) => Number.isInteger(Math.log10(value)));
    return found.length > 7 && tens.length > 1 ? tens : found;
  }

  // Curves are [{epoch, train, val}, ...] as the page has them; `words` are its texts.
  function draw(curves, words, label) {
    const losses = curves.flatMap((c) => [...c.train, ...c.val]).filter((value) => value !== null);
    const low = Math.min(...losses) / 1.15;
    const high = Math.max(...losses) * 1.15;
    const last = Math.max(...curves.flatMap((c) => c.epoch), 2);
    const x = (epoch) => LEFT + ((epoch - 1) / (last - 1)) * (WIDTH - LEFT - RIGHT);
    const y = (loss) =>
      TOP + (Math.log(high / loss) / Math.log(high / low)) * (HEIGHT - TOP - BOTTOM);
    const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label };
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (const [name, value] of Object.entries(box)) svg.setAttribute(name, value);
    for (const value of ticks(low, high)) {
      add(svg, "line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) });
      add(svg, "text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, written(value));
    }
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((s) => last / s <= 8) ?? last;
    for (let epoch = step === 1 ? 1 : step; epoch <= last; epoch += step)
      add(svg, "text", { x: x(epoch), y: HEIGHT - 24, "text-anchor": "middle" }, epoch);
    const base = HEIGHT - BOTTOM + 4;
    add(svg, "line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: base, y2: base });
    add(svg, "text", { x: (LEFT + WIDTH) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, words.epoch);
    const centre = (TOP + HEIGHT - BOTTOM) / 2;
    const turned = `rotate(-90 10 ${centre})`;
    const middle = { x: 10, y: centre, "text-anchor": "middle", transform: turned };
    add(svg, "text", middle, words.curve_axes);
    curves.forEach((curve, i) => {
      for (const name of ["train", "val"]) {
        const points = curve.epoch.map((epoch, k) => [epoch, curve[name][k]]);
        const known = points.filter((point) => point[1] !== null);
        const at = known.map(([epoch, loss]) => `${x(epoch).toFixed(1)},${y(loss).toFixed(1)}`);
        if (known.length === 1 && name === "val") {
          add(svg, "circle", { class: `dot of-${i}`, cx: x(known[0][0]), cy: y(known[0][1]), r: 4 });
        }
        add(svg, "polyline", { class: `${name} of-${i}`, points: at.join(" ") });
      }
    });
    return svg;
  }

  return { draw };
})();
