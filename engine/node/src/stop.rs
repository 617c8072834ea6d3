//! A stop: nothing more is admitted, what was admitted is answered and durable, then every core halts.

use crate::core::Core;
use crate::message::CoreMessage;

impl Core {
    /// While stopping: says so once nothing is under way here, and halts all once that holds everywhere.
    pub(crate) fn step_stop(&mut self) {
        // What another core owns is answered by that core, over this one: who is drained waits for no answer.
        let nothing_here = self.usher.is_drained() && self.outcomes.is_drained();
        if self.stopping && !self.drained && nothing_here && self.connections.unanswered() == 0 {
            self.drained = true;
            self.log.handle_idle();
            self.send(self.layout.control, CoreMessage::Drained(self.id));
        }
        while let Some(message) = self.own.pop_front() {
            self.apply(message);
        }
        let cores = self.layout.cores().count();
        if self.control.as_ref().is_some_and(|control| control.drained_cores.len() == cores) {
            self.control().drained_cores.clear();
            for core in self.layout.cores() {
                self.send(core, CoreMessage::Halt);
            }
            while let Some(message) = self.own.pop_front() {
                self.apply(message);
            }
        }
    }
}
