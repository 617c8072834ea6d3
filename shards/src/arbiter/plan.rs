//! What will happen to each event of a stripe, and the entities it needs.

use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_wire::{DomainId, EntityId, LogicVersions, Slot};

use super::Loans;
use super::pieces::Pieces;
use super::uses::Uses;
use crate::OrderedSlot;
use crate::shard::StripeBytes;
use crate::warden::Seen;

/// One own stripe under way. Reused, so that nothing is allocated for an event.
pub(crate) struct Plan {
    pub(crate) ordered: Arc<OrderedSlot>,
    pub(crate) bytes: StripeBytes,
    /// What evaluates it, whatever is in force when that is done (P12).
    pub(crate) logic: LogicVersions,
    pub(crate) steps: Vec<Step>,
    /// The entities of the events to be evaluated, one after the other.
    pub(crate) ids: Vec<EntityId>,
    /// Where each of `ids` is.
    pub(crate) refs: Vec<EntityRef>,
    pub(crate) loans: Loans,
    /// The events that are to be evaluated and did not run when the stripe's turn came, by index.
    pub(crate) waiting: Vec<u32>,
    /// In which order those may run.
    pub(crate) uses: Uses,
    /// What has run, unless all ran at once.
    pub(crate) pieces: Pieces,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// Where its bytes begin in the stripe.
    pub(crate) offset: u32,
    /// Its first entity in `ids`.
    pub(crate) entities_from: u32,
    pub(crate) entities: u8,
    pub(crate) domain: DomainId,
    pub(crate) decision: Decision,
}

/// What the event's bytes, the manifest and the Warden say, before any evaluation (W3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// To be evaluated, once; seen under this entry.
    Evaluate(Seen),
    /// The domain panicked when it was asked for the entities; seen under this entry.
    Fault(Seen),
    /// The first submission is this entry.
    Duplicate(Seen),
    Conflict,
    Full,
    Expired,
    /// For this reason.
    Invalid(u16),
    /// Its bytes are not an event's, so not even its key is known.
    Unreadable,
}

/// An entity of a stripe: a record of this shard, or a loan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntityRef(u32);

impl EntityRef {
    /// At home here; its record is looked up when the stripe's turn comes.
    pub(crate) const LOCAL: EntityRef = EntityRef(REMOTE - 1);

    pub(crate) fn record(at: u32) -> EntityRef {
        assert!(at < REMOTE - 1, "record {at} does not fit a reference");
        EntityRef(at)
    }

    pub(crate) fn loan(at: u32) -> EntityRef {
        EntityRef(REMOTE | at)
    }

    /// The number of the record, or `Err` with that of the loan.
    pub(crate) fn place(self) -> Result<u32, u32> {
        if self.0 & REMOTE == 0 { Ok(self.0) } else { Err(self.0 & !REMOTE) }
    }

    pub(crate) fn is_local(self) -> bool {
        self.0 & REMOTE == 0
    }
}

impl Plan {
    pub(crate) fn new(
        ordered: Arc<OrderedSlot>,
        bytes: StripeBytes,
        logic: LogicVersions,
        loans: Loans,
    ) -> Plan {
        Plan {
            ordered,
            bytes,
            logic,
            steps: Vec::new(),
            ids: Vec::new(),
            refs: Vec::new(),
            loans,
            waiting: Vec::new(),
            uses: Uses::default(),
            pieces: Pieces::default(),
        }
    }

    pub(crate) fn slot(&self) -> Slot {
        self.ordered.manifest.slot
    }

    /// All events that are to be evaluated are waiting.
    pub(crate) fn wait_for_all(&mut self) {
        let evaluated = (0..).zip(&self.steps).filter(|(_, step)| step.entities > 0);
        self.waiting.extend(evaluated.map(|(event, _)| event));
    }

    /// Forgets the last stripe, for the next one.
    pub(crate) fn reset(&mut self, ordered: Arc<OrderedSlot>, bytes: StripeBytes, logic: LogicVersions) {
        self.ordered = ordered;
        self.bytes = bytes;
        self.logic = logic;
        self.steps.clear();
        self.ids.clear();
        self.refs.clear();
        self.loans.clear();
        self.waiting.clear();
        self.uses.clear();
    }
}

const REMOTE: u32 = 1 << 31;

const _: () = assert!(size_of::<Step>() <= 32, "two steps share a cache line");
