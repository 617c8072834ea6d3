//! A peer's checkpoint on its way into this core's logs. One record of each shard's part is under way at a time.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use assize_wal::{Entry, Log, LogSpace};
use assize_wire::peer::PartItem;
use assize_wire::published::PublishedStripe;
use assize_wire::{ReplicaId, ShardId, Slot};

use super::part::{Part, PartFault, Progress};
use crate::federation::PartReceived;
use crate::limits::PART_ASK_AGAIN_NS;

/// What is taken over.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) from: ReplicaId,
    /// By seat.
    parts: Vec<IncomingPart>,
    /// The peer does not have it any more.
    pub(super) gone: bool,
}

#[derive(Debug, Default)]
struct IncomingPart {
    /// The record that is wanted next.
    next: u64,
    /// When it was asked for.
    asked_at: Option<u64>,
    /// It has come and is not taken up yet.
    came: Option<PartReceived>,
    complete: bool,
}

impl Incoming {
    pub(super) fn new(from: ReplicaId, shards: usize) -> Incoming {
        let parts = (0..shards).map(|_| IncomingPart::default()).collect();
        Incoming { from, parts, gone: false }
    }

    /// The rest comes from another peer, which has cut its records otherwise: a part that is not complete begins anew.
    pub(super) fn change_peer(&mut self, from: ReplicaId, parts: &mut [Part]) {
        (self.from, self.gone) = (from, false);
        for (incoming, part) in self.parts.iter_mut().zip(parts).filter(|(incoming, _)| !incoming.complete) {
            *incoming = IncomingPart::default();
            *part = Part::default();
        }
    }

    /// A record has come.
    pub(super) fn handle_part(&mut self, from: ReplicaId, seat: usize, received: PartReceived) {
        let incoming = &mut self.parts[seat];
        if from != self.from || received.index != incoming.next || incoming.complete {
            return;
        }
        if received.item == PartItem::Gone {
            self.gone = true;
        } else {
            incoming.came = Some(received);
        }
    }

    /// What is to be asked for now: the seat, and the record's number.
    pub(super) fn poll_wanted(&mut self, now: u64) -> Option<(usize, u64)> {
        let due = |part: &IncomingPart| {
            let waits = part.came.is_none() && !part.complete;
            waits && part.asked_at.is_none_or(|asked| now >= asked + PART_ASK_AGAIN_NS)
        };
        let at = self.parts.iter().position(due).filter(|_| !self.gone)?;
        self.parts[at].asked_at = Some(now);
        Some((at, self.parts[at].next))
    }

    /// When [`Incoming::poll_wanted`] has something to do.
    pub(super) fn next_due(&self) -> Option<u64> {
        let waiting = self.parts.iter().filter(|part| part.came.is_none() && !part.complete && !self.gone);
        waiting.map(|part| part.asked_at.map_or(0, |asked| asked + PART_ASK_AGAIN_NS)).min()
    }

    /// Takes up what has come, as far as there is space.
    pub(super) fn take_up(
        &mut self,
        slot: Slot,
        shards: impl Iterator<Item = ShardId>,
        parts: &mut [Part],
        known: &mut OutcomesTaken,
        [outcomes, of_parts, keys]: [&mut Log; 3],
    ) -> Result<bool, PartFault> {
        let mut any = false;
        for ((incoming, part), shard) in self.parts.iter_mut().zip(parts).zip(shards) {
            let Some(came) = &incoming.came else { continue };
            let progress = match came.item {
                PartItem::Outcomes { .. } => known.take(shard, came, incoming.next == 0, outcomes)?,
                item => part.receive(slot, shard, (item, &came.buffer), of_parts, keys)?,
            };
            if progress == Progress::Moved {
                incoming.complete = matches!(came.item, PartItem::Head { .. });
                incoming.next += 1;
                (incoming.came, incoming.asked_at) = (None, None);
                any = true;
            }
        }
        Ok(any)
    }
}

/// Which outcomes of peers are in this replica's logs since it started, by shard: from the first to the last slot, all
/// that the peers had. They are the same whoever sends them, so that a checkpoint that is taken over at last, after
/// having come to nothing again and again, has not filled the log with them.
#[derive(Debug, Default)]
pub(super) struct OutcomesTaken(BTreeMap<ShardId, (Slot, Slot)>);

impl OutcomesTaken {
    /// Takes up a chunk of the outcome stream, perhaps the first that this peer sends.
    fn take(
        &mut self,
        shard: ShardId,
        came: &PartReceived,
        is_first: bool,
        log: &mut Log,
    ) -> Result<Progress, PartFault> {
        let PartItem::Outcomes { first, last, time } = came.item else {
            unreachable!("the caller looked");
        };
        let mut rest = came.buffer.payload();
        let mut ends = (None, Slot::ZERO);
        while !rest.is_empty() {
            let Ok((stripe, after)) = PublishedStripe::parse(rest) else {
                return Err(PartFault::Foreign(shard));
            };
            ends = (ends.0.or(Some(stripe.slot)), stripe.slot);
            rest = after;
        }
        if ends != (Some(first), last) || first > last {
            return Err(PartFault::Foreign(shard));
        }
        let bytes = came.buffer.as_blocks_bytes().len();
        if bytes as u64 > log.identity().segment_bytes {
            return Err(PartFault::Foreign(shard));
        }
        // Between two chunks of one peer there is nothing; between what another one sent and the first chunk there may
        // be.
        let known = self.0.get(&shard).copied();
        let known = known.filter(|(from, through)| *from <= first && (!is_first || first <= through.next()));
        if known.is_some_and(|(_, through)| last <= through) {
            return Ok(Progress::Moved);
        }
        match log.space_for(bytes) {
            LogSpace::None => return Err(PartFault::Full(shard)),
            LogSpace::Unprepared => {
                log.demand(bytes);
                return Ok(Progress::Waits);
            }
            LogSpace::Prepared => {}
        }
        let entry = Entry::Outcomes { shard, first, last, time };
        if let Err(full) = log.append(entry, came.buffer.clone()) {
            panic!("no space for {:?}, which was looked for before", full.entry);
        }
        self.0.insert(shard, (known.map_or(first, |(from, _)| from), last));
        Ok(Progress::Moved)
    }
}

#[cfg(test)]
mod tests {
    use assize_wal::operation::{Completion, Done};
    use assize_wal::{BlockBuffer, LogConfig, LogIdentity, LogStart};
    use assize_wire::{ClusterId, Hash, Incarnation, LogId, StreamTime};

    use super::*;

    const SHARD: ShardId = ShardId(0);

    fn log() -> Log {
        let identity = LogIdentity {
            cluster: ClusterId(1),
            record_key: 0,
            replica: ReplicaId(0),
            log: LogId(1),
            segment_bytes: assize_wal::limits::SEGMENT_BYTES_MIN,
        };
        let mut log = Log::new(identity, LogConfig::default(), LogStart::fresh(Incarnation(1)));
        while let Some(operation) = log.poll_operation() {
            log.handle_completion(Completion { id: operation.id(), result: Ok(Done::Complete) }).unwrap();
        }
        log
    }

    /// Stripes of these slots.
    fn chunk(slots: &[u64]) -> PartReceived {
        let (first, last) = (Slot(slots[0]), Slot(*slots.last().unwrap()));
        let time = StreamTime(last.0);
        let stripe = |slot: &u64| PublishedStripe {
            slot: Slot(*slot),
            time: StreamTime(*slot),
            digest: Hash::ZERO,
            events: 0,
            outcomes: &[],
        };
        let bytes: Vec<u8> = slots.iter().flat_map(|slot| stripe(slot).header()).collect();
        let mut buffer = BlockBuffer::for_record(bytes.len());
        buffer.extend_from_slice(&bytes);
        PartReceived { slot: last, index: 0, item: PartItem::Outcomes { first, last, time }, buffer }
    }

    /// TakeOverTriedAgain: what one peer sent is not stored again when another one sends it, cut otherwise; and what
    /// nobody sent is never taken for stored.
    #[test]
    fn outcomes_that_came_before_are_not_stored_again() {
        let (mut log, mut taken) = (log(), OutcomesTaken::default());
        let mut stores = |is_first: bool, slots: &[u64]| {
            let before = log.last_sequence();
            assert_eq!(taken.take(SHARD, &chunk(slots), is_first, &mut log).ok(), Some(Progress::Moved));
            log.last_sequence() > before
        };
        // One that stops behind slot 9.
        assert_eq!([stores(true, &[2, 3]), stores(false, &[7, 9])], [true, true]);
        // The next one has an older slot; from the third on nothing is new through slot 12.
        assert_eq!([stores(true, &[1, 2]), stores(false, &[3, 7, 9, 12])], [true, true]);
        assert_eq!([stores(true, &[1, 2, 3]), stores(false, &[7, 9, 12])], [false, false]);
        // Between 12 and 30 there may be some that this one has given up.
        assert_eq!([stores(true, &[30, 31]), stores(false, &[40])], [true, true]);
        assert_eq!([stores(true, &[20]), stores(false, &[30, 40])], [true, true]);
        assert!(!stores(true, &[20, 30]));
    }
}
