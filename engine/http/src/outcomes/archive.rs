//! The stored outcome stream of all shards: where its chunks lie, how far it is complete, from where on it is kept.
//!
//! Each core's log of outcomes is followed from where the last start left it; what that found is known from the start.
//! A shard may have been another core's before, so its chunks lie in several logs, of which some nobody writes any
//! more.
//!
//! Invariants:
//! 1. All that was published of slots from `kept_from` through `complete` is in chunks that the index names.
//! 2. The index loses a chunk only together with every slot of it: `kept_from` is above its last one.
//!
//! How 1 is known after a start, where nothing tells what was given up before:
//! 1. A segment is given up when all in it is older than the TTL of keys was at a checkpoint (W2). Of slots whose
//!    stream time is later than the newest checkpoint's by less than the TTL, everything is there.
//! 2. A checkpoint that was taken over from a peer brought the peer's outcomes along, by the same rule.
//! 3. So the stream is kept from the first slot with such a time on. What happens to lie here of older ones may have
//!    gaps: another log may have given up what belongs between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use assize_domain::DomainRegistry;
use assize_wal::follow::{Follower, read_record};
use assize_wal::log::LogEnd;
use assize_wal::superblock::find;
use assize_wal::{LogIdentity, OutcomeIndex, RecordLocation, SegmentId, SegmentReader};
use assize_wire::published::PublishedStripe;
use assize_wire::{Incarnation, LogId, ShardId, Slot, StreamTime};

use super::line::{Form, OutcomeLine};
use super::merge::{Merge, Step};
use super::{After, BATCH_BYTES, CHUNKS_CACHED_BYTES, Ended};

/// What a start knows of the stored outcomes.
pub struct OutcomesStart {
    /// Reads the replica's logs.
    pub reader: Box<dyn SegmentReader + Send>,
    /// Of any of its logs.
    pub identity: LogIdentity,
    /// The start that writes them now.
    pub incarnation: Incarnation,
    /// How many shards there are.
    pub shards: u16,
    /// By core the log that its outcomes go to, and where that ended.
    pub logs: Vec<(LogId, LogEnd)>,
    /// Where older outcomes lie.
    pub index: OutcomeIndex,
    /// Say what outcomes returned.
    pub domains: Arc<DomainRegistry>,
    /// The slot of the newest checkpoint, and what was old enough then to be given up: if there is one.
    pub checkpoint: Option<(Slot, StreamTime)>,
}

impl std::fmt::Debug for OutcomesStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OutcomesStart({} logs, {:?})", self.logs.len(), self.checkpoint)
    }
}

/// The stored stream.
pub(super) struct Archive {
    reader: Box<dyn SegmentReader + Send>,
    identity: LogIdentity,
    shards: u16,
    /// By core.
    followers: Vec<Follower>,
    /// Every log that has outcomes.
    logs: BTreeSet<LogId>,
    index: OutcomeIndex,
    domains: Arc<DomainRegistry>,
    kept_from: Slot,
    complete: Slot,
    /// Chunks that were read last, the newest at the back. Subscribers who follow the live stream want the same.
    cache: VecDeque<(RecordLocation, Arc<[u8]>)>,
}

/// Some outcomes, one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// As they are sent.
    pub(super) bytes: Vec<u8>,
    /// How many.
    pub(super) outcomes: u64,
    /// Where they end.
    pub(super) after: After,
}

impl Archive {
    /// As a start found it.
    ///
    /// # Errors
    /// [`Ended::Unreadable`]: a chunk that tells from where on the stream is kept cannot be read.
    pub(super) fn open(start: OutcomesStart) -> Result<Archive, Ended> {
        let OutcomesStart { reader, identity, incarnation, shards, logs, index, domains, checkpoint } = start;
        let follower = |(log, end)| Follower::new(LogIdentity { log, ..identity }, incarnation, end);
        let old_logs = index.iter().map(|chunk| chunk.location.log);
        let mut archive = Archive {
            logs: logs.iter().map(|(log, _)| *log).chain(old_logs).collect(),
            reader,
            identity,
            shards,
            followers: logs.into_iter().map(follower).collect(),
            index,
            domains,
            kept_from: Slot(1),
            complete: Slot::ZERO,
            cache: VecDeque::new(),
        };
        if let Some((slot, old)) = checkpoint {
            let kept_from = archive.first_younger(old)?.unwrap_or(Slot(u64::MAX)).min(Slot(slot.0 + 1));
            archive.keep_from(kept_from);
        }
        Ok(archive)
    }

    /// Through which slot everything published can be had.
    pub(super) fn complete(&self) -> Slot {
        self.complete
    }

    /// The first place from which on everything is there.
    pub(super) fn oldest(&self) -> After {
        After::Slot(Slot(self.kept_from.0 - 1))
    }

    /// Takes in what the cores wrote: through which slot all of a shard is durable, by shard, and below which offset
    /// the logs are, by core.
    ///
    /// # Errors
    /// [`Ended::Unreadable`]: a log cannot be followed.
    pub(super) fn advance(&mut self, written: &[u64], durable: &[u64]) -> Result<(), Ended> {
        for (at, below) in durable.iter().enumerate() {
            while self.follow(at, *below)? {}
        }
        // What was said once holds, also if less is said now.
        let through = written.iter().copied().min().unwrap_or_default();
        self.complete = self.complete.max(Slot(through));
        Ok(())
    }

    /// Takes in the next record of a core's log. False if there is none.
    fn follow(&mut self, at: usize, below: u64) -> Result<bool, Ended> {
        let (log, before) = (self.followers[at].identity().log, self.followers[at].segment());
        match self.followers[at].poll(&mut *self.reader, below) {
            Ok(None) => return Ok(false),
            Ok(Some(followed)) => self.index.insert(&followed.entry, followed.location),
            Err(fault) => {
                let first = self.forget_given_up(log)?;
                if first <= before {
                    return Err(unreadable(&fault));
                }
                // Overtaken. Of what was not read only this is known: it was not wanted beside a checkpoint any more.
                self.followers[at].resume(first);
                let checkpoint = self.checkpoint()?;
                self.keep_from(Slot(checkpoint.0 + 1));
            }
        }
        if self.followers[at].segment() != before {
            self.forget_given_up(log)?;
        }
        Ok(true)
    }

    /// Outcomes behind `after`, through a slot, as many as fit a batch and at most `limit`. Without any, the batch ends
    /// where all is known: at that slot.
    ///
    /// # Errors
    /// [`Ended`]
    pub(super) fn batch(
        &mut self,
        after: After,
        through: Slot,
        limit: u64,
        form: Form,
    ) -> Result<Batch, Ended> {
        self.check_kept(after)?;
        let through = through.min(self.complete);
        let mut batch = Batch { bytes: Vec::new(), outcomes: 0, after };
        if after.whole_slot() >= through {
            return Ok(batch);
        }
        let mut merge = Merge::new(self.shards, after, through);
        while batch.outcomes < limit && batch.bytes.len() < BATCH_BYTES {
            match merge.poll().map_err(unreadable)? {
                Step::Over => {
                    batch.after = After::Slot(through);
                    break;
                }
                Step::Want(shard, slot) => match self.chunk(shard, slot, through) {
                    Ok(chunk) => merge.supply(shard, chunk.as_ref()).map_err(unreadable)?,
                    // What comes before is given; whoever asks for more is told.
                    Err(Ended::Gone { .. }) if batch.outcomes > 0 => break,
                    Err(ended) => return Err(ended),
                },
                Step::Stripe(found) => {
                    let given = found.outcomes(after, |stripe, position, outcome| {
                        let line = OutcomeLine::new(&self.domains, stripe, position, outcome);
                        form.outcome(&line, &mut batch.bytes);
                        batch.outcomes += 1;
                        batch.after = After::Outcome(position);
                        batch.outcomes < limit && batch.bytes.len() < BATCH_BYTES
                    });
                    given.map_err(unreadable)?;
                }
            }
        }
        Ok(batch)
    }

    /// Notices what was given up meanwhile, and whether all behind `after` is there.
    ///
    /// # Errors
    /// [`Ended::Gone`]
    pub(super) fn check(&mut self, after: After) -> Result<(), Ended> {
        for log in self.logs.clone() {
            self.forget_given_up(log)?;
        }
        self.check_kept(after)
    }

    fn check_kept(&self, after: After) -> Result<(), Ended> {
        match after.whole_slot().0.checked_add(1).is_some_and(|next| next < self.kept_from.0) {
            true => Err(Ended::Gone { oldest: self.oldest() }),
            false => Ok(()),
        }
    }

    /// The chunk that holds a shard's first stripe at or behind a slot; none if there is none through another.
    fn chunk(&mut self, shard: ShardId, slot: Slot, through: Slot) -> Result<Option<Arc<[u8]>>, Ended> {
        let Some((first, _, location)) = self.index.resume(shard, slot) else { return Ok(None) };
        if first > through {
            return Ok(None);
        }
        if let Some(at) = self.cache.iter().position(|(cached, _)| *cached == location)
            && let Some(cached) = self.cache.remove(at)
        {
            let chunk = Arc::clone(&cached.1);
            self.cache.push_back(cached);
            return Ok(Some(chunk));
        }
        let record = match read_record(&mut *self.reader, self.identity, location) {
            Ok(record) => record,
            Err(fault) => {
                // Given up meanwhile, or decayed.
                self.forget_given_up(location.log)?;
                let still = self.index.resume(shard, slot).is_some_and(|(.., found)| found == location);
                let oldest = self.oldest();
                return Err(if still { unreadable(&fault) } else { Ended::Gone { oldest } });
            }
        };
        let chunk: Arc<[u8]> = Arc::from(record.buffer.payload());
        self.cache.push_back((location, Arc::clone(&chunk)));
        let mut bytes: usize = self.cache.iter().map(|(_, chunk)| chunk.len()).sum();
        while bytes > CHUNKS_CACHED_BYTES {
            bytes -= self.cache.pop_front().map_or(bytes, |(_, chunk)| chunk.len());
        }
        Ok(Some(chunk))
    }

    /// The first slot that has outcomes here with a later time.
    fn first_younger(&mut self, old: StreamTime) -> Result<Option<Slot>, Ended> {
        let mut of_shards = BTreeMap::new();
        for chunk in self.index.iter().filter(|chunk| chunk.time > old) {
            // They come in the order of their slots.
            of_shards.entry(chunk.shard).or_insert(chunk);
        }
        let mut first = None;
        for chunk in of_shards.into_values() {
            let record = read_record(&mut *self.reader, self.identity, chunk.location);
            let record = record.map_err(|fault| unreadable(&fault))?;
            let mut rest = record.buffer.payload();
            while !rest.is_empty() {
                let (stripe, behind) = PublishedStripe::parse(rest).map_err(unreadable)?;
                if stripe.time > old {
                    first = Some(first.map_or(stripe.slot, |first: Slot| first.min(stripe.slot)));
                    break;
                }
                rest = behind;
            }
        }
        Ok(first)
    }

    /// The slot of the active checkpoint, as the superblock has it now.
    fn checkpoint(&mut self) -> Result<Slot, Ended> {
        let mut read = |copy| self.reader.read_superblock(copy).map_err(unreadable);
        let found = find([read(0)?, read(1)?]).map_err(unreadable)?;
        Ok(found.superblock.checkpoint.map_or(Slot::ZERO, |checkpoint| checkpoint.slot))
    }

    /// Forgets the chunks of a log that lie below its first segment: their files were used again. Returns that segment.
    fn forget_given_up(&mut self, log: LogId) -> Result<SegmentId, Ended> {
        let segments = self.reader.segments(log).map_err(unreadable)?;
        let Some((first, _)) = segments.first() else { return Ok(SegmentId(0)) };
        let gone =
            self.index.iter().filter(|chunk| chunk.location.log == log && chunk.location.segment < *first);
        if let Some(last) = gone.map(|chunk| chunk.last).max() {
            self.index.forget(log, *first);
            self.keep_from(Slot(last.0 + 1));
        }
        Ok(*first)
    }

    fn keep_from(&mut self, slot: Slot) {
        if slot > self.kept_from {
            self.kept_from = slot;
            self.index.forget_before(slot);
        }
    }
}

fn unreadable(error: impl std::fmt::Display) -> Ended {
    Ended::Unreadable(error.to_string())
}
