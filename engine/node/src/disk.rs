//! A core and its logs: operations out, completions in, and what follows from a record that is durable.

use alloc::sync::Arc;

use assize_wal::{Completion, Durable, Entry, LogFailure, Mark, OperationId};

use crate::checkpoint::Checkpoints;
use crate::core::Core;
use crate::message::CoreMessage;
use crate::output::Output;

impl Core {
    /// A device completed an operation.
    ///
    /// # Errors
    /// [`LogFailure`]: the replica must stop at once (L3).
    pub fn handle_completion(&mut self, completion: Completion) -> Result<(), LogFailure> {
        let log = completion.id.log;
        if log == self.log.identity().log {
            self.log.handle_completion(completion)?;
            while let Some(durable) = self.log.poll_durable() {
                self.handle_durable(durable);
            }
            Ok(())
        } else if log == self.outcomes.log.identity().log {
            self.outcomes.log.handle_completion(completion)
        } else if log == OperationId::SUPERBLOCK {
            let id = completion.id;
            self.control().coordinator.handle_completion(completion).map_err(|error| LogFailure { id, error })
        } else {
            self.checkpoints.handle_completion(completion)
        }
    }

    /// What the logs, and the superblock, want done.
    pub(crate) fn poll_operations(&mut self) {
        let Checkpoints { parts, keys, .. } = &mut self.checkpoints;
        for log in [&mut self.log, &mut self.outcomes.log, parts, keys] {
            while let Some(operation) = log.poll_operation() {
                self.outputs.push_back(Output::Disk(operation));
            }
        }
        while let Some(operation) =
            self.control.as_mut().and_then(|control| control.coordinator.poll_operation())
        {
            self.outputs.push_back(Output::Disk(operation));
        }
    }

    fn handle_durable(&mut self, durable: Durable) {
        match durable.entry {
            Entry::Stripe(id) => {
                let seat = self.seat_of(id.shard);
                self.usher.seats[seat].held.handle_durable(id, self.now.monotonic_ns);
                let asked_by = self.stripes.handle_durable(id, Arc::clone(&durable.buffer), durable.location);
                // A chosen slot's stripes were durable before it was chosen (P2): this one had decayed since.
                if self.stripes.get(id).is_some_and(|stripe| stripe.slot.is_some()) {
                    self.bring_repaired(id, &durable.buffer);
                }
                for peer in asked_by {
                    self.send_stripe(peer, id, durable.buffer.payload());
                }
                if self.quarantine.is_some() {
                    // It is not going to be run, and peers that lack it are given it from the log.
                    drop(self.stripes.handle_published(id));
                }
                if self.control.is_none() {
                    self.send(self.layout.control, CoreMessage::StripeStored(id));
                }
            }
            Entry::Accept { slot, ballot, .. } => {
                self.take_accept_durable(slot, ballot, durable.location);
            }
            Entry::Idle | Entry::Start => {}
            Entry::Outcomes { .. } | Entry::Entities { .. } | Entry::Keys { .. } | Entry::Part { .. } => {
                panic!("a {} in the log of stripes", durable.entry.kind())
            }
        }
    }

    /// Every record of every log says how far this replica has accepted (L5).
    pub(crate) fn mark(&mut self, mark: Mark) {
        let Checkpoints { parts, keys, .. } = &mut self.checkpoints;
        for log in [&mut self.log, &mut self.outcomes.log, parts, keys] {
            log.handle_mark(mark);
        }
    }
}
