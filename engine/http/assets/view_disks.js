// Logs, outcome streams and checkpoints of the replica whose numbers are shown.

import { Bar, byId, make, render, text } from "./dom.js";
import { bytes, count, NONE, percent, rate } from "./format.js";

const DEVICES = [["log", "Log"], ["outcomes", "Outcomes"]];

/** All of it. */
export class Disks {
  constructor() {
    this.facts = ["Active", "Taken", "Failed", "Now"].map((name) => ({ name, value: make("dd", {}) }));
    byId("checkpoints").replaceChildren(...this.facts.map(({ name, value }) => make("div", {}, make("dt", {}, name), value)));
    this.rows = [];
  }

  update(model, { chosen, status }) {
    const { checkpoints, slots, cores = [] } = status ?? {};
    const active = slots?.checkpoint > 0 ? `slot ${count(slots.checkpoint)}` : slots ? "none yet" : NONE;
    const now = checkpoints ? (checkpoints.running ? "being taken" : "idle") : NONE;
    const values = [active, count(checkpoints?.taken), count(checkpoints?.failed), now];
    this.facts.forEach(({ value }, at) => text(value, values[at]));
    render(byId("cores"), `cores ${cores.length}`, () => this.#build(cores));
    cores.forEach((core, at) => {
      for (const [device] of DEVICES) this.#device(this.rows[at][device], core, device, model, chosen);
    });
  }

  #device({ bar, cells }, core, device, model, chosen) {
    const { bytes_used, bytes_max } = core[device] ?? {};
    const share = bytes_used / bytes_max;
    bar.set(share, percent(share));
    const per = (name) => model.rate(chosen, `core ${core.core} ${device} ${name}`, 5000);
    const written = per("bytes_written");
    const values = [percent(share), written === undefined ? NONE : bytes(written), rate(per("writes")), rate(per("flushes"))];
    cells.forEach((cell, at) => text(cell, values[at]));
  }

  #build(cores) {
    const headings = ["Core", "", "Used", "Written/s", "Writes/s", "Flushes/s"];
    const head = headings.map((heading) => (heading ? make("th", { scope: "col" }, heading) : make("td", {})));
    const rows = [];
    this.rows = cores.map((core) => {
      const of = {};
      for (const [device, name] of DEVICES) {
        const bar = new Bar(`${name} of core ${core.core}`);
        const cells = [0, 1, 2, 3].map(() => make("td", {}));
        cells[0].classList.add("filled");
        const words = make("span", { class: "words" });
        cells[0].append(bar.track, words);
        const first = device === "log" ? [make("th", { scope: "rowgroup", rowspan: 2 }, String(core.core))] : [];
        rows.push(make("tr", {}, ...first, make("th", { scope: "row", class: "device" }, name), ...cells));
        of[device] = { bar, cells: [words, ...cells.slice(1)] };
      }
      return of;
    });
    return [make("table", { class: "cores" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows))];
  }
}
