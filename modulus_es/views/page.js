// Pan, zoom and filter a saved picture. It reads what is in the page and asks nobody else.
"use strict";
(() => {
  const view = document.querySelector(".view");
  const svg = view.querySelector("svg");
  const tools = document.querySelector(".tools");
  const filter = document.getElementById("filter");
  const count = document.getElementById("count");
  const said = document.getElementById("said");
  const whole = { width: svg.viewBox.baseVal.width, height: svg.viewBox.baseVal.height };
  const box = { x: 0, y: 0, width: whole.width, height: whole.height };
  const things = [...svg.querySelectorAll("g")].filter((group) => titleOf(group));
  const rows = [...document.querySelectorAll("tbody tr")];
  let matching = things;
  let found = -1;

  function titleOf(group) {
    const title = group.querySelector(":scope > title");
    return title ? title.textContent : "";
  }

  function show() {
    svg.setAttribute("viewBox", `${box.x} ${box.y} ${box.width} ${box.height}`);
  }

  function fit() {
    Object.assign(box, { x: 0, y: 0, width: whole.width, height: whole.height });
    show();
  }

  function actual() {
    // One pixel of the picture for one of the screen, from the upper left corner.
    const place = view.getBoundingClientRect();
    Object.assign(box, { x: 0, y: 0, width: place.width, height: place.height });
    show();
  }

  function move(right, down) {
    box.x += right * box.width;
    box.y += down * box.height;
    show();
  }

  function zoom(factor, x = 0.5, y = 0.5) {
    const width = Math.min(Math.max(box.width * factor, 40), whole.width * 8);
    const by = width / box.width;
    box.x += box.width * (1 - by) * x;
    box.y += box.height * (1 - by) * y;
    box.width = width;
    box.height *= by;
    show();
  }

  function placeOf(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(
      svg.getScreenCTM().inverse(),
    );
    return { x: (at.x - box.x) / box.width, y: (at.y - box.y) / box.height };
  }

  function apply() {
    const wanted = filter.value.trim().toLowerCase();
    const fits = (text) => !wanted || text.toLowerCase().includes(wanted);
    matching = [];
    for (const thing of things) {
      const shown = fits(titleOf(thing));
      thing.classList.toggle("dim", !shown);
      thing.classList.remove("found");
      if (shown) matching.push(thing);
    }
    for (const row of rows) row.hidden = !fits(row.textContent);
    found = -1;
    count.textContent = `${matching.length} of ${things.length} match`;
  }

  function go(step) {
    if (!matching.length) return;
    found = found < 0 && step < 0 ? matching.length - 1
      : (found + step + matching.length) % matching.length;
    for (const thing of things) thing.classList.remove("found");
    const thing = matching[found];
    thing.classList.add("found");
    const place = thing.getBBox();
    box.x = place.x + place.width / 2 - box.width / 2;
    box.y = place.y + place.height / 2 - box.height / 2;
    show();
    said.textContent = `${found + 1} of ${matching.length}: ${titleOf(thing)}`;
  }

  const keys = {
    ArrowLeft: () => move(-0.1, 0),
    ArrowRight: () => move(0.1, 0),
    ArrowUp: () => move(0, -0.1),
    ArrowDown: () => move(0, 0.1),
    "+": () => zoom(0.8),
    "=": () => zoom(0.8),
    "-": () => zoom(1.25),
    0: fit,
    1: actual,
    n: () => go(1),
    p: () => go(-1),
  };
  view.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    keys[event.key]();
    event.preventDefault();
  });
  view.addEventListener(
    "wheel",
    (event) => {
      // Scrolling the page stays scrolling the page, until the picture is being used.
      if (!event.ctrlKey && document.activeElement !== view) return;
      const at = placeOf(event);
      zoom(event.deltaY > 0 ? 1.15 : 1 / 1.15, at.x, at.y);
      event.preventDefault();
    },
    { passive: false },
  );
  let held = null;
  view.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX, y: event.clientY, moved: false };
    view.setPointerCapture(event.pointerId);
  });
  view.addEventListener("pointermove", (event) => {
    if (!held) return;
    const scale = 1 / svg.getScreenCTM().a;
    box.x -= (event.clientX - held.x) * scale;
    box.y -= (event.clientY - held.y) * scale;
    const moved = held.moved || Math.hypot(event.clientX - held.x, event.clientY - held.y) > 3;
    held = { x: event.clientX, y: event.clientY, moved };
    show();
  });
  view.addEventListener("pointerup", (event) => {
    const clicked = held && !held.moved;
    held = null;
    if (!clicked) return;
    const thing = document.elementFromPoint(event.clientX, event.clientY)?.closest("g");
    if (thing && titleOf(thing)) said.textContent = titleOf(thing);
  });
  view.addEventListener("pointercancel", () => { held = null; });

  const act = { in: () => zoom(0.8), out: () => zoom(1.25), fit, actual, next: () => go(1),
    previous: () => go(-1) };
  for (const button of tools.querySelectorAll("button")) {
    button.addEventListener("click", () => act[button.dataset.act]());
  }
  filter.addEventListener("input", apply);
  filter.addEventListener("keydown", (event) => {
    if (event.key === "Enter") go(event.shiftKey ? -1 : 1);
  });
  tools.hidden = false;
  view.classList.add("live");
  apply();
  if (whole.width < 1.5 * view.clientWidth) fit(); else actual();
})();
