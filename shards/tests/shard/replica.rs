//! All shards of one replica in one thread: slots, messages and reads in any order that is possible.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use assize_domain::DomainRegistry;
use assize_shards::{
    CheckpointStep, Exchange, FirstResponse, PanicGuard, PartRecord, Published, ReadAnswer, ReadEntity,
    ReadRequest, RestoreError, Shard, ShardConfig, ShardRestore,
};
use assize_wire::{EntityId, ReplicaId, ShardId, Slot, StreamTime};

use super::bank::{BANK, Bank, NEXT_VERSION, VERSION, bank_logic};
use super::log::{Agreed, Dice, LogSlot};
use super::messages::Messages;

pub struct Guard;

impl PanicGuard for Guard {
    fn run(&self, body: &mut dyn FnMut()) -> bool {
        IN_DOMAIN.set(true);
        let completed = catch_unwind(AssertUnwindSafe(body)).is_ok();
        IN_DOMAIN.set(false);
        completed
    }
}

thread_local! {
    static IN_DOMAIN: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// A domain's panic is an outcome and not worth a line.
pub fn quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IN_DOMAIN.get() {
                before(info);
            }
        }));
    });
}

pub struct Replica {
    agreed: Agreed,
    pub shards: Vec<Shard>,
    /// Slots handed to each shard.
    handed: Vec<usize>,
    /// Messages under way, by sender and receiver.
    channels: Vec<Vec<VecDeque<Exchange>>>,
    pub published: Vec<Vec<Published>>,
    pub answers: Vec<ReadAnswer>,
    pub messages: Messages,
    /// Take a checkpoint after this slot.
    pub checkpoint: Option<Slot>,
    /// By shard, what the checkpoint gave out.
    pub parts: Vec<Vec<(PartRecord, Vec<u8>)>>,
}

impl Replica {
    pub fn new(agreed: Agreed) -> Replica {
        let shard = |config, domains, guard| Shard::new(config, domains, guard);
        Replica::of(agreed, Slot::ZERO, shard)
    }

    /// A replica that starts from the checkpoint that another one took.
    pub fn restored(agreed: Agreed, of: &Replica, time: StreamTime) -> Result<Replica, RestoreError> {
        let slot = of.checkpoint.unwrap();
        let mut failed = None;
        let mut replica = Replica::of(agreed, slot, |config, domains, guard| {
            let shard = usize::from(config.shard.0);
            let (config_again, domains_again) = (config.clone(), Arc::clone(&domains));
            restore(config, domains, &of.parts[shard], time).unwrap_or_else(|error| {
                failed = Some(error);
                Shard::new(config_again, domains_again, guard)
            })
        });
        for (shard, published) in of.published.iter().enumerate() {
            replica.published[shard].extend(published.iter().filter(|p| p.slot <= slot).cloned());
        }
        failed.map_or(Ok(replica), Err)
    }

    fn of(
        agreed: Agreed,
        executed: Slot,
        mut shard: impl FnMut(ShardConfig, Arc<DomainRegistry>, Arc<dyn PanicGuard>) -> Shard,
    ) -> Replica {
        let mut domains = DomainRegistry::new();
        for version in [VERSION, NEXT_VERSION] {
            domains.register(Bank(version)).unwrap();
        }
        let domains = Arc::new(domains);
        let count = usize::from(agreed.routing.shards);
        let shards = (0..agreed.routing.shards).map(|number| {
            let config = ShardConfig {
                shard: ShardId(number),
                replica: ReplicaId(0),
                routing: agreed.routing,
                body_seed: 99,
                ttl_ns: agreed.ttl,
                warden_capacity: agreed.keys,
                entity_capacity: agreed.entities,
                replicas: 1,
                copies: 1,
                logic: [bank_logic(VERSION)].into_iter().collect(),
            };
            shard(config, domains.clone(), Arc::new(Guard))
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

    /// Runs a whole log, choosing at random what happens next. `window` is how far ahead slots are handed out.
    pub fn run(&mut self, log: &[LogSlot], dice: &mut Dice, window: u64, reads: bool) {
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
                let message = self.channels[from][to].pop_front().unwrap();
                self.shards[to].handle_exchange(ShardId(from as u16), message);
            }
            if reads && dice.once_in(4) {
                let accounts = 1 + dice.below(6);
                let ids: Vec<_> = (0..accounts).map(|_| u128::from(dice.below(32))).collect();
                self.read(to, &ids);
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

    /// Reads those of the accounts that are at home in a shard. The token says which they are.
    pub fn read(&mut self, shard: usize, ids: &[u128]) {
        let home = |id: &&u128| self.agreed.routing.home_of(BANK, EntityId(**id)).0 == shard as u16;
        let entities = ids.iter().filter(home).map(|id| ReadEntity {
            index: *id as u32,
            domain: BANK,
            entity: EntityId(*id),
        });
        let entities = entities.collect();
        self.shards[shard].handle_read(ReadRequest { token: 5, entities });
    }

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
        while let Some(published) = shard.poll_published() {
            let before = self.published[at].last().map_or(Slot::ZERO, |last| last.slot);
            assert!(published.slot > before, "C3: {} after {before}", published.slot);
            self.published[at].push(published);
        }
        while let Some(answer) = shard.poll_read() {
            self.answers.push(answer);
        }
    }

    /// The first response of a duplicate, looked up in the published outcomes where it is not inline (W2).
    pub fn first_response(&self, shard: usize, first: FirstResponse) -> Vec<u8> {
        match first {
            FirstResponse::Inline { bytes, length } => {
                assert!(bytes[length.into()..].iter().all(|byte| *byte == 0));
                bytes[..length.into()].to_vec()
            }
            FirstResponse::InStream { slot, index } => {
                let published = self.published[shard].iter().find(|published| published.slot == slot);
                let outcome = published.unwrap().outcomes.iter().nth(index as usize);
                outcome.unwrap().response.to_vec()
            }
        }
    }
}

/// A shard from the records of its part.
pub fn restore(
    config: ShardConfig,
    domains: Arc<DomainRegistry>,
    part: &[(PartRecord, Vec<u8>)],
    time: StreamTime,
) -> Result<Shard, RestoreError> {
    let Some((PartRecord::Head { head, records }, _)) = part.last() else {
        panic!("a part ends with its head");
    };
    let mut restore = ShardRestore::new(config, domains, Arc::new(Guard), *head, time);
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
