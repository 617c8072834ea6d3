//! The superblock's two copies kept durable, one after the other (L7).

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use assize_wire::canary::{self, Canary};

use super::{FoundSuperblock, Superblock};
use crate::block::Block;
use crate::operation::{Completion, DeviceError, Operation, OperationId};

/// Keeps the superblock durable.
///
/// Call order: [`SuperblockStore::handle_update`], then [`SuperblockStore::poll_operation`] and
/// [`SuperblockStore::handle_completion`] in turn until [`SuperblockStore::poll_updated`] gives the update's sequence.
/// A failed write is never retried: the replica must stop.
#[derive(Debug)]
pub struct SuperblockStore {
    /// Durable in both copies, unless a copy is still to be rewritten.
    current: Superblock,
    /// The newest asked for. `latest.sequence >= current.sequence`.
    latest: Superblock,
    /// Writes to be done in this order; the first may be in flight. Copy 1 of an update follows its copy 0.
    writes: VecDeque<CopyWrite>,
    in_flight: bool,
    updated: VecDeque<u64>,
    operations: u64,
}

impl SuperblockStore {
    /// From what was found at boot: the copy that lacks the newest update is rewritten first.
    #[must_use]
    pub fn new(found: FoundSuperblock) -> SuperblockStore {
        let mut writes = VecDeque::new();
        if let Some(copy) = found.rewrite {
            writes.push_back(CopyWrite { copy, superblock: found.superblock.clone(), acknowledges: false });
        }
        SuperblockStore {
            current: found.superblock.clone(),
            latest: found.superblock,
            writes,
            in_flight: false,
            updated: VecDeque::new(),
            operations: 0,
        }
    }

    /// A superblock that is written for the first time, by `format`.
    #[must_use]
    pub fn format(first: Superblock) -> SuperblockStore {
        let mut store = SuperblockStore::new(FoundSuperblock { superblock: first, rewrite: None });
        store.handle_update(|_| ());
        store
    }

    /// Changes the superblock. The change may be relied on when `poll_updated` has given the sequence returned.
    pub fn handle_update(&mut self, change: impl FnOnce(&mut Superblock)) -> u64 {
        change(&mut self.latest);
        self.latest.sequence =
            self.writes.back().map_or(self.current.sequence, |write| write.superblock.sequence) + 1;
        for copy in [0, 1] {
            let superblock = self.latest.clone();
            let acknowledges = copy == u8::from(!canary::armed(Canary::OlderSuperblock));
            self.writes.push_back(CopyWrite { copy, superblock, acknowledges });
        }
        self.latest.sequence
    }

    /// The next write, one at a time.
    pub fn poll_operation(&mut self) -> Option<Operation> {
        if self.in_flight {
            return None;
        }
        let write = self.writes.front()?;
        self.in_flight = true;
        self.operations += 1;
        let id = OperationId { log: OperationId::SUPERBLOCK, number: self.operations };
        Some(Operation::WriteSuperblock { id, copy: write.copy, blocks: Arc::new(write.superblock.encode()) })
    }

    /// Takes in what became of the write.
    pub fn handle_completion(&mut self, completion: Completion) -> Result<(), DeviceError> {
        assert!(
            self.in_flight && completion.id.number == self.operations,
            "{:?} was not asked for",
            completion.id
        );
        completion.result?;
        self.in_flight = false;
        let write = self.writes.pop_front().expect("one is in flight");
        if write.acknowledges {
            self.updated.push_back(write.superblock.sequence);
            self.current = write.superblock;
        }
        Ok(())
    }

    /// The sequence of the next update that is durable in both copies.
    pub fn poll_updated(&mut self) -> Option<u64> {
        self.updated.pop_front()
    }

    /// Performs every write with `write` (blocking, for boot and `format`).
    pub fn drive(
        &mut self,
        mut write: impl FnMut(u8, &[Block]) -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        while let Some(operation) = self.poll_operation() {
            let Operation::WriteSuperblock { id, copy, blocks } = operation else {
                unreachable!("the superblock asks for nothing else");
            };
            let result = write(copy, &blocks).map(|()| crate::operation::Done::Complete);
            self.handle_completion(Completion { id, result })?;
        }
        Ok(())
    }

    /// What is durable.
    #[must_use]
    pub fn current(&self) -> &Superblock {
        &self.current
    }

    /// With every change asked for, durable or not.
    #[must_use]
    pub fn latest(&self) -> &Superblock {
        &self.latest
    }
}

#[derive(Debug)]
struct CopyWrite {
    copy: u8,
    superblock: Superblock,
    /// Its completion makes the update durable in both copies.
    acknowledges: bool,
}
