//! What this replica knows of the others' wall clocks (P13): stream time follows the clocks of a majority, never one
//! alone.

use alloc::vec;
use alloc::vec::Vec;

use assize_wire::{ReplicaId, StreamTime};

use crate::limits::CLOCK_PERIOD_NS;

/// The clocks of a cluster, as one replica sees them.
#[derive(Debug)]
pub(crate) struct Clocks {
    own: ReplicaId,
    skew_ns: u64,
    /// By replica.
    offsets: Vec<Option<Offset>>,
}

/// A replica's wall clock minus this one's monotonic clock, as it was told. Both run on at nearly the same rate, so the
/// difference ages well, whatever this one's wall clock does meanwhile.
///
/// It is too low by the time that the message was under way, so the highest of the last period or two is the nearest:
/// 1. A leader gets no CPU for a second. What peers said meanwhile waits in its sockets.
/// 2. It takes all that in at once. By the last message alone each peer's clock would be a second behind its own, and
///    the
///    leader would give up on a machine that is merely busy.
#[derive(Clone, Copy, Debug)]
struct Offset {
    /// The highest of this period, since it began.
    current: i64,
    since_ns: u64,
    /// The highest of the period before.
    previous: Option<i64>,
}

impl Offset {
    fn nearest(&self) -> i64 {
        self.previous.map_or(self.current, |previous| previous.max(self.current))
    }
}

/// What the clocks of a majority say of this one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// A majority, this one included, is within the bound of it.
    Agreed,
    /// Too few are known.
    Unknown,
    /// A majority of the others contradicts it, or no majority agrees on anything.
    Contradicted,
}

impl Clocks {
    /// Of `replicas` replicas whose clocks may differ by `skew_ns`.
    pub(crate) fn new(own: ReplicaId, replicas: u8, skew_ns: u64) -> Clocks {
        Clocks { own, skew_ns, offsets: vec![None; replicas.into()] }
    }

    /// A replica told its wall clock.
    pub(crate) fn handle_clock(&mut self, from: ReplicaId, clock_ns: u64, monotonic_ns: u64) {
        let offset = i128::from(clock_ns) - i128::from(monotonic_ns);
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let first = Offset { current: offset, since_ns: monotonic_ns, previous: None };
        let known = self.offsets[usize::from(from.0)].get_or_insert(first);
        if monotonic_ns - known.since_ns >= CLOCK_PERIOD_NS {
            *known = Offset { previous: Some(known.current), ..first };
        }
        known.current = known.current.max(offset);
    }

    /// It is not reached any more: what it told last says less and less.
    pub(crate) fn forget(&mut self, peer: ReplicaId) {
        self.offsets[usize::from(peer.0)] = None;
    }

    /// Whether this replica may form slots with its own clock.
    pub(crate) fn agreement(&self, wall_ns: u64, monotonic_ns: u64) -> Agreement {
        let own = i128::from(wall_ns) - i128::from(monotonic_ns);
        let majority = self.offsets.len() / 2 + 1;
        let within = |offset: &i64| (i128::from(*offset) - own).unsigned_abs() <= u128::from(self.skew_ns);
        let others = self.offsets.iter().enumerate().filter(|(at, _)| *at != usize::from(self.own.0));
        let known: Vec<i64> = others.filter_map(|(_, offset)| Some(offset.as_ref()?.nearest())).collect();
        let agree = 1 + known.iter().filter(|offset| within(offset)).count();
        let unknown = self.offsets.len() - 1 - known.len();
        if agree >= majority {
            Agreement::Agreed
        } else if agree + unknown >= majority {
            Agreement::Unknown
        } else {
            Agreement::Contradicted
        }
    }

    /// The latest time that a fresh proposal may have here.
    pub(crate) fn time_max(&self, wall_ns: u64) -> StreamTime {
        StreamTime(wall_ns.saturating_add(self.skew_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p13_a_late_message_does_not_make_a_clock_wrong() {
        let mut clocks = Clocks::new(ReplicaId(1), 3, 100);
        clocks.handle_clock(ReplicaId(0), 1_000, 10);
        clocks.handle_clock(ReplicaId(2), 1_000, 10);
        // Both were sent at 1,500 and waited.
        clocks.handle_clock(ReplicaId(0), 1_500, 5_010);
        clocks.handle_clock(ReplicaId(2), 1_500, 5_010);
        assert_eq!(clocks.agreement(6_000, 5_010), Agreement::Agreed);
        // They stay behind: that is their clocks.
        for period in 1..=2 {
            let now = 5_010 + period * CLOCK_PERIOD_NS;
            clocks.handle_clock(ReplicaId(0), now - 3_510, now);
            clocks.handle_clock(ReplicaId(2), now - 3_510, now);
        }
        let now = 5_010 + 2 * CLOCK_PERIOD_NS;
        assert_eq!(clocks.agreement(now + 990, now), Agreement::Contradicted);
    }

    #[test]
    fn p13_a_leader_needs_a_majority_of_clocks_near_its_own() {
        let mut clocks = Clocks::new(ReplicaId(1), 3, 100);
        assert_eq!(clocks.agreement(1_100, 0), Agreement::Unknown);
        clocks.handle_clock(ReplicaId(0), 1_000, 10);
        assert_eq!(clocks.agreement(1_100, 10), Agreement::Agreed);
        assert_eq!(clocks.agreement(1_105, 15), Agreement::Agreed, "both run on");
        assert_eq!(clocks.agreement(1_101, 10), Agreement::Unknown, "the third may agree");
        clocks.handle_clock(ReplicaId(2), 2_000, 10);
        assert_eq!(clocks.agreement(1_101, 10), Agreement::Contradicted, "one is behind and one ahead");
        clocks.forget(ReplicaId(2));
        assert_eq!(clocks.agreement(1_050, 20), Agreement::Agreed);
        assert_eq!(
            clocks.agreement(9_050, 20),
            Agreement::Unknown,
            "this clock was set since the other was told"
        );
        assert_eq!(clocks.time_max(5), StreamTime(105));
        assert_eq!(Clocks::new(ReplicaId(0), 1, 0).agreement(7, 9), Agreement::Agreed);
    }
}
