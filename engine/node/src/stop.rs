//! A stop: nothing more is admitted, what was admitted is answered and durable, leadership is handed over, then every
//! core halts.

use assize_consensus::Role;
use assize_wire::Ballot;

use crate::core::Core;
use crate::limits::HAND_OVER_NS;
use crate::message::CoreMessage;

impl Core {
    /// While stopping: says so once nothing is under way here, and halts all once that holds everywhere and another
    /// replica may lead.
    pub(crate) fn step_stop(&mut self) {
        if self.stopping && !self.drained && self.has_drained() {
            self.drained = true;
            self.log.handle_idle();
            self.send(self.layout.control, CoreMessage::Drained(self.id));
        }
        self.apply_own();
        let cores = self.layout.cores().count();
        let all = self.control.as_ref().is_some_and(|control| control.drained_cores.len() == cores);
        if all && self.has_handed_over() {
            self.control().drained_cores.clear();
            for core in self.layout.cores() {
                self.send(core, CoreMessage::Halt);
            }
            self.apply_own();
        }
    }

    /// Whether nobody waits for anything here.
    fn has_drained(&self) -> bool {
        // What another core owns is answered by that core, over this one: who is drained waits for no answer.
        if self.connections.unanswered() > 0 {
            return false;
        }
        // Of a follower nobody waits for anything, and more may always come.
        let follows = self.greeting.replicas > 1 && self.ballot == Ballot::NONE;
        follows || (self.usher.is_drained() && self.outcomes.is_drained())
    }

    /// Hands leadership over, if this replica leads. True once it does not any more, or nobody took it in time.
    fn has_handed_over(&mut self) -> bool {
        let (now, alone) = (self.now.monotonic_ns, self.greeting.replicas == 1);
        let control = self.control();
        if alone || control.docket.role() != Role::Leader {
            return true;
        }
        match control.hand_over_until {
            Some(until) => now >= until,
            None => {
                control.hand_over_until = Some(now + HAND_OVER_NS);
                !control.docket.hand_over(None)
            }
        }
    }

    fn apply_own(&mut self) {
        while let Some(message) = self.own.pop_front() {
            self.apply(message);
        }
    }
}
