//! What a shard releases for one stripe: digest, outcomes, and what fills in the answers of duplicates.

use alloc::vec::Vec;

use assize_wire::limits::RESPONSE_INLINE_BYTES_MAX;
use assize_wire::outcome::Outcome;
use assize_wire::{Hash, ShardId, Slot, StreamTime};

use crate::evaluated::Evaluated;

/// One stripe's outcomes, agreed by `copies` replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The slot that ordered the stripe.
    pub slot: Slot,
    /// The stripe's shard.
    pub shard: ShardId,
    /// What the replicas compared.
    pub digest: Hash,
    /// The slot's stream time.
    pub time: StreamTime,
    /// One for each event, by index.
    pub outcomes: Outcomes,
    /// One for each duplicate, by index.
    pub fills: Vec<Fill>,
    /// Event by event what the digest covers, where there are peers to differ from (C6).
    pub evaluated: Evaluated,
}

/// Outcomes by index, as their encoded bytes back to back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    bytes: Vec<u8>,
    count: u32,
}

impl Outcomes {
    /// None, with room for `bytes`.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Outcomes {
        Outcomes { bytes: Vec::with_capacity(bytes), count: 0 }
    }

    /// The encoded outcomes back to back.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The encoded outcomes back to back, to be kept.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Each of them, by index.
    #[must_use]
    pub fn iter(&self) -> OutcomesIter<'_> {
        OutcomesIter { rest: &self.bytes }
    }

    /// Appends one that is encoded already.
    pub(crate) fn push_encoded(&mut self, encoded: &[u8]) {
        self.bytes.extend_from_slice(encoded);
        self.count += 1;
    }
}

impl<'a> IntoIterator for &'a Outcomes {
    type Item = Outcome<'a>;
    type IntoIter = OutcomesIter<'a>;

    fn into_iter(self) -> OutcomesIter<'a> {
        self.iter()
    }
}

/// Iterator over [`Outcomes`].
#[derive(Clone, Debug)]
pub struct OutcomesIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for OutcomesIter<'a> {
    type Item = Outcome<'a>;

    fn next(&mut self) -> Option<Outcome<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let (outcome, rest) = Outcome::parse(self.rest).expect("outcomes hold what was encoded here");
        self.rest = rest;
        Some(outcome)
    }
}

/// The first response of a duplicate (W2): found at publish, not in the outcome and not in the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The duplicate's index in its stripe.
    pub index: u32,
    /// Where the first response is.
    pub first: FirstResponse,
}

/// Where the response of a key's first submission is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstResponse {
    /// Here, `length` bytes of it.
    Inline {
        /// The response, then zeros.
        bytes: [u8; RESPONSE_INLINE_BYTES_MAX],
        /// How many bytes are the response.
        length: u8,
    },
    /// In the outcome stream, at this position of the same shard.
    InStream {
        /// The slot of the first submission.
        slot: Slot,
        /// Its index in the stripe.
        index: u32,
    },
}
