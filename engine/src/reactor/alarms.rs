//! What an operator is told of what no working cluster does, and what to do about it.

use assize_node::Output;

/// The text of an alarm.
///
/// # Panics
/// When it is none.
pub(super) fn text_of(alarm: &Output) -> String {
    match alarm {
        Output::Alarm(alarm) => alarm.to_string(),
        Output::DivergenceReport(report) => report.to_string(),
        Output::PeerDiverged { slot, shard, replica, published, found } => {
            format!(
                "replica {replica} has computed {found} for slot {slot}, shard {shard}; published is {published}: its \
                 memory, CPU or disk is not to be trusted"
            )
        }
        Output::CopiesMissing { slot, shard, seen } => {
            let seen: Vec<String> =
                seen.iter().map(|(replica, digest)| format!("replica {replica} computed {digest}")).collect();
            format!(
                "slot {slot}, shard {shard}: too few replicas agree on the outcomes, which are not published; so far {}",
                seen.join(", ")
            )
        }
        Output::CopiesGone { slot, shard } => {
            format!(
                "slot {slot}, shard {shard}: too few replicas still keep what its outcomes are to be compared with \
                 (they are kept for one TTL): nothing more can be published here, and this replica must be rebuilt"
            )
        }
        Output::DiskFull(log) => format!(
            "the disk has no space for another segment of log {log}: when what is prepared is used up, this replica takes \
             nothing more; free some space, or give it a larger disk"
        ),
        Output::KeysFull { shard, capacity, ttl_ns } => format!(
            "shard {shard} refuses events with new keys as `full`: {capacity} keys are live, as many as it may hold, and \
             each is for {} s after its event; until some run out let clients send less, or format a cluster with a shorter \
             `--warden-ttl` or a larger `--warden-capacity`",
            ttl_ns / 1_000_000_000
        ),
        Output::RecordDecayed { log, fault } => {
            format!(
                "a record of log {log} has decayed and is repaired from the peers: {fault}. Check the disk (dmesg, \
                 SMART)"
            )
        }
        Output::CheckpointNeeded { from, chosen } => {
            format!(
                "replica {from} is at slot {chosen} and its log does not reach back to what is missing here; if no \
                 other does, a checkpoint is taken over"
            )
        }
        Output::FailureDomains { distinct, copies, sharing } => {
            let ids: Vec<String> = sharing.iter().map(ToString::to_string).collect();
            let (ids, then) = (
                ids.join(" and "),
                match distinct < copies {
                    true => "nothing can be published",
                    false => "nothing is published any more while one of them is down",
                },
            );
            format!(
                "replicas {ids} are in one failure domain and count as one: {distinct} domains, {copies} copies, so {then}. \
                 Give each a failure_domain of its own where they fail apart"
            )
        }
        Output::PeerStateDiverged { slot, replica, agreed, found } => {
            format!(
                "replica {replica} has another state than the others after slot {slot}: its checkpoint's digest is \
                 {found}, and they agree on {agreed}"
            )
        }
        _ => panic!("what is to be told an operator is no alarm"),
    }
}
