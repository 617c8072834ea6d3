//! [`Shard`] wires the components of one shard together.
//!
//! A slot goes through it in three steps, each as early as it can be:
//! 1. *examined*, in slot order: the Warden and the domains say what each event of the own stripe is and which entities
//!    it needs; claims go to the other homes. Depends on the log alone, so later slots are examined while earlier ones
//!    wait for loans.
//! 2. *turns*, in (slot, shard) order: each stripe that may touch this home joins the queues of the entities it needs.
//! 3. *running*: from its turn on, an event of the own stripe runs once its entities are here and the earlier events of
//!    its stripe that share one have run (X2). Groups that lack nothing run at once. An entity goes to whoever is next
//!    after its last use in the stripe. When all events of a stripe have run, its outcomes are put together; own
//!    stripes do so in slot order.
//!
//! A slot is finished here when every stripe has given back what it had of this home. A slot is not examined before
//! the one [`WINDOW_SLOTS_MAX`] below it is finished, which bounds everything and fixes its room for new entities (D5).
//!
//! X4, why this never comes to a standstill. Let (n, s) be the least (slot, shard) whose stripe has not run to its end
//! or not given everything back.
//! 1. Every stripe of a slot below n is finished, so once the messages under way have arrived, every shard has executed
//!    n - 1 and, as n is chosen, examined n: the claims of n's stripes are under way or there.
//! 2. A home opens turns in (slot, shard) order, and waits in that for claims only. All claims up to that of (n, s)
//!    have been sent, so its turn opens at every home of its mask, its own included.
//! 3. Whoever is ahead of it in a queue belongs to an earlier stripe, which is finished: its returns are under way or
//!    there. So each of its entities comes to the front, on its own: a grant carries what is there and waits for
//!    nothing else. That others hold entities and wait for more does no harm, as they do so behind it.
//! 4. Of its events that have not run take the one of least index: its entities come as in 3, and no earlier event of
//!    the stripe keeps one, so it runs. And so on to the last.
//! 5. Own stripes of shard s in slots below n have run to their end, so its outcomes are put together at once.
//!
//! Hence what is waited for leads from (slot, shard, index) to a lower one, always, and the lowest waits for messages
//! under way only. No step waits for room in a channel (X3): what is sent is queued at the sender.
//!
//! Invariants:
//! * `executed <= turned <= examined <= chosen`, each at most [`WINDOW_SLOTS_MAX`] above `executed`, but for `chosen`;
//! * own stripes wait in slot order; an entity has at most one holder (see the Registrar).

mod lend;
mod own;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use assize_domain::{DomainRegistry, Entities as EntityList};
use assize_wire::canary::{self, Canary};
use assize_wire::routing::Routing;
use assize_wire::{Control, Hash, LogicVersions, ReplicaId, ShardId, Slot};

use crate::arbiter::{Arbiter, Loans, PanicGuard, Plan, Rules};
use crate::checkpoint::Taking;
use crate::clerk::{Clerk, CopyFate, Finding};
use crate::endings::{DomainEndings, Endings};
use crate::exchange::{Claim, Exchange};
use crate::limits::WINDOW_SLOTS_MAX;
use crate::partitioner::Partitioner;
use crate::registrar::{Entities, Holder, NOBODY, PendingRead, ReadAnswer, ReadRequest, Turns};
use crate::rehearsal::Rehearsal;
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
    /// Voting replicas of the cluster.
    pub replicas: u8,
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
    /// What evaluates the first slot (R5).
    pub logic: LogicVersions,
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
    /// How they ended.
    pub endings: Endings,
    /// What their domains decided.
    pub domains: DomainEndings,
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
    partitioner: Partitioner,
    arbiter: Arbiter,
    clerk: Clerk,
    entity_capacity: u64,
    pub(crate) state_bytes_max: usize,
    /// What evaluates the next slot to be examined (P12, R5).
    pub(crate) logic: LogicVersions,

    /// Slots above `executed`, by slot.
    slots: VecDeque<SlotWork>,
    executed: Slot,
    /// Slots of `slots` that are examined, and those whose turns are all opened.
    examined: usize,
    turned: usize,
    /// The slot of the last turn: what a read may show.
    last_turn: Slot,
    /// Own stripes that are examined and have not run to their end, by slot.
    own: VecDeque<own::OwnStripe>,
    /// Claims of each shard that came before their turn, by slot.
    claims: Vec<VecDeque<Claim>>,
    /// Entities after slot `executed`, and room by slot modulo the window, fixed when the slot below it finished (D5).
    pub(crate) entities_executed: u64,
    pub(crate) room: [bool; WINDOW_SLOTS_MAX as usize],

    /// The checkpoint's part that is being taken.
    pub(crate) taking: Option<Taking>,

    /// A fault that is still to be committed.
    rehearsal: Option<Rehearsal>,

    outbox: VecDeque<(ShardId, Exchange)>,
    counters: Counters,
    /// Spent plans, to be used again.
    plans: Vec<Plan>,
    scratch: EntityList,
    hashes: Vec<u64>,
    records: Vec<u32>,
}

/// One slot under way.
struct SlotWork {
    ordered: Arc<OrderedSlot>,
    stripe: Option<StripeBytes>,
    /// A checkpoint is taken after it.
    checkpoint: bool,
    /// The manifest's stripe whose turn is looked at next.
    next_stripe: usize,
    /// Turns that are opened and not over; the own one is over when its stripe's outcomes are put together.
    turns_open: u32,
    /// By how much this slot changed the number of entities.
    entities_change: i64,
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
            rules: Rules {
                shard,
                routing,
                body_seed: config.body_seed,
                domains,
                guard,
                keeps_pieces: config.replicas > 1,
            },
            warden: Warden::new(config.warden_capacity, config.ttl_ns, config.body_seed),
            entities: Entities::new(config.entity_capacity, state_bytes_max, routing.seed),
            turns: Turns::default(),
            partitioner: Partitioner::default(),
            arbiter: Arbiter::new(),
            clerk: Clerk::new(config.replica, config.replicas, config.copies, executed),
            entity_capacity: config.entity_capacity.into(),
            state_bytes_max,
            logic: config.logic,
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
            rehearsal: None,
            outbox: VecDeque::new(),
            counters: Counters::default(),
            plans: Vec::new(),
            scratch: EntityList::new(),
            hashes: Vec::new(),
            records: Vec::new(),
        }
    }

    /// A fault is to be committed once, at the slot that it names or the first one after it where that can be.
    pub fn rehearse(&mut self, fault: Rehearsal) {
        self.rehearsal = Some(fault);
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
            Exchange::Claim(claim) => self.take_claim(from, claim),
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
            self.turns.join_read(&mut self.entities, turn, at, item);
        }
    }

    /// What a replica, this one or another, shares with others when it fails (C1).
    pub fn handle_failure_domain(&mut self, replica: ReplicaId, domain: u64) {
        self.clerk.handle_failure_domain(replica, domain);
    }

    /// Another replica's digest of this shard's stripe in `slot`.
    pub fn handle_copy(&mut self, from: ReplicaId, slot: Slot, digest: assize_wire::Hash) -> CopyFate {
        self.clerk.handle_copy(from, slot, digest)
    }

    /// Another replica's digest of a slot that this shard has published under another one.
    pub fn handle_outside(&mut self, from: ReplicaId, slot: Slot, agreed: Hash, found: Hash) {
        self.clerk.handle_outside(from, slot, agreed, found);
    }

    /// The next message to another shard. What the inputs since the last call set free is put together here, so that it
    /// goes in as few messages as possible.
    pub fn poll_exchange(&mut self) -> Option<(ShardId, Exchange)> {
        if self.outbox.is_empty() {
            self.send_grants();
            self.send_returns();
        }
        self.outbox.pop_front()
    }

    /// The next stripe to be released, in slot order (C3).
    pub fn poll_published(&mut self) -> Option<Published> {
        self.clerk.poll_published()
    }

    /// The next copy for the same shard of every peer: the digest of a stripe that has run here.
    pub fn poll_copy(&mut self) -> Option<(Slot, assize_wire::Hash)> {
        self.clerk.poll_copy()
    }

    /// The digests of this shard's stripes: see the Clerk's methods of the same names.
    #[must_use]
    pub fn clerk(&self) -> &Clerk {
        &self.clerk
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

    /// The versions of its domains' logic that are in force after the last slot that came.
    #[must_use]
    pub fn logic(&self) -> LogicVersions {
        self.logic
    }

    /// What the shard has and has done.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Live keys and entities at which it stops taking new ones.
    #[must_use]
    pub fn capacities(&self) -> (u64, u64) {
        (self.warden.capacity(), self.entity_capacity)
    }

    /// Panics when a promise at the head of this file, or of a component, is broken.
    pub fn check_invariants(&self) {
        let (turned, examined, chosen) = (self.turned, self.examined, self.slots.len());
        assert!(turned <= examined && examined <= chosen, "{turned} <= {examined} <= {chosen}");
        assert!(examined as u64 <= WINDOW_SLOTS_MAX, "{examined} slots are examined and not finished");
        let slots = self.own.iter().map(|own| own.plan.slot());
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
            moved |= self.run_own();
            moved |= self.assemble_next();
            moved |= self.finish_next();
            if !moved {
                break;
            }
        }
        self.count();
    }

    /// Whether a slot is chosen that is not executed.
    pub(crate) fn has_slots_under_way(&self) -> bool {
        !self.slots.is_empty()
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
        let flagged = ordered.manifest.checkpoint;
        if let Some(bytes) = stripe {
            self.examine(Arc::clone(&ordered), bytes);
        }
        for Control::SwitchLogic(version) in &ordered.manifest.controls {
            self.logic.set(*version);
        }
        if checkpoint {
            self.checkpoint_examined(slot, time);
        }
        if flagged || checkpoint {
            self.flagged_examined();
        }
        true
    }

    fn examine(&mut self, ordered: Arc<OrderedSlot>, bytes: StripeBytes) {
        let slot = ordered.manifest.slot;
        let mut plan = match self.plans.pop() {
            Some(mut plan) => {
                plan.reset(ordered, bytes, self.logic);
                plan
            }
            None => {
                let loans = Loans::new(self.state_bytes_max, self.rules.routing.seed);
                Plan::new(ordered, bytes, self.logic, loans)
            }
        };
        self.rules.examine(&mut plan, &mut self.warden, &mut self.scratch);
        for (home, claim) in plan.loans.claims(slot) {
            self.counters.entities_borrowed += claim.entities.len() as u64;
            self.outbox.push_back((home, Exchange::Claim(claim)));
        }
        let room = self.room_in(slot);
        self.own.push_back(own::OwnStripe { plan, opened: false, turn: None, to_run: 0, room });
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
        self.open_claimed_turn(slot, claimant, claim);
        true
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
        if matches!(self.rehearsal, Some(Rehearsal::FlipBit(from)) if self.executed >= from)
            && self.entities.flip_bit()
        {
            self.rehearsal = None;
        }
        true
    }

    fn work_of(&mut self, slot: Slot) -> &mut SlotWork {
        &mut self.slots[(slot.0 - self.executed.0 - 1) as usize]
    }

    /// Whether this home has room for new entities in a slot under way.
    fn room_in(&self, slot: Slot) -> bool {
        assert!(
            slot > self.executed && slot.0 <= self.executed.0 + WINDOW_SLOTS_MAX,
            "slot {slot} is not under way after {}",
            self.executed
        );
        if canary::armed(Canary::RoomFromNow) {
            return self.entities.present() < self.entity_capacity;
        }
        self.room[(slot.0 % WINDOW_SLOTS_MAX) as usize]
    }
}
