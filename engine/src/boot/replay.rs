//! The thread that reads recovered slots back and gives them to the Docket, a bounded number ahead of what the cores
//! have published.

use std::sync::Arc;
use std::thread;

use assize_device::DataDirectory;
use assize_node::CoreMessage;
use assize_node::boot::{ReadError, SlotReader};
use assize_wal::LogIdentity;
use assize_wal::recovery::Recovered;
use assize_wire::{CoreId, Slot};
use crossbeam_channel::{Receiver, Sender, unbounded};

use super::BootError;
use crate::reactor::{Failure, Mailbox, Notice};

/// The replay thread, seen from the process.
pub(super) struct Replayer {
    published: Sender<Slot>,
}

/// What the replay thread is given.
pub(super) struct ReplayPlan {
    /// The data directory.
    pub(super) directory: DataDirectory,
    /// Of any of the replica's logs.
    pub(super) identity: LogIdentity,
    /// What recovery found.
    pub(super) recovered: Arc<Recovered>,
    /// The control core.
    pub(super) control: Mailbox,
    /// Slots under way at once.
    pub(super) window: u64,
    /// What the process is told.
    pub(super) notices: Sender<Notice>,
}

impl Replayer {
    pub(super) fn start(plan: ReplayPlan) -> Result<Replayer, BootError> {
        let (published, inbox) = unbounded();
        let run = move || {
            if let Err(error) = replay(&plan, &inbox) {
                drop(plan.notices.send(Notice::Failed(CoreId(0), Failure::Read(error))));
            }
        };
        let thread = thread::Builder::new().name("replay".to_owned()).spawn(run);
        thread.map_err(|error| BootError::Io("starting the replay thread", error))?;
        Ok(Replayer { published })
    }

    pub(super) fn handle_published(&self, slot: Slot) {
        // The thread has ended once everything was given; what is published after that is of no use to it.
        let _ = self.published.send(slot);
    }
}

fn replay(plan: &ReplayPlan, published: &Receiver<Slot>) -> Result<(), ReadError> {
    let ReplayPlan { identity, recovered, control, window, .. } = plan;
    let mut directory = plan.directory.clone();
    let mut reader = SlotReader::new(*identity, recovered.outcomes.clone());
    let mut through = recovered.accepted.first().map_or(0, |slot| slot.slot.0 - 1);
    for slot in &recovered.accepted {
        while slot.slot.0 - through > window * AHEAD {
            match published.recv() {
                Ok(slot) => through = slot.0,
                // The process is ending.
                Err(_) => return Ok(()),
            }
        }
        control.post(CoreMessage::Replay(reader.slot(&mut directory, slot)?));
        control.wake();
    }
    Ok(())
}

/// How many windows are read ahead of what is published.
const AHEAD: u64 = 4;
