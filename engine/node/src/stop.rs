//! A stop: nothing more is admitted, what was admitted is answered and durable, leadership is handed over, then every
//! core halts.

use assize_consensus::{HandOverRefused, Heir, Role};
use assize_wire::Ballot;

use crate::core::Core;
use crate::limits::HAND_OVER_NS;
use crate::message::CoreMessage;

impl Core {
    /// Nothing more is admitted.
    pub(crate) fn take_stop(&mut self) {
        self.stopping = true;
        self.usher.stop();
        if self.control.is_some() {
            self.stop_handing_over();
        }
    }

    /// While stopping: says so once nothing is under way here, and halts all once that holds everywhere and another
    /// replica may lead. True if the Docket has more to do for that.
    #[must_use]
    pub(crate) fn step_stop(&mut self) -> bool {
        if self.stopping && !self.drained && self.has_drained() {
            self.drained = true;
            self.handle_idle_log();
            self.send(self.layout.control, CoreMessage::Drained(self.id));
        }
        self.apply_own();
        let cores = self.layout.cores().count();
        let all = self.control.as_ref().is_some_and(|control| control.drained_cores.len() == cores);
        if !all {
            return false;
        }
        match self.hand_over_to_stop() {
            HandingToStop::Begun => true,
            HandingToStop::Waiting => false,
            HandingToStop::Over => {
                self.control().drained_cores.clear();
                self.halt_handing_over();
                for core in self.layout.cores() {
                    self.send(core, CoreMessage::Halt);
                }
                self.apply_own();
                false
            }
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

    /// Hands leadership over, if this replica leads. It is over once it does not any more, or nobody took it in time.
    fn hand_over_to_stop(&mut self) -> HandingToStop {
        let (now, alone) = (self.now.monotonic_ns, self.greeting.replicas == 1);
        let control = self.control();
        if alone || control.docket.role() != Role::Leader {
            return HandingToStop::Over;
        }
        let until = *control.hand_over_until.get_or_insert(now + HAND_OVER_NS);
        if now >= until {
            return HandingToStop::Over;
        }
        if control.docket.is_handing_over() {
            return HandingToStop::Waiting;
        }
        match control.docket.hand_over(Heir::Anybody) {
            Ok(()) => HandingToStop::Begun,
            Err(HandOverRefused::Alone) => HandingToStop::Over,
            // Somebody may be able to in a moment.
            Err(_) => HandingToStop::Waiting,
        }
    }

    fn apply_own(&mut self) {
        while let Some(message) = self.own.pop_front() {
            self.apply(message);
        }
    }
}

/// How far a replica that stops is with handing over.
enum HandingToStop {
    Begun,
    Waiting,
    Over,
}
