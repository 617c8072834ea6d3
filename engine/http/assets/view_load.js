// Rate and latency: the tiles, the three charts, and the table of stages from which one is chosen.

import { Chart, nearest } from "./charts.js";
import { attribute, byId, make, render, text } from "./dom.js";
import { count, countMark, latency, latencyMark, NONE, rate } from "./format.js";
import { curve, percentile, percentileMark, total } from "./histogram.js";
import { KEPT_MS } from "./model.js";
import { linear, logarithmic, time } from "./scale.js";

/** The stage that is the whole way. */
const WHOLE = "accepted_to_published";

/** What numbers beside the charts are of. */
const RECENT_MS = 10_000;

/** Seconds between points from which on a line is broken. */
const GAP_MS = 3500;

const PERCENTILES = [
  { percent: 99.9, name: "p99.9", colour: "--line-3", width: 1.25, dash: [2, 2] },
  { percent: 99, name: "p99", colour: "--line-2", width: 1.25, dash: [6, 3] },
  { percent: 50, name: "p50", colour: "--line-1", width: 2 },
];

const RATES = [
  { counter: "rejected", name: "rejected", colour: "--line-3", width: 1.25, dash: [2, 2] },
  { counter: "duplicates", name: "duplicates", colour: "--line-2", width: 1.25, dash: [6, 3] },
  { counter: "events", name: "events", colour: "--line-1", width: 2, fill: "--line-1-fill" },
];

const WINDOWS = [
  { within_ms: KEPT_MS, name: "5 min", colour: "--line-3", width: 1.25, dash: [6, 3] },
  { within_ms: RECENT_MS, name: "10 s", colour: "--line-1", width: 2 },
];

const agoMark = (seconds) => (seconds === 0 ? "now" : seconds % 60 === 0 ? `−${seconds / 60} min` : `−${seconds} s`);
const titleOf = (stage) => (stage === WHOLE ? "Whole way" : stage.charAt(0).toUpperCase() + stage.slice(1).replaceAll("_", " "));
const measureOf = (stage) => (stage === WHOLE ? "accepted to published" : `the stage “${stage.replaceAll("_", " ")}”`);

/** All of it. */
export class Load {
  constructor() {
    this.stage = WHOLE;
    this.charts = Object.fromEntries(["rate", "latency", "curve"].map((name) => [name, new Chart(byId(`${name}-chart`))]));
    this.legends = { rate: legend("rate", RATES), latency: legend("latency", PERCENTILES), curve: legend("curve", WINDOWS) };
    this.rows = [];
    this.shown = null;
    for (const chart of Object.values(this.charts)) chart.onPoint = () => this.shown && this.update(...this.shown);
  }

  /** `flags` are what happened, as { at, tone }. */
  update(cluster, model, view) {
    this.shown = [cluster, model, view];
    const { chosen, flags } = view;
    const recent = model.histogram(chosen, WHOLE, RECENT_MS);
    this.#tiles(model, view, recent);
    const to = model.at_ms;
    const axis = time(model.ticks[0].at_ms, to);
    const inTime = { x: axis, xMark: (mark) => agoMark((to - mark) / 1000), flags: flags.filter(({ at }) => at >= axis.min) };
    this.#rate(model, chosen, inTime);
    this.#latency(model, chosen, inTime);
    this.#curve(model, chosen);
    this.#stages(cluster, model, view);
  }

  #tiles(model, { chosen, source, sourceName }, recent) {
    const known = total(recent) > 0;
    text(byId("tile-rate"), rate(model.rate(chosen, "events", 5000)));
    text(byId("note-rate"), sourceName);
    for (const [id, percent] of [["p50", 50], ["p99", 99], ["p999", 99.9]]) {
      text(byId(`tile-${id}`), known ? latency(percentile(recent, percent)) : NONE);
    }
    text(byId("note-p999"), known ? `${count(total(recent))} events` : "no events");
    const slots = model.cluster.replicas.find((replica) => replica.replica === source)?.status?.slots;
    text(byId("tile-slot"), count(slots?.published));
    text(byId("note-slot"), `${count(slots ? slots.formed - slots.published : undefined)} under way`);
  }

  #rate(model, chosen, inTime) {
    const lines = RATES.map((line) => ({ ...line, points: model.rates(chosen, line.counter), gap: GAP_MS }));
    const values = lines.flatMap((line) => line.points.map(([, value]) => value));
    const max = Math.max(1, ...values);
    const none = !values.some((value) => value > 0);
    show(this.charts.rate, "rate", none && "No events for now. They show here as soon as somebody submits some.", {
      ...inTime,
      y: linear(none ? 4 : max, 4),
      yMark: countMark,
      lines: lines.filter((line) => line.points.some(([, value]) => value > 0)),
    });
    this.#legend("rate", lines, inTime.x, rate);
    describe(this.charts.rate, none ? "no events" : `now ${rate(lines[2].points.at(-1)?.[1])} events a second, at most ${rate(max)}`);
  }

  #latency(model, chosen, inTime) {
    const lines = PERCENTILES.map((line) => ({ ...line, points: model.percentiles(chosen, this.stage, line.percent), gap: GAP_MS }));
    const values = lines.flatMap((line) => line.points.map(([, value]) => value));
    const none = values.length === 0;
    show(this.charts.latency, "latency", none && "No latency yet: it is measured of events.", {
      ...inTime,
      y: none ? logarithmic(1e6, 1e8) : logarithmic(Math.min(...values), Math.max(...values)),
      yMark: latencyMark,
      lines,
    });
    this.#legend("latency", lines, inTime.x, latency);
    text(byId("latency-unit"), measureOf(this.stage));
    const told = lines.map((line) => `${line.name} ${latency(line.points.at(-1)?.[1])}`).join(", ");
    describe(this.charts.latency, none ? "no events" : `${measureOf(this.stage)}, now ${told}`);
  }

  #curve(model, chosen) {
    const lines = WINDOWS.map((line) => {
      const histogram = model.histogram(chosen, this.stage, line.within_ms);
      return { ...line, histogram, points: curve(histogram) };
    });
    const values = lines.flatMap((line) => line.points.map(([, value]) => value));
    const none = values.length === 0;
    const furthest = Math.max(2, ...lines.flatMap((line) => line.points.map(([right]) => right)));
    const last = Math.min(7, Math.ceil(furthest - 1e-9));
    const axis = { marks: Array.from({ length: last + 1 }, (_, right) => right), place: (right) => Math.min(1, right / last) };
    show(this.charts.curve, "curve", none && "No curve yet: it takes events.", {
      x: axis,
      xMark: percentileMark,
      y: none ? logarithmic(1e6, 1e8) : logarithmic(Math.min(...values), Math.max(...values)),
      yMark: latencyMark,
      lines,
    });
    this.#legend("curve", lines, axis, (value, line, point) => {
      const pointed = this.charts.curve.pointed !== null;
      if (pointed) return latency(value);
      return point ? `${count(total(line.histogram))} events` : NONE;
    });
    text(byId("curve-unit"), `${measureOf(this.stage)}, by percent`);
    const told = [50, 99, 99.9].map((percent) => `p${percent} ${latency(percentile(lines[1].histogram, percent))}`).join(", ");
    describe(this.charts.curve, none ? "no events" : `of the last 10 seconds: ${told}`);
  }

  /** The values at the pointer, else the last ones. */
  #legend(name, lines, axis, words) {
    const { pointed } = this.charts[name];
    for (const line of lines) {
      const point = pointed === null ? line.points.at(-1) : nearest(line.points, pointed, axis);
      text(this.legends[name].get(line.name), words(point?.[1], line, point));
    }
  }

  #stages(cluster, model, { chosen, source }) {
    const stages = (cluster.replicas.find((replica) => replica.replica === source)?.status?.stages ?? []).map(({ stage }) => stage);
    render(byId("stages"), stages.join(), () => this.#buildStages(stages));
    const histograms = stages.map((stage) => model.histogram(chosen, stage, RECENT_MS));
    const spread = histograms.flatMap((histogram) => [percentile(histogram, 50), percentile(histogram, 99.9)]).filter(Boolean);
    const longest = spread.length ? Math.max(...spread) : 1e7;
    // One stage that takes no time must not make the others one dot.
    const axis = logarithmic(Math.max(longest / 1000, Math.min(...spread, longest / 10)), longest);
    this.rows.forEach((row, at) => {
      const [p50, p99, p999] = [50, 99, 99.9].map((percent) => percentile(histograms[at], percent) ?? undefined);
      [p50, p99, p999].forEach((value, column) => text(row.cells[column], latency(value)));
      row.input.checked = row.stage === this.stage;
      attribute(row.element, "data-chosen", row.stage === this.stage ? "" : null);
      const [from, to] = p50 ? [axis.place(p50), axis.place(p999)] : [0, 0];
      // Cut out of the whole track: nothing changes its place or its size, so nothing is laid out anew.
      row.range.style.clipPath = cut(from, Math.max(to, from + 0.02));
      row.middle.style.clipPath = cut(p99 ? axis.place(p99) - 0.01 : 0, p99 ? axis.place(p99) + 0.01 : 0);
      attribute(row.range.parentElement, "data-none", p50 ? null : "");
    });
  }

  #buildStages(stages) {
    if (stages.length === 0) return [make("caption", { class: "nothing" }, "No stage is known yet.")];
    const headings = ["Stage", "p50", "p99", "p99.9"].map((heading) => make("th", { scope: "col" }, heading));
    const spread = make("th", { scope: "col", class: "spread" }, "p50 to p99.9");
    this.rows = stages.map((stage) => {
      const input = make("input", { type: "radio", name: "stage", value: stage });
      input.addEventListener("change", () => {
        this.stage = stage;
        this.update(...this.shown);
      });
      const cells = [0, 1, 2].map(() => make("td", {}));
      const range = make("span", { class: "range" });
      const middle = make("span", { class: "middle" });
      const spread = make("td", { class: "spread", "aria-hidden": "true" }, make("span", { class: "track" }, range, middle));
      const name = make("th", { scope: "row" }, make("label", {}, input, titleOf(stage)));
      return { stage, input, cells, range, middle, element: make("tr", {}, name, ...cells, spread) };
    });
    return [make("thead", {}, make("tr", {}, ...headings, spread)), make("tbody", {}, ...this.rows.map((row) => row.element))];
  }
}

/** What leaves of an element only what lies between two shares of its width. */
const cut = (from, to) => `inset(0 ${(1 - to) * 100}% 0 ${from * 100}%)`;

/** The legend of a chart, with the values of its lines by name. The main line stands first. */
function legend(name, lines) {
  const values = new Map();
  const SVG = "http://www.w3.org/2000/svg";
  const items = lines.toReversed().map((line) => {
    const swatch = document.createElementNS(SVG, "svg");
    const sample = document.createElementNS(SVG, "path");
    const attributes = { d: "M0 5h22", "stroke-width": line.width, "stroke-dasharray": (line.dash ?? []).join(" ") };
    for (const [key, value] of Object.entries(attributes)) sample.setAttribute(key, value);
    swatch.setAttribute("viewBox", "0 0 22 10");
    swatch.setAttribute("class", `swatch ${line.colour.slice(2)}`);
    swatch.setAttribute("aria-hidden", "true");
    swatch.append(sample);
    values.set(line.name, make("b", {}, NONE));
    return make("li", {}, make("span", {}, swatch, line.name), values.get(line.name));
  });
  byId(`${name}-legend`).replaceChildren(...items);
  return values;
}

/** Draws a picture, or says why there is none. */
function show(chart, name, none, picture) {
  const note = chart.canvas.parentElement.querySelector(".nothing");
  text(note, none || "");
  note.hidden = !none;
  chart.draw({ ...picture, empty: Boolean(none) });
}

function describe(chart, words) {
  const title = chart.canvas.closest("figure").querySelector("h3").textContent;
  attribute(chart.canvas, "aria-label", `${title}: ${words}`);
}
