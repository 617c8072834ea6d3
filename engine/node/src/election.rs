//! The clock side of elections: when this replica no longer hears a leader, canvasses, sends heartbeats, or has made no
//! progress for too long (P9). The Docket itself knows no clock.

use assize_consensus::{Role, Watermarks};
use assize_wire::Ballot;

/// How long things take, in nanoseconds of the monotonic clock. What they cannot change is an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElectionTimes {
    /// A leader that is not heard for this long is not heard any more. The randomised timeout lies between this and
    /// twice this.
    pub timeout_ns: u64,
    /// Between two heartbeats of a leader; a small part of the timeout.
    pub heartbeat_ns: u64,
}

impl ElectionTimes {
    /// Failover well under half a second, and five heartbeats before a leader counts as silent.
    pub const DEFAULT: ElectionTimes = ElectionTimes { timeout_ns: 150_000_000, heartbeat_ns: 25_000_000 };

    /// For how long an answered heartbeat promises its leader no other ballot (P11). With the rate error of clocks
    /// added it is over before a leader counts as silent, so that nobody waits for it to be over.
    #[must_use]
    pub fn lease_ns(self) -> u64 {
        self.timeout_ns / 4 * 3
    }
}

/// What is due for the Docket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// [`assize_consensus::Docket::handle_silence`].
    Silence,
    /// [`assize_consensus::Docket::handle_election_timeout`].
    Timeout,
    /// [`assize_consensus::Docket::handle_heartbeat_due`].
    Heartbeat,
    /// [`assize_consensus::Docket::handle_stalled`].
    Stalled,
}

/// Timers of one replica.
#[derive(Debug)]
pub(crate) struct Election {
    times: ElectionTimes,
    alone: bool,
    random: u64,
    /// When a leader was last heard, or an election begun.
    heard: u64,
    told_silence: bool,
    /// Drawn anew with each reset.
    timeout_at: u64,
    /// The last ballot that was gone by, since when, and how many came before it in quick succession.
    ballot: (Ballot, u64),
    quick: u32,
    /// The connection to the leader of that ballot was lost since.
    leader_gone: bool,
    heartbeat_at: u64,
    /// What counts as progress (P9), and since when it stands still.
    progress: (Watermarks, u64),
    progress_since: u64,
}

impl Election {
    /// `seed` differs between replicas and starts. Who is `alone` waits for nobody.
    pub(crate) fn new(times: ElectionTimes, seed: u64, alone: bool) -> Election {
        Election {
            times,
            alone,
            random: seed | 1,
            heard: 0,
            told_silence: false,
            timeout_at: 0,
            ballot: (Ballot::NONE, 0),
            quick: 0,
            leader_gone: false,
            heartbeat_at: 0,
            progress: (Watermarks::default(), 0),
            progress_since: 0,
        }
    }

    /// A leader was heard, or an election begins: the timeout is drawn anew.
    pub(crate) fn reset(&mut self, now: u64) {
        self.heard = now;
        self.told_silence = false;
        let timeout = self.timeout_ns();
        self.timeout_at = now + timeout + self.next_random() % timeout;
    }

    /// The ballot that this replica goes by.
    ///
    /// A leader that nobody hears, or under whom nothing moves, may be slow because the machine or the disk of all is.
    /// 1. One leads, and an fdatasync takes longer than an election timeout. It abdicates.
    /// 2. The next one leads, on the same disk. It abdicates, and so on: each of them would have answered in a moment.
    ///
    /// So where ballots follow each other quickly, every second one doubles what counts as too long. One whose leader
    /// went away does not count:
    /// 1. Replicas 0 and 2 end again and again, each soon after it was elected. Replica 1 never does.
    /// 2. Were it to have more patience each time, and those that start anew to have none, one of them would always
    ///    stand first: the only one on which all could rely would never lead.
    pub(crate) fn handle_ballot(&mut self, ballot: Ballot, now: u64) {
        if ballot != self.ballot.0 {
            let slow = u32::from(!core::mem::take(&mut self.leader_gone));
            self.quick = if self.is_calm(now) { 0 } else { (self.quick + slow).min(QUICK_MAX) };
            self.ballot = (ballot, now);
        }
    }

    /// Whoever leads under the present ballot is not connected any more: its process has ended, or it is cut off.
    pub(crate) fn handle_leader_gone(&mut self) {
        self.leader_gone = true;
    }

    fn is_calm(&self, now: u64) -> bool {
        now >= self.ballot.1 + CALM_TIMEOUTS * self.timeout_ns()
    }

    /// For how long nothing may be heard of a leader, or move under one.
    pub(crate) fn timeout_ns(&self) -> u64 {
        self.times.timeout_ns << (self.quick / 2)
    }

    /// What is due now; each once.
    ///
    /// `written` is how far the Docket's log is durable, `outstanding` whether anything is under way at all.
    pub(crate) fn poll(
        &mut self,
        role: Role,
        marks: Watermarks,
        written: u64,
        outstanding: bool,
        now: u64,
    ) -> Option<Due> {
        if self.timeout_at == 0 {
            self.reset(now);
            if self.alone {
                return Some(Due::Timeout);
            }
        }
        if self.is_calm(now) {
            self.quick = 0;
        }
        if (marks, written) != self.progress || !outstanding {
            self.progress = (marks, written);
            self.progress_since = now;
        }
        if role == Role::Leader {
            // Alone there is nobody to hand over to: a slow disk is slow, and one that fails stops the replica.
            if !self.alone && now >= self.progress_since + self.timeout_ns() {
                self.progress_since = now;
                return Some(Due::Stalled);
            }
            if now >= self.heartbeat_at {
                self.heartbeat_at = now + self.times.heartbeat_ns;
                return Some(Due::Heartbeat);
            }
            return None;
        }
        if !self.told_silence && now >= self.heard + self.timeout_ns() {
            self.told_silence = true;
            return Some(Due::Silence);
        }
        if now >= self.timeout_at {
            self.reset(now);
            return Some(Due::Timeout);
        }
        None
    }

    /// When [`Election::poll`] has something next.
    pub(crate) fn next_due(&self, role: Role, outstanding: bool) -> u64 {
        match role {
            Role::Leader if outstanding => self.heartbeat_at.min(self.progress_since + self.timeout_ns()),
            Role::Leader => self.heartbeat_at,
            _ if self.told_silence => self.timeout_at,
            _ => self.timeout_at.min(self.heard + self.timeout_ns()),
        }
    }

    fn next_random(&mut self) -> u64 {
        // xorshift64: timeouts need to differ, not to be unpredictable.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

/// A ballot that is gone by for so many timeouts ends the quick succession.
const CALM_TIMEOUTS: u64 = 8;

/// Timeouts grow to eight times what they are.
const QUICK_MAX: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use assize_wire::ReplicaId;

    const TIMES: ElectionTimes = ElectionTimes { timeout_ns: 1_000, heartbeat_ns: 100 };

    fn poll(election: &mut Election, role: Role, now: u64) -> Option<Due> {
        election.poll(role, Watermarks::default(), 0, role == Role::Leader, now)
    }

    #[test]
    fn p9_a_silent_leader_is_first_not_heard_and_then_replaced() {
        let mut election = Election::new(TIMES, 7, false);
        assert_eq!(poll(&mut election, Role::Follower, 1), None);
        let silence = election.next_due(Role::Follower, false);
        assert_eq!(silence, 1_001);
        assert_eq!(poll(&mut election, Role::Follower, silence), Some(Due::Silence));
        let timeout = election.next_due(Role::Follower, false);
        assert!((1_001..2_001).contains(&timeout), "{timeout}");
        assert_eq!(poll(&mut election, Role::Follower, timeout), Some(Due::Timeout));
        election.reset(timeout + 5);
        assert_eq!(election.next_due(Role::Follower, false), timeout + 1_005);
    }

    #[test]
    fn p9_a_leader_that_makes_no_progress_is_told_so() {
        let mut election = Election::new(TIMES, 7, false);
        assert_eq!(poll(&mut election, Role::Leader, 1), Some(Due::Heartbeat));
        assert_eq!(poll(&mut election, Role::Leader, 50), None);
        assert_eq!(poll(&mut election, Role::Leader, 101), Some(Due::Heartbeat));
        let marks = Watermarks { formed: assize_wire::Slot(1), ..Watermarks::default() };
        assert_eq!(election.poll(Role::Leader, marks, 0, true, 900), Some(Due::Heartbeat), "progress at 900");
        assert_eq!(election.poll(Role::Leader, marks, 0, true, 1_899), Some(Due::Heartbeat));
        assert_eq!(election.poll(Role::Leader, marks, 0, true, 1_900), Some(Due::Stalled));
        assert_eq!(
            election.poll(Role::Leader, marks, 0, false, 9_000),
            Some(Due::Heartbeat),
            "nothing is due"
        );
        assert_eq!(election.poll(Role::Leader, marks, 0, false, 9_001), None);
    }

    #[test]
    fn who_is_alone_leads_at_once_and_waits_for_nobody() {
        let mut election = Election::new(TIMES, 7, true);
        assert_eq!(poll(&mut election, Role::Follower, 1), Some(Due::Timeout));
        assert_eq!(poll(&mut election, Role::Leader, 1), Some(Due::Heartbeat));
        assert_eq!(
            election.poll(Role::Leader, Watermarks::default(), 0, true, 1_000_000),
            Some(Due::Heartbeat)
        );
        assert_eq!(election.poll(Role::Leader, Watermarks::default(), 0, true, 1_000_001), None);
    }

    /// SlowForAll, CalmAgain
    #[test]
    fn p9_where_ballots_follow_each_other_quickly_more_patience_is_had() {
        let mut election = Election::new(TIMES, 1, false);
        let gives_up_after = |election: &mut Election, began: u64| {
            // What it has written tells one leadership's progress from that of the one before.
            let mut poll = |now| election.poll(Role::Leader, Watermarks::default(), began, true, now);
            (began..).find(|now| poll(*now) == Some(Due::Stalled)).map(|now| now - began)
        };
        let mut now = 20_000;
        let mut found = alloc::vec::Vec::new();
        for round in 1..=9 {
            election.handle_ballot(Ballot::new(round, ReplicaId(0)), now);
            let took = gives_up_after(&mut election, now).unwrap();
            found.push(took / 1_000);
            now += took;
        }
        assert_eq!(found, [1, 1, 2, 2, 4, 4, 8, 8, 8]);
        // One whose leader went away is neither quick nor slow.
        election.handle_leader_gone();
        election.handle_ballot(Ballot::new(10, ReplicaId(1)), now);
        assert_eq!(gives_up_after(&mut election, now).map(|took| took / 1_000), Some(8));
        // A ballot that lasted is the end of it.
        election.handle_ballot(Ballot::new(20, ReplicaId(1)), now + 8 * 8_000);
        assert_eq!(gives_up_after(&mut election, now + 8 * 8_000).map(|took| took / 1_000), Some(1));
    }

    /// SlowForAll: whoever stays up while the others end soon after each was elected stands as soon as they do.
    #[test]
    fn p9_leaders_that_go_away_cost_no_patience() {
        let mut election = Election::new(TIMES, 1, false);
        for round in 1..=9 {
            let now = 20_000 + round;
            election.handle_ballot(Ballot::new(round, ReplicaId(0)), now);
            election.handle_leader_gone();
        }
        assert_eq!(election.timeout_ns(), TIMES.timeout_ns);
    }
}
