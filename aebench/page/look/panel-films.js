"use strict";
// Strips of pictures and maps of what two strips differ in, drawn on canvas from the pictures alone.
// Only brightness (luma of BT.601) has a sign; of colours the map tells how far they are off.
const panelFilms = (() => {
  const STEPS = [0.05, 0.1, 0.2, 0.5, 1];
  const LIKELY = 0.97; // of all differences lie within the scale

  // A strip that the page holds, by its id, of so many images.
  function held(id, images) {
    const image = document.getElementById(id);
    const [width, height] = ["width", "height"].map((name) => Number(image.getAttribute(name)));
    return { address: image.getAttribute("href"), width, height, images };
  }

  function picture(strip, label) {
    const image = new Image(strip.width, strip.height);
    image.src = strip.address;
    image.alt = label;
    return image;
  }

  async function pixels(strip) {
    const image = picture(strip, "");
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [strip.width, strip.height];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, strip.width, strip.height).data;
  }

  // What `after` has more than `before`, a number for every pixel: brightness, and colour if any.
  function difference(before, after) {
    const brightness = new Float32Array(before.length / 4);
    const colour = new Float32Array(before.length / 4);
    let coloured = false;
    for (let i = 0; i < brightness.length; i++) {
      const [r, g, b] = [0, 1, 2].map((c) => (after[4 * i + c] - before[4 * i + c]) / 255);
      const y = 0.299 * r + 0.587 * g + 0.114 * b;
      brightness[i] = y;
      colour[i] = Math.hypot((b - y) / 1.772, (r - y) / 1.402); // Cb and Cr
      coloured ||= r !== g || g !== b;
    }
    return { brightness, colour: coloured ? colour : null };
  }

  // The least of a few round numbers that nearly all differences of these maps stay within.
  function scale(maps) {
    const sizes = maps.flatMap((map) => [...map]).map(Math.abs).sort((a, b) => a - b);
    const likely = sizes[Math.floor(LIKELY * (sizes.length - 1))] ?? 0;
    return STEPS.find((step) => likely <= step) ?? 1;
  }

  function rgb(name) {
    const style = getComputedStyle(document.documentElement);
    const hex = style.getPropertyValue(name).trim().slice(1);
    return [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16));
  }

  // A map as a canvas: nothing where nothing differs, full colour from `full` on.
  function drawn(map, strip, full, below, above, label) {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [strip.width, strip.height];
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", label);
    const context = canvas.getContext("2d");
    const image = context.createImageData(strip.width, strip.height);
    const colours = [rgb(below), rgb(above)];
    map.forEach((value, i) => {
      image.data.set(colours[Number(value > 0)], 4 * i);
      image.data[4 * i + 3] = 255 * Math.min(1, Math.abs(value) / full);
    });
    context.putImageData(image, 0, 0);
    return canvas;
  }

  return { held, picture, pixels, difference, scale, drawn };
})();
