//! An independent account of what is durable, taken from the operations that reach the device and from their
//! completions, by the rule of L3 and nothing that the engine says of itself. It keeps every accepted slot with its
//! stripes, also when the engine has long recycled the segments they were in.
//!
//! What it finds broken, it says as the checker `durability`:
//! * L3: a record counts once a flush that was submitted after its write completed has completed, and once everything
//!   before it in its log counts.
//! * L4: within an incarnation no block of a log is written twice, and after a start none that was read.
//! * P2: an accept is written when every stripe that it names is durable, or goes before it in the same log.
//! * L5: what was durable, a start finds.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use assize_node::ReplayedSlot;
use assize_wal::recovery::Recovered;
use assize_wal::{BlockBuffer, Completion, Entry, Operation, OperationId, RecordHeader, SegmentId};
use assize_wire::accept::Accept;
use assize_wire::manifest::Ordered;
use assize_wire::published::PublishedStripe;
use assize_wire::stripe::Stripe;
use assize_wire::{Ballot, Hash, Incarnation, LogId, ReplicaId, ShardId, Slot, StripeId};

use crate::checkers::hold;
use crate::left::LoggedSlot;
use crate::seeds::trace;
use crate::shape::Shape;

/// A stripe's outcomes as they were handed to the disk for the outcome stream.
pub struct Stored {
    /// Its slot.
    pub slot: Slot,
    /// Its shard.
    pub shard: ShardId,
    /// The digest it was published under.
    pub digest: Hash,
    /// The outcomes, encoded.
    pub outcomes: Vec<u8>,
}

/// An accept record as it was handed to the disk.
pub struct AcceptSeen {
    /// Its ballot.
    pub ballot: Ballot,
    /// Its slot.
    pub slot: Slot,
    /// The hash of its manifest.
    pub manifest: Hash,
    /// Whether it says that its slot is chosen (P7).
    pub fetched: bool,
    /// Which replica wrote it.
    pub replica: ReplicaId,
    /// Which of its starts.
    pub incarnation: Incarnation,
}

/// An accept record that is durable, with everything that it names.
pub struct AcceptDurable {
    /// Its ballot.
    pub ballot: Ballot,
    /// Whether it says that its slot is chosen (P7).
    pub fetched: bool,
    /// The slot.
    pub logged: Arc<LoggedSlot>,
}

/// The account of one replica's disk.
#[derive(Default)]
pub struct Recorder {
    logs: BTreeMap<LogId, Track>,
    /// The bytes of every stripe that ever went to the disk.
    known: HashMap<StripeId, Arc<BlockBuffer>>,
    /// Durable stripes.
    stripes: HashSet<StripeId>,
    /// Every accepted slot that is durable, from slot 1, without a gap. What is below a checkpoint stays here. It is
    /// shortened only where another manifest is accepted (P4).
    slots: Vec<Arc<LoggedSlot>>,
    /// Accepts that were under way when the replica went down last, in the order of their writing.
    in_doubt: Vec<(Slot, Hash)>,
    stored: VecDeque<Stored>,
    accepts: VecDeque<AcceptSeen>,
    durable: VecDeque<AcceptDurable>,
    /// What was durable and damaged since, or stands above something that is: it is whole again once that is repaired.
    lost: HashSet<(Slot, Hash)>,
    /// What the cluster has chosen: a checkpoint that was taken over stands for it.
    chosen: Vec<Arc<LoggedSlot>>,
    /// What was durable may be damaged since the last start.
    pub(crate) damaged: bool,
    /// Something was ever damaged: then a start that is in doubt may have lost what it is in doubt about.
    decayed: bool,
    /// From this slot up the last start was in doubt what it had accepted last (L5).
    doubtful_from: Option<Slot>,
    /// Counts submissions and completions.
    clock: u64,
}

/// One log since the last start.
#[derive(Default)]
struct Track {
    /// Groups that are not in the durable prefix, in log order.
    groups: VecDeque<Group>,
    /// When which flush of its own was submitted, and for which segment.
    flushes: HashMap<OperationId, (SegmentId, u64)>,
    /// Logical offset below which everything is written or about to be.
    end: u64,
    /// Logical offset below which everything is durable.
    durable_through: u64,
}

struct Group {
    id: OperationId,
    segment: SegmentId,
    end: u64,
    flush: bool,
    submitted: u64,
    written: Option<u64>,
    durable: bool,
    records: Vec<(Entry, Arc<BlockBuffer>)>,
}

impl Recorder {
    /// Slots that are durable: accepted here, and with one replica chosen.
    #[must_use]
    pub fn accepted(&self) -> Slot {
        Slot(self.slots.len() as u64)
    }

    /// Every durable slot.
    #[must_use]
    pub fn slots(&self) -> &[Arc<LoggedSlot>] {
        &self.slots
    }

    /// The next accept that became durable.
    pub fn poll_durable(&mut self) -> Option<AcceptDurable> {
        self.durable.pop_front()
    }

    /// The next outcomes that went to the outcome stream.
    pub fn poll_stored(&mut self) -> Option<Stored> {
        self.stored.pop_front()
    }

    /// The next accept record that was written.
    pub fn poll_accept(&mut self) -> Option<AcceptSeen> {
        self.accepts.pop_front()
    }

    /// An operation goes to the device.
    pub(crate) fn note_submitted(&mut self, shape: &Shape, operation: &Operation) {
        self.clock += 1;
        let track = self.logs.entry(operation.id().log).or_default();
        match operation {
            Operation::Write { id, segment, offset, buffers, flush } => {
                let identity = shape.identity(id.log);
                let start = identity.start_of(*segment) + offset;
                hold!("durability", start >= track.end, "L4: {id:?} writes at {start}, below {}", track.end);
                let mut records = Vec::new();
                let mut at = start;
                for buffer in buffers {
                    let header = RecordHeader::decode(&identity, at, buffer.as_blocks_bytes());
                    let header = header.expect("what is written is a record");
                    at += buffer.as_blocks_bytes().len() as u64;
                    if header.copy == 0 {
                        records.push((header, Arc::clone(buffer)));
                    }
                }
                track.end = at;
                let group = Group {
                    id: *id,
                    segment: *segment,
                    end: at,
                    flush: *flush,
                    submitted: self.clock,
                    written: None,
                    durable: false,
                    records: records.iter().map(|(header, buffer)| (header.entry, buffer.clone())).collect(),
                };
                track.groups.push_back(group);
                for (header, buffer) in records {
                    self.look_at(shape, id.log, &header, &buffer);
                }
            }
            Operation::Flush { id, segment } => {
                track.flushes.insert(*id, (*segment, self.clock));
            }
            _ => {}
        }
    }

    /// The device completed an operation.
    pub(crate) fn note_completed(&mut self, completion: &Completion) {
        self.clock += 1;
        let Some(track) = self.logs.get_mut(&completion.id.log) else { return };
        if completion.result.is_err() {
            return;
        }
        let flushed = if let Some(flushed) = track.flushes.remove(&completion.id) {
            Some(flushed)
        } else if let Some(group) = track.groups.iter_mut().find(|group| group.id == completion.id) {
            group.written = Some(self.clock);
            group.durable = group.flush;
            group.flush.then_some((group.segment, group.submitted))
        } else {
            None
        };
        let Some((segment, submitted)) = flushed else { return };
        for group in track.groups.iter_mut().filter(|group| group.segment == segment) {
            group.durable |= group.written.is_some_and(|written| written < submitted);
        }
        let mut durable = Vec::new();
        while track.groups.front().is_some_and(|group| group.durable) {
            let group = track.groups.pop_front().expect("it was looked at above");
            track.durable_through = group.end;
            durable.extend(group.records);
        }
        for (entry, buffer) in durable {
            match entry {
                Entry::Stripe(id) => {
                    self.stripes.insert(id);
                }
                Entry::Accept { slot, .. } => self.accept(slot, buffer.payload()),
                _ => {}
            }
        }
    }

    /// The replica went down: what was under way is open.
    pub(crate) fn note_down(&mut self) {
        for track in self.logs.values_mut() {
            for (entry, _) in track.groups.drain(..).flat_map(|group| group.records) {
                if let Entry::Accept { slot, manifest, .. } = entry {
                    self.in_doubt.push((slot, manifest));
                }
            }
            track.flushes.clear();
        }
    }

    /// A start is about to happen, and so much is chosen.
    pub(crate) fn note_chosen(&mut self, chosen: Vec<Arc<LoggedSlot>>) {
        self.chosen = chosen;
    }

    /// A start found this. What it found is durable from now on (L5).
    pub(crate) fn note_recovered(&mut self, recovered: &Recovered, slots: &VecDeque<ReplayedSlot>) {
        for (log, track) in &mut self.logs {
            let end = recovered.start(*log).end.offset;
            let through = track.durable_through;
            hold!(
                "durability",
                end >= through || self.damaged,
                "L5: log {log} ends at {end} and was durable through {through}"
            );
            (track.end, track.durable_through) = (end, end);
        }
        for log in &recovered.logs {
            let end = log.end.offset;
            let track = self.logs.entry(log.log).or_default();
            (track.end, track.durable_through) = (end, end);
        }
        self.decayed |= self.damaged;
        self.doubtful_from = recovered.doubtful.first().map(|doubtful| doubtful.slot);
        if let Some(at) = recovered.checkpoint.as_ref().map(|checkpoint| checkpoint.at) {
            let through = at.slot.0 as usize;
            let held = |slots: &[Arc<LoggedSlot>]| {
                slots.get(through - 1).is_some_and(|held| held.ordered.hash == at.manifest)
            };
            if !held(&self.slots) && !self.chosen.is_empty() {
                hold!(
                    "agreement",
                    held(&self.chosen),
                    "a checkpoint after slot {}, which is not chosen",
                    at.slot
                );
                self.slots = self.chosen[..through].to_vec();
            }
        }
        self.stripes = recovered.stripes.iter().map(|(id, _)| *id).collect();
        for (slot, found) in slots.iter().zip(&recovered.accepted) {
            self.recover_slot(slot, found.ballot, &found.payload);
        }
        let (found, accepted) = (recovered.accepted_through, self.accepted());
        hold!(
            "durability",
            found >= accepted || self.damaged || (self.decayed && !recovered.doubtful.is_empty()),
            "L5: slot {accepted} was durable and a start finds {found} slots"
        );
        let unsure = recovered.damaged.iter().chain(&recovered.doubtful);
        let reported = unsure.clone().map(|slot| slot.slot).fold(found, Slot::max);
        // Accepts that are whole and do not count for now may count again once what is below them is repaired.
        self.lost
            .extend(unsure.filter_map(|slot| slot.found.as_ref()).map(|found| (found.slot, found.manifest)));
        hold!(
            "durability",
            reported >= accepted || is_void_above(recovered),
            "L5: slot {accepted} was durable; a start finds {found} slots and reports damage through {reported}"
        );
        let lost = self.slots.drain(found.0 as usize..);
        self.lost.extend(lost.map(|logged| (logged.ordered.manifest.slot, logged.ordered.hash)));
        self.in_doubt.clear();
        self.damaged = false;
    }

    /// A start found this slot: what was durable, or what was on its way and so landed.
    fn recover_slot(&mut self, found: &ReplayedSlot, ballot: Ballot, payload: &[u8]) {
        let (slot, hash) = (found.ordered.manifest.slot, found.ordered.hash);
        trace!("    recovers slot {slot} {hash} under {ballot}");
        let at = slot.0 as usize - 1;
        let known = self.slots.get(at).filter(|known| known.ordered.hash == hash).cloned();
        let logged = known.unwrap_or_else(|| {
            let doubtful = self.doubtful_from.is_some_and(|from| slot >= from) && self.decayed;
            let landed =
                self.in_doubt.contains(&(slot, hash)) || self.lost.contains(&(slot, hash)) || doubtful;
            hold!(
                "durability",
                landed,
                "P6: slot {slot} is another after a start, {hash}, which was not on its way"
            );
            let bytes = |(shard, bytes): &(ShardId, assize_shards::StripeBytes)| {
                (*shard, (**bytes).as_ref().to_vec())
            };
            let stripes = found.stripes.iter().map(bytes).collect();
            Arc::new(LoggedSlot { ordered: found.ordered.clone(), stripes })
        });
        self.hold_at(at, &logged);
        let fetched = accept_of(payload).chosen >= slot;
        self.durable.push_back(AcceptDurable { ballot, fetched, logged });
    }

    /// It is what this replica has at a slot from now on. Another manifest than before voids everything above (P4).
    fn hold_at(&mut self, at: usize, logged: &Arc<LoggedSlot>) {
        let slot = logged.ordered.manifest.slot;
        let next = self.accepted().next();
        hold!("durability", slot <= next, "P4: slot {slot} is accepted and {next} would be next");
        if self.slots.get(at).is_none_or(|held| held.ordered.hash != logged.ordered.hash) {
            self.slots.truncate(at);
            self.slots.push(Arc::clone(logged));
        }
    }

    /// A record that is handed to the disk.
    fn look_at(&mut self, shape: &Shape, log: LogId, header: &RecordHeader, buffer: &Arc<BlockBuffer>) {
        match header.entry {
            Entry::Stripe(id) => {
                trace!("replica {} writes stripe {} {}", shape.replica, id.shard, id.hash);
                self.known.insert(id, Arc::clone(buffer));
            }
            Entry::Accept { slot, ballot, manifest } => {
                let (replica, incarnation) = (shape.replica, header.incarnation);
                let accept = accept_of(buffer.payload());
                let fetched = accept.chosen >= slot;
                let names: Vec<_> = accept.manifest.stripes.iter().map(|stripe| stripe.id.hash).collect();
                trace!(
                    "replica {replica} writes accept {slot} {manifest} under {ballot}, fresh {}, chosen {}, {names:?}",
                    accept.fresh, accept.chosen
                );
                self.accepts.push_back(AcceptSeen { ballot, slot, manifest, fetched, replica, incarnation });
                for id in accept.manifest.stripes.iter().map(|stripe| stripe.id) {
                    let sealed = self.known.get(&id).map(|bytes| ballot_of(bytes));
                    hold!(
                        "ballots",
                        !accept.fresh || sealed.is_none_or(|sealed| sealed == ballot),
                        "P8: slot {slot} is fresh under {ballot} and names a stripe that was sealed under {sealed:?}"
                    );
                    let mut before = self.logs[&log].groups.iter().flat_map(|group| &group.records);
                    let whole =
                        self.stripes.contains(&id) || before.any(|(entry, _)| *entry == Entry::Stripe(id));
                    hold!(
                        "durability",
                        whole,
                        "P2: slot {slot} is written before its stripe {id:?} is durable"
                    );
                }
            }
            Entry::Outcomes { shard, first, last, .. } => {
                trace!("replica {} writes outcomes {shard} {first} to {last} into {log}", shape.replica);
                let mut rest = buffer.payload();
                while !rest.is_empty() {
                    let (stripe, after) = PublishedStripe::parse(rest).expect("a chunk of published stripes");
                    let PublishedStripe { slot, digest, outcomes, .. } = stripe;
                    self.stored.push_back(Stored { slot, shard, digest, outcomes: outcomes.to_vec() });
                    rest = after;
                }
            }
            _ => {}
        }
    }

    fn accept(&mut self, slot: Slot, payload: &[u8]) {
        let Accept { ballot, chosen, manifest, .. } = accept_of(payload);
        let at = slot.0 as usize - 1;
        let hash = Hash::of(&manifest.encode());
        let mut stripes = Vec::new();
        for named in &manifest.stripes {
            let whole = self.stripes.contains(&named.id);
            hold!("durability", whole, "P2: slot {slot} is durable and its stripe {:?} is not", named.id);
            let found = self.known.get(&named.id);
            stripes.extend(found.map(|bytes| (named.id.shard, bytes.payload().to_vec())));
        }
        let logged = Arc::new(LoggedSlot { ordered: Ordered { manifest, hash }, stripes });
        self.hold_at(at, &logged);
        let previous = at.checked_sub(1).map_or(Hash::ZERO, |below| self.slots[below].ordered.hash);
        let chained = logged.ordered.manifest.previous == previous;
        hold!("durability", chained, "P4: slot {slot} does not chain to what is held below it");
        self.durable.push_back(AcceptDurable { ballot, fetched: chosen >= slot, logged });
    }
}

/// Under which a stripe was sealed.
fn ballot_of(stripe: &BlockBuffer) -> Ballot {
    Stripe::parse(stripe.payload()).expect("a stripe's record holds a stripe").head.ballot
}

fn accept_of(payload: &[u8]) -> Accept {
    Accept::parse(payload).expect("an accept record holds an accept")
}

/// Whether what was accepted above a slot is void whatever became of it, so that nobody need hear that it decayed too.
///
/// 1. Slots 13 to 15 are accepted under ballot 3, durably. The leader of ballot 4 has another value for slot 13: no
///    majority that it asked had accepted the first, and none does any more.
/// 2. The power fails while that is written. Its accept is whole and its stripe is not, and a stripe of slot 15 decays.
/// 3. The start is in doubt at slot 13, and says what it has there and at slot 14 under ballot 3. Slot 15 continues
///    what was never chosen.
fn is_void_above(recovered: &Recovered) -> bool {
    recovered.doubtful.iter().filter_map(|slot| slot.found.as_ref()).any(|newer| {
        let kept = recovered.accepted.iter().find(|kept| kept.slot == newer.slot);
        kept.is_some_and(|kept| newer.ballot > kept.ballot && newer.manifest != kept.manifest)
    })
}
