// What state a replica is in, as far as this page can know.

/** How old what a replica said of itself may be before it counts as silent. */
const SILENT_MS = 3000;

/** Words for states, what they mean, and how bad they are: "good", "busy", "bad" or "grave". */
export const STATES = {
  leading: { word: "Leading", means: "takes events in and orders them", tone: "good" },
  following: { word: "Following", means: "has all that is chosen, and agrees", tone: "good" },
  recovering: { word: "Recovering", means: "not yet where the cluster is; answers nobody", tone: "busy" },
  rejoining: { word: "Rejoining", means: "on a new disk; has no vote until the others told it enough", tone: "busy" },
  stopping: { word: "Stopping", means: "ends in good order", tone: "busy" },
  quarantined: { word: "Quarantined", means: "differs from the others; publishes nothing until rebuilt", tone: "grave" },
  unreachable: { word: "Unreachable", means: "does not answer", tone: "bad" },
  unknown: { word: "Unknown", means: "was not heard by HTTP", tone: "busy" },
};

/**
 * The name of the state of a replica, as /v1/cluster has it. One that nobody can ask, since it has no address there, is not
 * known to be down.
 */
export function stateOf(replica) {
  const status = replica.status;
  const silent = !replica.reached || (replica.age_ms ?? 0) > SILENT_MS;
  if (silent) return status || (replica.http && replica.problem) ? "unreachable" : "unknown";
  if (!status) return "unknown";
  if (status.quarantined || status.state === "quarantined") return "quarantined";
  if (status.state in STATES) return status.state;
  if (status.leads) return "leading";
  return status.ready ? "following" : "recovering";
}

/** Whether it was quarantined when it was last heard: it stays so, reached or not. */
export function isQuarantined(replica) {
  return Boolean(replica.status && (replica.status.quarantined || replica.status.state === "quarantined"));
}

/**
 * Who leads: by their own word, and of two that say so the one of the higher ballot; else by the word of others, if nothing
 * is known of it itself. None: null.
 */
export function leaderOf(cluster) {
  const byBallot = (a, b) => (b.status.ballot_round ?? 0) - (a.status.ballot_round ?? 0);
  const leading = cluster.replicas.filter((replica) => stateOf(replica) === "leading").sort(byBallot);
  if (leading.length > 0) return leading[0].replica;
  const heard = cluster.replicas.filter((replica) => stateOf(replica) === "following").sort(byBallot);
  const named = cluster.replicas.find((replica) => replica.replica === heard[0]?.status.leader);
  return named && stateOf(named) === "unknown" ? named.replica : null;
}

/** The highest slot that anybody who is heard knows chosen; null if nobody says. */
export function chosenAnywhere(cluster) {
  const told = cluster.replicas.filter((replica) => replica.reached).map((replica) => replica.status?.slots?.chosen);
  const slots = told.filter((slot) => typeof slot === "number");
  return slots.length > 0 ? Math.max(...slots) : null;
}

/** The cluster as it is known once the replica that serves the page has not answered for so long. */
export function withoutOwn(cluster, problem, silent_ms) {
  const own = (replica) => replica.replica === cluster.seen_by;
  const lost = (replica) => ({ ...replica, reached: false, problem, age_ms: silent_ms });
  return { ...cluster, replicas: cluster.replicas.map((replica) => (own(replica) ? lost(replica) : replica)) };
}

/** How many must be heard for the cluster to go on. */
export function majority(replicas) {
  return Math.floor(replicas / 2) + 1;
}
