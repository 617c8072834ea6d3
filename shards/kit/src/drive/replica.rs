//! All shards of one replica in one thread: slots, messages and reads in any order that is possible.

use std::collections::VecDeque;
use std::sync::Arc;

use assize_domain::DomainRegistry;
use assize_shards::{
    CheckpointStep, Exchange, FirstResponse, PartRecord, Published, ReadAnswer, ReadEntity, ReadRequest,
    RestoreError, Shard, ShardConfig, ShardRestore,
};
use assize_wire::routing::Routing;
use assize_wire::{LogicVersions, ReplicaId, ShardId, Slot, StreamTime};

use super::guard::Guard;
use super::log::LogSlot;
use super::messages::Messages;
use crate::Dice;

/// What is agreed of a replica that is driven.
#[derive(Clone, Copy, Debug)]
pub struct Agreed {
    /// Shards, and where keys and entities belong.
    pub routing: Routing,
    /// How long a key lives.
    pub ttl_ns: u64,
    /// Live keys of a shard at most.
    pub keys: u32,
    /// Entities at which a shard stops taking new ones.
    pub entities: u32,
    /// What evaluates the first slot.
    pub logic: LogicVersions,
    /// Whether it is kept what each event came to and changed, as where there are peers to differ from (C6).
    pub keeps_pieces: bool,
}

/// All shards of one replica.
pub struct Replica {
    agreed: Agreed,
    /// By id.
    pub shards: Vec<Shard>,
    /// Slots handed to each shard.
    handed: Vec<usize>,
    /// Messages under way, by sender and receiver.
    channels: Vec<Vec<VecDeque<Exchange>>>,
    /// What each shard published, by slot.
    pub published: Vec<Vec<Published>>,
    /// Reads that were answered.
    pub answers: Vec<ReadAnswer>,
    /// What the shards told each other.
    pub messages: Messages,
    /// Take a checkpoint after this slot.
    pub checkpoint: Option<Slot>,
    /// By shard, what the checkpoint gave out.
    pub parts: Vec<Vec<(PartRecord, Vec<u8>)>>,
}

impl Replica {
    /// A replica before slot 1.
    #[must_use]
    pub fn new(agreed: Agreed, domains: &Arc<DomainRegistry>, guard: &Guard) -> Replica {
        let shard = |config, domains, guard: Guard| Shard::new(config, domains, Arc::new(guard));
        Replica::of(agreed, domains, guard, Slot::ZERO, shard)
    }

    /// A replica that starts from the checkpoint that another one took, whose slot was at `time`.
    ///
    /// # Errors
    /// [`RestoreError`] when what was given out is not whole.
    ///
    /// # Panics
    /// When the other one took none.
    pub fn restored(
        agreed: Agreed,
        domains: &Arc<DomainRegistry>,
        guard: &Guard,
        of: &Replica,
        time: StreamTime,
    ) -> Result<Replica, RestoreError> {
        let slot = of.checkpoint.expect("a checkpoint was taken");
        let mut failed = None;
        let mut replica = Replica::of(agreed, domains, guard, slot, |config, domains, guard| {
            let part = &of.parts[usize::from(config.shard.0)];
            restore(config.clone(), Arc::clone(&domains), guard.clone(), part, time).unwrap_or_else(|error| {
                failed = Some(error);
                Shard::new(config, domains, Arc::new(guard))
            })
        });
        for (shard, published) in of.published.iter().enumerate() {
            replica.published[shard].extend(published.iter().filter(|p| p.slot <= slot).cloned());
        }
        failed.map_or(Ok(replica), Err)
    }

    fn of(
        agreed: Agreed,
        domains: &Arc<DomainRegistry>,
        guard: &Guard,
        executed: Slot,
        mut shard: impl FnMut(ShardConfig, Arc<DomainRegistry>, Guard) -> Shard,
    ) -> Replica {
        let count = usize::from(agreed.routing.shards);
        let shards = (0..agreed.routing.shards).map(|number| {
            let config = ShardConfig {
                shard: ShardId(number),
                replica: ReplicaId(0),
                routing: agreed.routing,
                body_seed: 99,
                ttl_ns: agreed.ttl_ns,
                warden_capacity: agreed.keys,
                entity_capacity: agreed.entities,
                replicas: if agreed.keeps_pieces { 3 } else { 1 },
                // Nobody else is asked.
                copies: 1,
                logic: agreed.logic,
            };
            shard(config, Arc::clone(domains), guard.clone())
        });
        Replica {
            agreed,
            shards: shards.collect(),
            handed: vec![executed.0 as usize; count],
            channels: (0..count).map(|_| vec![VecDeque::new(); count]).collect(),
            published: (0..count).map(|_| Vec::new()).collect(),
            answers: Vec::new(),
            messages: Messages::default(),
            checkpoint: None,
            parts: vec![Vec::new(); count],
        }
    }

    /// Runs a whole log, choosing at random what happens next. `window` is how far ahead slots are handed out; some of
    /// `readable` are read in between.
    ///
    /// # Panics
    /// When it does not come to its end, or a promise is broken.
    pub fn run(&mut self, log: &[LogSlot], dice: &mut Dice, window: u64, readable: &[ReadEntity]) {
        // Often one shard's messages are slow, so that much is done without what it sends.
        let slow = dice.below(2 * self.shards.len() as u64) as usize;
        loop {
            let mut choices: Vec<(usize, usize)> = Vec::new();
            for shard in 0..self.shards.len() {
                let ahead = self.handed[shard] as u64 - self.shards[shard].executed().0;
                if self.handed[shard] < log.len() && ahead < window {
                    choices.push((shard, shard));
                }
                let waiting = (0..self.shards.len()).filter(|from| !self.channels[*from][shard].is_empty());
                choices.extend(waiting.map(|from| (from, shard)));
                if self.shards[shard].is_taking_checkpoint() {
                    choices.push((STEP, shard));
                }
            }
            if choices.is_empty() {
                break;
            }
            let mut choice = choices[dice.below(choices.len() as u64) as usize];
            if choice.0 == slow && choice.1 != slow && !dice.once_in(8) {
                choice = choices[dice.below(choices.len() as u64) as usize];
            }
            let (from, to) = choice;
            if from == STEP {
                let stepped = self.checkpoint_step(to);
                let stuck = choices.iter().all(|(from, _)| *from == STEP);
                let finished =
                    choices.iter().any(|(_, shard)| self.shards[*shard].executed().0 as usize == log.len());
                assert!(
                    stepped || !stuck || finished,
                    "X4: nothing is under way but a checkpoint that waits"
                );
                continue;
            }
            if from == to {
                let slot = &log[self.handed[to]];
                self.handed[to] += 1;
                let checkpoint = self.checkpoint == Some(slot.ordered.manifest.slot);
                self.shards[to].handle_chosen(slot.ordered.clone(), slot.stripe(to), checkpoint);
            } else {
                let message = self.channels[from][to].pop_front().expect("one is waiting");
                self.shards[to].handle_exchange(ShardId(from as u16), message);
            }
            if !readable.is_empty() && dice.once_in(4) {
                let count = 1 + dice.below(6);
                let wanted: Vec<_> = (0..count).map(|_| *dice.one_of(readable)).collect();
                self.read(to, &wanted);
            }
            self.drain(to);
        }
        for (at, shard) in self.shards.iter().enumerate() {
            assert_eq!(
                shard.executed(),
                Slot(log.len() as u64),
                "X4: shard {at} is stuck with nothing under way"
            );
        }
        self.messages.end();
    }

    /// Takes a step of a shard's checkpoint, and says whether there was one to take.
    fn checkpoint_step(&mut self, shard: usize) -> bool {
        let mut payload = Vec::new();
        match self.shards[shard].checkpoint_step(1 << 16, &mut payload) {
            CheckpointStep::Idle => return false,
            CheckpointStep::Walked => {}
            CheckpointStep::Record(record) => self.parts[shard].push((record, payload)),
        }
        true
    }

    /// Reads those of the entities that are at home in a shard.
    pub fn read(&mut self, shard: usize, wanted: &[ReadEntity]) {
        let routing = self.agreed.routing;
        let home = |read: &&ReadEntity| usize::from(routing.home_of(read.domain, read.entity).0) == shard;
        let entities = wanted.iter().filter(home).copied().collect();
        self.shards[shard].handle_read(ReadRequest { token: 5, entities });
    }

    /// Takes over what a shard gives out after an input.
    ///
    /// # Panics
    /// When a promise is broken.
    pub fn drain(&mut self, at: usize) {
        let shard = &mut self.shards[at];
        shard.check_invariants();
        let mut sent = Vec::new();
        while let Some((to, message)) = shard.poll_exchange() {
            assert_ne!(usize::from(to.0), at, "a message to itself");
            sent.push((to, message));
        }
        self.messages.round(ShardId(at as u16), &sent);
        for (to, message) in sent {
            self.channels[at][usize::from(to.0)].push_back(message);
        }
        // Copies are for peers, and there are none.
        while shard.poll_copy().is_some() {}
        while let Some(mut published) = shard.poll_published() {
            if let Some(evaluated) = shard.clerk().evaluated(published.slot) {
                published.evaluated = evaluated.clone();
            }
            let before = self.published[at].last().map_or(Slot::ZERO, |last| last.slot);
            assert!(published.slot > before, "C3: {} after {before}", published.slot);
            self.published[at].push(published);
        }
        while let Some(answer) = shard.poll_read() {
            self.answers.push(answer);
        }
    }

    /// The first response of a duplicate, looked up in the published outcomes where it is not inline (W2).
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn first_response(&self, shard: usize, first: FirstResponse) -> Vec<u8> {
        match first {
            FirstResponse::Inline { bytes, length } => {
                assert!(bytes[length.into()..].iter().all(|byte| *byte == 0));
                bytes[..length.into()].to_vec()
            }
            FirstResponse::InStream { slot, index } => {
                let published = self.published[shard].iter().find(|published| published.slot == slot);
                let outcome = published.and_then(|published| published.outcomes.iter().nth(index as usize));
                outcome.expect("the first submission was published").response.to_vec()
            }
        }
    }
}

/// A shard from the records of its part.
///
/// # Errors
/// [`RestoreError`] when they are not whole.
///
/// # Panics
/// When they are not the records of one part, in order.
pub fn restore(
    config: ShardConfig,
    domains: Arc<DomainRegistry>,
    guard: Guard,
    part: &[(PartRecord, Vec<u8>)],
    time: StreamTime,
) -> Result<Shard, RestoreError> {
    let Some((PartRecord::Head { head, records }, _)) = part.last() else {
        panic!("a part ends with its head");
    };
    let mut restore = ShardRestore::new(config, domains, Arc::new(guard), *head, time);
    let mut entities = 0;
    for (record, payload) in part {
        match record {
            PartRecord::Keys { first, next } => restore.keys(*first, *next, payload)?,
            PartRecord::Entities { number } => {
                assert_eq!(*number, entities, "records of entities are counted");
                entities += 1;
                restore.entities(payload)?;
            }
            PartRecord::Head { .. } => {}
        }
    }
    assert_eq!(*records, entities, "the head counts them");
    restore.finish()
}

const STEP: usize = usize::MAX;
