// The cards of the replicas.

import { attribute, Bar, glyph, make, setGlyph, text } from "./dom.js";
import { bytes, count, duration, NONE, percent, rate } from "./format.js";
import { chosenAnywhere, isQuarantined, STATES, stateOf } from "./states.js";

const SLOTS = ["checkpoint", "published", "chosen", "accepted", "formed"];

/** Slots that a replica may be behind before it is told of: more than are under way anyway. */
const BEHIND = 64;

/** All cards, in one parent. */
export class Replicas {
  constructor(parent) {
    this.parent = parent;
    this.cards = [];
  }

  update(cluster, model) {
    if (this.cards.length !== cluster.replicas.length) {
      this.cards = cluster.replicas.map((replica) => new Card(replica.replica));
      this.parent.replaceChildren(...this.cards.map((card) => card.element));
      attribute(this.parent, "data-count", this.cards.length);
    }
    const chosen = chosenAnywhere(cluster);
    cluster.replicas.forEach((replica, at) => this.cards[at].update(replica, { cluster, model, chosen }));
  }
}

class Card {
  constructor(replica) {
    this.sign = glyph("unknown");
    this.word = make("span", { class: "word" });
    this.where = make("span", { class: "where" });
    this.line = make("p", { class: "line" });
    this.slots = SLOTS.map((name) => ({ name, value: make("dd", {}) }));
    this.facts = ["Events/s", "Copies matched", "Connections", "Unanswered"].map((name) => ({ name, value: make("dd", {}) }));
    this.log = { bar: new Bar("Log"), words: make("span", { class: "words" }) };
    this.outcomes = { bar: new Bar("Outcome stream"), words: make("span", { class: "words" }) };
    const pairs = (all) => all.map(({ name, value }) => make("div", {}, make("dt", {}, name), value));
    const gauge = (name, { bar, words }) => make("div", { class: "gauge" }, make("span", { class: "name" }, name), bar.track, words);
    const state = make("span", { class: "state" }, this.sign, this.word);
    this.element = make(
      "article",
      { class: "replica", "data-replica": replica },
      make("h3", {}, make("span", { class: "who" }, `Replica ${replica}`), state, this.where),
      this.line,
      make("dl", { class: "slots", "aria-label": "Slots" }, ...pairs(this.slots)),
      make("dl", { class: "numbers" }, ...pairs(this.facts)),
      gauge("Log", this.log),
      gauge("Outcomes", this.outcomes),
    );
  }

  update(replica, { cluster, model, chosen }) {
    const state = stateOf(replica);
    const status = replica.status ?? {};
    const { word, tone } = STATES[state];
    attribute(this.element, "data-state", state);
    attribute(this.element, "data-tone", tone);
    setGlyph(this.sign, state);
    text(this.word, word);
    text(this.where, replica.replica === cluster.seen_by ? "serves this page" : "");
    text(this.line, lineOf(replica, state, status, chosen));
    for (const { name, value } of this.slots) text(value, count(status.slots?.[name]));
    const sum = (list, of) => (list?.length ? list.reduce((all, one) => all + (of(one) ?? NaN), 0) : undefined);
    const heard = state !== "unreachable" && state !== "unknown";
    const values = [
      heard ? rate(model.rate(replica.replica, "events", 5000)) : NONE,
      count(sum(status.shards, (shard) => shard.copies_matched)),
      heard ? count(sum(status.cores, (core) => core.connections)) : NONE,
      heard ? count(sum(status.cores, (core) => core.unanswered_events)) : NONE,
    ];
    this.facts.forEach(({ value }, at) => text(value, values[at]));
    for (const [name, gauge] of [["log", this.log], ["outcomes", this.outcomes]]) {
      const used = sum(status.cores, (core) => core[name]?.bytes_used);
      const max = sum(status.cores, (core) => core[name]?.bytes_max);
      const words = Number.isFinite(used / max) ? `${percent(used / max)} of ${bytes(max)}` : NONE;
      gauge.bar.set(used / max, words);
      text(gauge.words, words);
    }
  }
}

/** What there is to say of it in one line. */
function lineOf(replica, state, status, chosen) {
  const at = replica.http ?? "address not known";
  if (state === "unreachable") {
    const last = isQuarantined(replica) ? "quarantined when last heard; " : "";
    const silent = typeof replica.age_ms === "number" ? `last heard ${duration(replica.age_ms / 1000)} ago` : "never heard";
    return `${at} · ${silent} · ${last}${replica.problem ?? "no answer"}`;
  }
  if (state === "unknown") return `${at} · ${replica.problem ?? STATES.unknown.means}`;
  const parts = [at, `up ${duration(status.uptime_s)}`];
  const behind = chosen - status.slots?.published;
  if (["recovering", "rejoining", "quarantined", "stopping"].includes(state)) parts.push(STATES[state].means);
  else if (state === "leading" && status.ballot_round !== undefined) parts.push(`round ${count(status.ballot_round)}`);
  if (behind > BEHIND && state !== "quarantined") parts.push(`${count(behind)} slots behind`);
  return parts.join(" · ");
}
