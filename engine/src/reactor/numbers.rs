//! A core's numbers on the board, where other threads read them.

use std::sync::Arc;

use assize_metrics::{Board, ControlNumbers, CoreNumbers, DomainNumbers, LogNumbers, STAGES, ShardNumbers};
use assize_node::{ControlGauges, Core, LogGauges, ShardGauges, StripeStages};
use assize_wire::CoreId;
use assize_wire::outcome::Status;

/// Where a core writes what it is at.
#[derive(Debug)]
pub struct Numbers {
    board: Arc<Board>,
    core: usize,
    written_ns: u64,
}

impl Numbers {
    /// Of this core.
    #[must_use]
    pub fn new(board: Arc<Board>, core: CoreId) -> Numbers {
        Numbers { board, core: core.0.into(), written_ns: 0 }
    }

    /// After a turn of a busy core: now and then.
    pub(super) fn write_now_and_then(&mut self, core: &Core, now_ns: u64) {
        if now_ns >= self.written_ns + WRITTEN_EVERY_NS {
            self.written_ns = now_ns;
            self.write(core);
        }
    }

    /// Before the core sleeps, perhaps for long. What it says of the outcome stream's log comes before what it says of
    /// shards ([`Board::outcomes`]).
    pub fn write(&self, core: &Core) {
        let gauges = core.gauges();
        self.board.write_core(
            self.core,
            &CoreNumbers {
                ready: gauges.ready.into(),
                quarantined: gauges.quarantined.into(),
                stopping: gauges.stopping.into(),
                connections: gauges.connections as u64,
                unanswered_events: gauges.unanswered_events.into(),
                outcomes_durable: gauges.outcomes_durable,
                stream_time_ns: gauges.stream_time.0,
                divergences: gauges.divergences,
            },
        );
        if let Some(control) = core.control_gauges() {
            self.board.write_control(&of_control(&control));
        }
        for (log, gauges) in core.log_gauges().iter().enumerate() {
            self.board.write_log(self.core, log, &of_log(gauges));
        }
        for shard in core.shard_gauges() {
            let at = shard.shard.0.into();
            self.board.write_shard(at, &of_shard(&shard));
            for (place, logic) in shard.logic.iter().enumerate() {
                let (applied, rejected) = shard.counters.domains.of(logic.domain);
                let version = logic.version.into();
                self.board.write_domain(at, place, &DomainNumbers { version, applied, rejected });
            }
        }
    }

    /// A stripe was published here.
    pub fn record_stages(&self, stripe: &StripeStages) {
        self.board.record_stages(self.core, stripe.events.into(), times(stripe));
    }
}

fn of_control(control: &ControlGauges) -> ControlNumbers {
    let marks = control.watermarks;
    ControlNumbers {
        leads: control.leads.into(),
        leader: control.leader.map_or(0, |leader| u64::from(leader.0) + 1),
        connected: control.connected,
        ballot_round: control.promised.round(),
        formed: marks.formed.0,
        accepted: marks.accepted.0,
        chosen: marks.chosen.0,
        published: marks.published.0,
        checkpoint: control.checkpoint.0,
        rejoins: control.rejoins.into(),
        checkpoint_runs: control.checkpoint_runs.into(),
        checkpoints_taken: control.checkpoints_taken,
        checkpoints_failed: control.checkpoints_failed,
    }
}

fn of_log(log: &LogGauges) -> LogNumbers {
    LogNumbers {
        bytes_written: log.counters.bytes_written,
        writes: log.counters.writes,
        flushes: log.counters.flushes,
        bytes_used: log.bytes_used,
        bytes_max: log.bytes_max.unwrap_or_default(),
    }
}

fn of_shard(shard: &ShardGauges<'_>) -> ShardNumbers {
    let counters = shard.counters;
    ShardNumbers {
        executed: shard.executed.0,
        outcomes_written: shard.outcomes_written.0,
        live_keys: counters.live_keys,
        keys_capacity: shard.keys_capacity,
        entities: counters.entities,
        entities_capacity: shard.entities_capacity,
        applied: counters.endings.of(Status::Applied),
        rejected: counters.endings.of(Status::Rejected),
        faults: counters.endings.of(Status::Fault),
        duplicates: counters.endings.of(Status::Duplicate),
        conflicts: counters.endings.of(Status::Conflict),
        full: counters.endings.of(Status::Full),
        expired: counters.endings.of(Status::Expired),
        invalid: counters.endings.of(Status::Invalid),
        stripes: counters.stripes,
        entities_borrowed: counters.entities_borrowed,
        entities_lent: counters.entities_lent,
        copies_matched: shard.copies_matched,
        outcomes_held: shard.outcomes_held,
    }
}

/// How long each of [`STAGES`] took, in nanoseconds.
pub(super) fn times(stripe: &StripeStages) -> [u64; STAGES.len()] {
    let StripeStages { accepted, sealed, durable, chosen, evaluated, published, .. } = *stripe;
    [
        sealed.saturating_sub(accepted),
        durable.saturating_sub(sealed),
        chosen.saturating_sub(durable),
        evaluated.saturating_sub(chosen),
        published.saturating_sub(evaluated),
        published.saturating_sub(accepted),
    ]
}

/// How often a core that is busy writes, in nanoseconds: often enough for somebody who looks on.
const WRITTEN_EVERY_NS: u64 = 10_000_000;
