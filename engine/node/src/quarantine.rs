//! Quarantine (C5): this replica found that its arithmetic, memory or disk is in doubt, or that nobody knows the truth.
//! All its cores stop publishing, answer nobody and lead no more. It still accepts: its log is not in doubt.
//!
//! Nothing that was executed here counts any more, so nothing more is executed: not for answers, not for copies, not
//! for checkpoints. What was stored before was agreed with others. It ends by rebuilding only (R3), since whatever made
//! it wrong once may have left more behind.

use assize_shards::Finding;
use assize_wal::{Quarantine, QuarantineKind};
use assize_wire::{Ballot, Hash, ShardId};

use crate::core::Core;
use crate::held::HeldStripes;
use crate::message::CoreMessage;
use crate::output::Output;

impl Core {
    /// What copies showed, about this replica or another.
    pub(crate) fn take_finding(&mut self, shard: ShardId, finding: Finding) {
        self.tally.divergences += 1;
        let (kind, slot, expected, found) = match finding {
            Finding::Diverged { slot, replica, agreed, found } => {
                self.outputs.push_back(Output::PeerDiverged {
                    slot,
                    shard,
                    replica,
                    published: agreed,
                    found,
                });
                return;
            }
            Finding::Quarantine { slot, agreed, found } => (QuarantineKind::Outcomes, slot, agreed, found),
            Finding::SplitBrain { slot, seen } => {
                // Any two of them show it.
                let first = seen.first().map_or(Hash::ZERO, |(_, digest)| *digest);
                let other = seen.iter().map(|(_, digest)| *digest).find(|digest| *digest != first);
                (QuarantineKind::SplitBrain, slot, first, other.unwrap_or(first))
            }
        };
        self.doubt(Quarantine { kind, slot, shard: Some(shard), expected, found });
    }

    /// What comparing checkpoints showed, about this replica or another (C7).
    pub(crate) fn take_state_finding(&mut self, finding: Finding) {
        self.tally.divergences += 1;
        let (kind, slot, expected, found) = match finding {
            Finding::Diverged { slot, replica, agreed, found } => {
                self.outputs.push_back(Output::PeerStateDiverged { slot, replica, agreed, found });
                return;
            }
            Finding::Quarantine { slot, agreed, found } => (QuarantineKind::State, slot, agreed, found),
            Finding::SplitBrain { slot, seen } => {
                let first = seen.first().map_or(Hash::ZERO, |(_, digest)| *digest);
                let other = seen.iter().map(|(_, digest)| *digest).find(|digest| *digest != first);
                (QuarantineKind::SplitBrain, slot, first, other.unwrap_or(first))
            }
        };
        self.doubt(Quarantine { kind, slot, shard: None, expected, found });
    }

    /// This core found something: it stops at once, and the control core stops the others.
    pub(crate) fn doubt(&mut self, quarantine: Quarantine) {
        if self.quarantine.is_none() {
            self.enter_quarantine(quarantine);
            self.tell_events(&quarantine);
            self.send(self.layout.control, CoreMessage::Doubt(quarantine));
        }
    }

    /// On the control core: a core has found something. Makes it durable, gives up leading, and tells every core.
    pub(crate) fn take_doubt(&mut self, quarantine: Quarantine) {
        if core::mem::replace(&mut self.control().doubted, true) {
            return;
        }
        self.outputs.push_back(Output::Quarantined(quarantine));
        self.control().coordinator.write_quarantine(quarantine);
        self.control().coordinator.handle_quarantine();
        // Before they hear that this replica leads no more: nobody is to be answered.
        for core in self.layout.cores() {
            self.send(core, CoreMessage::Quarantined(quarantine));
        }
        self.docket().quarantine();
    }

    /// From now on this core executes, publishes and answers nothing.
    pub(crate) fn enter_quarantine(&mut self, quarantine: Quarantine) {
        if self.quarantine.is_some() {
            return;
        }
        self.quarantine = Some(quarantine);
        self.ballot = Ballot::NONE;
        self.usher.unlead();
        // The same keys at the next leader get the agreed answer.
        self.connections.drop_all();
        self.pending.give_up();
        for seat in &mut self.usher.seats {
            drop(seat.take_waiting());
            seat.held = HeldStripes::default();
        }
        self.forget_reads();
    }

    /// Whether this replica is quarantined, as far as this core was told.
    #[must_use]
    pub fn quarantine(&self) -> Option<&Quarantine> {
        self.quarantine.as_ref()
    }
}
