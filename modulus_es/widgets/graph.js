// The handler graph: choosing, hovering, moving and zooming, all without the kernel.
// Traits: data, selected, filter, highlighted. Message: {kind: "choose", node}.

const TALLEST = 460; // pixels, as the style sheet says
const READABLE = 0.75; // of what is larger, a part is shown first
const NEARLY = 0.9; // what is hardly larger is shown as a whole all the same
const THROUGH = new Set(["aggregate", "domain_event", "projector"]);
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function render({ model, el }) {
  const stop = new AbortController();
  const { signal } = stop;
  const root = element("div", { class: "modulus-es mes-graph" });
  const heading = element("span", { class: "mes-heading" });
  const scroll = element("div", { class: "mes-scroll" });
  const svg = shape("svg", { role: "group", focusable: "false" });
  let scale = 1;
  let fitted = true; // until the reader zooms, the graph keeps to the room that there is
  let nodes = [];
  let edges = [];
  let held = new Map();
  let current = 0;
  const zoom = (factor) => {
    fitted = false;
    scale = Math.min(4, Math.max(0.1, scale * factor));
    size();
  };
  const fit = (least = 0.1) => {
    const { width, height } = model.get("data");
    if (!width || !scroll.clientWidth) return;
    const whole = Math.min(1, (scroll.clientWidth - 4) / width, (TALLEST - 4) / height);
    scale = whole < NEARLY * least ? least : whole;
    size();
  };
  const bar = element("div", { class: "mes-bar" }, heading,
    button("+", "Enlarge the graph", () => zoom(1.25), signal),
    button("\u2212", "Shrink the graph", () => zoom(0.8), signal),
    button("Fit", "Show the whole graph", () => fit(), signal),
    button("Clear", "Choose no node", () => choose(null), signal));
  scroll.append(svg);
  root.append(bar, scroll);
  el.append(root);
  followTheme(root, signal);
  const hint = tip(root, signal);

  function size() {
    const { width, height } = model.get("data");
    if (!width) return;
    svg.setAttribute("width", Math.round(width * scale));
    svg.setAttribute("height", Math.round(height * scale));
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  }

  function draw() {
    const data = model.get("data");
    if (!data.nodes) return;
    const begun = performance.now();
    const focused = root.contains(document.activeElement) ? nodes[current]?.id : null;
    heading.textContent = data.title;
    svg.setAttribute("aria-label", data.alt);
    const all = document.createDocumentFragment();
    for (const part of data.under) all.append(drawn(part));
    edges = data.edges.map((edge) => {
      const made = shape("g", { class: "mes-edge", "aria-hidden": "true" }, ...edge.parts.map(drawn));
      all.append(made);
      return { ...edge, made };
    });
    for (const part of data.over) all.append(drawn(part));
    nodes = data.nodes.map((node, index) => {
      const made = shape("g", {
        class: "mes-node", role: "button", tabindex: -1, "aria-label": node.title,
        "aria-pressed": "false", "data-index": index, "data-node": node.id,
      }, shape("rect", {
        class: "mes-focus", x: node.x - 4, y: node.y - 4, width: node.width + 8, height: node.height + 8, rx: 6,
      }), ...node.parts.map(drawn));
      all.append(made);
      return { ...node, made };
    });
    held = new Map(nodes.map((node, index) => [node.id, index]));
    current = held.get(focused ?? model.get("selected")) ?? 0;
    svg.replaceChildren(all);
    nodes[current]?.made.setAttribute("tabindex", "0");
    if (fitted) fit(READABLE);
    size();
    mark();
    if (focused !== null) nodes[current]?.made.focus({ preventScroll: true });
    requestAnimationFrame(() => { root.dataset.took = Math.round(performance.now() - begun); });
  }

  /** What the chosen node, and the chain of the chosen delivery, look like. */
  function mark() {
    const selected = model.get("selected");
    const lit = new Set(model.get("highlighted").filter((id) => held.has(id)));
    if (lit.size > 0) between(lit);
    root.classList.toggle("mes-lit", lit.size > 0);
    for (const node of nodes) {
      node.made.setAttribute("aria-pressed", String(node.id === selected));
      node.made.classList.toggle("mes-on", lit.has(node.id));
    }
    for (const edge of edges) edge.made.classList.toggle("mes-on", lit.has(edge.source) && lit.has(edge.target));
  }

  /** Add what lies between two lit nodes: aggregates, domain events and projectors. */
  function between(lit) {
    const reach = (from, to) => {
      const found = new Set();
      const queue = [...lit];
      const beside = new Map();
      for (const edge of edges) beside.set(edge[from], [...(beside.get(edge[from]) ?? []), edge[to]]);
      while (queue.length > 0) {
        for (const id of beside.get(queue.pop()) ?? []) {
          if (!found.has(id) && !lit.has(id) && THROUGH.has(nodes[held.get(id)].kind)) {
            found.add(id);
            queue.push(id);
          }
        }
      }
      return found;
    };
    const after = reach("source", "target");
    for (const id of reach("target", "source")) if (after.has(id)) lit.add(id);
  }

  function choose(node) {
    const again = node === null || model.get("selected") === node.id;
    model.set("selected", again ? "" : node.id);
    model.set("filter", again ? {} : { ...node.filter, label: node.label });
    tell(model);
    // A trait may skip states when clicks are fast; a message is never skipped.
    if (node !== null) tell(model, { kind: "choose", node: node.id });
  }

  function go(index) {
    nodes[current]?.made.setAttribute("tabindex", "-1");
    current = index;
    nodes[current].made.setAttribute("tabindex", "0");
    nodes[current].made.focus();
  }

  function nearest([dx, dy]) {
    const here = nodes[current];
    let best = current;
    let least = Infinity;
    nodes.forEach((node, index) => {
      const x = node.x + node.width / 2 - here.x - here.width / 2;
      const y = node.y + node.height / 2 - here.y - here.height / 2;
      const along = x * dx + y * dy;
      const across = Math.abs(x * dy) + Math.abs(y * dx);
      if (index !== current && along > 0 && along + 2 * across < least) {
        least = along + 2 * across;
        best = index;
      }
    });
    return best;
  }

  const nodeAt = (event) => nodes[event.target.closest?.(".mes-node")?.dataset.index];
  let dragged = false;
  svg.addEventListener("click", (event) => {
    const node = nodeAt(event);
    if (!node || dragged) return;
    nodes[current]?.made.setAttribute("tabindex", "-1");
    current = held.get(node.id);
    node.made.setAttribute("tabindex", "0");
    choose(node);
  }, { signal });
  svg.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || nodes.length === 0) return;
    if (event.key in STEPS) go(nearest(STEPS[event.key]));
    else if (event.key === "Home") go(0);
    else if (event.key === "End") go(nodes.length - 1);
    else if (event.key === "Enter" || event.key === " ") choose(nodes[current]);
    else if (event.key === "Escape") choose(null);
    else return;
    // JupyterLab must not take these for its own.
    event.preventDefault();
    event.stopPropagation();
  }, { signal });
  svg.addEventListener("pointermove", (event) => {
    const node = nodeAt(event);
    if (node) hint.show(node.title, event);
    else hint.hide();
  }, { signal });
  const near = (event, on) => {
    const node = nodeAt(event);
    if (!node) return;
    for (const edge of edges) {
      if (edge.source === node.id || edge.target === node.id) edge.made.classList.toggle("mes-near", on);
    }
  };
  svg.addEventListener("pointerover", (event) => near(event, true), { signal });
  svg.addEventListener("pointerout", (event) => near(event, false), { signal });
  svg.addEventListener("pointerdown", (event) => {
    dragged = false;
    if (event.button !== 0) return;
    const from = { x: event.clientX, y: event.clientY, left: scroll.scrollLeft, top: scroll.scrollTop };
    const moving = new AbortController();
    const move = (to) => {
      if (Math.hypot(to.clientX - from.x, to.clientY - from.y) > 4) dragged = true;
      if (!dragged) return;
      scroll.scrollLeft = from.left - (to.clientX - from.x);
      scroll.scrollTop = from.top - (to.clientY - from.y);
    };
    window.addEventListener("pointermove", move, { signal: moving.signal });
    window.addEventListener("pointerup", () => moving.abort(), { signal: moving.signal });
  }, { signal });
  scroll.addEventListener("wheel", (event) => {
    // The wheel alone scrolls the notebook.
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.1 : 1 / 1.1);
  }, { signal, passive: false });

  const resized = new ResizeObserver(() => { if (fitted) fit(READABLE); });
  resized.observe(scroll);
  model.on("change:data", draw);
  model.on("change:selected", mark);
  model.on("change:highlighted", mark);
  draw();
  return () => {
    stop.abort();
    resized.disconnect();
    root.remove();
  };
}

export default { render };
