// The delivery timeline: SVG up to a few thousand marks, a canvas with counts above that.
// Traits: data, chosen, filter, highlighted, cursor, playing. Message: {kind: "choose", mark, version}.
// Hovering, moving, zooming, the scrubber and the chain of causes need no kernel.

const UNIT = 1e9; // how finely Python counts along the axis
const HEADING = 22;
const ROW = 17;
const PAD = 5;
const COUNTS = 46;
const TOP = 30;
const SINGLE = 2000; // so many marks are drawn one by one
const MOST_ROWS = 60; // of the table of what was where
const PLAY = 8000; // milliseconds from the beginning to the end
const WAITS = new Set(["waiting", "in_flight", "attempt"]);
const BAD = new Set(["failed", "retry", "duplicate", "crash"]);
const STEPS_OF_TIME = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5,
  ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800,
    604800, 2419200, 7862400, 31536000, 315360000, 3153600000].map((seconds) => seconds * 1e6)];

/** The columns as typed arrays; their bytes may begin anywhere, and typed arrays may not. */
function unpack(raw) {
  const column = (bytes, Type) => new Type(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  return {
    ...raw,
    x: column(raw.x, Uint32Array), end: column(raw.end, Uint32Array), lane: column(raw.lane, Uint16Array),
    row: column(raw.row, Uint16Array), kind: column(raw.kind, Uint8Array), type: column(raw.type, Uint32Array),
    message: column(raw.message, Uint32Array), attempt: column(raw.attempt, Uint16Array),
    cause: column(raw.cause, Int32Array), knots: column(raw.knots, Float64Array),
  };
}

/** Where, in which lane and how bad everything is that is a moment, closely packed to be counted. */
function momentsOf({ x, lane, kind, kinds }) {
  const level = Int8Array.from(kinds, (name) => (WAITS.has(name) ? -1 : name === "dead" ? 2 : BAD.has(name) ? 1 : 0));
  let count = 0;
  for (let mark = 0; mark < x.length; mark += 1) if (level[kind[mark]] >= 0) count += 1;
  const found = { x: new Uint32Array(count), lane: new Uint16Array(count), level: new Uint8Array(count), mark: new Uint32Array(count) };
  let at = 0;
  for (let mark = 0; mark < x.length; mark += 1) {
    if (level[kind[mark]] < 0) continue;
    found.x[at] = x[mark];
    found.lane[at] = lane[mark];
    found.level[at] = level[kind[mark]];
    found.mark[at] = mark;
    at += 1;
  }
  return found;
}

/** Time and place along the axis, both ways, by knots of (time, where it begins, where it ends). */
function axisOf(knots) {
  const count = knots.length / 3;
  const find = (value, offset) => {
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (knots[3 * middle + offset] <= value) low = middle;
      else high = middle - 1;
    }
    return low;
  };
  return {
    time(u) {
      if (count === 0) return 0;
      const k = find(u, 1);
      const [time, , end] = knots.subarray(3 * k, 3 * k + 3);
      if (u <= end || k + 1 === count) return time;
      const [later, begin] = knots.subarray(3 * k + 3, 3 * k + 5);
      return time + ((later - time) * (u - end)) / (begin - end || 1);
    },
    place(time) {
      if (count === 0) return 0;
      const k = find(time, 0);
      const [at, begin, end] = knots.subarray(3 * k, 3 * k + 3);
      if (time <= at || k + 1 === count) return begin;
      const [later, next] = knots.subarray(3 * k + 3, 3 * k + 5);
      return end + ((next - end) * (time - at)) / (later - at);
    },
  };
}

/** A time in UTC, as exactly as steps of so many microseconds need. */
function clock(micros, step = 1) {
  const whole = Math.round(micros);
  const text = new Date(Math.floor(whole / 1000)).toISOString();
  if (step >= 86400e6) return text.slice(0, 10);
  if (step >= 60e6) return text.slice(11, 16);
  const rest = ((whole % 1e6) + 1e6) % 1e6;
  if (step >= 1e6 || rest === 0) return text.slice(11, 19);
  return `${text.slice(11, 19)}.${String(rest).padStart(6, "0").replace(/0{3}$/, "")}`;
}

/** What each message led to, and every message before and behind one. */
function familyOf(cause, message) {
  const found = new Set();
  for (let at = message; at >= 0 && !found.has(at); at = cause[at]) found.add(at);
  const led = new Map();
  cause.forEach((before, after) => {
    if (before >= 0) led.set(before, [...(led.get(before) ?? []), after]);
  });
  const queue = [message];
  while (queue.length > 0) {
    for (const after of led.get(queue.pop()) ?? []) {
      if (!found.has(after)) {
        found.add(after);
        queue.push(after);
      }
    }
  }
  return found;
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
  const states = element("div", { class: "mes-states" });
  const legend = element("div", { class: "mes-legend" });
  const root = element("div", { class: "modulus-es mes-timeline" }, bar,
    element("div", { class: "mes-board" }, names, plot), legend,
    element("div", { class: "mes-bar mes-time" }, play, slider, reading, now), said, states);
  el.append(root);
  const hint = tip(root, signal);

  let data = null;
  let axis = axisOf(new Float64Array());
  let from = 0; // the part of the axis that is looked at
  let to = 1;
  let width = 600;
  let height = 0;
  let lanes = []; // those that are shown: {index, y, height}
  let yOf = new Map();
  let single = true;
  let nodes = new Map(); // mark -> its SVG group
  let family = null;
  let focused = -1;
  let waiting = 0;
  let colours = {};
  let paths = {};
  let lives = null;
  let moments = null;
  let frames = 0;
  let tabling = 0;
  let arrived = 0; // when the data that is not painted yet came

  const u = (mark) => data.x[mark] / UNIT;
  const px = (place) => ((place - from) / (to - from)) * width;
  const kindOf = (mark) => data.kinds[data.kind[mark]];
  const typeOf = (mark) => data.types[data.type[mark]];

  function shownMark(mark) {
    const filter = model.get("filter");
    if (!filter.lanes) return true;
    const lane = data.lanes[data.lane[mark]];
    return filter.lanes.some(([module, handler]) => lane.module === module && lane.handler === handler)
      || filter.types.includes(typeOf(mark).name);
  }

  function sentence(mark) {
    const lane = data.lanes[data.lane[mark]];
    const kind = kindOf(mark);
    const time = clock(axis.time(u(mark)));
    let text = `${lane.module} ${lane.label}: ${typeOf(mark).label} ${data.meanings[kind]}`;
    if (data.attempt[mark] > 0) text += `, attempt ${data.attempt[mark]}`;
    if (WAITS.has(kind)) return `${text}, ${time} to ${clock(axis.time(data.end[mark] / UNIT))}`;
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
    moments = momentsOf(data);
    if (before !== null) model.set("cursor", axis.place(before));
    if (seen) [from, to] = [axis.place(seen[0]), Math.max(axis.place(seen[1]), axis.place(seen[0]) + 1e-6)];
    paths = Object.fromEntries(Object.entries(data.glyphs).map(([kind, parts]) =>
      [kind, parts.map(([style, d]) => [style, new Path2D(d)])]));
    explain();
    arrange();
    kin();
    clockwork();
  }

  function arrange() {
    const filter = model.get("filter");
    const count = data.x.length;
    let shown = count;
    let used = null;
    if (filter.lanes) {
      used = new Set();
      shown = 0;
      for (let mark = 0; mark < count; mark += 1) {
        if (shownMark(mark)) {
          shown += 1;
          used.add(data.lane[mark]);
        }
      }
    }
    heading.textContent = filter.lanes
      ? `Only ${filter.label}: ${shown.toLocaleString("en")} of ${count.toLocaleString("en")} marks` : data.heading;
    all.hidden = !filter.lanes;
    single = !data.counted;
    lanes = [];
    names.replaceChildren(element("div", { class: "mes-axis-room" }));
    let y = TOP;
    let module = null;
    data.lanes.forEach((lane, index) => {
      if (used && !used.has(index)) return;
      if (lane.module !== module) {
        module = lane.module;
        names.append(element("div", { class: "mes-module", title: module }, module || "(no module)"));
        y += HEADING;
      }
      const tall = single ? lane.rows * ROW + 2 * PAD : COUNTS;
      const name = element("div", { class: "mes-lane", title: `${module} ${lane.label}` }, lane.label);
      name.style.height = `${tall}px`;
      names.append(name);
      lanes.push({ index, y, height: tall });
      y += tall + 3;
    });
    height = y + 4;
    yOf = new Map(lanes.map((lane) => [lane.index, lane]));
    plot.style.height = `${height}px`;
    canvas.hidden = single;
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

  const base = shape("g", { "aria-hidden": "true" });
  const arrows = shape("g", { "aria-hidden": "true", class: "mes-arrows" });
  const marks = shape("g", {});
  const needle = shape("line", { class: "mes-needle", y1: TOP - 8, "aria-hidden": "true" });
  const ring = shape("circle", { class: "mes-ring", r: 9, "aria-hidden": "true", hidden: "" });
  svg.append(base, arrows, marks, ring, needle);

  function build() {
    const held = root.contains(document.activeElement) && focused >= 0;
    nodes = new Map();
    marks.replaceChildren();
    if (!single) return;
    const order = [...data.x.keys()].filter(shownMark);
    const rank = (mark) => (WAITS.has(kindOf(mark)) ? 0 : BAD.has(kindOf(mark)) || kindOf(mark) === "dead" ? 2 : 1);
    order.sort((one, other) => rank(one) - rank(other) || one - other);
    const made = document.createDocumentFragment();
    for (const mark of order) {
      const kind = kindOf(mark);
      const wait = WAITS.has(kind);
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
    if (!nodes.has(focused)) focused = order.length > 0 ? Math.min(...order.filter((m) => !WAITS.has(kindOf(m)))) : -1;
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
      if (data) {
        backdrop();
        if (single) place();
        else count();
        chain();
        pointer();
        if (arrived) root.dataset.took = Math.round(performance.now() - arrived);
        arrived = 0;
      }
    });
  }

  function backdrop() {
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    const parts = document.createDocumentFragment();
    if (single) {
      for (const lane of lanes) {
        parts.append(shape("rect", { class: "m-lane", x: 0, y: lane.y, width, height: lane.height }));
      }
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

  function place() {
    const cursor = model.get("cursor");
    for (const [mark, group] of nodes) {
      const x = px(u(mark));
      const kind = kindOf(mark);
      if (WAITS.has(kind)) {
        const [end, y] = [px(data.end[mark] / UNIT), rowY(mark)];
        const child = group.lastChild;
        group.firstChild.setAttribute("d", `M${x} ${y}H${Math.max(end, x + 1)}`);
        if (kind === "attempt") {
          for (const [name, value] of [["x", x], ["y", y - 4], ["width", Math.max(end - x, 1.5)], ["height", 8]]) {
            child.setAttribute(name, value);
          }
        } else child.setAttribute("d", `M${x} ${y}H${Math.max(end, x + 1)}`);
      } else group.setAttribute("transform", `translate(${x} ${rowY(mark)})`);
      group.classList.toggle("mes-later", cursor !== null && u(mark) > cursor);
      group.classList.toggle("mes-on", family !== null && family.has(data.message[mark]));
      group.setAttribute("aria-pressed", String(model.get("chosen") === mark));
    }
    root.classList.toggle("mes-lit", family !== null);
  }

  /** What the signs mean, those that there are. */
  function explain() {
    const seen = new Set(data.kind);
    legend.replaceChildren(...data.kinds.filter((_, kind) => seen.has(kind)).map((kind) => {
      const sign = WAITS.has(kind)
        ? [shape(kind === "attempt" ? "rect" : "path", { class: `m-${kind}`, d: "M-9 0H9", x: -9, y: -4, width: 18, height: 8 })]
        : data.glyphs[kind].map(drawn);
      return element("span", {}, shape("svg", { width: 22, height: 16, viewBox: "-11 -8 22 16", "aria-hidden": "true" }, ...sign),
        data.meanings[kind]);
    }));
  }

  /** The first that begins at or after a place; they are in order of time. */
  function search(place, { x } = data) {
    let low = 0;
    let high = x.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (x[middle] < place) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Bars of what happened in each few pixels; single marks where few enough are in sight. */
  function count() {
    const ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = colours["lane-fill"];
    for (const lane of lanes) pen.fillRect(0, lane.y, width, lane.height);
    const first = search(Math.max(0, from - (to - from) * 0.02) * UNIT);
    const last = search(Math.min(1, to + 1e-9) * UNIT + 1);
    const filter = model.get("filter");
    const cursor = model.get("cursor");
    if (last - first <= SINGLE) {
      for (let mark = first; mark < last; mark += 1) if (!filter.lanes || shownMark(mark)) stamp(pen, mark, cursor);
      return;
    }
    const wide = 3;
    const bins = Math.ceil(width / wide) + 1;
    const size = data.lanes.length * bins;
    const sums = [new Uint32Array(size), new Uint32Array(size), new Uint32Array(size)];
    const factor = width / ((to - from) * UNIT * wide);
    const offset = from * UNIT;
    const until = Math.min(to, cursor ?? 1) * UNIT + 1;
    const { x, lane, level } = moments;
    const end = search(until, moments);
    for (let at = search(offset, moments); at < end; at += 1) {
      if (filter.lanes && !shownMark(moments.mark[at])) continue;
      sums[level[at]][lane[at] * bins + (((x[at] - offset) * factor) | 0)] += 1;
    }
    for (const row of lanes) {
      const start = row.index * bins;
      let most = 1;
      for (let bin = 0; bin < bins; bin += 1) {
        most = Math.max(most, sums[0][start + bin] + sums[1][start + bin] + sums[2][start + bin]);
      }
      const bottom = new Float64Array(bins).fill(row.y + row.height - 2);
      for (const [at, style] of [[2, "count-dead"], [1, "count-bad"], [0, "count"]]) {
        pen.fillStyle = colours[`${style}-fill`];
        for (let bin = 0; bin < bins; bin += 1) {
          const held = sums[at][start + bin];
          if (held === 0) continue;
          const tall = Math.max(((row.height - 8) * held) / most, 2);
          bottom[bin] -= tall;
          pen.fillRect(bin * wide, bottom[bin], wide - 1, tall);
        }
      }
    }
  }

  function stamp(pen, mark, cursor) {
    const kind = kindOf(mark);
    if (!yOf.has(data.lane[mark])) return;
    const [x, y] = [px(u(mark)), rowY(mark)];
    const faded = (cursor !== null && u(mark) > cursor) || (family !== null && !family.has(data.message[mark]));
    pen.globalAlpha = faded ? 0.25 : 1;
    pen.strokeStyle = colours[`${kind}-stroke`];
    pen.fillStyle = colours[`${kind}-fill`];
    pen.lineWidth = 1.6;
    if (WAITS.has(kind)) {
      pen.setLineDash(kind === "waiting" ? [2, 2.5] : kind === "in_flight" ? [9, 3] : []);
      const wide = Math.max(px(data.end[mark] / UNIT) - x, 1.5);
      if (kind === "attempt") pen.fillRect(x, y - 4, wide, 8);
      else pen.stroke(new Path2D(`M${x} ${y}h${wide}`));
      pen.setLineDash([]);
    } else {
      pen.save();
      pen.translate(x, y);
      for (const [style, path] of paths[kind]) {
        if (colours[`${style}-fill`]) {
          pen.fillStyle = colours[`${style}-fill`];
          pen.fill(path);
        }
        if (colours[`${style}-stroke`]) {
          pen.strokeStyle = colours[`${style}-stroke`];
          pen.stroke(path);
        }
      }
      pen.restore();
    }
    pen.globalAlpha = 1;
  }

  // Causes and effects

  /** The messages before and behind the chosen one, and the graph's nodes that they passed. */
  function kin() {
    const chosen = model.get("chosen");
    family = data && chosen >= 0 && chosen < data.x.length ? familyOf(data.cause, data.message[chosen]) : null;
    const lit = new Set();
    if (family) {
      for (let mark = 0; mark < data.x.length; mark += 1) {
        if (family.has(data.message[mark])) {
          for (const node of typeOf(mark).nodes) lit.add(node);
          if (data.lanes[data.lane[mark]].node) lit.add(data.lanes[data.lane[mark]].node);
        }
      }
    }
    const known = model.get("highlighted");
    if (known.length !== lit.size || known.some((node) => !lit.has(node))) {
      model.set("highlighted", [...lit]);
      tell(model);
    }
    paint();
  }

  function chain() {
    arrows.replaceChildren();
    const chosen = model.get("chosen");
    if (!family) {
      ring.setAttribute("hidden", "");
      return;
    }
    ring.removeAttribute("hidden");
    ring.setAttribute("cx", px(u(chosen)));
    ring.setAttribute("cy", rowY(chosen));
    const first = new Map(); // message and lane -> its first mark there
    const ended = new Map();
    const recorded = new Map();
    for (let mark = 0; mark < data.x.length; mark += 1) {
      const message = data.message[mark];
      if (!family.has(message) || WAITS.has(kindOf(mark))) continue;
      if (kindOf(mark) === "recorded") recorded.set(message, mark);
      else {
        const key = `${message} ${data.lane[mark]}`;
        if (!first.has(key)) first.set(key, mark);
        ended.set(message, [...(ended.get(message) ?? []), mark]);
      }
    }
    const pairs = [];
    for (const mark of first.values()) {
      const source = recorded.get(data.message[mark]);
      if (source !== undefined && source !== mark) pairs.push([source, mark]);
    }
    for (const [message, mark] of recorded) {
      const before = (ended.get(data.cause[message]) ?? []).filter((one) => data.x[one] <= data.x[mark]);
      const near = before.filter((one) => data.lanes[data.lane[one]].module === data.lanes[data.lane[mark]].module);
      const source = near.at(-1) ?? before.at(-1);
      if (source !== undefined) pairs.push([source, mark]);
    }
    for (const [source, target] of pairs.slice(0, 300)) {
      const [x, y, tx, ty] = [px(u(source)), rowY(source), px(u(target)), rowY(target)];
      const sign = ty >= y ? 1 : -1;
      const middle = (y + ty) / 2;
      arrows.append(shape("path", { class: "m-arrow", d: `M${x} ${y}C${x} ${middle} ${tx} ${middle} ${tx} ${ty - sign * 9}` }),
        shape("path", { class: "m-arrow-head", d: `M${tx} ${ty - sign * 6}l-3 ${-sign * 7}h6Z` }));
    }
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
    // The picture comes first; counting what is where may wait for it.
    clearTimeout(tabling);
    tabling = setTimeout(table, 0);
    paint();
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
    if (!data) return;
    const cursor = (model.get("cursor") ?? 1) * UNIT;
    const count = data.x.length;
    if (lives === null) {
      const known = new Map();
      lives = new Uint32Array(count);
      for (let mark = 0; mark < count; mark += 1) {
        const key = data.message[mark] * data.lanes.length + data.lane[mark];
        let life = known.get(key);
        if (life === undefined) known.set(key, (life = known.size));
        lives[mark] = life;
      }
      lives.total = known.size;
    }
    const state = new Int8Array(lives.total).fill(-1);
    const laneOf = new Uint16Array(lives.total);
    const arrived = new Uint8Array(data.cause.length);
    const outbox = data.lanes.map((lane) => lane.outbox);
    const recorded = data.kinds.indexOf("recorded");
    const duplicate = data.kinds.indexOf("duplicate");
    const duplicates = new Uint32Array(data.lanes.length);
    for (let mark = 0; mark < count; mark += 1) {
      if (data.x[mark] > cursor) continue;
      laneOf[lives[mark]] = data.lane[mark];
      if (data.kind[mark] === duplicate) duplicates[data.lane[mark]] += 1;
      else state[lives[mark]] = data.kind[mark];
      if (!outbox[data.lane[mark]]) arrived[data.message[mark]] = 1;
    }
    const owner = new Uint32Array(lives.total);
    for (let mark = 0; mark < count; mark += 1) owner[lives[mark]] = data.message[mark];
    const heads = ["waiting", "in flight", "being handled", "done", "failed", "dead", "duplicates"];
    const column = { waiting: 0, in_flight: 1, attempt: 2, done: 3, failed: 4, retry: 0, crash: 0, dead: 5 };
    const sums = data.lanes.map(() => [0, 0, 0, 0, 0, 0, 0]);
    state.forEach((kind, life) => {
      if (kind < 0) return;
      const lane = laneOf[life];
      if (outbox[lane] && data.kinds[kind] !== "dead") {
        // What has arrived anywhere has been handed over; what lies there yet waits.
        sums[lane][arrived[owner[life]] ? 3 : 0] += 1;
      } else sums[lane][kind === recorded ? 0 : column[data.kinds[kind]]] += 1;
    });
    duplicates.forEach((many, lane) => { sums[lane][6] = many; });
    const rows = data.lanes.slice(0, MOST_ROWS).map((lane, index) => element("tr", {},
      element("th", { scope: "row" }, `${lane.module} ${lane.label}`),
      ...sums[index].map((sum) => element("td", { class: sum > 0 ? "mes-some" : "" }, String(sum)))));
    const more = data.lanes.length - rows.length;
    if (more > 0) rows.push(element("tr", {}, element("th", { scope: "row" }, `and ${more.toLocaleString("en")} more lanes`)));
    states.replaceChildren(element("table", {},
      element("caption", {}, `Where the messages were at ${reading.textContent}; what an outbox has done, it has handed over`),
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "outbox or inbox"),
        ...heads.map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", {}, ...rows)));
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
    let best = -1;
    for (let mark = search(at - far); mark < data.x.length && data.x[mark] <= at + far; mark += 1) {
      if (data.lane[mark] === lane.index && !WAITS.has(kindOf(mark)) && shownMark(mark)) {
        const nearer = best < 0 || Math.abs(data.x[mark] - at) < Math.abs(data.x[best] - at);
        if (nearer) best = mark;
      }
    }
    return best;
  }

  let dragged = false;
  svg.addEventListener("pointerdown", (event) => {
    dragged = false;
    if (event.button !== 0) return;
    const [x, a, b] = [event.clientX, from, to];
    const moving = new AbortController();
    window.addEventListener("pointermove", (move) => {
      if (Math.abs(move.clientX - x) > 4) dragged = true;
      if (dragged) look(a - ((move.clientX - x) / width) * (b - a), b - ((move.clientX - x) / width) * (b - a));
    }, { signal: moving.signal });
    window.addEventListener("pointerup", () => moving.abort(), { signal: moving.signal });
  }, { signal });
  svg.addEventListener("click", (event) => {
    if (dragged || !data) return;
    const mark = markAt(event);
    if (mark < 0) return;
    if (nodes.has(mark)) rove(mark, false);
    choose(mark);
  }, { signal });
  svg.addEventListener("pointermove", (event) => {
    if (!data) return;
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
    else if (!single) said.textContent = sentence(mark);
  }

  /** The next mark along the lane, or the one nearest in time on the lane above or below. */
  function neighbour(key) {
    const here = Math.max(focused, 0);
    const own = lanes.findIndex((lane) => lane.index === data.lane[here]);
    const step = key === "ArrowLeft" ? -1 : 1;
    const fits = (mark, lane) => data.lane[mark] === lane && !WAITS.has(kindOf(mark)) && shownMark(mark);
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

  function recolour() {
    const style = getComputedStyle(root);
    colours = {};
    for (const name of [...WAITS, ...BAD, "recorded", "done", "dead", "dead-cross", "count", "count-bad", "count-dead", "lane"]) {
      for (const part of ["fill", "stroke"]) {
        const colour = style.getPropertyValue(`--m-${name}-${part}`).trim();
        colours[`${name}-${part}`] = colour === "none" ? "" : colour;
      }
    }
    paint();
  }
  followTheme(root, signal, recolour);
  const resized = new ResizeObserver(() => {
    if (plot.clientWidth > 0 && plot.clientWidth !== width) {
      width = plot.clientWidth;
      paint();
    }
  });
  resized.observe(plot);

  model.on("change:data", take);
  model.on("change:filter", () => { if (data) { arrange(); kin(); } });
  model.on("change:chosen", kin);
  model.on("change:cursor", clockwork);
  model.on("change:playing", playing);
  width = plot.clientWidth || width;
  recolour();
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
