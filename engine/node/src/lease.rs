//! The clock side of leases (P11): for how long this replica promises no other ballot, and until when it may answer
//! reads as the leader without asking anybody.
//!
//! A follower's hold counts from a look at the clock after it took the heartbeat, the leader's lease from one before it
//! sent that, and reads are told by one after the state was read. So it does not matter how long a thread stands still
//! between looking at its clock and what it does next.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use assize_consensus::LeaseOver;
use assize_wire::canary::{self, Canary};
use assize_wire::{Ballot, ReplicaId};

/// What a replica makes of leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseUse {
    /// Whether it answers reads by them. It gives them in any case: so each replica may use them or not.
    pub reads: bool,
    /// How far the rate of any clock may be off, in parts per million. Agreed.
    pub clock_rate_error_ppm: u32,
}

/// Leases given by this replica, and given to it.
///
/// Invariant: `sent` ascends, by number and by time.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Whether reads are answered by it.
    used: bool,
    length_ns: u64,
    /// How long that may be by this replica's clock while it is `length_ns` by another's.
    hold_ns: u64,
    now: u64,
    /// How often the clock was looked at.
    looks: u64,
    of_before: Hold,
    given: Hold,
    /// Under which this replica last sent heartbeats.
    ballot: Ballot,
    /// Number and time of the heartbeats under it that may still give a lease.
    sent: VecDeque<(u64, u64)>,
    /// By replica, its own unused: until then it promises nobody else a ballot.
    until: Vec<u64>,
}

/// A time in which nothing is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    No,
    /// From the next look at the clock on.
    Begins,
    Until(u64),
}

impl Lease {
    /// Of a start.
    pub(crate) fn new(leases: LeaseUse, length_ns: u64, replicas: u8) -> Lease {
        Lease {
            used: leases.reads,
            length_ns,
            hold_ns: stretched(length_ns, leases.clock_rate_error_ppm),
            now: 0,
            looks: 0,
            of_before: if length_ns > 0 && replicas > 1 { Hold::Begins } else { Hold::No },
            given: Hold::No,
            ballot: Ballot::NONE,
            sent: VecDeque::new(),
            until: vec![0; replicas.into()],
        }
    }

    /// The clock was looked at.
    pub(crate) fn handle_now(&mut self, now: u64) {
        self.now = now;
        self.looks += 1;
        for hold in [&mut self.of_before, &mut self.given] {
            if *hold == Hold::Begins {
                *hold = Hold::Until(now + self.hold_ns);
            }
        }
    }

    /// How often the clock was looked at.
    pub(crate) fn looks(&self) -> u64 {
        self.looks
    }

    /// A heartbeat was answered.
    pub(crate) fn handle_given(&mut self) {
        self.given = Hold::Begins;
    }

    /// What is over; each once.
    pub(crate) fn poll_over(&mut self) -> Option<LeaseOver> {
        let is_over = |hold: Hold| matches!(hold, Hold::Until(until) if self.now >= until);
        if is_over(self.of_before) {
            self.of_before = Hold::No;
            return Some(LeaseOver::OfBefore);
        }
        if is_over(self.given) {
            self.given = Hold::No;
            return Some(LeaseOver::Given);
        }
        None
    }

    /// When [`Lease::poll_over`] has something next.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let until = [self.of_before, self.given].into_iter().filter_map(|hold| match hold {
            Hold::Until(until) => Some(until),
            Hold::No | Hold::Begins => None,
        });
        until.min()
    }

    /// A heartbeat is about to be sent, to one replica or several.
    pub(crate) fn handle_sent(&mut self, ballot: Ballot, sequence: u64) {
        if ballot != self.ballot {
            self.ballot = ballot;
            self.sent.clear();
            self.until.fill(0);
        }
        let (now, length_ns) = (self.now, self.length_ns);
        while self.sent.front().is_some_and(|(_, at)| at + length_ns <= now) {
            self.sent.pop_front();
        }
        if self.sent.back().is_none_or(|(last, _)| *last < sequence) {
            self.sent.push_back((sequence, now));
        }
    }

    /// A heartbeat was answered by one that gives this lease.
    pub(crate) fn handle_answered(&mut self, from: ReplicaId, ballot: Ballot, sequence: u64, lease_ns: u64) {
        if ballot != self.ballot || lease_ns == 0 {
            return;
        }
        // One that is forgotten would give a lease that is over.
        let place = self.sent.binary_search_by_key(&sequence, |(sequence, _)| *sequence);
        let sent = place.ok().map(|place| self.sent[place].1);
        let sent = if canary::armed(Canary::LeaseFromArrival) { Some(self.now) } else { sent };
        let Some(sent) = sent else { return };
        let until = &mut self.until[usize::from(from.0)];
        *until = (*until).max(sent.saturating_add(lease_ns));
    }

    /// Whether this replica, if it leads under this ballot, may answer reads by itself, as of the last look at the
    /// clock.
    pub(crate) fn is_held(&self, ballot: Ballot) -> bool {
        let majority = self.until.len() / 2 + 1;
        let given = self.until.iter().filter(|until| self.now < **until).count();
        self.used && ballot == self.ballot && ballot != Ballot::NONE && 1 + given >= majority
    }
}

/// What the fastest clock shows while the slowest shows `ns`.
fn stretched(ns: u64, rate_error_ppm: u32) -> u64 {
    let (ns, error) = (u128::from(ns), u128::from(rate_error_ppm));
    assert!(error < MILLION, "a clock whose rate is off by {error} ppm stands still");
    (ns * (MILLION + error)).div_ceil(MILLION - error) as u64
}

const MILLION: u128 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: u64 = 1_000_000;

    fn ballot(round: u64) -> Ballot {
        Ballot::new(round, ReplicaId(0))
    }

    fn lease(replicas: u8) -> Lease {
        Lease::new(LeaseUse { reads: true, clock_rate_error_ppm: 1000 }, LENGTH, replicas)
    }

    /// LeaseCounted, LeaseOver: from sending, on a majority of clocks, whenever the answers come.
    #[test]
    fn p11_a_lease_counts_from_sending_and_needs_a_majority() {
        let mut lease = lease(5);
        lease.handle_now(10);
        lease.handle_sent(ballot(2), 1);
        lease.handle_now(500);
        lease.handle_sent(ballot(2), 2);
        lease.handle_sent(ballot(2), 2);
        lease.handle_now(900);
        lease.handle_answered(ReplicaId(1), ballot(2), 2, LENGTH);
        assert!(!lease.is_held(ballot(2)), "two of five");
        lease.handle_answered(ReplicaId(2), ballot(2), 1, LENGTH);
        assert!(lease.is_held(ballot(2)));
        assert!(!lease.is_held(ballot(3)), "another ballot");
        lease.handle_now(LENGTH + 9);
        assert!(lease.is_held(ballot(2)));
        lease.handle_now(LENGTH + 10);
        assert!(!lease.is_held(ballot(2)), "replica 2's is over");
        lease.handle_answered(ReplicaId(3), ballot(2), 2, LENGTH);
        assert!(lease.is_held(ballot(2)), "replica 3 answered the second one late");
        lease.handle_now(LENGTH + 500);
        assert!(!lease.is_held(ballot(2)));
    }

    /// LeaseCounted: what gives none, or is of another ballot or number, counts for nothing.
    #[test]
    fn p11_an_answer_without_a_lease_gives_none() {
        let mut lease = lease(3);
        lease.handle_now(10);
        lease.handle_sent(ballot(2), 1);
        lease.handle_answered(ReplicaId(1), ballot(2), 1, 0);
        lease.handle_answered(ReplicaId(1), ballot(1), 1, LENGTH);
        lease.handle_answered(ReplicaId(1), ballot(2), 7, LENGTH);
        assert!(!lease.is_held(ballot(2)));
        lease.handle_answered(ReplicaId(1), ballot(2), 1, LENGTH);
        assert!(lease.is_held(ballot(2)));
        lease.handle_sent(ballot(4), 1);
        assert!(!lease.is_held(ballot(4)), "nobody gave one under the new ballot");
    }

    /// LeaseEnded, LeaseOfBeforeEnded: a hold is longer by the rate error and counts from a later look at the clock.
    #[test]
    fn p11_a_hold_counts_from_the_next_look_at_the_clock() {
        let mut lease = lease(3);
        lease.handle_now(5);
        assert_eq!((lease.poll_over(), lease.next_due()), (None, Some(5 + LENGTH + 2003)), "of before");
        lease.handle_now(5 + LENGTH + 2003);
        assert_eq!(lease.poll_over(), Some(LeaseOver::OfBefore));
        lease.handle_given();
        assert_eq!((lease.poll_over(), lease.next_due()), (None, None), "not before the clock is looked at");
        lease.handle_now(3 * LENGTH);
        lease.handle_now(4 * LENGTH + 2002);
        assert_eq!(lease.poll_over(), None);
        lease.handle_now(4 * LENGTH + 2003);
        assert_eq!((lease.poll_over(), lease.poll_over()), (Some(LeaseOver::Given), None));
    }

    /// Alone nobody gives a lease, and none is needed.
    #[test]
    fn p11_a_replica_by_itself_holds_nothing_back() {
        let mut lease = lease(1);
        lease.handle_now(5);
        assert_eq!((lease.poll_over(), lease.next_due()), (None, None));
    }

    /// A replica that does not use leases gives them all the same.
    #[test]
    fn p11_leases_that_are_off_answer_nothing() {
        let mut lease = Lease::new(LeaseUse { reads: false, clock_rate_error_ppm: 1000 }, LENGTH, 3);
        lease.handle_now(10);
        lease.handle_sent(ballot(2), 1);
        lease.handle_answered(ReplicaId(1), ballot(2), 1, LENGTH);
        assert!(!lease.is_held(ballot(2)));
        assert_eq!(lease.next_due(), Some(10 + LENGTH + 2003), "it promises nothing after a start");
    }
}
