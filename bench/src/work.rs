//! Slots of transfers for the benches of evaluation, and the shards that take them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use assize_domain::DomainRegistry;
use assize_inventory::{INVENTORY, InventoryDomain, InventoryEvent, VERSION};
use assize_shards::{OrderedSlot, PanicGuard, Shard, ShardConfig};
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

/// The shards of one replica, and what makes their slots.
pub struct Shards {
    shards: Vec<Shard>,
    routing: Routing,
    rng: Rng,
    slot: u64,
    previous: Hash,
}

/// Stock items that transfers move between, uniformly.
pub const ITEMS: u64 = 100_000;
/// A key lives for this many slots of stream time.
const TTL_SLOTS: u64 = 400;

impl Shards {
    /// Shards with all items in stock.
    #[must_use]
    pub fn new(shards: u16) -> Shards {
        let routing = Routing { seed: 1, shards };
        let mut domains = DomainRegistry::new();
        domains.register(InventoryDomain).expect("it is the only one");
        let domains = Arc::new(domains);
        let config = |shard| ShardConfig {
            shard: ShardId(shard),
            replica: ReplicaId(0),
            routing,
            body_seed: 1,
            ttl_ns: TTL_SLOTS,
            warden_capacity: 4_000_000,
            entity_capacity: 1_000_000,
            copies: 1,
        };
        let shard = |shard| Shard::new(config(shard), Arc::clone(&domains), Arc::new(Guard));
        let shards = (0..shards).map(shard).collect();
        let mut all =
            Shards { shards, routing, rng: Rng(88_172_645_463_325_252), slot: 0, previous: Hash::ZERO };
        for first in (0..ITEMS).step_by(STOCKED_AT_ONCE as usize) {
            let mut item = first;
            let last = (first + STOCKED_AT_ONCE).min(ITEMS);
            let slot = all.slot_of(|_, _| {
                item += 1;
                let event = InventoryEvent::Adjust { item: id(item - 1), delta: 1 << 40, reason: 1 };
                (item <= last).then_some(event)
            });
            all.run(slot);
        }
        all
    }

    /// A slot with one stripe of `events` transfers in each shard.
    pub fn transfers(&mut self, events: u32) -> ReadySlot {
        self.slot_of(|rng, counts| {
            let source = rng.next_u64() % ITEMS;
            let destination = (source + 1 + rng.next_u64() % (ITEMS - 1)) % ITEMS;
            let open = counts.iter().any(|count| *count < events);
            let event =
                InventoryEvent::Transfer { source: id(source), destination: id(destination), quantity: 1 };
            open.then_some(event)
        })
    }

    /// Takes a slot through every shard. Returns the events applied.
    pub fn run(&mut self, slot: ReadySlot) -> usize {
        for (shard, bytes) in self.shards.iter_mut().zip(slot.stripes) {
            shard.handle_chosen(Arc::clone(&slot.ordered), Some(bytes), false);
        }
        let mut moved = true;
        while moved {
            moved = false;
            for from in 0..self.shards.len() {
                while let Some((to, message)) = self.shards[from].poll_exchange() {
                    moved = true;
                    self.shards[usize::from(to.0)].handle_exchange(ShardId(from as u16), message);
                }
            }
        }
        let mut released = 0;
        for shard in &mut self.shards {
            while let Some(published) = shard.poll_published() {
                released += published.outcomes.count() as usize;
            }
            assert_eq!(shard.executed(), Slot(self.slot), "a slot runs to its end");
        }
        released
    }

    /// Draws keys until `event` gives none. Stripes may be uneven: a key decides its shard.
    fn slot_of(
        &mut self,
        mut event: impl FnMut(&mut Rng, &[u32]) -> Option<InventoryEvent<'static>>,
    ) -> ReadySlot {
        self.slot += 1;
        let shards = self.shards.len();
        let mut bodies = vec![Vec::new(); shards];
        let mut counts = vec![0_u32; shards];
        let mut payload = Vec::new();
        while let Some(event) = event(&mut self.rng, &counts) {
            let key = self.rng.key();
            let shard = usize::from(self.routing.shard_of_key(key).0);
            payload.clear();
            event.encode_payload(&mut payload);
            let deadline = StreamTime(self.slot + TTL_SLOTS);
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
        let manifest = Manifest { slot, time, previous: self.previous, checkpoint: false, stripes };
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
