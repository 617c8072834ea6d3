//! What a replica does whose logs are short of room: it accepts what fits. That it lets others lead is said where it
//! stands for election ([`Docket::stands_for_election`]).

use crate::docket::Docket;

impl Docket {
    /// So many accept records the log surely takes from now on. What does not fit waits: a follower whose log is full
    /// accepts nothing until a checkpoint has made room, and a leader keeps room for what it forms.
    pub fn handle_accept_room(&mut self, records: u64) {
        let waited = self.accept_room == 0;
        self.accept_room = records;
        if waited && records > 0 {
            self.drain_intake();
            self.advance();
        }
    }

    /// Whether the logs lack room for stripes that are proposed.
    pub fn handle_short_of_room(&mut self, short: bool) {
        self.short_of_room = short;
    }

    /// Whether it could accept what it would propose, and anybody could count that.
    pub(crate) fn can_lead(&self) -> bool {
        self.accept_room > 0 && self.has_vote()
    }
}
