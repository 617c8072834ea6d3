//! A core and its logs: operations out, completions in, and what follows from a record that is durable.

use assize_wal::{Completion, Durable, Entry, LogFailure, Mark, OperationId};

use crate::checkpoint::{Checkpoints, Coordinator};
use crate::core::{Core, Output};
use crate::message::CoreMessage;

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
            self.coordinator().handle_completion(completion).map_err(|error| LogFailure { id, error })
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
        while let Some(operation) = self.coordinator.as_mut().and_then(Coordinator::poll_operation) {
            self.outputs.push_back(Output::Disk(operation));
        }
    }

    fn handle_durable(&mut self, durable: Durable) {
        match durable.entry {
            Entry::Stripe(id) => {
                let seat = self.seat_of(id.shard);
                let held = self.usher.seats[seat].held.find(id);
                held.bytes = Some(durable.buffer);
                held.location = Some(durable.location);
                held.stages.durable = self.now.monotonic_ns;
                if self.docket.is_none() {
                    self.send(self.layout.control, CoreMessage::StripeDurable(id));
                }
            }
            Entry::Accept { slot, ballot, .. } => {
                self.checkpoints.retention.note_slot(durable.location.segment, slot);
                self.docket().handle_accept_durable(slot, ballot);
                self.mark(Mark { ballot, slot });
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

    pub(crate) fn coordinator(&mut self) -> &mut Coordinator {
        match &mut self.coordinator {
            Some(coordinator) => coordinator,
            None => panic!("core {} is not the control core", self.id),
        }
    }
}
