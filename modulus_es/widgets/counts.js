// Marks that are too many to be elements of the page: bars of how many there were on a canvas, and
// their signs where few enough are in sight. Everything here is done again in every frame.

const NARROWEST = 3; // pixels of a bar and the gap beside it; the broadest has twice as many
const SINGLE = 2000; // so many marks are drawn one by one
const SIGN = 11; // half the size of the largest sign, and of its line
const DASHES = { waiting: [2, 2.5], in_flight: [9, 3], attempt: [] };
const STYLES = ["count", "count-bad", "count-dead"];

/** The shown marks that are moments, with how bad they are, and those that last, in order of time. */
function sorted(data, shown) {
  const { x, lane, kind, kinds, lasts } = data;
  const bad = Uint8Array.from(kinds, (name) => (name === "dead" ? 2 : BAD.has(name) ? 1 : 0));
  let many = 0;
  let lasting = 0;
  for (let mark = 0; mark < x.length; mark += 1) {
    if (shown && !shown[mark]) continue;
    if (lasts[kind[mark]]) lasting += 1;
    else many += 1;
  }
  const moments = {
    x: new Uint32Array(many), lane: new Uint16Array(many), level: new Uint8Array(many), mark: new Uint32Array(many),
  };
  const spans = new Uint32Array(lasting);
  many = 0;
  lasting = 0;
  for (let mark = 0; mark < x.length; mark += 1) {
    if (shown && !shown[mark]) continue;
    if (lasts[kind[mark]]) {
      spans[lasting] = mark;
      lasting += 1;
    } else {
      moments.x[many] = x[mark];
      moments.lane[many] = lane[mark];
      moments.level[many] = bad[kind[mark]];
      moments.mark[many] = mark;
      many += 1;
    }
  }
  return { moments, spans };
}

/**
 * How many moments of each lane are in each bin of what is looked at. A bin is a power of two of the
 * axis, so that bars move with it instead of flickering; what was counted serves until the view leaves it.
 */
function counter(moments, lanes) {
  let held = { shift: -1, first: 0, last: -1 };
  return (from, to, width) => {
    const narrow = ((to - from) * UNIT * NARROWEST) / width;
    const shift = Math.min(30, Math.max(0, Math.ceil(Math.log2(narrow))));
    const size = 2 ** shift;
    const first = Math.floor((from * UNIT) / size);
    const last = Math.floor((to * UNIT) / size);
    if (shift !== held.shift || first < held.first || last > held.last) {
      const beside = last - first + 1;
      const end = Math.floor(UNIT / size);
      held = counted(moments, lanes, shift, Math.max(0, first - beside), Math.min(end, last + beside));
    }
    return held;
  };
}

function counted({ x, lane, level }, lanes, shift, first, last) {
  const bins = last - first + 1;
  const sums = new Uint32Array(lanes * bins * 3);
  const end = search(x, (last + 1) * 2 ** shift);
  for (let at = search(x, first * 2 ** shift); at < end; at += 1) {
    sums[(lane[at] * bins + (x[at] >>> shift) - first) * 3 + level[at]] += 1;
  }
  const most = new Uint32Array(lanes);
  for (let bin = 0; bin < lanes * bins; bin += 1) {
    const sum = sums[3 * bin] + sums[3 * bin + 1] + sums[3 * bin + 2];
    const row = Math.floor(bin / bins);
    if (sum > most[row]) most[row] = sum;
  }
  return { shift, first, last, bins, sums, most };
}

/** What lasts in these lanes and is in sight, wherever it began. */
function reaching({ x, end, lane }, spans, lanes, first, last) {
  const found = [];
  for (let at = 0; at < spans.length && x[spans[at]] <= last; at += 1) {
    const mark = spans[at];
    if (end[mark] >= first && lanes[lane[mark]]) found.push(mark);
  }
  return found;
}

/** Draws marks on a canvas; `theme` is told what colours there are, `data` what there is to draw. */
function painter(canvas) {
  const pen = canvas.getContext("2d");
  let colours = {};
  let signs = new Map();
  let paths = {};
  let ratio = 0;

  /** A kind's sign as a picture of its own: to copy one is quicker than to draw it again. */
  function sign(kind) {
    if (signs.has(kind)) return signs.get(kind);
    const made = element("canvas", { width: Math.ceil(2 * SIGN * ratio), height: Math.ceil(2 * SIGN * ratio) });
    const own = made.getContext("2d");
    own.scale(ratio, ratio);
    own.translate(SIGN, SIGN);
    own.lineWidth = 1.6;
    for (const [style, path] of paths[kind]) {
      const [fill, stroke] = [colours[`${style}-fill`], colours[`${style}-stroke`]];
      own.fillStyle = fill;
      own.strokeStyle = stroke;
      if (fill) own.fill(path);
      if (stroke) own.stroke(path);
    }
    signs.set(kind, made);
    return made;
  }

  function bars({ rows, from, to, width, top, until, faded }, { shift, first, bins, sums, most }) {
    const wide = (2 ** shift * width) / ((to - from) * UNIT);
    const offset = first * wide - from * (width / (to - from));
    const begin = Math.max(0, Math.floor(-offset / wide));
    const end = Math.min(bins, Math.ceil((width - offset) / wide));
    pen.globalAlpha = faded ? 0.35 : 1;
    for (const level of [2, 1, 0]) {
      pen.fillStyle = colours[`${STYLES[level]}-fill`];
      for (const row of rows) {
        const scale = (row.height - 8) / Math.max(most[row.index], 1);
        const ground = row.y + row.height - 2 - top;
        for (let bin = begin; bin < end; bin += 1) {
          const at = (row.index * bins + bin) * 3;
          const held = sums[at + level];
          if (held === 0) continue;
          const x = Math.round(offset + bin * wide);
          if (x >= until) break;
          let under = 0;
          for (let worse = level + 1; worse < 3; worse += 1) {
            if (sums[at + worse] > 0) under += Math.max(2, Math.round(sums[at + worse] * scale));
          }
          const tall = Math.max(2, Math.round(held * scale));
          const right = Math.min(Math.round(offset + (bin + 1) * wide) - 1, until);
          pen.fillRect(x, ground - under - tall, right - x, tall);
        }
      }
    }
    pen.globalAlpha = 1;
  }

  /** What lasts: one path for all of a kind. */
  function lines(marks, { data, px, rowY, dim, top, width }) {
    for (const kind of Object.keys(DASHES)) {
      const number = data.kinds.indexOf(kind);
      for (const later of [true, false]) {
        pen.globalAlpha = later ? 0.25 : 1;
        pen.beginPath();
        for (const mark of marks) {
          if (data.kind[mark] !== number || dim(mark) !== later) continue;
          const x = Math.max(px(data.x[mark] / UNIT), -20);
          const end = Math.max(Math.min(px(data.end[mark] / UNIT), width + 20), x + 1.5);
          const y = rowY(mark) - top;
          if (kind === "attempt") pen.rect(x, y - 4, end - x, 8);
          else {
            pen.moveTo(x, y);
            pen.lineTo(end, y);
          }
        }
        pen.setLineDash(DASHES[kind]);
        pen.lineWidth = 1.6;
        pen.fillStyle = colours[`${kind}-fill`];
        pen.strokeStyle = colours[`${kind}-stroke`];
        if (kind === "attempt") pen.fill();
        else pen.stroke();
      }
    }
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  }

  function stamps(marks, { data, px, rowY, dim, top }) {
    for (const mark of marks) {
      pen.globalAlpha = dim(mark) ? 0.25 : 1;
      const x = px(data.x[mark] / UNIT) - SIGN;
      pen.drawImage(sign(data.kinds[data.kind[mark]]), x, rowY(mark) - top - SIGN, 2 * SIGN, 2 * SIGN);
    }
    pen.globalAlpha = 1;
  }

  function grid({ ticks, top, width, height, ground }) {
    pen.fillStyle = colours["grid-stroke"];
    for (const [x] of ticks) pen.fillRect(Math.round(x), Math.max(ground - 6 - top, 0), 1, height);
    pen.fillStyle = colours["caption-fill"];
    pen.font = '10px Helvetica, Arial, "Liberation Sans", "DejaVu Sans", sans-serif';
    for (const [x, text] of ticks) {
      pen.textAlign = x < 30 ? "start" : "center";
      pen.fillText(text, x, ground - 9 - top);
    }
  }

  return {
    theme(found) {
      colours = found;
      signs = new Map();
    },
    data(glyphs) {
      paths = Object.fromEntries(Object.entries(glyphs).map(([kind, parts]) =>
        [kind, parts.map(([style, d]) => [style, new Path2D(d)])]));
      signs = new Map();
    },
    /** Draw a frame; `view` says what is looked at, `chosen` which marks are drawn over the bars. */
    draw(view, { moments, spans, count }, chosen) {
      const { data, from, to, width, height, top, rows } = view;
      if (ratio !== (devicePixelRatio || 1)) signs = new Map();
      ratio = devicePixelRatio || 1;
      const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
      if (canvas.width !== across || canvas.height !== down) {
        [canvas.width, canvas.height] = [across, down];
        canvas.style.width = `${width}px`;
        canvas.style.height = `${height}px`;
      }
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.clearRect(0, 0, width, height);
      pen.fillStyle = colours["lane-fill"];
      for (const row of rows) pen.fillRect(0, row.y - top, width, row.height);
      grid(view);
      const room = ((to - from) * SIGN) / width;
      const first = search(moments.x, (from - room) * UNIT);
      const last = search(moments.x, (to + room) * UNIT + 1);
      if (last - first > SINGLE) {
        bars(view, count(from, to, width));
        stamps(chosen, view);
        return;
      }
      const seen = new Uint8Array(data.lanes.length);
      for (const row of rows) seen[row.index] = 1;
      lines(reaching(data, spans, seen, from * UNIT, to * UNIT), view);
      stamps(moments.mark.subarray(first, last).filter((mark) => seen[data.lane[mark]]), view);
    },
  };
}
