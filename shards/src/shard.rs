//! [`Shard`] wires the components of one shard together.
//!
//! A slot goes through it in three steps, each in slot order and each as early as it can be:
//! 1. *examined*: the Warden and the domains say what each event of the own stripe is and which entities it
//!    needs; claims
//!    go to the other homes. Depends on the log alone, so later slots are examined while earlier ones wait for loans.
//! 2. *turns*: each stripe that may touch this home joins the queues of the entities it needs, in (slot, shard) order.
//! 3. *executed*: the own stripe runs when all its entities are here; what was lent goes back.
//!
//! A slot is finished here when every stripe has given back what it had of this home. A slot is not examined before
//! the one [`WINDOW_SLOTS_MAX`] below it is finished, which bounds everything and fixes its room for new entities (D5).
//!
//! X4: the least unfinished (slot, shard) waits only for messages under way: its claims went out when its slot was
//! chosen; every earlier turn is over, so at each home it is at the front of its queues.
//!
//! Invariants:
//! * `executed <= turned <= examined <= chosen`, each at most [`WINDOW_SLOTS_MAX`] above `executed`, but for `chosen`;
//! * own stripes wait in slot order; an entity has at most one holder (see the Registrar).

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;
use core::iter::repeat_n;

use assize_domain::{DomainRegistry, Entities as EntityList};
use assize_wire::canary::{self, Canary};
use assize_wire::routing::Routing;
use assize_wire::{DomainId, EntityId, ReplicaId, ShardId, Slot};

use crate::arbiter::{Arbiter, EntityRef, Executed, Loans, PanicGuard, Plan, Rules, Step, Stock};
use crate::checkpoint::Taking;
use crate::clerk::{Clerk, CopyFate, Finding};
use crate::exchange::{Claim, Exchange, Grant, Return, StateList, StateOf};
use crate::limits::WINDOW_SLOTS_MAX;
use crate::registrar::{Entities, Holder, NOBODY, PendingRead, ReadAnswer, ReadRequest, TurnId, Turns};
use crate::warden::Warden;
use crate::{OrderedSlot, Published};

/// The bytes of a stripe, wherever they lie.
pub type StripeBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// What a shard is started with. All but `replica` and `copies` is agreed (D2).
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Which shard this is.
    pub shard: ShardId,
    /// Which replica it runs on. No outcome depends on it.
    pub replica: ReplicaId,
    /// Where keys and entities belong.
    pub routing: Routing,
    /// Keys the hash of event bodies.
    pub body_seed: u64,
    /// How long a key lives, in stream time.
    pub ttl_ns: u64,
    /// Live keys at most.
    pub warden_capacity: u32,
    /// Entities at which the shard stops taking new ones (D5). Slots under way may overshoot it.
    pub entity_capacity: u32,
    /// Equal digests that release a stripe's outcomes.
    pub copies: u8,
}

/// What a shard has and has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Keys in the Warden that are live as of the last stripe.
    pub live_keys: u64,
    /// Entities that exist.
    pub entities: u64,
    /// Events that ran through here.
    pub events: u64,
    /// Of those, duplicates.
    pub duplicates: u64,
    /// Stripes that ran here.
    pub stripes: u64,
    /// Of those, stripes that needed nothing that was away.
    pub stripes_unhindered: u64,
    /// Entities borrowed from other shards.
    pub entities_borrowed: u64,
    /// Entities lent to other shards.
    pub entities_lent: u64,
}

/// The deterministic core of one shard.
///
/// Call order: any `handle_*`, then every `poll_*` until it returns nothing. Slots come in slot order without a gap,
/// beginning at slot 1; messages of one shard in the order in which it sent them.
pub struct Shard {
    pub(crate) rules: Rules,
    pub(crate) warden: Warden,
    pub(crate) entities: Entities,
    turns: Turns,
    arbiter: Arbiter,
    clerk: Clerk,
    entity_capacity: u64,
    pub(crate) state_bytes_max: usize,

    /// Slots above `executed`, by slot.
    slots: VecDeque<SlotWork>,
    executed: Slot,
    /// Slots of `slots` that are examined, and those whose turns are all opened.
    examined: usize,
    turned: usize,
    /// The slot of the last turn: what a read may show.
    last_turn: Slot,
    /// Own stripes that are examined and have not run, by slot.
    own: VecDeque<OwnStripe>,
    /// Claims of each shard that came before their turn, by slot.
    claims: Vec<VecDeque<Claim>>,
    /// Entities after slot `executed`, and room by slot modulo the window, fixed when the slot below it finished (D5).
    pub(crate) entities_executed: u64,
    pub(crate) room: [bool; WINDOW_SLOTS_MAX as usize],

    /// The checkpoint's part that is being taken.
    pub(crate) taking: Option<Taking>,

    outbox: VecDeque<(ShardId, Exchange)>,
    counters: Counters,
    /// Spent plans, to be used again.
    plans: Vec<Plan>,
    scratch: EntityList,
    hashes: Vec<u64>,
}

/// One slot under way.
struct SlotWork {
    ordered: Arc<OrderedSlot>,
    stripe: Option<StripeBytes>,
    /// A checkpoint is taken after it.
    checkpoint: bool,
    /// The manifest's stripe whose turn is looked at next.
    next_stripe: usize,
    /// Turns that are opened and not over.
    turns_open: u32,
    /// By how much this slot changed the number of entities.
    entities_change: i64,
}

/// An own stripe that is examined.
struct OwnStripe {
    plan: Plan,
    /// Where its own entities are looked up, none before its turn, and none if nothing it needs was away.
    turn: Option<TurnId>,
}

impl Shard {
    /// An empty shard before slot 1.
    #[must_use]
    pub fn new(config: ShardConfig, domains: Arc<DomainRegistry>, guard: Arc<dyn PanicGuard>) -> Shard {
        Shard::begin_after(config, domains, guard, Slot::ZERO)
    }

    /// An empty shard that expects the slot after `executed`.
    pub(crate) fn begin_after(
        config: ShardConfig,
        domains: Arc<DomainRegistry>,
        guard: Arc<dyn PanicGuard>,
        executed: Slot,
    ) -> Shard {
        let ShardConfig { shard, routing, .. } = config;
        assert!(shard.0 < routing.shards, "shard {shard} of {} shards", routing.shards);
        let state_bytes_max = domains.state_bytes_max();
        Shard {
            rules: Rules { shard, routing, body_seed: config.body_seed, domains, guard },
            warden: Warden::new(config.warden_capacity, config.ttl_ns, config.body_seed),
            entities: Entities::new(config.entity_capacity, state_bytes_max, routing.seed),
            turns: Turns::default(),
            arbiter: Arbiter::new(),
            clerk: Clerk::new(config.replica, config.copies, executed),
            entity_capacity: config.entity_capacity.into(),
            state_bytes_max,
            slots: VecDeque::new(),
            executed,
            examined: 0,
            turned: 0,
            last_turn: executed,
            own: VecDeque::new(),
            claims: vec![VecDeque::new(); routing.shards.into()],
            entities_executed: 0,
            room: [config.entity_capacity > 0; WINDOW_SLOTS_MAX as usize],
            taking: None,
            outbox: VecDeque::new(),
            counters: Counters::default(),
            plans: Vec::new(),
            scratch: EntityList::new(),
            hashes: Vec::new(),
        }
    }

    /// A slot is chosen; `stripe` are the bytes of this shard's stripe, if the manifest has one. With `checkpoint` this
    /// shard's part of one is taken after the slot; not while another one is being taken.
    pub fn handle_chosen(&mut self, slot: Arc<OrderedSlot>, stripe: Option<StripeBytes>, checkpoint: bool) {
        let expected = Slot(self.executed.0 + self.slots.len() as u64 + 1);
        let manifest = &slot.manifest;
        assert!(manifest.slot == expected, "slot {} is chosen after {expected}", manifest.slot);
        assert!(
            manifest.stripe_of(self.rules.shard).is_some() == stripe.is_some(),
            "slot {expected} and its stripe of shard {} do not go together",
            self.rules.shard
        );
        self.slots.push_back(SlotWork {
            ordered: slot,
            stripe,
            checkpoint,
            next_stripe: 0,
            turns_open: 0,
            entities_change: 0,
        });
        self.advance();
    }

    /// A message of another shard of this replica.
    pub fn handle_exchange(&mut self, from: ShardId, message: Exchange) {
        assert!(
            from != self.rules.shard && from.0 < self.rules.routing.shards,
            "a message from shard {from} to shard {}",
            self.rules.shard
        );
        match message {
            Exchange::Claim(claim) => self.claims[usize::from(from.0)].push_back(claim),
            Exchange::Grant(grant) => self.take_grant(from, &grant),
            Exchange::Return(returned) => self.take_return(from, &returned),
        }
        self.advance();
    }

    /// Reads entities whose home is this shard. A lent one is read when it is back.
    pub fn handle_read(&mut self, read: ReadRequest) {
        let mut answer = ReadAnswer {
            token: read.token,
            slot: self.last_turn,
            states: Vec::with_capacity(read.entities.len()),
        };
        let mut away = Vec::new();
        for (item, wanted) in read.entities.iter().enumerate() {
            let home = self.rules.routing.home_of(wanted.domain, wanted.entity);
            assert!(home == self.rules.shard, "a read of entity {}, at home in shard {home}", wanted.entity);
            let found = self.entities.find(wanted.domain, wanted.entity);
            let state = match found {
                Some(at) if self.entities.queue(at) != NOBODY => {
                    away.push((at, item as u32));
                    None
                }
                Some(at) => self.entities.state(at).map(<[u8]>::to_vec),
                None => None,
            };
            answer.states.push((wanted.index, state));
        }
        if away.is_empty() {
            self.turns.answer(answer);
            return;
        }
        let slot = self.last_turn;
        let turn = self.turns.open(slot, Holder::Read(PendingRead { answer }.into()));
        for (at, item) in away {
            self.turns.join(&mut self.entities, turn, at, item);
        }
    }

    /// Another replica's digest of this shard's stripe in `slot`.
    pub fn handle_copy(&mut self, from: ReplicaId, slot: Slot, digest: assize_wire::Hash) -> CopyFate {
        self.clerk.handle_copy(from, slot, digest)
    }

    /// The next message to another shard.
    pub fn poll_exchange(&mut self) -> Option<(ShardId, Exchange)> {
        self.outbox.pop_front()
    }

    /// The next stripe to be released, in slot order (C3).
    pub fn poll_published(&mut self) -> Option<Published> {
        self.clerk.poll_published()
    }

    /// The next thing that copies showed about this replica or another.
    pub fn poll_finding(&mut self) -> Option<Finding> {
        self.clerk.poll_finding()
    }

    /// The next read that is answered.
    pub fn poll_read(&mut self) -> Option<ReadAnswer> {
        self.turns.poll_answer()
    }

    /// The highest slot through which every stripe has run, as far as this home is concerned, and given back its loans.
    #[must_use]
    pub fn executed(&self) -> Slot {
        self.executed
    }

    /// Which shard it is.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.rules.shard
    }

    /// What the shard has and has done.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Panics when a promise at the head of this file, or of a component, is broken.
    pub fn check_invariants(&self) {
        let (turned, examined, chosen) = (self.turned, self.examined, self.slots.len());
        assert!(turned <= examined && examined <= chosen, "{turned} <= {examined} <= {chosen}");
        assert!(examined as u64 <= WINDOW_SLOTS_MAX, "{examined} slots are examined and not finished");
        let slots = self.own.iter().map(|own| own.plan.ordered.manifest.slot);
        assert!(slots.is_sorted(), "own stripes wait out of order");
        if self.slots.is_empty() {
            assert!(
                self.entities_executed == self.entities.present(),
                "{} entities after slot {}, {} counted",
                self.entities.present(),
                self.executed,
                self.entities_executed
            );
            assert!(
                self.turns.open_turns() == 0 && self.entities.records() as u64 == self.entities.present(),
                "nothing is under way, and {} turns are open",
                self.turns.open_turns()
            );
        }
        self.warden.check_invariants();
        self.entities.check_invariants();
        self.turns.check_invariants(&self.entities);
        self.clerk.check_invariants();
    }

    /// Does whatever can be done now.
    fn advance(&mut self) {
        loop {
            let mut moved = self.examine_next();
            moved |= self.open_next_turn();
            moved |= self.run_ready_turns();
            moved |= self.execute_next();
            moved |= self.finish_next();
            if !moved {
                break;
            }
        }
        self.count();
    }

    pub(crate) fn count(&mut self) {
        self.counters.live_keys = self.warden.live_keys();
        self.counters.entities = self.entities.present();
    }

    /// Step 1: the next slot's own stripe, if it has one.
    fn examine_next(&mut self) -> bool {
        if self.examined == self.slots.len() || self.examined as u64 == WINDOW_SLOTS_MAX {
            return false;
        }
        let work = &mut self.slots[self.examined];
        self.examined += 1;
        let (ordered, stripe, checkpoint) = (work.ordered.clone(), work.stripe.take(), work.checkpoint);
        let (slot, time) = (ordered.manifest.slot, ordered.manifest.time);
        if let Some(bytes) = stripe {
            self.examine(ordered, bytes);
        }
        if checkpoint {
            self.checkpoint_examined(slot, time);
        }
        true
    }

    fn examine(&mut self, ordered: Arc<OrderedSlot>, bytes: StripeBytes) {
        let slot = ordered.manifest.slot;
        let mut plan = match self.plans.pop() {
            Some(mut plan) => {
                plan.reset(ordered, bytes);
                plan
            }
            None => Plan {
                ordered,
                bytes,
                steps: Vec::new(),
                ids: Vec::new(),
                refs: Vec::new(),
                loans: Loans::new(self.state_bytes_max),
            },
        };
        self.rules.examine(&mut plan, &mut self.warden, &mut self.scratch);
        for (home, entities) in plan.loans.claims() {
            self.counters.entities_borrowed += entities.len() as u64;
            self.outbox.push_back((home, Exchange::Claim(Claim { slot, entities })));
        }
        self.own.push_back(OwnStripe { plan, turn: None });
    }

    /// Step 2: the next turn at this home, once every earlier one is known (X1).
    fn open_next_turn(&mut self) -> bool {
        if self.turned == self.examined {
            return false;
        }
        let work = &mut self.slots[self.turned];
        let manifest = &work.ordered.manifest;
        let Some(stripe) = manifest.stripes.get(work.next_stripe) else {
            let slot = manifest.slot;
            self.turned += 1;
            self.checkpoint_turned(slot);
            return true;
        };
        let slot = manifest.slot;
        let claimant = stripe.id.shard;
        if claimant == self.rules.shard {
            work.next_stripe += 1;
            work.turns_open += 1;
            self.last_turn = slot;
            self.open_own_turn(slot);
            return true;
        }
        if stripe.home_mask >> self.rules.shard.0 & 1 == 0 {
            work.next_stripe += 1;
            return true;
        }
        let Some(claim) = self.claims.get_mut(usize::from(claimant.0)).and_then(VecDeque::pop_front) else {
            return false;
        };
        assert!(
            claim.slot == slot,
            "shard {claimant} claims for slot {}; slot {slot} is its next",
            claim.slot
        );
        work.next_stripe += 1;
        self.last_turn = slot;
        if claim.entities.is_empty() {
            return true;
        }
        work.turns_open += 1;
        self.counters.entities_lent += claim.entities.len() as u64;
        let turn = self.turns.open(slot, Holder::Claimant(claimant));
        for (domain, id) in claim.entities {
            let hash = self.entities.hash(domain, id);
            let at = self.entities.find_or_add(hash, domain, id);
            self.turns.join(&mut self.entities, turn, at, 0);
        }
        self.turns.close_joining(turn);
        true
    }

    /// The own stripe's turn. If it is the next to run and everything it needs is here, it needs no place in any queue.
    fn open_own_turn(&mut self, slot: Slot) {
        let first = self.own.front().map(|own| own.plan.ordered.manifest.slot);
        let own = self
            .own
            .iter_mut()
            .find(|own| own.plan.ordered.manifest.slot == slot)
            .expect("a stripe is examined before its turn");
        let mut unhindered = first == Some(slot) && own.plan.loans.is_empty();
        let plan = &mut own.plan;
        for steps in plan.steps.chunks(LOOKUPS_BEGUN) {
            self.hashes.clear();
            let local = local_entities(steps, &plan.ids, &mut plan.refs);
            self.hashes.extend(local.map(|(domain, id, _)| self.entities.hash(domain, id)));
            // All look-ups of the block begin here before the first ends below, so their cache misses overlap.
            let hashes = self.hashes.iter();
            black_box(hashes.fold(0, |all, hash| all ^ self.entities.touch(*hash)));
            let mut hashes = self.hashes.iter();
            for (domain, id, place) in local_entities(steps, &plan.ids, &mut plan.refs) {
                let hash = *hashes.next().expect("each was hashed above");
                let at = self.entities.find_or_add(hash, domain, id);
                *place = EntityRef::record(at);
                if self.entities.queue(at) == NOBODY {
                    self.entities.acquire(at, slot);
                } else {
                    unhindered = false;
                }
                if self.entities.state(at).is_none() {
                    self.arbiter.tidy_later(at);
                }
            }
        }
        if unhindered {
            self.counters.stripes_unhindered += 1;
            self.execute_first();
            return;
        }
        let turn = self.turns.open(slot, Holder::Own);
        own.turn = Some(turn);
        for place in own.plan.refs.iter() {
            if let Ok(at) = place.place() {
                self.turns.join(&mut self.entities, turn, at, 0);
            }
        }
        self.turns.close_joining(turn);
    }

    /// Grants to claimants that have all they asked for.
    fn run_ready_turns(&mut self) -> bool {
        let mut moved = false;
        while let Some(turn) = self.turns.poll_ready() {
            let Holder::Claimant(claimant) = *self.turns.holder(turn) else {
                continue;
            };
            moved = true;
            let slot = self.turns.slot(turn);
            let lent = self.turns.entities(turn);
            let mut states = StateList::with_capacity(lent.len(), self.state_bytes_max);
            for at in lent {
                states.push(match self.entities.state(at) {
                    Some(state) => StateOf::Present(state),
                    None => StateOf::Absent,
                });
            }
            let room = self.room_in(slot);
            let grant = Grant { slot, room, states };
            self.outbox.push_back((claimant, Exchange::Grant(grant)));
        }
        moved
    }

    /// Step 3: the own stripe that is next, if all its entities are here.
    fn execute_next(&mut self) -> bool {
        let Some(own) = self.own.front() else {
            return false;
        };
        let here = own.turn.is_some_and(|turn| self.turns.is_ready(turn));
        if !here || own.plan.loans.missing > 0 {
            return false;
        }
        self.execute_first();
        true
    }

    fn execute_first(&mut self) {
        let OwnStripe { mut plan, turn } = self.own.pop_front().expect("a stripe is waiting");
        let ordered = plan.ordered.clone();
        let (slot, time) = (ordered.manifest.slot, ordered.manifest.time);
        let stock = Stock { room: self.room_in(slot), entities: &mut self.entities };
        let Executed { digest, outcomes, fills, entities_change } =
            self.arbiter.execute(&self.rules, &mut plan, &mut self.warden, stock);
        for (home, states) in plan.loans.returns() {
            self.outbox.push_back((home, Exchange::Return(Return { slot, states })));
        }
        if let Some(turn) = turn {
            self.turns.end(&mut self.entities, turn);
        }
        self.end_turn_of(slot, entities_change);
        self.counters.stripes += 1;
        self.counters.events += u64::from(outcomes.count());
        self.counters.duplicates += fills.len() as u64;
        self.clerk.handle_own(Published { slot, shard: self.rules.shard, digest, time, outcomes, fills });
        self.plans.push(plan);
    }

    /// The lowest slot under way, if everything of this home is back from it.
    fn finish_next(&mut self) -> bool {
        if self.turned == 0 || self.slots[0].turns_open > 0 {
            return false;
        }
        let work = self.slots.pop_front().expect("a slot is under way");
        self.turned -= 1;
        self.examined -= 1;
        self.executed = work.ordered.manifest.slot;
        self.entities_executed = self
            .entities_executed
            .checked_add_signed(work.entities_change)
            .expect("a slot removes no more entities than there are");
        // D5: whatever runs in between, the slot a window above sees exactly this count.
        self.room[(self.executed.0 % WINDOW_SLOTS_MAX) as usize] =
            self.entities_executed < self.entity_capacity;
        self.checkpoint_finished(self.executed);
        true
    }

    fn take_grant(&mut self, from: ShardId, grant: &Grant) {
        let own = self.own.iter_mut().find(|own| own.plan.ordered.manifest.slot == grant.slot);
        let own = own.unwrap_or_else(|| panic!("shard {from} grants slot {}, not waiting", grant.slot));
        own.plan.loans.grant(from, grant.room, &grant.states);
    }

    fn take_return(&mut self, from: ShardId, returned: &Return) {
        let slot = returned.slot;
        let turn = self
            .turns
            .find_claimant(slot, from)
            .unwrap_or_else(|| panic!("shard {from} returns for slot {slot} what it does not have"));
        let mut change = 0;
        let lent = self.turns.entities(turn);
        assert!(
            lent.len() == returned.states.len() && self.turns.is_ready(turn),
            "shard {from} returns {} entities of {} for slot {slot}",
            returned.states.len(),
            lent.len()
        );
        for (at, state) in lent.zip(&returned.states) {
            match state {
                StateOf::Present(state) => change += self.entities.store(at, Some(state)),
                StateOf::Absent => change += self.entities.store(at, None),
                StateOf::Unchanged => {}
            }
        }
        self.turns.end(&mut self.entities, turn);
        self.end_turn_of(slot, change);
    }

    fn end_turn_of(&mut self, slot: Slot, entities_change: i64) {
        let work = &mut self.slots[(slot.0 - self.executed.0 - 1) as usize];
        work.turns_open -= 1;
        work.entities_change += entities_change;
    }

    /// Whether this home has room for new entities in a slot under way.
    fn room_in(&self, slot: Slot) -> bool {
        assert!(
            slot > self.executed && slot.0 <= self.executed.0 + WINDOW_SLOTS_MAX,
            "slot {slot} is not under way after {}",
            self.executed
        );
        if canary::armed(Canary::RoomReadLate) {
            return self.entities.present() < self.entity_capacity;
        }
        self.room[(slot.0 % WINDOW_SLOTS_MAX) as usize]
    }
}

/// The entities of these events that are at home here, in order, each use of one.
fn local_entities<'a>(
    steps: &'a [Step],
    ids: &'a [EntityId],
    refs: &'a mut [EntityRef],
) -> impl Iterator<Item = (DomainId, EntityId, &'a mut EntityRef)> {
    // The events' entities follow each other, so those of a block are one piece. After an unreadable event come only
    // unreadable ones, and they have none.
    let from = steps.first().map_or(0, |step| step.entities_from as usize);
    let domains = steps.iter().flat_map(|step| repeat_n(step.domain, step.entities.into()));
    let all = domains.zip(&ids[from..]).zip(&mut refs[from..]);
    all.filter(|(_, place)| place.is_local()).map(|((domain, id), place)| (domain, *id, place))
}

/// Events whose entities' look-ups are begun together.
const LOOKUPS_BEGUN: usize = 16;
