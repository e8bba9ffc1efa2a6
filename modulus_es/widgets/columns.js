// What the timeline's columns say: typed arrays, the axis, and who caused whom. No page is needed.

const UNIT = 1e9; // how finely Python counts along the axis
const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i4: Int32Array, f8: Float64Array };
const WAITS = new Set(["waiting", "in_flight", "attempt"]);
const BAD = new Set(["failed", "retry", "duplicate", "crash"]);

/** The columns as typed arrays; their bytes may begin anywhere, and typed arrays may not. */
function unpack(raw) {
  const data = { ...raw };
  for (const [name, type] of Object.entries(raw.columns)) {
    const { buffer, byteOffset, byteLength } = raw[name];
    data[name] = new ARRAYS[type](buffer.slice(byteOffset, byteOffset + byteLength));
  }
  if (data.partial) {
    // At first glance each mark is a message of its own, of which nothing else is known.
    const many = data.x.length;
    data.end = data.x;
    data.message = Uint32Array.from(data.x, (_, mark) => mark);
    data.cause = new Int32Array(many).fill(-1);
    data.row = data.attempt = new Uint8Array(many);
  }
  data.lasts = Uint8Array.from(data.kinds, (kind) => (WAITS.has(kind) ? 1 : 0));
  return data;
}

/** The first of ascending numbers that is not below one. */
function search(numbers, wanted) {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
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

/** Of each message, whether it is this one, is behind it, or follows from it. */
function familyOf(cause, message) {
  const found = new Uint8Array(cause.length);
  for (let at = message; at >= 0 && !found[at]; at = cause[at]) found[at] = 1;
  const child = new Int32Array(cause.length).fill(-1);
  const sibling = new Int32Array(cause.length).fill(-1);
  for (let at = 0; at < cause.length; at += 1) {
    if (cause[at] < 0) continue;
    sibling[at] = child[cause[at]];
    child[cause[at]] = at;
  }
  const queue = [message];
  while (queue.length > 0) {
    for (let at = child[queue.pop()]; at >= 0; at = sibling[at]) {
      if (!found[at]) {
        found[at] = 1;
        queue.push(at);
      }
    }
  }
  return found;
}

/** The life of each mark, which is one message in one lane, and how many lives there are. */
function livesOf({ message, lane, cause }) {
  const of = new Uint32Array(message.length);
  const first = new Int32Array(cause.length).fill(-1); // of each message
  const next = []; // of each life, the message's next one
  const lanes = [];
  const messages = [];
  for (let mark = 0; mark < of.length; mark += 1) {
    let life = first[message[mark]];
    while (life >= 0 && lanes[life] !== lane[mark]) life = next[life];
    if (life < 0) {
      life = lanes.length;
      next.push(first[message[mark]]);
      lanes.push(lane[mark]);
      messages.push(message[mark]);
      first[message[mark]] = life;
    }
    of[mark] = life;
  }
  return { of, lanes, messages };
}

/** Pairs of marks of which one led to the other, of the messages of a family. */
function pairsOf({ x, lane, lanes, kind, kinds, lasts, message, cause }, marks) {
  const recording = kinds.indexOf("recorded");
  const first = new Map(); // message and lane -> its first mark there
  const ended = new Map();
  const recorded = new Map();
  for (const mark of marks) {
    if (lasts[kind[mark]]) continue;
    const own = message[mark];
    if (kind[mark] === recording) recorded.set(own, mark);
    else {
      const key = own * lanes.length + lane[mark];
      if (!first.has(key)) first.set(key, mark);
      if (!ended.has(own)) ended.set(own, []);
      ended.get(own).push(mark);
    }
  }
  const pairs = [];
  for (const mark of first.values()) {
    const source = recorded.get(message[mark]);
    if (source !== undefined && source !== mark) pairs.push([source, mark]);
  }
  for (const [own, mark] of recorded) {
    const before = (ended.get(cause[own]) ?? []).filter((one) => x[one] <= x[mark]);
    const near = before.filter((one) => lanes[lane[one]].module === lanes[lane[mark]].module);
    const source = near.at(-1) ?? before.at(-1);
    if (source !== undefined) pairs.push([source, mark]);
  }
  return pairs;
}
