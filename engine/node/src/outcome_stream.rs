//! The published outcome stream of one core's shards (L9): appended in chunks, read back for duplicates whose first
//! response is too long for the Warden (W2), and for the digests of slots published long ago (C4).

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use assize_wal::BlockBuffer;
use assize_wal::{Durable, Entry, Log, OperationId, OutcomeIndex, RecordLocation, RecordSequence, SegmentId};
use assize_wire::outcome::Outcome;
use assize_wire::published::PublishedStripe;
use assize_wire::{Hash, LogId, ShardId, Slot, StreamTime};

use crate::checkpoint::Retention;
use crate::limits::OUTCOME_CHUNK_AGE_NS;
use crate::room;

/// A first response that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted<T> {
    pub(crate) shard: ShardId,
    pub(crate) slot: Slot,
    pub(crate) index: u32,
    /// What to do with it.
    pub(crate) then: T,
}

/// What was looked up.
pub(crate) enum Found<'a, T> {
    /// A first response.
    Response(Wanted<T>, &'a [u8]),
    /// The digest of every stripe of the shard that is in one chunk, in slot order (C4).
    Digests(ShardId, Vec<(Slot, Hash)>),
}

/// What a chunk is read for.
#[derive(Clone, Copy, Debug)]
enum Sought<T> {
    Response(Wanted<T>),
    Digests(ShardId),
}

/// The stream. `T` says what is to be done with a response that was looked up.
pub(crate) struct OutcomeStream<T> {
    pub(crate) log: Log,
    index: OutcomeIndex,
    shards: Vec<ShardStream>,
    /// A chunk is full at this many bytes.
    chunk_bytes: usize,
    /// Since when the oldest outcomes are in a full chunk for which no flush was asked.
    unflushed_since: Option<u64>,
    /// The last record that is durable.
    durable: RecordSequence,
    /// The last record that a checkpoint waits for.
    wanted: RecordSequence,
    /// Look-ups whose chunk is not durable yet.
    waiting: Vec<Wanted<T>>,
    /// Look-ups whose chunk is being read, and where that lies. A chunk is read once for all that want something of it
    /// meanwhile: a client that sends again what it sent before a crash wants all of a chunk, event by event.
    reading: BTreeMap<OperationId, (RecordLocation, Vec<Sought<T>>)>,
    /// The same reads, by chunk.
    read_by_chunk: BTreeMap<RecordLocation, OperationId>,
    /// Reads up to this one a checkpoint waits for, where they are of another core's log.
    reads_wanted: Option<OperationId>,
    /// The first outcomes that the log had no room for. Nothing is appended after them.
    full: Option<(ShardId, Slot)>,
    full_told: bool,
}

struct ShardStream {
    shard: ShardId,
    /// The last slot that was appended to a chunk, or stored before the restart.
    through: Slot,
    chunk: Option<Chunk>,
    /// The first slots of the chunks that were appended to the log and are not durable.
    under_way: VecDeque<Slot>,
}

impl ShardStream {
    fn new(shard: ShardId, through: Slot) -> ShardStream {
        ShardStream { shard, through, chunk: None, under_way: VecDeque::new() }
    }
}

struct Chunk {
    buffer: BlockBuffer,
    first: Slot,
    last: Slot,
    /// Of the last slot.
    time: StreamTime,
    opened: u64,
}

impl<T: Copy> OutcomeStream<T> {
    /// `index` says where stored outcomes lie, `stored` for each of the core's shards the last slot that is stored.
    pub(crate) fn new(log: Log, index: OutcomeIndex, stored: Vec<(ShardId, Slot)>) -> OutcomeStream<T> {
        let shards = stored.into_iter();
        OutcomeStream {
            chunk_bytes: room::chunk_bytes(log.identity().segment_bytes) as usize,
            unflushed_since: None,
            log,
            index,
            durable: RecordSequence::default(),
            wanted: RecordSequence::default(),
            shards: shards.map(|(shard, through)| ShardStream::new(shard, through)).collect(),
            waiting: Vec::new(),
            reading: BTreeMap::new(),
            read_by_chunk: BTreeMap::new(),
            reads_wanted: None,
            full: None,
            full_told: false,
        }
    }

    /// Appends a published stripe. One that is stored already, before a restart, is left as it is.
    pub(crate) fn append(&mut self, shard: ShardId, stripe: &PublishedStripe<'_>, now: u64) {
        let chunk_bytes = self.chunk_bytes;
        let stream = self.shard(shard);
        if stripe.slot <= stream.through {
            return;
        }
        stream.through = stripe.slot;
        let chunk = stream.chunk.get_or_insert_with(|| Chunk {
            buffer: BlockBuffer::for_record(chunk_bytes + chunk_bytes / 2),
            first: stripe.slot,
            last: stripe.slot,
            time: stripe.time,
            opened: now,
        });
        (chunk.last, chunk.time) = (stripe.slot, stripe.time);
        chunk.buffer.extend_from_slice(&stripe.header());
        chunk.buffer.extend_from_slice(stripe.outcomes);
        if chunk.buffer.payload_len() >= chunk_bytes {
            let opened = chunk.opened;
            self.unflushed_since.get_or_insert(opened);
            self.close_chunk(shard);
        }
    }

    /// Where stored outcomes lie.
    pub(crate) fn index(&self) -> &OutcomeIndex {
        &self.index
    }

    /// The last slot of a shard that is in the stream, in a chunk or stored.
    pub(crate) fn through(&self, shard: ShardId) -> Slot {
        let stream = self.shards.iter().find(|stream| stream.shard == shard);
        stream.map_or(Slot::ZERO, |stream| stream.through)
    }

    /// The last slot such that all outcomes of a shard that were published at it and below are durable in the stream,
    /// where the shard has published through a slot.
    pub(crate) fn written(&self, shard: ShardId, published: Slot) -> Slot {
        let stream = self.shards.iter().find(|stream| stream.shard == shard);
        let open = stream.and_then(|stream| stream.chunk.as_ref()).map(|chunk| chunk.first);
        let first = stream.and_then(|stream| stream.under_way.front().copied()).or(open);
        first.map_or(published, |first| published.min(Slot(first.0.saturating_sub(1))))
    }

    /// The first outcomes for which the log has no room, told once. Where this replica admits, it stops before that;
    /// but what it replays was admitted where there was room, and a core may own shards today without a log that has
    /// any.
    pub(crate) fn poll_full(&mut self) -> Option<(LogId, ShardId, Slot)> {
        let (shard, slot) = self.full.filter(|_| !core::mem::replace(&mut self.full_told, true))?;
        Some((self.log.identity().log, shard, slot))
    }

    /// Bytes in open chunks.
    pub(crate) fn open_bytes(&self) -> u64 {
        self.shards
            .iter()
            .filter_map(|stream| stream.chunk.as_ref())
            .map(|c| c.buffer.payload_len() as u64)
            .sum()
    }

    /// Appends chunks that have been open for long, or all of them, and flushes those that were full. With all of them,
    /// what came of a peer's checkpoint is flushed, too: nobody else would where it does not come to its end.
    pub(crate) fn close_chunks(&mut self, now: u64, all: bool) {
        let is_due = |since: u64| all || now.saturating_sub(since) >= OUTCOME_CHUNK_AGE_NS;
        if self.unflushed_since.is_some_and(is_due) || (all && self.log.has_unwritten()) {
            self.unflushed_since = None;
            self.log.request_flush();
        }
        for at in 0..self.shards.len() {
            let stream = &self.shards[at];
            if stream.chunk.as_ref().is_some_and(|chunk| is_due(chunk.opened)) {
                let shard = stream.shard;
                self.close_chunk(shard);
                self.log.request_flush();
            }
        }
    }

    /// A checkpoint after `slot` is taken: what was stored up to there in other cores' logs, and is no younger than
    /// `oldest`, may be gone once it is active. From now on nobody begins to read it.
    ///
    /// 1. A shard's first outcomes lie in the log of core 1, where it was before the last start. 2. A peer asks for
    ///    the digest of an old slot, and a read begins at core 0. 3. Core 1 gives up the segment and writes into it.
    pub(crate) fn forget_elsewhere(&mut self, slot: Slot, oldest: StreamTime) {
        self.index.forget_elsewhere(self.log.identity().log, slot, oldest);
    }

    /// Everything published so far is to become durable, and what was looked up for it in other cores' logs is to be
    /// read; [`OutcomeStream::is_settled`] says when it is.
    pub(crate) fn close_all(&mut self) {
        for at in 0..self.shards.len() {
            let shard = self.shards[at].shard;
            self.close_chunk(shard);
        }
        self.log.request_flush();
        self.wanted = self.log.last_sequence();
        self.reads_wanted = self.reading.keys().next_back().copied();
    }

    /// Whether what [`OutcomeStream::close_all`] was about is durable, and read.
    pub(crate) fn is_settled(&self) -> bool {
        // Another core gives up segments of its log without knowing who reads there.
        let own = self.log.identity().log;
        let mut reads = self.reading.iter().filter(|(_, (location, _))| location.log != own);
        let read = reads.all(|(id, _)| Some(*id) > self.reads_wanted);
        self.durable >= self.wanted && read
    }

    /// The first segment of this log that somebody reads, be it old or not.
    pub(crate) fn first_read(&self) -> Option<SegmentId> {
        let own = self.log.identity().log;
        let locations = self.reading.values().map(|(location, _)| location);
        locations.filter(|location| location.log == own).map(|location| location.segment).min()
    }

    /// Forgets where outcomes lay whose segments were given up.
    pub(crate) fn forget_released(&mut self) {
        self.index.forget(self.log.identity().log, self.log.first_segment());
    }

    /// When the next chunk is to be closed or flushed.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let opened = self.shards.iter().filter_map(|stream| stream.chunk.as_ref()).map(|chunk| chunk.opened);
        opened.chain(self.unflushed_since).min().map(|since| since + OUTCOME_CHUNK_AGE_NS)
    }

    /// Whether everything published is durable in the stream.
    pub(crate) fn is_drained(&self) -> bool {
        self.shards.iter().all(|stream| stream.chunk.is_none())
            && self.waiting.is_empty()
            && self.reading.is_empty()
            && !self.log.has_unwritten()
    }

    /// Looks a first response up; [`OutcomeStream::poll_found`] brings it.
    pub(crate) fn want(&mut self, wanted: Wanted<T>) {
        let Some(location) = self.index.locate(wanted.shard, wanted.slot) else {
            // Its chunk is open or being written: it is read once it is durable, so that there is one path only.
            self.close_chunk(wanted.shard);
            self.log.request_flush();
            self.waiting.push(wanted);
            return;
        };
        self.read_for(location, Sought::Response(wanted));
    }

    /// Reads the digests of the durable chunk that spans a slot, if there is one; [`OutcomeStream::poll_found`] brings
    /// them.
    pub(crate) fn want_digests(&mut self, shard: ShardId, slot: Slot) -> bool {
        let Some(location) = self.index.locate(shard, slot) else { return false };
        self.read_for(location, Sought::Digests(shard));
        true
    }

    fn read_for(&mut self, location: RecordLocation, what: Sought<T>) {
        let log = &mut self.log;
        let id = *self.read_by_chunk.entry(location).or_insert_with(|| log.read(location));
        self.reading.entry(id).or_insert_with(|| (location, Vec::new())).1.push(what);
    }

    /// Whether a durable chunk spans a slot.
    pub(crate) fn stores(&self, shard: ShardId, slot: Slot) -> bool {
        self.index.locate(shard, slot).is_some()
    }

    /// The first slot of a shard whose outcomes are durable and still kept.
    pub(crate) fn kept_from(&self, shard: ShardId) -> Option<Slot> {
        self.index.resume(shard, Slot::ZERO).map(|(first, ..)| first)
    }

    /// Takes note of chunks that became durable.
    pub(crate) fn handle_durable(&mut self, retention: &mut Retention) {
        let mut any = false;
        while let Some(Durable { sequence, entry, location, .. }) = self.log.poll_durable() {
            self.durable = sequence;
            if let Entry::Outcomes { shard, first, last, time } = entry {
                // What comes from a peer's checkpoint is no chunk of this stream's.
                let own = self.shards.iter_mut().find(|stream| stream.shard == shard);
                if let Some(stream) = own.filter(|stream| stream.under_way.front() == Some(&first)) {
                    stream.under_way.pop_front();
                }
                self.index.insert(&entry, location);
                retention.note_outcomes(location.segment, last, time);
                any = true;
            }
        }
        if any {
            for wanted in core::mem::take(&mut self.waiting) {
                self.want(wanted);
            }
        }
    }

    /// Responses that are looked up.
    pub(crate) fn sought(&self) -> impl Iterator<Item = &Wanted<T>> {
        let reading = self.reading.values().flat_map(|(_, sought)| sought);
        let responses = reading.filter_map(|sought| match sought {
            Sought::Response(wanted) => Some(wanted),
            Sought::Digests(_) => None,
        });
        self.waiting.iter().chain(responses)
    }

    /// What was looked up next, all that was of one chunk: calls `found` with each.
    ///
    /// # Panics
    /// When the record cannot be read back: the log was scanned at the start and written since by this process, so
    /// the disk has decayed under a running replica, which must stop (L3).
    pub(crate) fn poll_found(&mut self, mut found: impl FnMut(Found<'_, T>)) -> bool {
        let Some((id, read)) = self.log.poll_read() else { return false };
        let record = match read {
            Ok(record) => record,
            Err(fault) => panic!("the outcome stream cannot be read back: {fault}"),
        };
        let Some((location, sought)) = self.reading.remove(&id) else { return true };
        self.read_by_chunk.remove(&location);
        let payload = record.buffer.payload();
        let (mut responses, mut digests_of) = (Vec::new(), None);
        for sought in sought {
            match sought {
                Sought::Response(wanted) => responses.push(wanted),
                Sought::Digests(shard) => digests_of = Some(shard),
            }
        }
        find_all(payload, responses, |wanted, response| found(Found::Response(wanted, response)));
        if let Some(shard) = digests_of {
            let digests = stripes_of(shard, payload).map(|stripe| (stripe.slot, stripe.digest));
            found(Found::Digests(shard, digests.collect()));
        }
        true
    }

    fn shard(&mut self, shard: ShardId) -> &mut ShardStream {
        match self.shards.iter_mut().find(|stream| stream.shard == shard) {
            Some(stream) => stream,
            None => panic!("shard {shard} is not of this core"),
        }
    }

    fn close_chunk(&mut self, shard: ShardId) {
        let stream = self.shard(shard);
        let Some(chunk) = stream.chunk.take() else { return };
        let Chunk { first, last, time, .. } = chunk;
        stream.under_way.push_back(first);
        let entry = Entry::Outcomes { shard, first, last, time };
        // A gap would look like outcomes that were lost: the replica stops instead.
        if self.full.is_none() && self.log.append(entry, chunk.buffer).is_err() {
            self.full = Some((shard, first));
        }
    }
}

/// The stripes of a chunk, which this replica wrote.
fn stripes_of(shard: ShardId, mut rest: &[u8]) -> impl Iterator<Item = PublishedStripe<'_>> {
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        match PublishedStripe::parse(rest) {
            Ok((stripe, after)) => {
                rest = after;
                Some(stripe)
            }
            Err(error) => panic!("a chunk of shard {shard}: {error}"),
        }
    })
}

/// Finds what is wanted of a chunk, walking it once.
///
/// # Panics
/// When something of it is not there: the index named this chunk for it.
fn find_all<T: Copy>(chunk: &[u8], mut wanted: Vec<Wanted<T>>, mut found: impl FnMut(Wanted<T>, &[u8])) {
    wanted.sort_by_key(|wanted| (wanted.slot, wanted.index));
    let mut rest = chunk;
    for of_slot in wanted.chunk_by(|one, next| one.slot == next.slot) {
        let Wanted { shard, slot, .. } = of_slot[0];
        let stripe = loop {
            let (stripe, after) = match PublishedStripe::parse(rest) {
                Ok(read) => read,
                Err(error) => panic!("slot {slot} of shard {shard}: {error}"),
            };
            rest = after;
            if stripe.slot == slot {
                break stripe;
            }
        };
        let mut outcomes = stripe.outcomes;
        let mut read: Option<Outcome<'_>> = None;
        for wanted in of_slot {
            let outcome = loop {
                if let Some(outcome) = read.filter(|outcome| outcome.index >= wanted.index) {
                    break outcome;
                }
                match Outcome::parse(outcomes) {
                    Ok((outcome, after)) => (read, outcomes) = (Some(outcome), after),
                    Err(error) => panic!("slot {slot} of shard {shard}, event {}: {error}", wanted.index),
                }
            };
            assert_eq!(outcome.index, wanted.index, "slot {slot} of shard {shard} lacks an outcome");
            found(*wanted, outcome.response);
        }
    }
}

#[cfg(test)]
mod tests {
    use assize_wal::operation::{Completion, Done};
    use assize_wal::{FlushPolicy, LogConfig, LogIdentity, LogStart, Operation};
    use assize_wire::outcome::Status;
    use assize_wire::{ClusterId, DomainId, EventKey, Hash, Incarnation, ReplicaId};

    use super::*;

    const SHARD: ShardId = ShardId(0);
    const OWN: LogId = LogId(1);
    const OF_ANOTHER_CORE: LogId = LogId(5);

    /// A stream that knows of one stored chunk.
    fn stream(log: LogId) -> OutcomeStream<()> {
        let identity = LogIdentity {
            cluster: ClusterId(1),
            record_key: 0,
            replica: ReplicaId(0),
            log: OWN,
            segment_bytes: assize_wal::limits::SEGMENT_BYTES_MIN,
        };
        let start = LogStart::fresh(Incarnation(1));
        let mut index = OutcomeIndex::default();
        let entry = Entry::Outcomes { shard: SHARD, first: Slot(1), last: Slot(9), time: StreamTime(9) };
        let location = RecordLocation { log, segment: SegmentId(3), offset: 0, bytes: 4096 };
        index.insert(&entry, location);
        let log = Log::new(identity, LogConfig::default(), start);
        OutcomeStream::new(log, index, Vec::from([(SHARD, Slot(9))]))
    }

    fn configure(stream: &mut OutcomeStream<()>, config: LogConfig) {
        stream.log = Log::new(*stream.log.identity(), config, LogStart::fresh(Incarnation(1)));
    }

    fn complete(stream: &mut OutcomeStream<()>) {
        while let Some(operation) = stream.log.poll_operation() {
            let done = Completion { id: operation.id(), result: Ok(Done::Complete) };
            stream.log.handle_completion(done).unwrap();
        }
    }

    fn wanted() -> Wanted<()> {
        Wanted { shard: SHARD, slot: Slot(4), index: 0, then: () }
    }

    /// SegmentGivenUp: what a shard stored before it moved here lies in the log of a core that does not know who reads
    /// there, so a checkpoint waits for the reads that it overtakes, and for no others.
    #[test]
    fn w2_a_checkpoint_waits_for_what_is_read_in_another_cores_log() {
        let mut stream = stream(OF_ANOTHER_CORE);
        stream.close_all();
        stream.want(wanted());
        assert!(stream.is_settled(), "this read is younger");
        stream.close_all();
        assert!(!stream.is_settled(), "the segment may be recycled before it is read");
        assert_eq!(stream.first_read(), None);
    }

    /// Outcomes without room are told of, once, and nothing is stored behind them (L9): a core that owns shards since
    /// this start, on a disk that has no space for its log, replays what another core had room for.
    #[test]
    fn l9_outcomes_without_room_are_told_of() {
        let mut stream = stream(OWN);
        configure(&mut stream, LogConfig { segments_max: 0, ..LogConfig::default() });
        let stripe = |slot| PublishedStripe {
            slot: Slot(slot),
            time: StreamTime(slot),
            digest: Hash::ZERO,
            events: 0,
            outcomes: &[],
        };
        for slot in [10, 11] {
            stream.append(SHARD, &stripe(slot), 0);
            stream.close_all();
        }
        assert_eq!(stream.poll_full(), Some((OWN, SHARD, Slot(10))));
        assert_eq!((stream.poll_full(), stream.log.last_sequence()), (None, RecordSequence(0)));
    }

    /// A stop does not wait for the rest of a peer's checkpoint, whose outcomes are flushed with its last record only.
    #[test]
    fn a_stop_flushes_what_came_of_a_peers_checkpoint() {
        let mut stream = stream(OWN);
        let entry = Entry::Outcomes { shard: SHARD, first: Slot(10), last: Slot(10), time: StreamTime(10) };
        configure(&mut stream, LogConfig { flush: FlushPolicy::OnRequest, ..LogConfig::default() });
        stream.log.append(entry, BlockBuffer::for_record(0)).expect("there is room");
        for (stops, drained) in [(false, false), (true, true)] {
            stream.close_chunks(1, stops);
            complete(&mut stream);
            stream.handle_durable(&mut Retention::default());
            assert_eq!(stream.is_drained(), drained, "stops: {stops}");
        }
    }

    /// What is said to be written ends before the first chunk that is open or under way, and goes on without stripes.
    #[test]
    fn l9_what_is_written_ends_before_what_is_not_durable() {
        let mut stream = stream(OWN);
        let written = |stream: &OutcomeStream<()>| stream.written(SHARD, Slot(30)).0;
        assert_eq!(written(&stream), 30);
        let append = |stream: &mut OutcomeStream<()>, slot| {
            let (slot, time) = (Slot(slot), StreamTime(slot));
            let stripe = PublishedStripe { slot, time, digest: Hash::ZERO, events: 0, outcomes: &[] };
            stream.append(SHARD, &stripe, 0);
        };
        append(&mut stream, 9);
        assert_eq!(written(&stream), 30, "it is stored already");
        append(&mut stream, 12);
        append(&mut stream, 14);
        assert_eq!(written(&stream), 11);
        stream.close_all();
        append(&mut stream, 20);
        assert_eq!(written(&stream), 11, "it is under way");
        complete(&mut stream);
        assert_eq!(written(&stream), 11, "nobody has looked");
        stream.handle_durable(&mut Retention::default());
        assert_eq!(written(&stream), 19);
        assert_eq!(stream.written(SHARD, Slot(15)).0, 15);
    }

    /// However many first responses of a chunk are wanted, it is read once while that read is under way.
    #[test]
    fn w2_look_ups_of_one_chunk_share_its_read() {
        let mut stream = stream(OWN);
        for (slot, index) in [(4, 0), (9, 7), (4, 0)] {
            stream.want(Wanted { slot: Slot(slot), index, ..wanted() });
        }
        let reads = core::iter::from_fn(|| stream.log.poll_operation())
            .filter(|o| matches!(o, Operation::Read { .. }));
        assert_eq!(reads.count(), 1);
    }

    #[test]
    fn w2_each_look_up_of_a_chunk_finds_its_own_response() {
        let mut chunk = Vec::new();
        for slot in [4, 6, 9] {
            let mut outcomes = Vec::new();
            for index in 0..3_u32 {
                let response = [slot as u8, index as u8];
                let (status, first_status) = (Status::Applied, Status::Applied);
                Outcome {
                    key: EventKey(1),
                    domain: DomainId(1),
                    status,
                    first_status,
                    reason: 0,
                    index,
                    original_slot: Slot(slot),
                    original_index: index,
                    response: &response,
                }
                .encode(&mut outcomes);
            }
            let (slot, time) = (Slot(slot), StreamTime(slot));
            let stripe = PublishedStripe { slot, time, digest: Hash::ZERO, events: 3, outcomes: &outcomes };
            chunk.extend_from_slice(&stripe.header());
            chunk.extend_from_slice(&outcomes);
        }
        let all = [(9, 1), (4, 2), (4, 0), (9, 1)];
        let wanted = all.map(|(slot, index)| Wanted { shard: SHARD, slot: Slot(slot), index, then: () });
        let mut found = Vec::new();
        find_all(&chunk, wanted.to_vec(), |wanted, response| {
            assert_eq!(response, [wanted.slot.0 as u8, wanted.index as u8]);
            found.push((wanted.slot.0, wanted.index));
        });
        assert_eq!(found, [(4, 0), (4, 2), (9, 1), (9, 1)]);
    }

    /// SegmentWanted.
    #[test]
    fn w2_what_is_read_in_the_own_log_keeps_its_segment() {
        let mut stream = stream(OWN);
        stream.want(wanted());
        stream.close_all();
        assert!(stream.is_settled());
        assert_eq!(stream.first_read(), Some(SegmentId(3)));
    }
}
