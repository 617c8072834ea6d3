//! All shards of one replica in one thread: slots, messages and reads in any order that is possible.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use assize_domain::DomainRegistry;
use assize_shards::{
    Exchange, FirstResponse, PanicGuard, Published, ReadAnswer, ReadEntity, ReadRequest, Shard, ShardConfig,
};
use assize_wire::{EntityId, ReplicaId, ShardId, Slot};

use super::bank::{BANK, Bank};
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
}

impl Replica {
    pub fn new(agreed: Agreed) -> Replica {
        let mut domains = DomainRegistry::new();
        domains.register(Bank).unwrap();
        let domains = Arc::new(domains);
        let count = usize::from(agreed.routing.shards);
        let shard = |shard: u16| {
            let config = ShardConfig {
                shard: ShardId(shard),
                replica: ReplicaId(0),
                routing: agreed.routing,
                body_seed: 99,
                ttl_ns: agreed.ttl,
                warden_capacity: agreed.keys,
                entity_capacity: agreed.entities,
                copies: 1,
            };
            Shard::new(config, domains.clone(), Arc::new(Guard))
        };
        Replica {
            agreed,
            shards: (0..agreed.routing.shards).map(shard).collect(),
            handed: vec![0; count],
            channels: (0..count).map(|_| vec![VecDeque::new(); count]).collect(),
            published: (0..count).map(|_| Vec::new()).collect(),
            answers: Vec::new(),
            messages: Messages::default(),
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
            }
            if choices.is_empty() {
                break;
            }
            let mut choice = choices[dice.below(choices.len() as u64) as usize];
            if choice.0 == slow && choice.1 != slow && !dice.once_in(8) {
                choice = choices[dice.below(choices.len() as u64) as usize];
            }
            let (from, to) = choice;
            if from == to {
                let slot = &log[self.handed[to]];
                self.handed[to] += 1;
                self.shards[to].handle_chosen(slot.ordered.clone(), slot.stripe(to));
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
