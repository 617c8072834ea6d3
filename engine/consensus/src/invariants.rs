//! What holds of a Docket between any two calls; the list is that of [`Docket`]'s own documentation.

use assize_wire::Slot;

use crate::docket::{Docket, State};

impl Docket {
    /// Panics, with the values, when an invariant is broken.
    pub fn check_invariants(&self) {
        self.watermarks().check_invariants();
        self.chain.check_invariants();
        self.stripes.check_invariants();
        self.offers.check_invariants();
        assert!(
            self.published <= self.told && self.told <= self.chosen,
            "told {} of {:?}",
            self.told,
            self.watermarks()
        );
        assert!(self.told.0 - self.published.0 <= u64::from(self.config.window), "told {} ahead", self.told);
        assert!(self.published >= self.chain.base(), "slots that are not published left memory");
        assert_eq!(self.chosen, self.fact.min(self.durable), "fact {}, durable {}", self.fact, self.durable);
        assert!(
            self.fact <= self.written && self.written <= self.chain.tip().slot,
            "written {}",
            self.written
        );
        assert!(self.accepted <= self.written, "accepted {} of {}", self.accepted, self.written);
        self.intake.check_invariants(self.written_tip());
        assert!(self.promised >= self.promised_durable, "a promise above {}", self.promised);
        for held in self.chain.above(Slot::ZERO) {
            assert!(
                held.ballot <= self.promised,
                "accepted under {}, promised {}",
                held.ballot,
                self.promised
            );
        }
        let end = self.chain.tip().slot;
        assert!(self.damaged.iter().all(|(slot, _)| *slot > end), "damaged and readable: {:?}", self.damaged);
        if let State::Leading(_) | State::Preparing(_) = &self.state {
            assert_eq!(self.promised.replica(), self.config.replica, "another replica's ballot");
            assert!(!self.quarantined, "a quarantined replica leads");
            assert!(self.has_vote(), "replica {} leads, and has no vote (R3)", self.config.replica);
        }
        if let State::Leading(leading) = &self.state {
            leading.check_invariants(self.intake_tip().slot);
        }
    }
}
