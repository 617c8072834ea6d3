// The table of shards: how far each replica executed it, and how full it is where the numbers are from.

import { attribute, Bar, make, render, text } from "./dom.js";
import { count, NONE, percent, rate } from "./format.js";
import { stateOf } from "./states.js";

/** Counters of which the rate is told: heading, field. */
const RATES = [
  ["Events/s", "events"],
  ["Rejected/s", "rejected"],
  ["Duplicates/s", "duplicates"],
  ["Borrowed/s", "entities_borrowed"],
  ["Lent/s", "entities_lent"],
];

/** Numbers that are told as they are. */
const PLAIN = [
  ["Copies matched", "copies_matched"],
  ["Outcomes held", "outcomes_held"],
];

/** The table, given its element. */
export class Shards {
  constructor(table) {
    this.table = table;
    this.rows = [];
  }

  /** `source` is whose numbers are shown, `chosen` whose were asked for. */
  update(cluster, model, { source, chosen }) {
    const shards = cluster.replicas.find((replica) => replica.replica === source)?.status?.shards ?? [];
    render(this.table, `${shards.length} ${cluster.replicas.map((replica) => replica.replica)}`, () => this.#build(shards, cluster));
    shards.forEach((shard, at) => this.#row(this.rows[at], shard, { cluster, model, chosen }));
  }

  #build(shards, cluster) {
    if (shards.length === 0) return [make("caption", { class: "nothing" }, "No shard is known yet.")];
    const replicas = cluster.replicas.map((replica) => `Executed by\u00a0${replica.replica}`);
    const headings = ["Shard", ...replicas, "Warden: live keys", "Entities", ...[...RATES, ...PLAIN].map(([heading]) => heading)];
    const head = make("tr", { role: "row" }, ...headings.map((heading) => make("th", { role: "columnheader", scope: "col" }, heading)));
    this.rows = shards.map((shard) => {
      const cells = headings.slice(1).map((heading) => make("td", { role: "cell", "data-label": heading }));
      const bars = ["Warden", "Entities"].map((name, at) => {
        const bar = new Bar(`${name} of shard ${shard.shard}`);
        const words = make("span", { class: "words" });
        const cell = cells[cluster.replicas.length + at];
        cell.classList.add("filled");
        cell.append(bar.track, words);
        return { bar, words };
      });
      const name = make("th", { role: "rowheader", scope: "row" }, make("span", { class: "narrow" }, "Shard "), String(shard.shard));
      return { element: make("tr", { role: "row" }, name, ...cells), cells, bars };
    });
    const body = make("tbody", { role: "rowgroup" }, ...this.rows.map((row) => row.element));
    return [make("thead", { role: "rowgroup" }, head), body];
  }

  #row({ cells, bars }, shard, { cluster, model, chosen }) {
    const executed = cluster.replicas.map((replica) => replica.status?.shards?.find((other) => other.shard === shard.shard)?.executed_slot);
    cluster.replicas.forEach((replica, at) => {
      const old = stateOf(replica) === "unreachable";
      text(cells[at], old && executed[at] !== undefined ? `was ${count(executed[at])}` : count(executed[at]));
      attribute(cells[at], "data-old", old ? "" : null);
    });
    const tables = [[shard.live_keys, shard.keys_capacity], [shard.entities, shard.entities_capacity]];
    tables.forEach(([used, capacity], at) => {
      const share = used / capacity;
      const words = Number.isFinite(share) ? `${count(used)} · ${percent(share)}` : count(used);
      bars[at].bar.set(share, words);
      text(bars[at].words, words);
    });
    const first = cluster.replicas.length + tables.length;
    RATES.forEach(([, field], at) => text(cells[first + at], rate(model.rate(chosen, `shard ${shard.shard} ${field}`, 5000))));
    PLAIN.forEach(([, field], at) => text(cells[first + RATES.length + at], shard[field] === undefined ? NONE : count(shard[field])));
  }
}
