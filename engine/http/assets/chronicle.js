// What happened while the page looked, from the differences between one look and the next, and what replicas were alarmed by.

import { isQuarantined, leaderOf, stateOf } from "./states.js";

/** How many entries are kept. */
const KEPT = 50;

/** Entries between two looks, as { at_ms, replica or null, tone, text }. */
export function changes(before, now, at_ms) {
  const entries = [];
  const say = (replica, tone, text) => entries.push({ at_ms, replica, tone, text });
  const [led, leads] = [leaderOf(before), leaderOf(now)];
  for (const replica of now.replicas) {
    const earlier = before.replicas.find((other) => other.replica === replica.replica);
    if (!earlier) continue;
    const [had, has] = [stateOf(earlier), stateOf(replica)];
    if (isQuarantined(replica) && !isQuarantined(earlier)) say(replica.replica, "grave", "is quarantined");
    else if (has === "unreachable" && had !== has) say(replica.replica, "bad", `lost: ${replica.problem ?? "it is silent"}`);
    else if (had === "unreachable" && has !== had) say(replica.replica, "good", "is heard again");
    if (replica.status?.uptime_s < earlier.status?.uptime_s) say(replica.replica, "busy", "was started again");
    const settled = ["recovering", "rejoining"].includes(had) && ["following", "leading"].includes(has);
    if (settled) say(replica.replica, "good", "is where the cluster is");
    if (replica.status?.checkpoints?.failed > earlier.status?.checkpoints?.failed) say(replica.replica, "bad", "a checkpoint failed");
  }
  if (leads !== led) {
    if (leads === null) say(null, "bad", "Nobody leads");
    else {
      const round = now.replicas.find((replica) => replica.replica === leads).status?.ballot_round;
      say(leads, "good", round === undefined ? "leads" : `leads, in round ${round}`);
    }
  }
  return entries;
}

/** Alarms that replicas tell of, as entries. */
export function alarms(cluster) {
  return cluster.replicas.flatMap(({ replica, status }) =>
    (status?.alarms ?? []).map(({ at_ms, text }) => ({ at_ms, replica, tone: "grave", text: `says: ${text}`, alarm: true })),
  );
}

/** Entries with others added, the newest first, each once; of an alarm that is told again and again the last. */
export function merged(entries, added) {
  const key = ({ at_ms, replica, text, alarm }) => (alarm ? `${replica} ${text}` : `${at_ms} ${replica} ${text}`);
  const newest = new Map();
  for (const entry of [...entries, ...added]) {
    if (!(newest.get(key(entry))?.at_ms >= entry.at_ms)) newest.set(key(entry), entry);
  }
  return [...newest.values()].sort((a, b) => b.at_ms - a.at_ms).slice(0, KEPT);
}
