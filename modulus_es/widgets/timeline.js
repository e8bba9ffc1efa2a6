// The delivery timeline: SVG up to a few thousand marks, a canvas with counts above that.
// Traits: data, chosen, filter, highlighted, cursor, playing. Message: {kind: "choose", mark, version}.
// Hovering, moving, zooming, the scrubber and the chain of causes need no kernel.

const HEADING = 22;
const ROW = 17;
const PAD = 5;
const COUNTS = 46;
const TOP = 30;
const MOST_ROWS = 60; // of the table of what was where
const HEADS = ["waiting", "in flight", "handling", "done", "failed", "dead", "duplicates"];
const MOST_ARROWS = 300;
const PLAY = 8000; // milliseconds from the beginning to the end
const PAINTS = ["waiting", "in_flight", "attempt", "failed", "retry", "duplicate", "crash", "recorded", "done", "dead",
  "dead-cross", "count", "count-bad", "count-dead", "lane", "grid", "caption"];
const STEPS_OF_TIME = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5,
  ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800,
    604800, 2419200, 7862400, 31536000, 315360000, 3153600000].map((seconds) => seconds * 1e6)];

/** The shaft and the head of an arrow that comes in from the left, as `views/arrows.py` draws it. */
function arrow(x, y, tx, ty) {
  const neck = tx - 6;
  const round = Math.min(x, neck) - Math.min(5 + 0.04 * Math.abs(ty - y), 14);
  const out = Math.max(round, Math.min(x, neck, 2)); // not beyond the edge of what is seen
  const bend = tx - x >= 28 ? `${x} ${(y + ty) / 2} ${Math.max(tx - 40, (x + tx) / 2)} ${ty}` : `${out} ${y} ${out} ${ty}`;
  return [`M${x} ${y}C${bend} ${neck} ${ty}`, `M${tx} ${ty}l-7 -3v6Z`];
}

function render({ model, el }) {
  const stop = new AbortController();
  const { signal } = stop;
  const heading = element("span", { class: "mes-heading" });
  const all = button("Show all", "Show the marks of all nodes", () => {
    model.set("filter", {});
    tell(model);
  }, signal);
  const bar = element("div", { class: "mes-bar" }, heading, all,
    button("+", "Zoom in on the timeline", () => zoom(0.5), signal),
    button("\u2212", "Zoom out of the timeline", () => zoom(2), signal),
    button("\u2190", "Move to earlier times", () => pan(-0.25), signal),
    button("\u2192", "Move to later times", () => pan(0.25), signal),
    button("Fit", "Show all times", () => look(0, 1), signal));
  const names = element("div", { class: "mes-names" });
  const plot = element("div", { class: "mes-plot" });
  const canvas = element("canvas", { class: "mes-canvas", hidden: "" });
  const svg = shape("svg", { class: "mes-marks", role: "group" });
  plot.append(canvas, svg);
  const play = button("Play", "Play the run from the cursor", () => setPlaying(!model.get("playing")), signal);
  const slider = element("input", {
    type: "range", class: "mes-scrubber", min: 0, max: 1000, step: "any", value: 1000, "aria-label": "Time",
  });
  const reading = element("output", { class: "mes-reading" });
  const now = button("Now", "Go to the latest time", () => scrub(null), signal);
  const said = element("div", { class: "mes-said", "aria-live": "polite" });
  const states = element("div", { class: "mes-states", role: "region", tabindex: 0, "aria-label": "Where the messages were" });
  const legend = element("div", { class: "mes-legend" });
  const board = element("div", { class: "mes-board" }, names, plot);
  const empty = element("div", { class: "mes-empty", hidden: "" });
  const root = element("div", { class: "modulus-es mes-timeline" }, bar, board, empty, legend,
    element("div", { class: "mes-bar mes-time" }, play, slider, reading, now), said, states);
  el.append(root);
  const hint = tip(root, signal);

  const brush = painter(canvas);

  let data = null;
  let axis = axisOf(new Float64Array());
  let from = 0; // the part of the axis that is looked at
  let to = 1;
  let width = 600;
  let height = 0;
  let lanes = []; // those that are shown: {index, y, height}
  let titles = []; // the names beside them: {made, text, cut}
  let yOf = new Map();
  let single = true;
  let nodes = new Map(); // mark -> its SVG group
  let shown = null; // of each mark, whether the filter lets it through; null without a filter
  let held = null; // the shown marks as the canvas needs them
  let family = null; // of each message, whether it belongs to the chosen one's
  let kindred = []; // the family's marks
  let pairs = []; // those of them that led to each other
  let focused = -1;
  let waiting = 0;
  let coloured = false;
  let dressed = false; // whether the SVG marks show what is chosen and where the cursor is
  let placed = ""; // what the SVG marks' places were worked out for
  let lives = null;
  let frames = 0;
  let tabling = 0;
  let arrived = 0; // when the data that is not painted yet came

  const u = (mark) => data.x[mark] / UNIT;
  const px = (place) => ((place - from) / (to - from)) * width;
  const kindOf = (mark) => data.kinds[data.kind[mark]];
  const typeOf = (mark) => data.types[data.type[mark]];

  const lasting = (mark) => data.lasts[data.kind[mark]] === 1;
  const isShown = (mark) => shown === null || shown[mark] === 1;

  /** Of each mark, whether it is of the lanes or the types that the chosen node is about. */
  function filtered() {
    const filter = model.get("filter");
    if (!filter.lanes) return null;
    const lane = data.lanes.map(({ module, handler }) =>
      filter.lanes.some(([other, name]) => module === other && handler === name));
    const type = data.types.map(({ name }) => filter.types.includes(name));
    return Uint8Array.from(data.x, (_, mark) => (lane[data.lane[mark]] || type[data.type[mark]] ? 1 : 0));
  }

  function sentence(mark) {
    const lane = data.lanes[data.lane[mark]];
    const kind = kindOf(mark);
    const time = clock(axis.time(u(mark)));
    let text = `${lane.where} ${lane.label}: ${typeOf(mark).label} ${data.meanings[kind]}`;
    if (data.attempt[mark] > 0) text += `, attempt ${data.attempt[mark]}`;
    if (lasting(mark)) return `${text}, ${time} to ${clock(axis.time(data.end[mark] / UNIT))}`;
    return `${text}, ${time}`;
  }

  // Laying out

  function take() {
    const before = data && model.get("cursor") !== null ? axis.time(model.get("cursor")) : null;
    const raw = model.get("data");
    if (!raw.x) return;
    arrived = performance.now();
    const whole = from === 0 && to === 1;
    const seen = data && !whole ? [axis.time(from), axis.time(to)] : null;
    data = unpack(raw);
    axis = axisOf(data.knots);
    lives = null;
    if (before !== null) model.set("cursor", axis.place(before));
    if (seen) [from, to] = [axis.place(seen[0]), Math.max(axis.place(seen[1]), axis.place(seen[0]) + 1e-6)];
    brush.data(data.glyphs);
    arrange();
    explain();
    kin();
    clockwork();
  }

  function arrange() {
    const filter = model.get("filter");
    const count = data.x.length;
    shown = filtered();
    let many = count;
    let used = null;
    if (shown) {
      used = new Set();
      many = 0;
      for (let mark = 0; mark < count; mark += 1) {
        if (shown[mark]) {
          many += 1;
          used.add(data.lane[mark]);
        }
      }
    }
    heading.textContent = shown
      ? `Only ${filter.label}: ${many.toLocaleString("en")} of ${count.toLocaleString("en")} marks` : data.heading;
    all.hidden = !shown;
    single = !data.counted;
    lanes = [];
    names.replaceChildren(element("div", { class: "mes-axis-room" }));
    titles = [];
    let y = TOP;
    let module = null;
    data.lanes.forEach((lane, index) => {
      if (used && !used.has(index)) return;
      if (lane.module !== module) {
        module = lane.module;
        entitle("mes-module", lane.where, lane.where || "(no module)", lane.cut[0]);
        y += HEADING;
      }
      const tall = single ? lane.rows * ROW + 2 * PAD : COUNTS;
      entitle("mes-lane", `${lane.where} ${lane.label}`, lane.label, lane.cut[1]).style.height = `${tall}px`;
      lanes.push({ index, y, height: tall });
      y += tall + 3;
    });
    board.hidden = lanes.length === 0;
    empty.hidden = lanes.length > 0;
    empty.textContent = shown ? `Nothing was delivered to ${filter.label} yet.` : "Nothing has happened yet.";
    height = y + 4;
    yOf = new Map(lanes.map((lane) => [lane.index, lane]));
    abridge();
    plot.style.height = `${height}px`;
    canvas.hidden = single;
    held = single ? null : sorted(data, shown);
    if (held) held.count = counter(held.moments, data.lanes.length);
    sized();
    svg.setAttribute("aria-label", data.alt);
    if (single) {
      svg.setAttribute("role", "group");
      svg.removeAttribute("tabindex");
    } else {
      // Thousands of marks are no tab stops: the arrow keys go from one to the next.
      svg.setAttribute("role", "application");
      svg.setAttribute("tabindex", "0");
    }
    build();
    paint();
  }

  function entitle(style, title, text, cut) {
    const made = element("div", { class: style, title }, text);
    names.append(made);
    titles.push({ made, text, cut });
    return made;
  }

  /** Names that are longer than the room beside the lanes say how much longer. */
  function abridge() {
    const rooms = {}; // of each class; to ask again after a change would lay the page out again
    for (const { made } of titles) {
      if (rooms[made.className]) continue;
      const { font, paddingLeft } = getComputedStyle(made);
      rooms[made.className] = [made.clientWidth - parseFloat(paddingLeft), font];
    }
    for (const { made, text, cut } of titles) {
      const [room, font] = rooms[made.className];
      if (room > 0) made.textContent = shortened(text, cut, room, font);
    }
  }

  function sized() {
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
  }

  const base = shape("g", { "aria-hidden": "true" });
  const arrows = shape("g", { "aria-hidden": "true", class: "mes-arrows" });
  const marks = shape("g", {});
  const needle = shape("line", { class: "mes-needle", y1: TOP - 8, "aria-hidden": "true" });
  const ring = shape("circle", { class: "mes-ring", r: 9, "aria-hidden": "true", hidden: "" });
  const spot = shape("circle", { class: "mes-spot", r: 9, "aria-hidden": "true", hidden: "" });
  svg.append(base, arrows, marks, ring, spot, needle);

  function build() {
    const held = root.contains(document.activeElement) && focused >= 0;
    nodes = new Map();
    marks.replaceChildren();
    dressed = false;
    placed = "";
    if (!single) {
      base.replaceChildren(); // the canvas has a ground of its own
      return;
    }
    const order = [...data.x.keys()].filter(isShown);
    const rank = (mark) => (lasting(mark) ? 0 : BAD.has(kindOf(mark)) || kindOf(mark) === "dead" ? 2 : 1);
    order.sort((one, other) => rank(one) - rank(other) || one - other);
    const made = document.createDocumentFragment();
    for (const mark of order) {
      const kind = kindOf(mark);
      const wait = lasting(mark);
      const group = shape("g", {
        class: `mes-mark${wait ? " mes-wait" : ""}`, role: "button", tabindex: -1, "aria-label": sentence(mark),
        "aria-pressed": "false", "data-mark": mark,
      });
      // A dashed line is hard to hit: an unseen broad one takes the pointer.
      if (wait) group.append(shape("path", { class: "mes-hit" }), shape(kind === "attempt" ? "rect" : "path", { class: `m-${kind}` }));
      else group.append(shape("circle", { class: "mes-focus", r: 9 }), ...data.glyphs[kind].map(drawn));
      made.append(group);
      nodes.set(mark, group);
    }
    marks.append(made);
    if (!nodes.has(focused)) focused = order.length > 0 ? Math.min(...order.filter((m) => !lasting(m))) : -1;
    nodes.get(focused)?.setAttribute("tabindex", "0");
    if (held) nodes.get(focused)?.focus({ preventScroll: true });
  }

  function rowY(mark) {
    const lane = yOf.get(data.lane[mark]);
    const row = single ? data.row[mark] : data.message[mark] % 2;
    return lane ? lane.y + PAD + (row + 0.5) * ROW : -99;
  }

  // Painting

  function paint() {
    if (waiting) return;
    waiting = requestAnimationFrame(() => {
      waiting = 0;
      frames += 1;
      root.dataset.frames = frames;
      if (!data) return;
      if (single) {
        backdrop();
        place();
        dress();
      } else scan();
      chain();
      pointer();
      if (arrived) {
        root.dataset.took = Math.round(performance.now() - arrived);
        root.dataset.shows = data.partial ? "glance" : "all";
      }
      arrived = 0;
    });
  }

  function backdrop() {
    const parts = document.createDocumentFragment();
    for (const lane of lanes) {
      parts.append(shape("rect", { class: "m-lane", x: 0, y: lane.y, width, height: lane.height }));
    }
    for (const cut of data.cuts) {
      const x = px(cut.x);
      const wide = px(cut.x + cut.width) - x;
      parts.append(shape("rect", { class: "mes-cut", x, y: TOP - 6, width: wide, height: height - TOP }),
        shape("text", { class: "m-caption", x: x + wide / 2, y: TOP - 19, "text-anchor": "middle" }, cut.text));
    }
    for (const [x, text] of ticks()) {
      parts.append(shape("line", { class: "m-grid", x1: x, x2: x, y1: TOP - 6, y2: height }),
        shape("text", { class: "m-caption", x, y: TOP - 9, "text-anchor": x < 30 ? "start" : "middle" }, text));
    }
    base.replaceChildren(parts);
  }

  /** Round times along the axis, where there is room for their text. */
  function ticks() {
    const [first, last] = [axis.time(from), axis.time(to)];
    if (!(last > first)) return [[px(axis.place(first)), clock(first)]];
    const flowing = (to - from) * data.flow * (100 / width);
    const step = STEPS_OF_TIME.find((size) => size >= flowing) ?? STEPS_OF_TIME.at(-1);
    const found = [];
    let time = Math.ceil(first / step) * step;
    let free = 0;
    for (let guard = 0; time <= last && guard < 200; guard += 1) {
      const where = axis.place(time);
      const x = px(where);
      const cut = data.cuts.some((one) => one.x < where && where < one.x + one.width);
      if (x >= free && x < width - 30 && !cut) {
        found.push([x, clock(time, step)]);
        free = x + 90;
      }
      // A long wait that is cut short has more steps than anybody would count.
      const next = axis.time(from + ((Math.max(free, x + 1)) / width) * (to - from));
      time = Math.max(time + step, Math.ceil(next / step) * step);
    }
    return found.length > 0 ? found : [[px(axis.place(first)), clock(first)]];
  }

  /** Put the marks where they belong, if that has changed: what is set anew is painted anew. */
  function place() {
    const here = `${from} ${to} ${width}`;
    if (placed === here) return;
    placed = here;
    for (const [mark, group] of nodes) {
      const x = px(u(mark));
      if (lasting(mark)) {
        const [end, y] = [px(data.end[mark] / UNIT), rowY(mark)];
        const child = group.lastChild;
        group.firstChild.setAttribute("d", `M${x} ${y}H${Math.max(end, x + 1)}`);
        if (kindOf(mark) === "attempt") {
          for (const [name, value] of [["x", x], ["y", y - 4], ["width", Math.max(end - x, 1.5)], ["height", 8]]) {
            child.setAttribute(name, value);
          }
        } else child.setAttribute("d", `M${x} ${y}H${Math.max(end, x + 1)}`);
      } else group.setAttribute("transform", `translate(${x} ${rowY(mark)})`);
    }
  }

  /** Let the marks show what is chosen, and which of them are later than the cursor. */
  function dress() {
    if (dressed) return;
    dressed = true;
    const cursor = model.get("cursor");
    const chosen = model.get("chosen");
    for (const [mark, group] of nodes) {
      group.classList.toggle("mes-later", cursor !== null && u(mark) > cursor);
      group.classList.toggle("mes-on", family !== null && family[data.message[mark]] === 1);
      const pressed = String(chosen === mark);
      if (group.getAttribute("aria-pressed") !== pressed) group.setAttribute("aria-pressed", pressed);
    }
    root.classList.toggle("mes-lit", family !== null);
  }

  /** What the signs mean, those that there are, and the bars where there are any. */
  function explain() {
    const bars = single ? [] : Object.entries(data.bars).map(([style, meaning]) => element("span", {},
      shape("svg", { width: 14, height: 16, viewBox: "-7 -8 14 16", "aria-hidden": "true" },
        shape("rect", { class: `m-${style}`, x: -5, y: -5, width: 10, height: 10 })), meaning));
    legend.replaceChildren(...bars, ...data.kinds.filter((_, kind) => data.kind.includes(kind)).map((kind) => {
      const sign = WAITS.has(kind)
        ? [shape(kind === "attempt" ? "rect" : "path", { class: `m-${kind}`, d: "M-9 0H9", x: -9, y: -4, width: 18, height: 8 })]
        : data.glyphs[kind].map(drawn);
      return element("span", {}, shape("svg", { width: 22, height: 16, viewBox: "-11 -8 22 16", "aria-hidden": "true" }, ...sign),
        data.meanings[kind]);
    }));
  }

  /** A frame of the canvas, which is as high as what can be seen of the lanes. */
  function scan() {
    if (!coloured) recolour();
    const [top, tall] = [board.scrollTop, Math.min(board.clientHeight || height, height)];
    const cursor = model.get("cursor");
    const dim = (mark) => (cursor !== null && u(mark) > cursor) || (family !== null && !family[data.message[mark]]);
    brush.draw({
      data, from, to, width, height: tall, top, px, rowY, dim, ground: TOP, ticks: ticks(),
      rows: lanes.filter((lane) => lane.y <= top + tall && top <= lane.y + lane.height),
      until: cursor === null ? width : px(cursor), faded: family !== null,
    }, held, kindred.filter((mark) => !lasting(mark) && yOf.has(data.lane[mark])));
  }

  // Causes and effects

  /** The messages before and behind the chosen one, and the graph's nodes that they passed. */
  function kin() {
    const chosen = model.get("chosen");
    family = data && chosen >= 0 && chosen < data.x.length ? familyOf(data.cause, data.message[chosen]) : null;
    kindred = [];
    const lit = new Set();
    if (family) {
      for (let mark = 0; mark < data.x.length; mark += 1) if (family[data.message[mark]]) kindred.push(mark);
      for (const mark of kindred) {
        for (const node of typeOf(mark).nodes) lit.add(node);
        if (data.lanes[data.lane[mark]].node) lit.add(data.lanes[data.lane[mark]].node);
      }
    }
    pairs = data ? pairsOf(data, kindred).slice(0, MOST_ARROWS) : [];
    const known = model.get("highlighted");
    if (known.length !== lit.size || known.some((node) => !lit.has(node))) {
      model.set("highlighted", [...lit]);
      tell(model);
    }
    dressed = false;
    paint();
  }

  function chain() {
    const chosen = model.get("chosen");
    circle(ring, family ? chosen : -1);
    circle(spot, !single && document.activeElement === svg ? focused : -1);
    if (pairs.length > 0 || arrows.firstChild) {
      arrows.replaceChildren(...pairs.flatMap(([source, target]) => {
        const [shaft, head] = arrow(px(u(source)), rowY(source), px(u(target)) - 7, rowY(target));
        return [shape("path", { class: "m-arrow", d: shaft }), shape("path", { class: "m-arrow-head", d: head })];
      }));
    }
  }

  function circle(made, mark) {
    if (mark < 0) {
      made.setAttribute("hidden", "");
      return;
    }
    made.removeAttribute("hidden");
    made.setAttribute("cx", px(u(mark)));
    made.setAttribute("cy", rowY(mark));
  }

  function choose(mark) {
    const version = data.version;
    model.set("chosen", mark);
    tell(model);
    if (mark >= 0) said.textContent = sentence(mark);
    // A trait may skip states when clicks are fast; a message is never skipped.
    tell(model, { kind: "choose", mark, version });
  }

  // Time

  function pointer() {
    const cursor = model.get("cursor");
    const x = px(cursor ?? 1);
    for (const [name, value] of [["x1", x], ["x2", x], ["y2", height]]) needle.setAttribute(name, value);
    needle.classList.toggle("mes-idle", cursor === null);
  }

  function clockwork() {
    const cursor = model.get("cursor");
    const time = data ? axis.time(cursor ?? 1) : 0;
    const text = data && data.x.length > 0 ? `${clock(time, 86400e6)} ${clock(time)} UTC` : "nothing yet";
    reading.textContent = cursor === null ? `${text} (now)` : text;
    if (document.activeElement !== slider || cursor === null || model.get("playing")) slider.value = (cursor ?? 1) * 1000;
    slider.setAttribute("aria-valuetext", text);
    dressed = false;
    paint();
    tableLater();
  }

  /** The picture comes first; counting what is where may wait for it. */
  function tableLater() {
    clearTimeout(tabling);
    tabling = setTimeout(() => requestAnimationFrame(() => { tabling = setTimeout(table, 0); }), 0);
  }

  function scrub(place) {
    model.set("cursor", place);
    tell(model);
  }

  let begun = 0;
  let start = 0;
  let ticking = 0;
  function setPlaying(on) {
    model.set("playing", on);
    tell(model);
  }

  function playing() {
    cancelAnimationFrame(ticking);
    const on = model.get("playing");
    play.textContent = on ? "Pause" : "Play";
    play.setAttribute("aria-label", on ? "Stop playing" : "Play the run from the cursor");
    if (!on) return;
    start = model.get("cursor") ?? 1;
    if (start >= 1) start = 0;
    begun = performance.now();
    let told = 0;
    const tick = (time) => {
      if (!model.get("playing")) return;
      const place = start + (time - begun) / PLAY;
      model.set("cursor", place >= 1 ? null : place);
      if (place >= 1) setPlaying(false);
      else {
        if (time - told > 200) {
          told = time;
          tell(model);
        }
        ticking = requestAnimationFrame(tick);
      }
    };
    ticking = requestAnimationFrame(tick);
  }

  /** How many messages of each lane were where, at the cursor. */
  function table() {
    // At first glance it is not known yet which marks are of one message.
    if (!data || data.partial) return;
    if (data.lanes.length === 0) {
      states.replaceChildren();
      return;
    }
    const sums = data.states ? lookedUp() : workedOut();
    const rows = data.lanes.slice(0, MOST_ROWS).map((lane, index) => element("tr", {},
      element("th", { scope: "row", title: `${lane.where} ${lane.label}` }),
      ...sums[index].map((sum) => element("td", { class: sum > 0 ? "mes-some" : "" }, sum.toLocaleString("en")))));
    const more = data.lanes.length - rows.length;
    if (more > 0) rows.push(element("tr", {}, element("th", { scope: "row" }, `and ${more.toLocaleString("en")} more lanes`)));
    states.replaceChildren(element("table", {},
      element("caption", {}, `Where the messages were at ${reading.textContent}; what an outbox has done, it has handed over`),
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "outbox or inbox"),
        ...HEADS.map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", {}, ...rows)));
    const first = states.querySelectorAll("tbody th");
    const { font, paddingLeft, paddingRight } = getComputedStyle(first[0]);
    const room = first[0].clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight);
    data.lanes.slice(0, MOST_ROWS).forEach(({ where, label, cut }, row) => {
      const whole = `${where} ${label}`;
      if (room <= 0 || shortened(whole, 0, room, font) === whole) first[row].textContent = whole;
      else {
        const module = shortened(where, cut[0], room / 2, font);
        const rest = room - ruler.measureText(`${module} `).width;
        first[row].textContent = `${module} ${shortened(label, cut[1], rest, font)}`;
      }
    });
  }

  /** What Python counted, at the thousandth of the axis that the cursor has passed. */
  function lookedUp() {
    const lanes = Math.min(data.lanes.length, MOST_ROWS);
    const places = data.states.length / (lanes * HEADS.length);
    const at = Math.floor((model.get("cursor") ?? 1) * (places - 1) + 1e-6);
    return Array.from({ length: lanes }, (_, lane) =>
      HEADS.map((_, head) => data.states[(lane * HEADS.length + head) * places + at]));
  }

  function workedOut() {
    const cursor = (model.get("cursor") ?? 1) * UNIT;
    const count = data.x.length;
    lives ??= livesOf(data);
    const { of, lanes: laneOf, messages: owner } = lives;
    const state = new Int8Array(laneOf.length).fill(-1);
    const arrived = new Uint8Array(data.cause.length);
    const inside = new Uint8Array(laneOf.length);
    const outbox = data.lanes.map((lane) => lane.outbox);
    const recorded = data.kinds.indexOf("recorded");
    const waits = data.kinds.indexOf("waiting");
    const duplicate = data.kinds.indexOf("duplicate");
    const duplicates = new Uint32Array(data.lanes.length);
    for (let mark = 0; mark < count; mark += 1) {
      if (data.x[mark] > cursor) continue;
      if (data.kind[mark] === duplicate) duplicates[data.lane[mark]] += 1;
      else state[of[mark]] = data.kind[mark];
      if (!outbox[data.lane[mark]]) arrived[data.message[mark]] = 1;
      else if (data.kind[mark] === waits && (data.open[mark] || data.end[mark] > cursor)) inside[of[mark]] = 1;
    }
    const column = { waiting: 0, in_flight: 1, attempt: 2, done: 3, failed: 4, retry: 0, crash: 0, dead: 5 };
    const sums = data.lanes.map(() => [0, 0, 0, 0, 0, 0, 0]);
    state.forEach((kind, life) => {
      if (kind < 0) return;
      const lane = laneOf[life];
      if (outbox[lane] && data.kinds[kind] !== "dead") {
        // Within an instant only what has arrived somewhere tells that it has been handed over.
        sums[lane][arrived[owner[life]] && !inside[life] ? 3 : 0] += 1;
      } else sums[lane][kind === recorded ? 0 : column[data.kinds[kind]]] += 1;
    });
    duplicates.forEach((many, lane) => { sums[lane][6] = many; });
    return sums;
  }

  // Looking around

  function look(a, b) {
    const wide = Math.min(1, Math.max(b - a, 1e-7));
    from = Math.min(Math.max(0, a), 1 - wide);
    to = from + wide;
    paint();
  }

  function zoom(factor, about = (from + to) / 2) {
    look(about - (about - from) * factor, about + (to - about) * factor);
  }

  const pan = (part) => look(from + part * (to - from), to + part * (to - from));

  /** The mark under the pointer, or the nearest one of the lane on the canvas. */
  function markAt(event) {
    const group = event.target.closest?.(".mes-mark");
    if (group) return Number(group.dataset.mark);
    if (single || !data) return -1;
    const box = svg.getBoundingClientRect();
    const y = event.clientY - box.top;
    const lane = lanes.find((one) => one.y <= y && y <= one.y + one.height);
    if (!lane) return -1;
    const at = (from + ((event.clientX - box.left) / width) * (to - from)) * UNIT;
    const far = ((to - from) * UNIT * 12) / width;
    const { x, lane: laneOf, mark } = held.moments;
    let best = -1;
    let least = far;
    const middle = search(x, at);
    for (const step of [-1, 1]) {
      for (let next = step < 0 ? middle - 1 : middle; next >= 0 && next < x.length; next += step) {
        const away = Math.abs(x[next] - at);
        if (away > least) break;
        if (laneOf[next] === lane.index) [best, least] = [mark[next], away];
      }
    }
    return best;
  }

  let dragged = false;
  let dragging = false;
  svg.addEventListener("pointerdown", (event) => {
    dragged = false;
    if (event.button !== 0) return;
    dragging = true;
    const [x, a, b] = [event.clientX, from, to];
    const moving = new AbortController();
    window.addEventListener("pointermove", (move) => {
      if (Math.abs(move.clientX - x) > 4) dragged = true;
      if (dragged) look(a - ((move.clientX - x) / width) * (b - a), b - ((move.clientX - x) / width) * (b - a));
    }, { signal: moving.signal });
    window.addEventListener("pointerup", () => {
      dragging = false;
      moving.abort();
    }, { signal: moving.signal });
  }, { signal });
  svg.addEventListener("click", (event) => {
    if (dragged || !data) return;
    const mark = markAt(event);
    if (mark < 0) return;
    rove(mark, false);
    choose(mark);
  }, { signal });
  svg.addEventListener("pointermove", (event) => {
    if (!data || dragging) return;
    const mark = markAt(event);
    if (mark >= 0) hint.show(sentence(mark), event);
    else hint.hide();
  }, { signal });
  plot.addEventListener("wheel", (event) => {
    // The wheel alone scrolls the notebook.
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const about = from + ((event.clientX - svg.getBoundingClientRect().left) / width) * (to - from);
    zoom(event.deltaY < 0 ? 0.8 : 1.25, about);
  }, { signal, passive: false });

  function rove(mark, focus = true) {
    nodes.get(focused)?.setAttribute("tabindex", "-1");
    focused = mark;
    nodes.get(mark)?.setAttribute("tabindex", "0");
    if (u(mark) < from || u(mark) > to) look(u(mark) - (to - from) / 2, u(mark) + (to - from) / 2);
    if (focus && nodes.has(mark)) nodes.get(mark).focus();
    else if (!single) {
      reveal(yOf.get(data.lane[mark]));
      said.textContent = sentence(mark);
      paint();
    }
  }

  /** Scroll a lane into what can be seen of the board. */
  function reveal(lane) {
    if (!lane) return;
    if (lane.y < board.scrollTop) board.scrollTop = lane.y - TOP;
    const bottom = lane.y + lane.height;
    if (bottom > board.scrollTop + board.clientHeight) board.scrollTop = bottom - board.clientHeight;
  }

  /** The next mark along the lane, or the one nearest in time on the lane above or below. */
  function neighbour(key) {
    const here = Math.max(focused, 0);
    const own = lanes.findIndex((lane) => lane.index === data.lane[here]);
    const step = key === "ArrowLeft" ? -1 : 1;
    const fits = (mark, lane) => data.lane[mark] === lane && !lasting(mark) && isShown(mark);
    if (key === "ArrowLeft" || key === "ArrowRight") {
      for (let mark = here + step; mark >= 0 && mark < data.x.length; mark += step) {
        if (fits(mark, data.lane[here])) return mark;
      }
      return here;
    }
    const other = lanes[own + (key === "ArrowUp" ? -1 : 1)];
    if (!other) return here;
    for (let away = 0; away < data.x.length; away += 1) {
      for (const mark of [here - away, here + away]) {
        if (mark >= 0 && mark < data.x.length && fits(mark, other.index)) return mark;
      }
    }
    return here;
  }

  svg.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || !data || data.x.length === 0) return;
    if (event.key.startsWith("Arrow")) rove(neighbour(event.key));
    else if (event.key === "Enter" || event.key === " ") choose(Math.max(focused, 0));
    else if (event.key === "Escape") choose(-1);
    else if (event.key === "+") zoom(0.5, focused >= 0 ? u(focused) : undefined);
    else if (event.key === "-") zoom(2, focused >= 0 ? u(focused) : undefined);
    else return;
    // JupyterLab must not take these for its own.
    event.preventDefault();
    event.stopPropagation();
  }, { signal });
  slider.addEventListener("keydown", (event) => event.stopPropagation(), { signal });
  slider.addEventListener("input", () => {
    if (model.get("playing")) setPlaying(false);
    const place = Number(slider.value) / 1000;
    scrub(place >= 1 ? null : place);
  }, { signal });

  /** Let the canvas know the colours; a view that is not in the page yet has none. */
  function recolour() {
    const style = getComputedStyle(root);
    const colours = {};
    for (const name of PAINTS) {
      for (const part of ["fill", "stroke"]) {
        const colour = style.getPropertyValue(`--m-${name}-${part}`).trim();
        colours[`${name}-${part}`] = colour === "none" ? "" : colour;
      }
    }
    brush.theme(colours);
    coloured = root.isConnected;
  }
  followTheme(root, signal, () => {
    coloured = false;
    paint();
  });
  let seen = -1; // the width of the plot, 0 while nobody can see it
  const resized = new ResizeObserver(() => {
    if (plot.clientWidth !== seen) {
      seen = plot.clientWidth;
      if (seen > 0) {
        width = seen;
        sized();
        abridge();
        tableLater();
      }
    }
    paint();
  });
  resized.observe(plot);
  resized.observe(board);
  board.addEventListener("scroll", paint, { signal, passive: true });
  svg.addEventListener("focus", paint, { signal });
  svg.addEventListener("blur", paint, { signal });

  model.on("change:data", take);
  model.on("change:filter", () => { if (data) { arrange(); explain(); kin(); } });
  model.on("change:chosen", kin);
  model.on("change:cursor", clockwork);
  model.on("change:playing", playing);
  width = plot.clientWidth || width;
  take();
  return () => {
    stop.abort();
    resized.disconnect();
    cancelAnimationFrame(waiting);
    cancelAnimationFrame(ticking);
    clearTimeout(tabling);
    root.remove();
  };
}

export default { render };
