//! Leases (P11): who answered a heartbeat promises no other ballot for a while, so that its leader may answer reads by
//! itself for a while. How long a while is others know, who have a clock; here it is over when they say so.

use assize_wire::Ballot;
use assize_wire::canary::{self, Canary};

use crate::docket::Docket;

/// What keeps a replica from promising a ballot.
///
/// Only a promise that is answered matters. Going by the ballot of a leader that others elected breaks no lease: among
/// those others is one of every majority that gave a lease, and that one's was over when it promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leases {
    /// What a lease is called in answers; 0 gives none.
    pub(crate) length_ns: u64,
    /// Since the start: what was answered before it is not known any more.
    pub(crate) of_before: bool,
    /// The ballot under which a heartbeat was answered last. Leases of lower ones were over when this one was elected.
    pub(crate) given: Option<Ballot>,
    /// It was answered since [`Docket::poll_lease_given`] was last asked.
    pub(crate) given_anew: bool,
}

/// Which of its leases is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseOver {
    /// Any that it may have given before its start.
    OfBefore,
    /// The one of the last answered heartbeat.
    Given,
}

impl Leases {
    pub(crate) fn at_start(length_ns: u64, replicas: u8) -> Leases {
        Leases { length_ns, of_before: length_ns > 0 && replicas > 1, given: None, given_anew: false }
    }

    /// A heartbeat under this ballot is answered. What the answer says of a lease.
    pub(crate) fn give(&mut self, ballot: Ballot) -> u64 {
        if self.length_ns > 0 {
            (self.given, self.given_anew) = (Some(ballot), true);
        }
        self.length_ns
    }
}

impl Docket {
    /// Whether a heartbeat was answered since this was last asked: then the lease that was given counts from when the
    /// clock is next looked at, and [`LeaseOver::Given`] is to be told after its length. To be asked before that is
    /// told.
    pub fn poll_lease_given(&mut self) -> bool {
        core::mem::take(&mut self.leases.given_anew)
    }

    /// So much time has passed by this replica's clock, the clocks' rate error added.
    ///
    /// # Panics
    /// When a heartbeat was answered since [`Docket::poll_lease_given`] was asked: the time does not count from there.
    pub fn handle_lease_over(&mut self, over: LeaseOver) {
        match over {
            LeaseOver::OfBefore => self.leases.of_before = false,
            LeaseOver::Given => {
                assert!(!self.leases.given_anew, "a lease is over, and was given anew: {:?}", self.leases);
                self.leases.given = None;
            }
        }
        self.prepare_when_granted();
        self.advance();
    }

    /// Whether this replica may promise a ballot, its own included, to one whom the leader of `released` told to take
    /// over: that leader answers no reads by its lease any more.
    pub(crate) fn may_promise(&self, released: Ballot) -> bool {
        let Leases { of_before, given, .. } = self.leases;
        (!of_before && given.is_none_or(|given| given <= released)) || canary::armed(Canary::LeaseBroken)
    }
}
