//! What this replica knows of the others' wall clocks (P13): stream time follows the clocks of a majority, never one
//! alone.

use alloc::vec;
use alloc::vec::Vec;

use assize_wire::{ReplicaId, StreamTime};

/// The clocks of a cluster, as one replica sees them.
#[derive(Debug)]
pub(crate) struct Clocks {
    own: ReplicaId,
    skew_ns: u64,
    /// By replica: its wall clock minus this one's monotonic clock when it was last told. Both run on at nearly the
    /// same rate, so the difference ages well, whatever this one's wall clock does meanwhile. It is too low by the
    /// time that the message was under way.
    offsets: Vec<Option<i64>>,
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
        self.offsets[usize::from(from.0)] = Some(i64::try_from(offset).unwrap_or(i64::MAX));
    }

    /// It is not reached any more: what it told last says less and less.
    pub(crate) fn forget(&mut self, peer: ReplicaId) {
        self.offsets[usize::from(peer.0)] = None;
    }

    /// Whether this replica may form slots with its own clock.
    pub(crate) fn agreement(&self, wall_ns: u64, monotonic_ns: u64) -> Agreement {
        let own = i128::from(wall_ns) - i128::from(monotonic_ns);
        let majority = self.offsets.len() / 2 + 1;
        let within = |offset: &&i64| (i128::from(**offset) - own).unsigned_abs() <= u128::from(self.skew_ns);
        let others = self.offsets.iter().enumerate().filter(|(at, _)| *at != usize::from(self.own.0));
        let known: Vec<&i64> = others.filter_map(|(_, offset)| offset.as_ref()).collect();
        let agree = 1 + known.iter().copied().filter(within).count();
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
