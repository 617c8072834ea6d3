// A tile for each domain: how many events a second it applies and refuses, where the numbers are from.

import { make, render, text } from "./dom.js";
import { NONE, rate } from "./format.js";

/** Over how long rates are told. */
const WITHIN_MS = 5000;

/** The row of tiles, given its element. */
export class Domains {
  constructor(row) {
    this.row = row;
    this.tiles = [];
  }

  update(model, { chosen, status }) {
    const domains = status?.domains ?? [];
    render(this.row, domains.map(({ name }) => name).join(), () => this.#build(domains));
    domains.forEach(({ name, version }, at) => {
      const per = (counter) => rate(model.rate(chosen, `domain ${name} ${counter}`, WITHIN_MS));
      const { applied, note } = this.tiles[at];
      text(applied, per("applied"));
      text(note, `${per("rejected")} rejected/s, version ${version ?? NONE}`);
    });
  }

  #build(domains) {
    this.tiles = domains.map(({ name }) => {
      const [applied, note] = [make("b", {}, NONE), make("p", { class: "note" }, NONE)];
      const heading = make("h3", {}, name);
      const element = make("div", { class: "tile", "data-domain": name }, heading, make("p", {}, applied, " ", make("small", {}, "applied/s")), note);
      return { element, applied, note };
    });
    return this.tiles.map(({ element }) => element);
  }
}
