//! What a replica does whose logs are short of room: it accepts what fits. That it lets others lead is said where it
//! stands for election ([`Docket::stands_for_election`]).

use crate::docket::Docket;
use crate::effect::Effect;

impl Docket {
    /// So many accept records the log surely takes from now on, all that were asked for having their place. What does
    /// not fit waits: a follower whose log is full accepts nothing until a checkpoint has made room, and a leader keeps
    /// room for what it forms. `to_come` says whether the log gets more by itself: then it may lead without any.
    pub fn handle_accept_room(&mut self, records: u64, to_come: bool) {
        assert!(!self.has_accepts_to_write(), "room is told while accepts wait: {:?}", self.effects);
        let waited = self.accept_room == 0;
        (self.accept_room, self.room_to_come) = (records, to_come);
        if waited && records > 0 {
            self.drain_intake();
            self.advance();
        }
    }

    /// Whether effects that were not polled yet ask for accept records.
    #[must_use]
    pub fn has_accepts_to_write(&self) -> bool {
        self.effects.iter().any(is_accept)
    }

    /// The accept records that the log has still to take if it is told of no other room: those asked for in effects
    /// that were not polled yet, and those that may be asked for. None before the room was told.
    #[must_use]
    pub fn accepts_to_take(&self) -> Option<u64> {
        let asked_for = self.effects.iter().filter(|effect| is_accept(effect)).count();
        (self.accept_room < u64::MAX).then(|| self.accept_room + asked_for as u64)
    }

    /// Whether the logs lack room for stripes that are proposed.
    pub fn handle_short_of_room(&mut self, short: bool) {
        self.short_of_room = short;
    }

    /// Whether it could accept what it would propose, and anybody could count that.
    pub(crate) fn can_lead(&self) -> bool {
        (self.accept_room > 0 || self.room_to_come) && self.has_vote()
    }
}

fn is_accept(effect: &Effect) -> bool {
    matches!(effect, Effect::WriteAccept(_))
}
