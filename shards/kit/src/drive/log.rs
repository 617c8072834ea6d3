//! A log: slots with their manifests and stripes.

use std::sync::Arc;

use assize_shards::{OrderedSlot, StripeBytes};
use assize_wire::manifest::{Manifest, StripeRef};
use assize_wire::stripe::StripeHead;
use assize_wire::{Ballot, Control, Hash, ReplicaId, ShardId, Slot, StreamTime, StripeId};

/// One slot.
#[derive(Clone)]
pub struct LogSlot {
    /// Its manifest.
    pub ordered: Arc<OrderedSlot>,
    /// By shard.
    pub stripes: Vec<Option<Vec<u8>>>,
}

impl LogSlot {
    /// The stripe of a shard, if it has one.
    #[must_use]
    pub fn stripe(&self, shard: usize) -> Option<StripeBytes> {
        let bytes = self.stripes[shard].clone()?;
        Some(Arc::new(bytes))
    }
}

/// A slot before it is encoded.
pub struct SlotDraft {
    /// Its stream time.
    pub time: StreamTime,
    /// What it switches to (P12).
    pub controls: Vec<Control>,
    /// By shard.
    pub stripes: Vec<Option<StripeDraft>>,
}

/// A stripe before it is encoded.
#[derive(Clone, Debug, Default)]
pub struct StripeDraft {
    /// The homes that it may touch.
    pub home_mask: u64,
    /// How many events it has.
    pub events: u32,
    /// Their bytes, back to back.
    pub body: Vec<u8>,
}

impl SlotDraft {
    /// Encodes it as the slot after `log`; `spoil` may change the bytes of a shard's stripe before it is named by its
    /// hash.
    pub fn append(self, log: &mut Vec<LogSlot>, spoil: impl Fn(usize, &mut Vec<u8>)) {
        let slot = Slot(log.len() as u64 + 1);
        let mut stripes = Vec::new();
        let mut refs = Vec::new();
        for (number, draft) in self.stripes.into_iter().enumerate() {
            let Some(StripeDraft { home_mask, events, body }) = draft else {
                stripes.push(None);
                continue;
            };
            let shard = ShardId(number as u16);
            let ballot = Ballot::new(1, ReplicaId(0));
            let events_bytes = body.len() as u32;
            let head = StripeHead { shard, ballot, counter: slot.0, home_mask, events, events_bytes };
            let mut bytes = head.encode().to_vec();
            bytes.extend(body);
            spoil(number, &mut bytes);
            let id = StripeId { shard, hash: Hash::of(&bytes) };
            refs.push(StripeRef { id, home_mask, events, bytes: bytes.len() as u32 });
            stripes.push(Some(bytes));
        }
        let manifest = Manifest {
            slot,
            time: self.time,
            previous: log.last().map_or(Hash::ZERO, |slot| slot.ordered.hash),
            checkpoint: false,
            controls: self.controls,
            stripes: refs,
        };
        let hash = Hash::of(&manifest.encode());
        let ordered = Arc::new(OrderedSlot { manifest, hash });
        log.push(LogSlot { ordered, stripes });
    }
}
