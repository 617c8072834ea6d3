//! Slots of transfers for the benches of evaluation, and the shards that take them.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use assize_domain::DomainRegistry;
use assize_inventory::{INVENTORY, InventoryDomain, InventoryEvent, VERSION};
use assize_shards::{Exchange, OrderedSlot, PanicGuard, Published, Shard, ShardConfig};
use assize_telemetry::TelemetryDomain;
use assize_wire::event::encode_event;
use assize_wire::manifest::{Manifest, StripeRef};
use assize_wire::routing::Routing;
use assize_wire::stripe::StripeHead;
use assize_wire::{Ballot, EntityId, EventKey, Hash, ReplicaId, ShardId, Slot, StreamTime, StripeId};

/// A fast generator; nothing here needs more than spread.
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A key that was not drawn before.
    pub fn key(&mut self) -> EventKey {
        EventKey(u128::from(self.next_u64()) << 64 | u128::from(self.next_u64()))
    }
}

/// One slot, ready to be given to shards.
pub struct ReadySlot {
    ordered: Arc<OrderedSlot>,
    stripes: Vec<Arc<Vec<u8>>>,
}

/// How much there is of everything.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Shards.
    pub shards: u16,
    /// Stock items that transfers move between, uniformly.
    pub items: u64,
    /// A key lives for this many slots of stream time.
    pub ttl_slots: u64,
    /// Live keys of a shard, at most.
    pub keys_max: u32,
}

impl Size {
    /// What the benches of evaluation run with.
    #[must_use]
    pub fn usual(shards: u16) -> Size {
        Size { shards, items: 100_000, ttl_slots: 400, keys_max: 4_000_000 }
    }
}

/// What shards told each other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    /// Messages: claims, grants, returns.
    pub messages: [u64; 3],
    /// Entities that were lent.
    pub entities: u64,
}

/// The shards of one replica, and what makes their slots.
pub struct Shards {
    /// Themselves.
    pub shards: Vec<Shard>,
    size: Size,
    routing: Routing,
    domains: Arc<DomainRegistry>,
    rng: Rng,
    slot: u64,
    previous: Hash,
    told: Told,
}

impl Shards {
    /// Shards with all items in stock.
    #[must_use]
    pub fn new(size: Size) -> Shards {
        let routing = Routing { seed: 1, shards: size.shards };
        let mut domains = DomainRegistry::new();
        domains.register(InventoryDomain).expect("the first one");
        // As in the program that is served: records are as large as its largest state.
        domains.register(TelemetryDomain).expect("another one");
        let mut all = Shards {
            shards: Vec::new(),
            size,
            routing,
            domains: Arc::new(domains),
            rng: Rng(88_172_645_463_325_252),
            slot: 0,
            previous: Hash::ZERO,
            told: Told::default(),
        };
        for shard in 0..size.shards {
            let (config, domains, guard) = all.parts(ShardId(shard));
            all.shards.push(Shard::new(config, domains, guard));
        }
        for first in (0..size.items).step_by(STOCKED_AT_ONCE as usize) {
            let mut item = first;
            let last = (first + STOCKED_AT_ONCE).min(size.items);
            let slot = all.slot_of(u32::MAX, |_| {
                item += 1;
                let event = InventoryEvent::Adjust { item: id(item - 1), delta: 1 << 40, reason: 1 };
                (item <= last).then_some(event)
            });
            all.run(slot);
        }
        all
    }

    /// What a shard is made of.
    #[must_use]
    pub fn parts(&self, shard: ShardId) -> (ShardConfig, Arc<DomainRegistry>, Arc<dyn PanicGuard>) {
        let config = ShardConfig {
            shard,
            replica: ReplicaId(0),
            routing: self.routing,
            body_seed: 1,
            ttl_ns: self.size.ttl_slots,
            warden_capacity: self.size.keys_max,
            entity_capacity: 2_000_000,
            replicas: 1,
            copies: 1,
            logic: self.domains.newest(),
        };
        (config, Arc::clone(&self.domains), Arc::new(Guard))
    }

    /// The stream time of the last slot that was made.
    #[must_use]
    pub fn time(&self) -> StreamTime {
        StreamTime(self.slot)
    }

    /// What the shards told each other since the last time that this was asked.
    pub fn take_told(&mut self) -> Told {
        std::mem::take(&mut self.told)
    }

    /// A slot with one stripe of `events` transfers in each shard.
    pub fn transfers(&mut self, events: u32) -> ReadySlot {
        let items = self.size.items;
        self.slot_of(events, |rng| {
            let source = rng.next_u64() % items;
            let destination = (source + 1 + rng.next_u64() % (items - 1)) % items;
            Some(InventoryEvent::Transfer { source: id(source), destination: id(destination), quantity: 1 })
        })
    }

    /// Takes a slot through every shard. Returns the events published.
    pub fn run(&mut self, slot: ReadySlot) -> usize {
        self.run_pipelined([slot], 1)
    }

    /// Takes slots through every shard, at most `window` at once, and lets the shards talk after each one that is
    /// chosen. Returns the events published.
    pub fn run_pipelined(&mut self, slots: impl IntoIterator<Item = ReadySlot>, window: usize) -> usize {
        let mut waiting: VecDeque<ReadySlot> = slots.into_iter().collect();
        let last = Slot(self.shards[0].executed().0 + waiting.len() as u64);
        let mut released = 0;
        while self.shards.iter().any(|shard| shard.executed() < last) {
            let executed = self.shards.iter().map(|shard| shard.executed().0).min().unwrap_or_default();
            if last.0 - executed - (waiting.len() as u64) < window as u64
                && let Some(slot) = waiting.pop_front()
            {
                self.choose(slot, false);
            }
            self.talk();
            released +=
                self.take_published().iter().map(|stripe| stripe.outcomes.count() as usize).sum::<usize>();
        }
        released
    }

    /// Gives a slot to every shard; with `checkpoint` they begin to take one after it.
    pub fn choose(&mut self, slot: ReadySlot, checkpoint: bool) {
        for (shard, bytes) in self.shards.iter_mut().zip(slot.stripes) {
            shard.handle_chosen(Arc::clone(&slot.ordered), Some(bytes), checkpoint);
        }
    }

    /// Every message that a shard has for another one now is delivered.
    fn talk(&mut self) {
        for from in 0..self.shards.len() {
            while let Some((to, message)) = self.shards[from].poll_exchange() {
                match &message {
                    Exchange::Claim(_) => self.told.messages[0] += 1,
                    Exchange::Grant(grant) => {
                        self.told.messages[1] += 1;
                        self.told.entities += grant.states.len() as u64;
                    }
                    Exchange::Return(_) => self.told.messages[2] += 1,
                }
                self.shards[usize::from(to.0)].handle_exchange(ShardId(from as u16), message);
            }
        }
    }

    fn take_published(&mut self) -> Vec<Published> {
        let mut all = Vec::new();
        for shard in &mut self.shards {
            all.extend(std::iter::from_fn(|| shard.poll_published()));
        }
        all
    }

    /// Draws events until `event` gives none or every shard has `events_max`. A key decides its shard.
    fn slot_of(
        &mut self,
        events_max: u32,
        mut event: impl FnMut(&mut Rng) -> Option<InventoryEvent<'static>>,
    ) -> ReadySlot {
        self.slot += 1;
        let shards = self.shards.len();
        let mut bodies = vec![Vec::new(); shards];
        let mut counts = vec![0_u32; shards];
        let mut payload = Vec::new();
        while counts.iter().any(|count| *count < events_max) {
            let key = self.rng.key();
            let shard = usize::from(self.routing.shard_of_key(key).0);
            if counts[shard] == events_max {
                continue;
            }
            let Some(event) = event(&mut self.rng) else { break };
            payload.clear();
            event.encode_payload(&mut payload);
            let deadline = StreamTime(self.slot + self.size.ttl_slots);
            let body = &mut bodies[shard];
            encode_event(body, key, deadline, INVENTORY, VERSION, &payload).expect("a short payload");
            counts[shard] += 1;
        }
        self.seal(&bodies, &counts)
    }

    fn seal(&mut self, bodies: &[Vec<u8>], counts: &[u32]) -> ReadySlot {
        let mut ready = Vec::new();
        let mut stripes = Vec::new();
        for (shard, (body, events)) in bodies.iter().zip(counts).enumerate() {
            let shard = ShardId(shard as u16);
            let (home_mask, counter, events_bytes) = (u64::MAX, self.slot, body.len() as u32);
            let head =
                StripeHead { shard, ballot: Ballot::NONE, counter, home_mask, events: *events, events_bytes };
            let bytes = [&head.encode()[..], body].concat();
            let id = StripeId { shard, hash: Hash::of(&bytes) };
            stripes.push(StripeRef { id, home_mask, events: *events, bytes: bytes.len() as u32 });
            ready.push(Arc::new(bytes));
        }
        let (slot, time) = (Slot(self.slot), StreamTime(self.slot));
        let manifest = Manifest {
            slot,
            time,
            previous: self.previous,
            checkpoint: false,
            controls: Vec::new(),
            stripes,
        };
        self.previous = Hash::of(&manifest.encode());
        ReadySlot { ordered: Arc::new(OrderedSlot { manifest, hash: self.previous }), stripes: ready }
    }
}

struct Guard;

impl PanicGuard for Guard {
    fn run(&self, body: &mut dyn FnMut()) -> bool {
        catch_unwind(AssertUnwindSafe(body)).is_ok()
    }
}

fn id(item: u64) -> EntityId {
    EntityId(item.into())
}

const STOCKED_AT_ONCE: u64 = 4000;
