// Elements without fuss. Text from outside only ever becomes text.

/** The element with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A new element, with attributes and children. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** One of the shapes that the page defines, each the sign of a state. */
export function glyph(name) {
  const SVG = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "glyph");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "use"));
  setGlyph(svg, name);
  return svg;
}

/** Makes it another shape. */
export function setGlyph(svg, name) {
  const use = svg.querySelector("use");
  if (use.getAttribute("href") !== `#${name}`) use.setAttribute("href", `#${name}`);
}

/** Sets a text, if it is another one. */
export function text(element, value) {
  const wanted = String(value);
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** Sets or, with null, removes an attribute. */
export function attribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Replaces the children only if what they show, as `key` says it, is another. */
export function render(parent, key, build) {
  if (parent.dataset.shown === key) return;
  parent.dataset.shown = key;
  parent.replaceChildren(...build());
}

/** A bar that is filled to a share, with its text beside it. */
export class Bar {
  constructor(label) {
    this.fill = make("span", { class: "bar-fill" });
    this.track = make("span", { class: "bar", role: "img", "aria-label": label }, this.fill);
    this.label = label;
  }

  set(share, words) {
    const known = Number.isFinite(share);
    this.fill.style.width = `${known ? Math.min(1, Math.max(share > 0 ? 0.01 : 0, share)) * 100 : 0}%`;
    attribute(this.track, "data-tone", known && share >= 0.9 ? "bad" : known && share >= 0.75 ? "busy" : "good");
    attribute(this.track, "aria-label", `${this.label}: ${words}`);
  }
}
