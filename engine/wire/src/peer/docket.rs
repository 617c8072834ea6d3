//! What the Dockets of a cluster's replicas say to each other, on the control connection between two replicas.
//!
//! A message may be lost with its connection, come late, and come twice after a reconnect; between two replicas on one
//! connection messages keep their order.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Generation;
use crate::manifest::Ordered;
use crate::{Ballot, Hash, Slot};

/// A slot that is chosen, and with it every slot below: (slot, manifest hash), never the slot alone (P7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chosen {
    /// The slot.
    pub slot: Slot,
    /// The hash of its manifest.
    pub hash: Hash,
}

/// What a replica has at a slot, in its promise (P5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Promised {
    /// It accepted this value under this ballot.
    Accepted {
        /// The highest ballot under which it accepted the slot.
        ballot: Ballot,
        /// The value.
        ordered: Arc<Ordered>,
    },
    /// It knows this value chosen: above every ballot (P7).
    Chosen {
        /// The value.
        ordered: Arc<Ordered>,
    },
    /// It accepted something here that it can no longer read: the promise counts neither for this slot nor for those
    /// above (P5).
    Damaged {
        /// The slot.
        slot: Slot,
        /// The manifest's hash, if the manifest above gives it.
        hash: Option<Hash>,
    },
    /// At these slots it may have accepted something later that it can no longer read, unless a crash tore it: what it
    /// says counts there only if all replicas have promised, or one has a value of this ballot or a higher one (P5).
    Doubtful {
        /// The first slot.
        slot: Slot,
        /// The last one.
        through: Slot,
        /// Not below the ballot of whatever may be lost.
        ballot: Ballot,
    },
}

/// One message between two Dockets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DocketMessage {
    /// Would you promise me this ballot? Nothing is promised by asking or by answering (P9).
    Canvass {
        /// The ballot that the sender would take.
        ballot: Ballot,
        /// What it knows chosen.
        chosen: Slot,
    },
    /// The answer to a canvass.
    CanvassAnswer {
        /// The ballot asked about.
        ballot: Ballot,
        /// Whether the sender would promise it: it hears no leader, and the asker's log does not end below what the
        /// sender can still give.
        granted: bool,
        /// What the sender has promised, so that the asker's next ballot is above it.
        promised: Ballot,
        /// What the sender knows chosen, so that an asker that is behind fetches it first.
        chosen: Chosen,
    },
    /// Promise me this ballot, and tell what you have at `from` and above. The ballot is durable at the sender (P1).
    Prepare {
        /// The ballot.
        ballot: Ballot,
        /// The first slot that the sender does not know chosen.
        from: Slot,
        /// The ballot whose leader handed over to the sender, and with it gave up its lease (P11); else
        /// [`Ballot::NONE`].
        released: Ballot,
    },
    /// The promise, durable at the sender.
    Promise {
        /// The ballot promised.
        ballot: Ballot,
        /// What the sender knows chosen.
        chosen: Chosen,
        /// What it has from the asked slot on, by slot, without a gap.
        entries: Vec<Promised>,
    },
    /// Accept this value.
    Accept {
        /// The ballot under which it is proposed.
        ballot: Ballot,
        /// Whether the value was freshly formed under this ballot: only then is its time checked (P13).
        fresh: bool,
        /// The slot's value.
        ordered: Arc<Ordered>,
        /// What the leader knows chosen.
        chosen: Chosen,
    },
    /// Everything through `slot` is accepted under `ballot`, or known chosen, and durable at the sender.
    Accepted {
        /// The ballot.
        ballot: Ballot,
        /// The highest such slot.
        slot: Slot,
    },
    /// A message under `ballot` is refused: the sender has promised a higher one.
    Refused {
        /// The ballot of the message.
        ballot: Ballot,
        /// The one promised.
        promised: Ballot,
    },
    /// The leader is here.
    Heartbeat {
        /// Its ballot.
        ballot: Ballot,
        /// Counts the leader's heartbeats under this ballot.
        sequence: u64,
        /// What it knows chosen.
        chosen: Chosen,
        /// The highest slot it has proposed.
        formed: Slot,
    },
    /// The answer to a heartbeat.
    HeartbeatAnswer {
        /// The leader's ballot.
        ballot: Ballot,
        /// The heartbeat's number.
        sequence: u64,
        /// As in [`DocketMessage::Accepted`].
        accepted: Slot,
        /// For so long, by any clock whose rate is within the agreed error and counted from when the heartbeat was
        /// sent, the sender promises no other ballot (P11), in nanoseconds; 0 promises nothing.
        lease_ns: u64,
        /// Whether the sender could lead at once: a leader hands over to nobody who could not.
        could_lead: bool,
    },
    /// Send me what is chosen from this slot on: I lack it (P7).
    Fetch {
        /// The first slot wanted.
        from: Slot,
    },
    /// Slots that the sender knows chosen, ascending without a gap, beginning where it was asked. Empty if the sender's
    /// log no longer reaches back so far: a checkpoint is needed.
    Fetched {
        /// Not below the ballot under which any of them was chosen: what the sender has promised.
        ballot: Ballot,
        /// Their values.
        slots: Vec<Arc<Ordered>>,
        /// What the sender knows chosen.
        chosen: Chosen,
    },
    /// The leader hands over: begin an election at once. Inert when it comes late (P12).
    Handover {
        /// The leader's ballot.
        ballot: Ballot,
    },
    /// The sender's disk was lost, and this is the next one: tell me what you have promised and accepted (R3).
    Rejoin {
        /// The sender's disk.
        generation: Generation,
    },
    /// The answer. That the asker has another disk is durable at the sender, which counts nothing any more that came
    /// from one before it.
    Told {
        /// The asker's disk.
        generation: Generation,
        /// The highest ballot that the sender has promised.
        promised: Ballot,
        /// The last slot that it has accepted or may have accepted; no slot above it.
        accepted: Slot,
        /// What it knows chosen: one that rejoins asks nobody else for that.
        chosen: Chosen,
    },
    /// The answer of one that rejoins to a prepare: it has no vote, and nothing to say of any slot.
    Voteless {
        /// The ballot asked about.
        ballot: Ballot,
    },
}
