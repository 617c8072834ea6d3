//! The merge against a plain list, and the archive on the device in memory. Names in comments are those of
//! `outcomes.allium`.

use std::sync::{Arc, Mutex};

use assize_domain::DomainRegistry;
use assize_metrics::{Board, CoreNumbers};
use assize_wal::log::{FlushPolicy, LogConfig, LogEnd, LogStart};
use assize_wal::memory::MemoryDevice;
use assize_wal::{
    Block, BlockBuffer, Device, DeviceError, Entry, Log, LogIdentity, OutcomeIndex, SegmentId, SegmentReader,
};
use assize_wire::outcome::{Outcome, Status};
use assize_wire::published::PublishedStripe;
use assize_wire::{
    ClusterId, DomainId, EventKey, Hash, Incarnation, LogId, Position, ReplicaId, ShardId, Slot, StreamTime,
};
use axum::http::StatusCode;
use proptest::prelude::*;

use super::archive::{Archive, OutcomesStart};
use super::line::Form;
use super::merge::{Merge, Step};
use super::{After, Ended, Query};

/// None: what is given is the outcomes as they are stored.
fn domains() -> Arc<DomainRegistry> {
    Arc::new(DomainRegistry::new())
}

/// A stripe with so many outcomes, and its time that of its slot.
fn stripe(out: &mut Vec<u8>, shard: u16, slot: u64, events: u32) {
    let mut outcomes = Vec::new();
    for index in 0..events {
        Outcome {
            key: EventKey(u128::from(slot) << 32 | u128::from(shard) << 16 | u128::from(index)),
            domain: DomainId(1),
            status: Status::Applied,
            first_status: Status::Applied,
            reason: 0,
            index,
            original_slot: Slot(slot),
            original_index: index,
            response: &[7; 5],
        }
        .encode(&mut outcomes);
    }
    let (slot, time) = (Slot(slot), StreamTime(slot));
    let stripe = PublishedStripe { slot, time, digest: Hash::ZERO, events, outcomes: &outcomes };
    out.extend_from_slice(&stripe.header());
    out.extend_from_slice(&outcomes);
}

/// By shard the chunks, each with its first and last slot.
type Chunks = Vec<Vec<(u64, u64, Arc<[u8]>)>>;

fn place(position: Position) -> (u64, u16, u32) {
    (position.slot.0, position.shard.0, position.index)
}

/// Everything behind `after` through a slot, at most so many at a time.
fn merged(chunks: &Chunks, mut after: After, through: u64, batch: usize) -> Vec<(u64, u16, u32)> {
    let mut all = Vec::new();
    loop {
        let mut merge = Merge::new(chunks.len() as u16, after, Slot(through));
        let begun = all.len();
        while all.len() < begun + batch {
            match merge.poll().expect("they are chunks") {
                Step::Over => return all,
                Step::Want(shard, slot) => {
                    let of_shard = &chunks[usize::from(shard.0)];
                    let chunk = of_shard.iter().find(|(first, last, _)| *last >= slot.0 && *first <= through);
                    merge.supply(shard, chunk.map(|(.., chunk)| chunk)).expect("it is a chunk");
                }
                Step::Stripe(found) => found
                    .outcomes(after, |_, position, _| {
                        all.push(place(position));
                        all.len() < begun + batch
                    })
                    .expect("they are outcomes"),
            }
        }
        let (slot, shard, index) = all[all.len() - 1];
        after = After::Outcome(Position { slot: Slot(slot), shard: ShardId(shard), index });
    }
}

proptest! {
    /// OutcomeGiven, TotalOrder: whatever shards have stripes in which slots, however they are cut into chunks and
    /// whatever batches they are taken in, what comes is what lies behind the position, sorted.
    #[test]
    fn l9_the_merge_gives_what_lies_behind_a_position_in_order(
        stripes in prop::collection::vec(prop::collection::vec(0_u32..4, 1..40), 1..5),
        cuts in prop::collection::vec(1_usize..6, 1..8),
        again in 0_usize..3,
        from in (0_u64..45, 0_u16..6, 0_u32..5, any::<bool>()),
        through in 0_u64..45,
        batch in 1_usize..9,
    ) {
        let mut model = Vec::new();
        let mut chunks = Chunks::new();
        for (shard, of_shard) in stripes.iter().enumerate() {
            let shard = shard as u16;
            // No events: no stripe in that slot.
            let slots: Vec<(u64, u32)> =
                (1..).zip(of_shard.iter().copied()).filter(|(_, events)| *events > 0).collect();
            for (slot, events) in &slots {
                model.extend((0..*events).map(|index| (*slot, shard, index)));
            }
            let (mut of_chunks, mut begin, mut cut) = (Vec::new(), 0, cuts.iter().cycle());
            while begin < slots.len() {
                let end = slots.len().min(begin + cut.next().expect("endless"));
                // What was taken over from a peer is cut otherwise, and may be there twice.
                let from = begin.saturating_sub(again);
                let mut bytes = Vec::new();
                slots[from..end].iter().for_each(|(slot, events)| stripe(&mut bytes, shard, *slot, *events));
                of_chunks.push((slots[from].0, slots[end - 1].0, Arc::from(bytes)));
                begin = end;
            }
            chunks.push(of_chunks);
        }
        model.sort_unstable();
        let (slot, shard, index, whole) = from;
        let after = match whole {
            true => After::Slot(Slot(slot)),
            false => After::Outcome(Position { slot: Slot(slot), shard: ShardId(shard), index }),
        };
        let behind = |of: &(u64, u16, u32)| match whole {
            true => of.0 > slot,
            false => *of > (slot, shard, index),
        };
        let expected: Vec<_> = model.into_iter().filter(|of| of.0 <= through && behind(of)).collect();
        prop_assert_eq!(merged(&chunks, after, through, batch), expected);
    }
}

#[test]
fn a_chunk_that_is_none_is_said_to_be_none() {
    let mut chunk = Vec::new();
    stripe(&mut chunk, 0, 3, 2);
    let whole: Arc<[u8]> = Arc::from(&chunk[..]);
    let cut: Arc<[u8]> = Arc::from(&chunk[..chunk.len() - 1]);
    for (slot, chunk) in [(1, cut), (4, whole)] {
        let mut merge = Merge::new(1, After::Slot(Slot(slot - 1)), Slot(9));
        assert!(matches!(merge.poll(), Ok(Step::Want(ShardId(0), of)) if of == Slot(slot)));
        assert!(merge.supply(ShardId(0), Some(&chunk)).is_err());
    }
}

/// A device that the archive and the log that is written share.
#[derive(Clone)]
struct Shared(Arc<Mutex<(MemoryDevice, Vec<SegmentId>)>>);

impl SegmentReader for Shared {
    fn logs(&mut self) -> Result<Vec<LogId>, DeviceError> {
        self.0.lock().unwrap().0.logs()
    }

    fn segments(&mut self, log: LogId) -> Result<Vec<(SegmentId, u64)>, DeviceError> {
        self.0.lock().unwrap().0.segments(log)
    }

    fn read(
        &mut self,
        log: LogId,
        segment: SegmentId,
        offset: u64,
        into: &mut [Block],
    ) -> Result<(), DeviceError> {
        let mut shared = self.0.lock().unwrap();
        shared.1.push(segment);
        shared.0.read(log, segment, offset, into)
    }

    fn flush(&mut self, log: LogId) -> Result<(), DeviceError> {
        self.0.lock().unwrap().0.flush(log)
    }

    fn read_superblock(&mut self, copy: u8) -> Result<Option<Vec<Block>>, DeviceError> {
        self.0.lock().unwrap().0.read_superblock(copy)
    }
}

/// One core with two shards, whose log of outcomes is written here.
struct World {
    device: Shared,
    log: Log,
    index: OutcomeIndex,
}

const LOG: LogId = LogId(1);
const SEGMENT_BYTES: u64 = 64 << 10;

fn identity() -> LogIdentity {
    let (cluster, replica) = (ClusterId(1), ReplicaId(0));
    LogIdentity { cluster, record_key: 3, replica, log: LOG, segment_bytes: SEGMENT_BYTES }
}

impl World {
    fn new() -> World {
        let config = LogConfig { flush: FlushPolicy::OnRequest, ..LogConfig::default() };
        let log = Log::new(identity(), config, LogStart::fresh(Incarnation(1)));
        let device = Shared(Arc::new(Mutex::new((MemoryDevice::new(1), Vec::new()))));
        World { device, log, index: OutcomeIndex::default() }
    }

    /// A chunk of a shard with a stripe in each of these slots.
    fn chunk(&mut self, shard: u16, slots: std::ops::RangeInclusive<u64>) {
        let mut bytes = Vec::new();
        slots.clone().for_each(|slot| stripe(&mut bytes, shard, slot, 1));
        let mut buffer = BlockBuffer::for_record(bytes.len());
        buffer.extend_from_slice(&bytes);
        let (first, last) = (Slot(*slots.start()), Slot(*slots.end()));
        let entry = Entry::Outcomes { shard: ShardId(shard), first, last, time: StreamTime(last.0) };
        self.log.append(entry, buffer).expect("there is room");
    }

    fn settle(&mut self) {
        self.log.request_flush();
        while !self.log.is_idle() {
            let mut shared = self.device.0.lock().unwrap();
            while let Some(operation) = self.log.poll_operation() {
                shared.0.submit(operation);
            }
            if let Some(completion) = shared.0.poll() {
                self.log.handle_completion(completion).expect("no faults here");
            }
            while let Some(durable) = self.log.poll_durable() {
                self.index.insert(&durable.entry, durable.location);
            }
        }
    }

    /// Gives up the segments below this one, and uses the file of the first one again.
    fn give_up(&mut self, below: u64) {
        let cut = self.log.cut(SegmentId(below));
        self.log.release(&cut);
    }

    fn archive(&self, end: LogEnd, index: OutcomeIndex, checkpoint: Option<(Slot, StreamTime)>) -> Archive {
        let start = OutcomesStart {
            reader: Box::new(self.device.clone()),
            identity: identity(),
            incarnation: Incarnation(1),
            shards: 2,
            logs: Vec::from([(LOG, end)]),
            index,
            domains: domains(),
            checkpoint,
        };
        Archive::open(start).expect("it can be read")
    }
}

fn positions(archive: &mut Archive, after: &str, limit: u64) -> Result<Vec<String>, Ended> {
    let after = after.parse().expect("a position");
    let batch = archive.batch(after, Slot(u64::MAX), limit, Form::Lines)?;
    let lines = String::from_utf8(batch.bytes).expect("text");
    let position = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        value["position"].as_str().expect("a position").to_owned()
    };
    Ok(lines.lines().map(position).collect())
}

/// OutcomeGiven, RecordFollowed: nothing is given above what every shard has completed, and nothing of a log is even
/// looked at above what is durable there.
#[test]
fn l9_what_is_given_ends_where_a_shard_is_not_complete() {
    let mut world = World::new();
    let mut archive = world.archive(LogEnd::default(), OutcomeIndex::default(), None);
    world.chunk(0, 1..=4);
    world.chunk(1, 2..=3);
    world.settle();
    let durable = world.log.durable_through();
    archive.advance(&[4, 0], &[0]).expect("nothing to read");
    assert!(world.device.0.lock().unwrap().1.is_empty(), "nothing is durable");
    archive.advance(&[4, 1], &[durable]).expect("it can be read");
    assert_eq!(positions(&mut archive, "0", 99), Ok(Vec::from(["1.0.0".to_owned()])));
    archive.advance(&[4, 3], &[durable]).expect("it can be read");
    let all = ["1.0.0", "2.0.0", "2.1.0", "3.0.0", "3.1.0"].map(str::to_owned);
    assert_eq!(positions(&mut archive, "0", 99), Ok(all.to_vec()));
    assert_eq!(positions(&mut archive, "2.0.0", 2), Ok(all[2..4].to_vec()));
    archive.advance(&[1, 1], &[durable]).expect("it can be read");
    assert_eq!(positions(&mut archive, "2", 9), Ok(all[3..].to_vec()), "what was said once holds");
}

/// Chunks of one slot a block, so that sixteen of them are a segment.
fn fill(world: &mut World, slots: std::ops::RangeInclusive<u64>) {
    slots.for_each(|slot| world.chunk((slot % 2) as u16, slot..=slot));
    world.settle();
}

/// SubscriberBehind, ChunkGivenUp: of a segment that is used again everything is forgotten, and whoever wants any of it
/// is told.
#[test]
fn l9_what_is_given_up_is_gone_and_never_a_gap() {
    let mut world = World::new();
    let mut archive = world.archive(LogEnd::default(), OutcomeIndex::default(), None);
    fill(&mut world, 1..=40);
    archive.advance(&[40, 40], &[world.log.durable_through()]).expect("it can be read");
    assert_eq!(positions(&mut archive, "0", 99).map(|all| all.len()), Ok(40));
    let end = LogEnd { offset: world.log.durable_through(), checksum: 0 };
    let mut later = world.archive(end, world.index.clone(), None);
    later.advance(&[40, 40], &[0]).expect("nothing to read");
    world.give_up(1);
    // Its file is still what it was until another segment is made of it.
    archive.check(After::Slot(Slot(0))).expect("it is still there");
    fill(&mut world, 41..=80);
    let gone = Err(Ended::Gone { oldest: After::Slot(Slot(16)) });
    // Nobody has looked since: it is found out by reading, and what comes before is given.
    assert_eq!(positions(&mut later, "0", 99).map(|_| ()), gone);
    assert_eq!(positions(&mut later, "16", 99).map(|all| all.len()), Ok(24));
    archive.advance(&[80, 80], &[world.log.durable_through()]).expect("it can be read");
    assert_eq!(archive.check(After::Slot(Slot(15))), gone);
    assert_eq!(positions(&mut archive, "15", 99).map(|_| ()), gone);
    assert_eq!(positions(&mut archive, "16", 99).map(|all| all.len()), Ok(64));
}

/// KeptFromKnown: after a start the stream is kept from the first slot that is too young to have been given up,
/// whatever older ones happen to lie here.
#[test]
fn l9_a_start_trusts_only_what_is_too_young_to_have_been_given_up() {
    let mut world = World::new();
    world.chunk(0, 1..=4);
    world.chunk(0, 7..=12);
    world.chunk(1, 9..=10);
    world.settle();
    let end = LogEnd { offset: world.log.durable_through(), checksum: 0 };
    let oldest = |checkpoint: Option<(u64, u64)>| {
        let checkpoint = checkpoint.map(|(slot, old)| (Slot(slot), StreamTime(old)));
        world.archive(end, world.index.clone(), checkpoint).oldest().to_string()
    };
    assert_eq!(oldest(None), "0", "nothing is given up without a checkpoint");
    assert_eq!(oldest(Some((12, 3))), "3", "slot 4 is younger");
    assert_eq!(oldest(Some((12, 4))), "6");
    assert_eq!(oldest(Some((12, 9))), "9", "of shard 0 slot 10 is the first younger one, of shard 1, too");
    assert_eq!(oldest(Some((12, 12))), "12", "nothing is younger");
}

/// OvertakenKnown: one that read too late to know what was given up says that everything through the checkpoint is
/// gone.
#[test]
fn l9_who_is_overtaken_goes_on_behind_the_checkpoint() {
    use assize_wal::superblock::{CheckpointRef, Superblock, SuperblockStore};
    let mut world = World::new();
    let mut archive = world.archive(LogEnd::default(), OutcomeIndex::default(), None);
    fill(&mut world, 1..=70);
    let (slot, time) = (Slot(50), StreamTime(50));
    let mut first = Superblock::first(ClusterId(1), ReplicaId(0), 3, SEGMENT_BYTES);
    let (ballot, hash) = (assize_wire::Ballot::NONE, Hash::ZERO);
    first.checkpoint = Some(CheckpointRef { slot, time, ballot, manifest: hash, digest: hash });
    let mut store = SuperblockStore::format(first);
    store
        .drive(|copy, blocks| world.device.0.lock().unwrap().0.write_superblock(copy, blocks))
        .expect("written");
    world.give_up(2);
    fill(&mut world, 71..=120);
    archive.advance(&[120, 120], &[world.log.durable_through()]).expect("it can be read");
    let gone = Err(Ended::Gone { oldest: After::Slot(Slot(50)) });
    assert_eq!(positions(&mut archive, "49", 99).map(|_| ()), gone);
    assert_eq!(positions(&mut archive, "50", 99).map(|all| all.len()), Ok(70));
}

/// A record that has decayed is no outcome that is gone.
#[test]
fn what_cannot_be_read_is_said_to_be_unreadable() {
    let mut world = World::new();
    let mut archive = world.archive(LogEnd::default(), OutcomeIndex::default(), None);
    fill(&mut world, 1..=3);
    archive.advance(&[3, 3], &[world.log.durable_through()]).expect("it can be read");
    world.device.0.lock().unwrap().0.flip_bit(LOG, SegmentId(0), 4096 + 200, 1);
    assert!(matches!(positions(&mut archive, "0", 9), Err(Ended::Unreadable(_))));
}

/// What is given out, and the board that says how far it is.
struct Served {
    outcomes: super::Outcomes,
    board: Arc<Board>,
}

fn served(world: &World, ready: u64, quarantined: u64) -> Served {
    let board = Arc::new(Board::new(1, 2));
    board.write_core(0, &CoreNumbers { ready, quarantined, ..CoreNumbers::default() });
    let start = OutcomesStart {
        reader: Box::new(world.device.clone()),
        identity: identity(),
        incarnation: Incarnation(1),
        shards: 2,
        logs: Vec::from([(LOG, LogEnd::default())]),
        index: OutcomeIndex::default(),
        domains: domains(),
        checkpoint: None,
    };
    let outcomes = super::Outcomes::start(start, Arc::clone(&board)).expect("a thread");
    Served { outcomes, board }
}

fn status(served: &Served) -> (StatusCode, Option<axum::response::Response>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let query = super::OutcomesQuery { from: None, limit: None, follow: None };
    let headers = axum::http::HeaderMap::new();
    match runtime.block_on(super::subscribe(
        Some(&served.outcomes),
        &served.board,
        Ok(Query(query)),
        &headers,
    )) {
        Ok(response) => (response.status(), Some(response)),
        Err(problem) => (StatusCode::from_u16(problem.status).expect("a status"), None),
    }
}

/// QuarantinedGivesNothing: nor does one that is not where the cluster is.
#[test]
fn c5_a_replica_that_is_not_ready_or_quarantined_gives_nothing() {
    let world = World::new();
    for (ready, quarantined, expected) in [(0, 0, 503), (1, 1, 503), (1, 0, 200)] {
        assert_eq!(status(&served(&world, ready, quarantined)).0.as_u16(), expected, "{ready} {quarantined}");
    }
    let outcomes = served(&world, 1, 1).outcomes;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let wanted = super::Wanted { after: After::Slot(Slot(0)), through: Slot(9), limit: 1, form: Form::Lines };
    assert_eq!(
        runtime.block_on(outcomes.next(wanted)),
        Err(Ended::Quarantined),
        "who follows already is told, too"
    );
}

/// PlaceTaken, PlaceFree.
#[test]
fn one_subscriber_too_many_is_told_so_until_another_one_goes() {
    let world = World::new();
    let served = served(&world, 1, 0);
    let mut following: Vec<_> = (0..super::OUTCOME_SUBSCRIBERS_MAX).map(|_| status(&served)).collect();
    assert!(following.iter().all(|(status, _)| status.as_u16() == 200));
    assert_eq!(status(&served).0.as_u16(), 503);
    following.pop();
    assert_eq!(status(&served).0.as_u16(), 200);
}
