//! A leader that is deposed and does not know it, while some clients go on reading from it: what it tells them must not
//! be older than what the new leader has told others (C8, P11).
//!
//! A leader under load abdicates before others elect somebody (P9). So clients are quiet first until nothing is under
//! way: then it goes on leading, for all it knows, as long as it hears nothing.

use super::world::ClusterWorld;
use crate::seeds::trace;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deposing {
    No,
    /// Clients only read until nothing else is under way; not longer than until then.
    Quiet {
        until: u64,
    },
    /// What others send to this replica is held up; from then on, what it sends as well.
    HeldUp {
        old: usize,
        until: u64,
    },
    /// Whoever led is cut off, or stands still, until then; some clients stay with it a little longer.
    Apart {
        until: u64,
        left: u64,
    },
}

impl ClusterWorld {
    /// Perhaps a leader is to be deposed; and what is to come next for one that is.
    pub(super) fn depose(&mut self) {
        let now = self.cluster.now_ns;
        match self.faults.deposing {
            Deposing::No => {
                let one_in = self.faults.habits.depose_one_in;
                let able = self.cluster.replicas.len() > 1 && self.clients.count() > 1 && !self.faults.parted;
                if self.faults.comes(one_in) && able {
                    self.clients.quiet = true;
                    self.faults.deposing = Deposing::Quiet { until: now + QUIET_NS };
                }
            }
            Deposing::Quiet { until } => {
                let idle = self.clients.events_under_way() == 0 && self.cluster.is_idle();
                match self.cluster.leader() {
                    Some(old) if idle && !self.faults.parted => self.cut_off(old),
                    _ if now >= until => self.depose_nobody(),
                    _ => {}
                }
            }
            Deposing::HeldUp { old, until } if now >= until => self.cut_off_whole(old),
            Deposing::HeldUp { .. } => {}
            Deposing::Apart { until, left } => {
                if now >= until && self.faults.parted {
                    self.faults.parted = false;
                    self.cluster.network.heal(now);
                }
                if now >= left {
                    self.depose_nobody();
                }
            }
        }
    }

    /// Nothing gets to this replica or away from it any more, and clients do nothing but read from it.
    pub fn cut_off_and_read(&mut self, at: usize) {
        for other in (0..self.cluster.replicas.len()).filter(|other| *other != at) {
            self.cluster.network.block(at, other, true);
            self.cluster.network.block(other, at, true);
        }
        self.clients.quiet = true;
        self.clients.stays = Some(at);
    }

    /// Clients do as always.
    pub(super) fn depose_nobody(&mut self) {
        self.faults.deposing = Deposing::No;
        self.clients.quiet = false;
        self.clients.stays = None;
    }

    /// It hears nobody and perhaps is not heard, or it stands still, or both: long enough for others to elect somebody.
    fn cut_off(&mut self, old: usize) {
        let now = self.cluster.now_ns;
        let timeout = self.cluster.replicas[old].shape.election.timeout_ns;
        if self.faults.random.below(2) == 0 {
            // It is heard for another few heartbeats. Their answers come when it leads no more.
            self.block(old, false);
            self.faults.deposing = Deposing::HeldUp { old, until: now + timeout / 2 };
            return;
        }
        let mut times = |least: u64, more: u64| timeout * least + self.faults.random.below(timeout * more);
        let (until, frozen) = (now + times(2, 4), now + times(1, 4));
        let how = self.faults.random.below(4);
        trace!("{} ms: replica {old} leads and is cut off ({how})", now / 1_000_000);
        if how != STANDS_STILL {
            self.block(old, true);
            if how == IS_NOT_HEARD {
                self.cluster.network.heal_towards(old);
            }
        }
        if how == STANDS_STILL || how == BOTH {
            self.cluster.frozen_until[old] = frozen;
        }
        self.go_apart(old, until, until.max(frozen));
    }

    /// The answers to its last heartbeats are under way, and nothing gets out any more.
    fn cut_off_whole(&mut self, old: usize) {
        let timeout = self.cluster.replicas[old].shape.election.timeout_ns;
        let until = self.cluster.now_ns + 3 * timeout + self.faults.random.below(3 * timeout);
        self.block(old, true);
        self.go_apart(old, until, until);
    }

    fn go_apart(&mut self, old: usize, until: u64, last: u64) {
        let timeout = self.cluster.replicas[old].shape.election.timeout_ns;
        self.clients.quiet = false;
        self.clients.stays = Some(old);
        self.faults.deposing = Deposing::Apart { until, left: last + timeout };
    }

    /// It hears nobody; with `out` nobody hears it, either.
    fn block(&mut self, old: usize, out: bool) {
        self.faults.partitions += u64::from(!self.faults.parted);
        self.faults.parted = true;
        for other in (0..self.cluster.replicas.len()).filter(|other| *other != old) {
            self.cluster.network.block(old, other, out);
            self.cluster.network.block(other, old, true);
        }
    }
}

const STANDS_STILL: u64 = 0;
const BOTH: u64 = 1;
const IS_NOT_HEARD: u64 = 2;

/// How long clients are quiet at most.
const QUIET_NS: u64 = 100_000_000;
