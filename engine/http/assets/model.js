// What the page remembers: of each poll how far every replica has come since the one before. No clock and no document here:
// both are given.

import { percentile, since, sum } from "./histogram.js";
import { leaderOf } from "./states.js";

/** For how long it remembers. */
export const KEPT_MS = 5 * 60 * 1000;

/** Steps that lasted longer are of a page that was hidden: a mean over all of it would pass for a moment's rate. */
const STEP_S_MAX = 5;

/** Counters of a replica as one flat object; those that are missing are left out. */
export function countersOf(status) {
  const counters = {};
  const add = (name, value) => {
    if (typeof value === "number") counters[name] = (counters[name] ?? 0) + value;
  };
  for (const shard of status.shards ?? []) {
    for (const name of SHARD_COUNTERS) {
      add(name, shard[name]);
      add(`shard ${shard.shard} ${name}`, shard[name]);
    }
  }
  for (const domain of status.domains ?? []) {
    for (const name of ["applied", "rejected"]) add(`domain ${domain.name} ${name}`, domain[name]);
  }
  for (const core of status.cores ?? []) {
    for (const device of ["log", "outcomes"]) {
      for (const name of ["bytes_written", "writes", "flushes"]) {
        add(`core ${core.core} ${device} ${name}`, core[device]?.[name]);
      }
    }
  }
  return counters;
}

const SHARD_COUNTERS = [
  "events",
  "applied",
  "rejected",
  "duplicates",
  "stripes",
  "entities_borrowed",
  "entities_lent",
  "copies_matched",
];

/**
 * How far a replica came from one status to a later one: { span_s, counters, stages }, all as differences. Null if it is the
 * same status still, or of another process: that one counts from nothing, and what it evaluates first is its log, which is
 * no rate of events. Spans are by the replica's own clock, so that it does not matter when it was asked.
 */
export function stepBetween(before, now, polls_s) {
  const told = typeof before.uptime_s === "number" && typeof now.uptime_s === "number";
  const span_s = told ? now.uptime_s - before.uptime_s : polls_s;
  const [had, has] = [countersOf(before), countersOf(now)];
  if (span_s <= 0 || Object.keys(has).some((name) => has[name] < had[name])) return null;
  const counters = {};
  for (const name of Object.keys(has)) counters[name] = has[name] - (had[name] ?? 0);
  const stages = {};
  for (const { stage, counts } of now.stages ?? []) {
    const earlier = before.stages?.find((other) => other.stage === stage)?.counts ?? [];
    const counted = counts && since(earlier, counts);
    if (counted) stages[stage] = counted;
  }
  return { span_s, counters, stages };
}

/** All polls of the last minutes. */
export class Model {
  constructor() {
    /** Of each poll that was answered: { at_ms, leader, steps: by replica, or null }. */
    this.ticks = [];
    /** The newest answer. */
    this.cluster = null;
    this.at_ms = null;
    /** By replica: the last status that was new, and when it came. */
    this.last = new Map();
    /** Since when nobody leads; null if somebody does. */
    this.leaderless_ms = null;
  }

  /** Takes an answer of /v1/cluster. */
  take(cluster, at_ms) {
    const steps = cluster.replicas.map((replica) => this.#step(replica, at_ms));
    const leads = leaderOf(cluster);
    // One that is not heard itself has no numbers to show.
    const leader = cluster.replicas.some(({ replica, status }) => replica === leads && status) ? leads : null;
    this.ticks.push({ at_ms, leader, steps });
    while (this.ticks[0].at_ms < at_ms - KEPT_MS) this.ticks.shift();
    this.leaderless_ms = leads === null ? (this.leaderless_ms ?? at_ms) : null;
    this.cluster = cluster;
    this.at_ms = at_ms;
  }

  #step({ replica, reached, status }, at_ms) {
    if (!reached || !status) return null;
    const before = this.last.get(replica);
    const same = before?.status.uptime_s !== undefined && before.status.uptime_s === status.uptime_s;
    if (!same) this.last.set(replica, { status, at_ms });
    if (!before || same) return null;
    const step = stepBetween(before.status, status, (at_ms - before.at_ms) / 1000);
    return step && step.span_s <= STEP_S_MAX ? step : null;
  }

  /** Whose numbers are shown: of the chosen replica, else of whoever leads, else of the one that serves the page. */
  source(chosen) {
    return chosen ?? this.ticks.at(-1)?.leader ?? this.cluster?.seen_by ?? 0;
  }

  /** The steps of the source at each tick, at most so long ago: of whoever led then, unless one was chosen. */
  steps(chosen, within_ms = KEPT_MS) {
    const from_ms = (this.at_ms ?? 0) - within_ms;
    const of = ({ at_ms, leader, steps }) => ({ at_ms, step: steps[chosen ?? leader ?? this.source(chosen)] ?? null });
    return this.ticks.filter((tick) => tick.at_ms > from_ms).map(of);
  }

  /** A counter's rate over time, as points of ms and events a second. */
  rates(chosen, counter) {
    const points = [];
    for (const { at_ms, step } of this.steps(chosen)) {
      const value = step?.counters[counter];
      if (value !== undefined) points.push([at_ms, value / step.span_s]);
    }
    return points;
  }

  /** A counter's mean rate over the last seconds; undefined if nothing is known. */
  rate(chosen, counter, within_ms) {
    let [value, span_s] = [0, 0];
    for (const { step } of this.steps(chosen, within_ms)) {
      if (step?.counters[counter] === undefined) continue;
      value += step.counters[counter];
      span_s += step.span_s;
    }
    return span_s > 0 ? value / span_s : undefined;
  }

  /** What a stage's histogram counted in the last milliseconds. */
  histogram(chosen, stage, within_ms) {
    const steps = this.steps(chosen, within_ms);
    return sum(steps.map(({ step }) => step?.stages[stage] ?? []));
  }

  /** A percentile of a stage over time, as points of ms and ns. */
  percentiles(chosen, stage, percent) {
    const points = [];
    for (const { at_ms, step } of this.steps(chosen)) {
      const value = step?.stages[stage] && percentile(step.stages[stage], percent);
      if (value) points.push([at_ms, value]);
    }
    return points;
  }
}
