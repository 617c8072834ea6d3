//! What the Docket wants done: the shell performs it and reports completions.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use assize_wire::manifest::{Ordered, StripeRef};
use assize_wire::peer::{DocketMessage, Generations};
use assize_wire::{Ballot, Hash, ReplicaId, Slot, StreamTime, StripeId};

/// One thing to do. They are polled in the order in which they are to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use = "an effect that is not performed stops the log"]
pub enum Effect {
    /// Send a message; it may be lost.
    Send {
        /// The receiver.
        to: ReplicaId,
        /// The message.
        message: DocketMessage,
    },
    /// Write the promise into the superblock; answered with [`crate::Docket::handle_promise_durable`].
    WritePromise(Ballot),
    /// Write into the superblock what is known of disks (R3); answered with
    /// [`crate::Docket::handle_generations_durable`].
    WriteGenerations(Generations),
    /// Write into the superblock that this replica has its vote again (R3), after all that was to be written there
    /// before; answered with [`crate::Docket::handle_rejoin_ended`].
    EndRejoin,
    /// Append an accept record; answered with [`crate::Docket::handle_accept_durable`], in the same order.
    WriteAccept(Proposal),
    /// A stripe that is named is not stored here: get it, by identity (P8). Told once while it is needed; answered with
    /// [`crate::Docket::handle_stripe_stored`], at once if it is stored after all.
    WantStripe {
        /// The stripe.
        stripe: StripeRef,
        /// Who has it: it accepted the slot, or proposed it.
        from: Option<ReplicaId>,
    },
    /// Begin counting the election timeout, and the time to [`crate::Docket::handle_silence`], anew.
    ResetElectionTimer,
    /// This replica leads: seal stripes under this ballot from now on.
    Lead {
        /// The ballot.
        ballot: Ballot,
    },
    /// It leads no more: discard own open and unnamed stripes (P10).
    Unlead {
        /// Stripes of unpublished slots that are held here: their clients are answered when they are published, or when
        /// [`Effect::Voided`] names them.
        named: Vec<StripeId>,
    },
    /// This leader has stepped down for another replica, which was told to take over (P12).
    HandedOver {
        /// Which one.
        to: ReplicaId,
    },
    /// Slots that named these stripes are void here (P4): their clients get `not leader`. The stripes stay stored.
    Voided(Vec<StripeId>),
    /// Stripes sealed under ballots below this one, and named by no slot here, may be dropped (P8).
    Release {
        /// The ballot.
        below: Ballot,
    },
    /// A peer fetches chosen slots that are no longer in memory: read them from the log and send it
    /// [`DocketMessage::Fetched`]: at most [`crate::limits::FETCH_SLOTS_MAX`], none if the log does not reach back.
    ReadChosen {
        /// Who fetches.
        to: ReplicaId,
        /// The first slot.
        from: Slot,
    },
    /// The peer's log does not reach back to what this replica lacks: only a checkpoint helps.
    WantCheckpoint {
        /// Who said so.
        from: ReplicaId,
        /// What it knows chosen.
        chosen: Slot,
    },
    /// An operator must hear of it.
    Alarm(Alarm),
}

/// A slot's value that this replica is about to accept: its accept record is written after the stripes that it names
/// are durable, or stand before it in the same log (P2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use = "a slot that was accepted and is not written stops the log"]
pub struct Proposal {
    /// The ballot under which it is accepted.
    pub ballot: Ballot,
    /// The slot.
    pub slot: Slot,
    /// Whether it was freshly formed under this ballot.
    pub fresh: bool,
    /// Its value.
    pub ordered: Arc<Ordered>,
    /// The manifest's bytes.
    pub bytes: Vec<u8>,
    /// What the record says is chosen, with everything below: at or above its own slot if the slot was fetched (P7).
    pub chosen: Slot,
}

/// What no working cluster does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alarm {
    /// Two manifests for one slot under one ballot (P6).
    Conflict {
        /// The slot.
        slot: Slot,
        /// The ballot.
        ballot: Ballot,
        /// The hash held.
        held: Hash,
        /// The other one.
        told: Hash,
        /// Who told it.
        from: ReplicaId,
    },
    /// Two manifests for one slot, both said to be chosen (P7).
    SplitLog {
        /// The slot.
        slot: Slot,
        /// The hash held.
        held: Hash,
        /// The other one.
        told: Hash,
        /// Who told it.
        from: ReplicaId,
    },
    /// A proposal that does not continue what was proposed before it: chain, slot or stream time (P4, P13).
    Unchained {
        /// The slot.
        slot: Slot,
        /// The ballot.
        ballot: Ballot,
        /// Who proposed it.
        from: ReplicaId,
    },
    /// A leader's stream time is ahead of this replica's clock by more than the skew (P13).
    TimeAhead {
        /// The slot.
        slot: Slot,
        /// Its time.
        time: StreamTime,
        /// The highest one accepted here.
        time_max: StreamTime,
        /// Who proposed it.
        from: ReplicaId,
    },
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Alarm::Conflict { slot, ballot, held, told, from } => write!(
                f,
                "replica {from} says that ballot {ballot} gave slot {slot} the manifest {told}; here it gave it {held}: \
                 one ballot was used twice. Was a replica started from a copy of its disk?"
            ),
            Alarm::SplitLog { slot, held, told, from } => write!(
                f,
                "slot {slot} is chosen here as {held}, and replica {from} says it was chosen as {told}: the logs of \
                 this cluster have split. Stop both and compare their logs"
            ),
            Alarm::Unchained { slot, ballot, from } => write!(
                f,
                "replica {from} proposed under ballot {ballot} a manifest for slot {slot} that does not continue the log \
                 it proposed before; it was not accepted"
            ),
            Alarm::TimeAhead { slot, time, time_max, from } => write!(
                f,
                "replica {from} gave slot {slot} the time {time}, and the clock here allows at most {time_max}: one of \
                 the two clocks is wrong; it was not accepted"
            ),
        }
    }
}
