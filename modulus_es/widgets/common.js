// What every view needs. Python puts this in front of each view's own module: text only ever
// reaches the page as text, colours follow the page's theme, nothing is fetched.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element; strings among the children become text nodes, never markup. */
function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
function shape(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, String(value));
  }
  made.append(...children);
  return made;
}

/** A button that says what it does; `act` is called when it is pressed. */
function button(text, label, act, signal) {
  const made = element("button", { type: "button", class: "mes-button", "aria-label": label, title: label }, text);
  made.addEventListener("click", act, { signal });
  return made;
}

/** Light or dark as JupyterLab says, else as the reader's system does. */
function followTheme(root, signal, changed = () => {}) {
  const media = matchMedia("(prefers-color-scheme: dark)");
  const update = () => {
    const lab = document.body.dataset.jpThemeLight;
    const dark = lab === undefined ? media.matches : lab === "false";
    root.dataset.theme = dark ? "dark" : "light";
    changed();
  };
  const observer = new MutationObserver(update);
  observer.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  media.addEventListener("change", update, { signal });
  signal.addEventListener("abort", () => observer.disconnect());
  update();
}

/** Shapes and labels as a scene holds them: [style, path, width] or [style, x, y, text, anchor, fit]. */
function drawn(part) {
  if (typeof part[1] === "string") {
    const [style, d, width] = part;
    const made = shape("path", { class: `m-${style}`, d });
    if (width) made.style.strokeWidth = `${width}px`;
    return made;
  }
  const [style, x, y, text, anchor, fit] = part;
  return shape("text", {
    class: `m-${style}`, x, y, "text-anchor": anchor === "start" ? null : anchor,
    textLength: fit, lengthAdjust: fit ? "spacingAndGlyphs" : null,
  }, text);
}

const ruler = document.createElement("canvas").getContext("2d");

/**
 * As much of a text as there is room for, in pixels, and how many characters more it has. Its end
 * stays too, by which long names differ, unless that is among the `cut` ones that are missing
 * already, as the text's end tells then.
 */
function shortened(text, cut, room, font) {
  ruler.font = font;
  const fits = (one) => ruler.measureText(one).width <= room;
  if (fits(text)) return text;
  const whole = [...(cut ? text.slice(0, text.lastIndexOf("\u2026")) : text)];
  const said = (many) => {
    const tail = cut ? 0 : Math.floor(many / 3);
    const missing = `\u2026 +${whole.length - many + cut}`;
    const head = whole.slice(0, many - tail).join("");
    return tail ? `${head}${missing} \u2026${whole.slice(-tail).join("")}` : `${head}${missing}`;
  };
  let [low, high] = [0, whole.length];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (fits(said(middle))) low = middle;
    else high = middle - 1;
  }
  return said(low);
}

/** A box beside the pointer, whose text is never read as markup. */
function tip(root, signal) {
  const box = element("div", { class: "mes-tip", "aria-hidden": "true", hidden: "" });
  root.append(box);
  const hide = () => { box.hidden = true; };
  root.addEventListener("pointerleave", hide, { signal });
  return {
    hide,
    show(text, event) {
      const around = root.getBoundingClientRect();
      box.textContent = text;
      box.hidden = false;
      const x = Math.min(event.clientX - around.left + 14, around.width - box.offsetWidth - 8);
      box.style.left = `${Math.max(4, x)}px`;
      box.style.top = `${event.clientY - around.top + 16}px`;
    },
  };
}

/** Let the kernel know; one that is gone is not told, and the view goes on without it. */
function tell(model, message = null) {
  try {
    if (message === null) model.save_changes();
    else Promise.resolve(model.send(message)).catch(() => {});
  } catch (error) {
    if (!/Cannot send/.test(error.message)) throw error;
  }
}
