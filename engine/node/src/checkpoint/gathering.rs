//! What the cores report of a checkpoint, and how it ended.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use assize_wal::LogCut;
use assize_wire::checkpoint::{PartHead, digest_of};
use assize_wire::{Ballot, Hash, ReplicaId, Slot, StreamTime};

use super::PartFailure;

/// How a checkpoint ended, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointEnd {
    /// Its slot.
    pub slot: Slot,
    /// Entities and keys of all shards; or why the one before it stays active.
    pub result: Result<(u64, u64), CheckpointFailure>,
}

/// Why a checkpoint came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointFailure {
    /// A part of it failed here.
    Part(String),
    /// What a peer sent of it is not what was reported (C7).
    SentWrong {
        /// The peer that sent the last of it.
        from: ReplicaId,
        /// What showed it.
        reason: String,
    },
    /// It was whole, and too few replicas had reported the same when the next one began (C7).
    Unreported {
        /// How many had reported any.
        reports: usize,
    },
}

impl fmt::Display for CheckpointFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckpointFailure::Part(reason) => f.write_str(reason),
            CheckpointFailure::SentWrong { from, reason } => write!(
                f,
                "what replica {from} sent of it is not what was reported: {reason}. Its memory or this machine's is not to \
                 be trusted"
            ),
            CheckpointFailure::Unreported { reports } => write!(
                f,
                "{reports} replicas had reported their digests of it when the next one began, too few for it to count"
            ),
        }
    }
}

/// What cores have reported of the checkpoint that is under way.
pub(super) struct Gathering {
    pub(super) slot: Slot,
    pub(super) time: StreamTime,
    pub(super) ballot: Ballot,
    pub(super) manifest: Hash,
    pub(super) heads: Vec<PartHead>,
    pub(super) cuts: Vec<LogCut>,
    pub(super) reported: usize,
    pub(super) failed: Option<PartFailure>,
}

impl Gathering {
    pub(super) fn new(slot: Slot, time: StreamTime, manifest: Hash, ballot: Ballot) -> Gathering {
        let (heads, cuts) = (Vec::new(), Vec::new());
        Gathering { slot, time, ballot, manifest, heads, cuts, reported: 0, failed: None }
    }

    pub(super) fn digest(&self) -> Hash {
        digest_of(self.time, self.manifest, &self.heads)
    }
}
