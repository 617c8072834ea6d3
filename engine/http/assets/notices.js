// What must not be overlooked, in words: what is wrong, and what to do. And one sentence on how it all is.

import { clock, count, percent } from "./format.js";
import { isQuarantined, leaderOf, majority, stateOf } from "./states.js";

/** From this share on a table that only time or a checkpoint empties is told of. */
const FULL = 0.9;

/** For how long nobody may lead before a banner says so: an election takes a moment. */
const LEADERLESS_MS = 2000;

/**
 * Banners for a cluster as it was last seen, the gravest first: { tone, title, texts, commands, links }. `lost` is
 * { since_ms, problem } while the replica that serves the page does not answer, and nobody has led for `leaderless_ms`.
 * None of the texts counts seconds: they are read aloud when they change.
 */
export function banners(cluster, lost, leaderless_ms) {
  const all = [];
  if (lost) all.push(lostBanner(cluster, lost));
  if (!cluster) return all;
  for (const replica of cluster.replicas) {
    if (isQuarantined(replica)) all.push(quarantineBanner(replica));
  }
  const quarantined = cluster.replicas.some(isQuarantined);
  for (const replica of cluster.replicas) {
    const { divergences } = replica.status ?? {};
    if (divergences > 0 && !quarantined) all.push(divergenceBanner(replica));
  }
  if (!lost && leaderless_ms >= LEADERLESS_MS) all.push(leaderBanner(cluster));
  return all;
}

function lostBanner(cluster, { since_ms, problem }) {
  const own = cluster ? `Replica ${cluster.seen_by}, which serves this page,` : "The replica that serves this page";
  const old = cluster ? " What stands below, in grey, is what it said last." : "";
  const others = (cluster?.replicas ?? []).filter((other) => other.http && other.replica !== cluster.seen_by);
  return {
    tone: "bad",
    title: `${own} does not answer`,
    texts: [
      `Since ${clock(since_ms)}: ${problem}.${old} This page asks again each second and goes on by itself as soon as it is
       answered.`,
    ],
    commands: [],
    links: others.map((other) => ({ text: `Look at it from replica ${other.replica}`, to: `http://${other.http}/` })),
  };
}

function quarantineBanner({ replica, status, reached }) {
  const last = reached ? "" : " It was so when it was last heard; it is unreachable now.";
  const why = status.quarantine ? sentence(status.quarantine) : "Its outcome differed from what the others agree on.";
  return {
    tone: "grave",
    title: `Replica ${replica} is quarantined`,
    texts: [
      why + last,
      `It publishes nothing, answers nobody, and stays so through restarts. Test its machine's memory, CPU and disk first.
       Then stop replica ${replica}, and have its state replaced by that of the others:`,
    ],
    commands: ["assize rebuild --config replica.toml", "assize serve --config replica.toml"],
    links: [],
  };
}

function divergenceBanner({ replica, status }) {
  const found = status.divergences === 1 ? "a divergence" : `${count(status.divergences)} divergences`;
  const alarms = (status.alarms ?? []).slice(-2).map((alarm) => sentence(alarm.text));
  return {
    tone: "grave",
    title: `Replica ${replica} has found ${found}`,
    texts: [
      ...alarms,
      `Replicas computed different outcomes of the same events. What was published agreed among enough of them. See which
       replica is named in the log of replica ${replica}, and look at that one's machine.`,
    ],
    commands: [],
    links: [],
  };
}

function leaderBanner(cluster) {
  const heard = cluster.replicas.filter((replica) => replica.reached).length;
  const needed = majority(cluster.replicas.length);
  const states = cluster.replicas.map(stateOf);
  const starts = heard === cluster.replicas.length && states.some((state) => ["recovering", "rejoining"].includes(state));
  const texts = [`${heard} of ${cluster.replicas.length} replicas ${heard === 1 ? "is" : "are"} heard, and ${needed} are
    needed to elect a leader.`];
  if (cluster.replicas.length === 1) texts[0] = "It is a cluster of one, which leads once it has read its log.";
  else if (heard < needed) texts.push("Start those that are down, or mend what cuts them off.");
  else texts.push("An election takes about a second. If it lasts, the replicas' logs say what they wait for.");
  return {
    tone: canElect(cluster) ? "busy" : "bad",
    title: starts ? "Not ready: nobody leads yet" : "Nobody leads: no event is taken or answered",
    texts,
    commands: [],
    links: [],
  };
}

/** Whether as many are heard as it takes to elect a leader. */
function canElect({ replicas }) {
  return replicas.filter((replica) => replica.reached).length >= majority(replicas.length);
}

/** Begins with a capital and ends with a full stop. */
function sentence(text) {
  const trimmed = text.trim();
  const capital = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}

/** One sentence that always stands on top: { tone, text }. */
export function summary(cluster, lost) {
  if (!cluster) return lost ? { tone: "bad", text: "No answer" } : { tone: "busy", text: "Asking" };
  if (lost) return { tone: "bad", text: "Lost: values are old" };
  const { replicas } = cluster;
  const quarantined = replicas.filter(isQuarantined).map((replica) => replica.replica);
  if (quarantined.length > 0) return { tone: "grave", text: `Quarantined: ${names(quarantined)}` };
  if (replicas.some((replica) => replica.status?.divergences > 0)) return { tone: "grave", text: "Divergence" };
  const down = replicas.filter((replica) => stateOf(replica) === "unreachable").map((replica) => replica.replica);
  const nobody = leaderOf(cluster) === null;
  if (down.length > 0) return { tone: "bad", text: `${nobody ? "No leader, u" : "U"}nreachable: ${names(down)}` };
  if (nobody) return { tone: canElect(cluster) ? "busy" : "bad", text: "No leader" };
  const unknown = replicas.filter((replica) => stateOf(replica) === "unknown").map((replica) => replica.replica);
  if (unknown.length > 0) return { tone: "busy", text: `Not heard: ${names(unknown)}` };
  const late = replicas.filter((replica) => !["leading", "following"].includes(stateOf(replica)));
  if (late.length > 0) return { tone: "busy", text: `Catching up: ${names(late.map((replica) => replica.replica))}` };
  const full = fullest(cluster);
  if (full) return { tone: "busy", text: full };
  return { tone: "good", text: replicas.length === 1 ? "In order" : `All ${replicas.length} in order` };
}

const names = (replicas) => `replica${replicas.length > 1 ? "s" : ""} ${replicas.join(", ")}`;

const share = (used, capacity) => (capacity > 0 ? used / capacity : 0);

/** The first table that is almost full, in words. */
function fullest(cluster) {
  for (const { replica, status } of cluster.replicas) {
    for (const shard of status?.shards ?? []) {
      const keys = share(shard.live_keys, shard.keys_capacity);
      const entities = share(shard.entities, shard.entities_capacity);
      if (keys >= FULL) return `Shard ${shard.shard}: keys ${percent(keys)} full`;
      if (entities >= FULL) return `Shard ${shard.shard}: entities ${percent(entities)} full`;
    }
    for (const core of status?.cores ?? []) {
      const outcomes = share(core.outcomes?.bytes_used, core.outcomes?.bytes_max);
      if (outcomes >= FULL) return `Replica ${replica}: outcomes ${percent(outcomes)} full`;
    }
  }
  return null;
}
