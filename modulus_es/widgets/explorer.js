// The explorer: puts the controls, both views and the inspector together, and links the views.
// Traits: key, parts, controls, inspected, status, alarm. It sends no messages of its own.

const LABELS = { controls: "Controls", graph: "Handler graph", timeline: "Delivery timeline", inspector: "Inspector" };
const OFTEN = 20; // milliseconds between two looks for places
const GONE = "The kernel that this explorer belonged to is gone: run the cell again.";

/** A section of the inspector: pairs, changes (before and after) or plain text. */
function section({ title, kind, rows, text }) {
  const made = element("section", {}, element("h4", {}, title));
  if (kind === "text") made.append(element("pre", { tabindex: 0, "aria-label": title }, text));
  else if (kind === "pairs") {
    const list = element("dl", {});
    for (const [name, value] of rows) list.append(element("dt", {}, name), element("dd", {}, value));
    made.append(list);
  } else {
    const head = element("tr", {}, ...["field", "before", "after"].map((name) => element("th", { scope: "col" }, name)));
    const body = rows.map(([field, before, after, changed]) => element("tr", { class: changed ? "mes-changed" : "" },
      element("th", { scope: "row" }, changed ? `${field} (changed)` : field), element("td", {}, before),
      element("td", {}, changed ? element("mark", {}, after) : after)));
    made.append(element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
  }
  return made;
}

/** Build the explorer inside an element; answers how to take it away. */
function mount(model, place, listen) {
  const stop = new AbortController();
  const areas = Object.fromEntries(Object.entries(LABELS).map(([name, label]) =>
    [name, element("div", { class: `mes-area mes-${name}-area`, role: "group", "aria-label": label })]));
  const status = element("div", { class: "mes-status", role: "status" });
  const root = element("div", { class: "modulus-es mes-explorer mathjax_ignore tex2jax_ignore" }, areas.controls, status,
    areas.graph, areas.timeline, areas.inspector);
  followTheme(root, stop.signal);
  place.append(root);
  const views = [];
  const add = async (id, area) => {
    const child = await model.widget_manager.get_model(id);
    const view = await model.widget_manager.create_view(child);
    if (stop.signal.aborted) {
      view.remove();
      return;
    }
    views.push(view);
    area.append(view.el);
    view.trigger("displayed");
  };
  const fail = (error) => { status.textContent = `The explorer cannot be shown: ${error.message}`; };
  const { graph, timeline } = model.get("parts");
  const shown = Promise.all([add(graph, areas.graph), add(timeline, areas.timeline)]);
  let furnished = false;
  const furnish = async () => {
    await shown;
    const groups = model.get("controls");
    if (!groups || furnished) return;
    furnished = true;
    for (const { label, models } of groups) {
      const group = element("div", { class: "mes-group", role: "group", "aria-label": label },
        element("span", { class: "mes-group-name", "aria-hidden": "true" }, label));
      areas.controls.append(group);
      for (const id of models) await add(id, group);
    }
    root.dataset.ready = "true";
  };
  const equip = () => { furnish().catch(fail); }; // they come after the views

  const report = () => {
    status.textContent = model.get("status");
    root.classList.toggle("mes-alarm", model.get("alarm"));
  };
  const inspect = () => {
    const { title, sections } = model.get("inspected");
    areas.inspector.replaceChildren(element("h3", {}, title),
      element("div", { class: "mes-sections" }, ...sections.map(section)));
  };
  const gone = (live) => {
    root.classList.toggle("mes-gone", !live);
    areas.controls.inert = !live;
    if (live) report();
    else status.textContent = GONE;
  };
  const off = listen({ "change:status": report, "change:alarm": report, "change:inspected": inspect,
    "change:controls": equip, gone });
  equip();
  report();
  inspect();
  return {
    root,
    leave() {
      off();
      stop.abort();
      for (const view of views) view.remove();
      root.remove();
    },
  };
}

/**
 * anywidget gives a model two seconds to begin in; where a page is slower, it drops all that the
 * kernel ever says to it. Such a model is told what it missed, and hears again.
 */
async function hearing(model) {
  try {
    await model._handle_comm_msg({ content: { data: { method: "custom", content: {} } }, buffers: [] });
  } catch {
    const base = Object.getPrototypeOf(Object.getPrototypeOf(model));
    model.comm.on_msg((message) => base._handle_comm_msg.call(model, message));
    model.comm.send({ method: "request_state" }, {});
  }
  return model;
}

/** Let several places listen to one model, each of which may go away. */
function hub(model) {
  const places = new Set();
  const call = (name, value) => { for (const listeners of [...places]) listeners[name]?.(value); };
  for (const name of ["change:status", "change:alarm", "change:inspected", "change:controls"]) model.on(name, () => call(name));
  return {
    call,
    listen(listeners) {
      places.add(listeners);
      return () => places.delete(listeners);
    },
  };
}

/**
 * The output of a cell is a static picture, which every reader sees. Where the kernel is alive,
 * the explorer takes its place; so what is saved is never a view whose model cannot be found.
 */
function initialize({ model }) {
  const { call, listen } = hub(model);
  const mounted = new Map();
  const context = {};
  let timer = 0;
  let looked = -Infinity;
  let closed = false;
  const leave = (place) => {
    mounted.get(place).leave();
    mounted.delete(place);
    if (place.firstElementChild) place.firstElementChild.hidden = false;
  };
  const look = () => {
    // A timer that nobody remembers would look again when the explorer has been closed.
    clearTimeout(timer);
    timer = 0;
    looked = performance.now();
    const lost = [...mounted.keys()].filter((place) => !place.isConnected);
    for (const place of document.querySelectorAll(`[data-modulus-es="${CSS.escape(model.get("key"))}"]`)) {
      if (mounted.has(place)) continue;
      if (place.firstElementChild) place.firstElementChild.hidden = true;
      const before = lost.pop();
      if (before) {
        // The pictures have come, in a new place: what is alive moves there as it is.
        place.append(mounted.get(before).root);
        mounted.set(place, mounted.get(before));
        mounted.delete(before);
      } else mounted.set(place, mount(model, place, listen));
    }
    for (const place of lost) leave(place);
  };
  // The first place is taken at once; a page that changes all the time is looked at now and then.
  const observer = new MutationObserver(() => {
    if (performance.now() - looked > OFTEN) look();
    else timer ||= setTimeout(look, OFTEN);
  });
  if (model.get("key")) {
    observer.observe(document.body, { childList: true, subtree: true });
    look();
  }

  // The views are linked here, in the page: a highlight waits for no kernel.
  const linked = [];
  const link = async () => {
    const { graph, timeline, explorer } = model.get("parts");
    const [one, other, own] = await Promise.all([graph, timeline, explorer].map((id) => model.widget_manager.get_model(id)));
    if (closed) return;
    for (const each of [one, other, own]) hearing(each);
    const copy = (from, to, name) => from.on(`change:${name}`, () => {
      to.set(name, from.get(name));
      tell(to);
    }, context);
    copy(one, other, "filter");
    copy(other, one, "highlighted");
    one.on("comm_live_update", () => call("gone", one.comm_live), context);
    linked.push(one, other);
  };
  const end = () => {
    closed = true;
    observer.disconnect();
    clearTimeout(timer);
    for (const view of linked) view.off(null, null, context);
    for (const place of [...mounted.keys()]) leave(place);
  };
  link().catch((error) => {
    // It was closed before the page knew of it: the picture stays.
    console.warn("modulus_es: the explorer is gone", error);
    end();
  });
  return end;
}

function render({ model, el }) {
  const { listen } = hub(model);
  return mount(model, el, listen).leave;
}

export default { initialize, render };
