//! The plain serial model (D1): one event after the other in (slot, shard, index) order, with maps and no cleverness.
//! It shares with the engine the layouts and nothing else; of the bank's arithmetic it has its own. It runs along with
//! the log, slot by slot, so that whatever is told can be held against it at once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use assize_domain::EngineReason;
use assize_wire::event::Event;
use assize_wire::outcome::{Outcome, Status};
use assize_wire::stripe::Stripe;
use assize_wire::{Control, EntityId, EventKey, Hash, Position, ShardId, Slot};

use crate::bank::{BANK, INSUFFICIENT, NEXT_VERSION, NO_ACCOUNT, Op, UNREADABLE, VERSION};
use crate::left::LoggedSlot;
use crate::shape::Agreed;

/// How an event of the log ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its key.
    pub key: u128,
    /// How.
    pub status: Status,
    /// How the first submission of the key ended.
    pub first_status: Status,
    /// Why, if it was turned away.
    pub reason: u16,
    /// Where the first submission of the key is: this one, unless it is a duplicate.
    pub position: Position,
    /// What the domain returned.
    pub response: Vec<u8>,
}

/// What a shard must publish for its stripe of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The digest of the outcomes and changes (see the Arbiter).
    pub digest: Hash,
    /// The outcomes, encoded.
    pub outcomes: Vec<u8>,
}

/// The accounts after a stripe.
pub struct Snapshot {
    /// The shard of the stripe.
    pub shard: ShardId,
    /// By account.
    pub balances: Arc<BTreeMap<u128, u64>>,
}

/// The model and what it found.
pub struct Model {
    agreed: Agreed,
    /// Every event of the log, by where it stands.
    pub ended: BTreeMap<Position, Ended>,
    /// What each stripe came to.
    pub ran: BTreeMap<(Slot, ShardId), Ran>,
    /// Before the log (slot 0), and after each stripe.
    pub snapshots: BTreeMap<Slot, Vec<Snapshot>>,
    /// The last slot that ran.
    pub through: Slot,
    /// What evaluates the next slot (R5).
    pub logic: u16,
    /// What was paid in, less what was taken out by closing.
    pub deposited: i128,
    /// The hash and the stream time of the last slot.
    tip: (Hash, u64),
    warden: Vec<Warden>,
    /// By account the stripes that changed it, ascending.
    changed: HashMap<u128, Vec<(Slot, ShardId)>>,
    balances: Arc<BTreeMap<u128, u64>>,
    /// Accounts at each home now, and after each of the last slots, the oldest first (D5).
    at_home: Vec<usize>,
    counts: VecDeque<Vec<usize>>,
}

/// The keys of one shard.
#[derive(Default)]
struct Warden {
    live: HashMap<u128, Recorded>,
    /// In the order of their recording, which is that of time.
    recorded: VecDeque<(u64, u128)>,
}

struct Recorded {
    body: Vec<u8>,
    time: u64,
    ended: Ended,
}

/// An event that was applied or not, and what it changed, in the order in which it names its accounts.
struct Evaluated {
    status: Status,
    reason: u16,
    response: Vec<u8>,
    changes: Vec<(u128, Option<u64>)>,
}

impl Model {
    /// Before the first slot.
    #[must_use]
    pub fn new(agreed: Agreed) -> Model {
        let shards = usize::from(agreed.routing.shards);
        let mut model = Model {
            agreed,
            ended: BTreeMap::new(),
            ran: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            through: Slot::ZERO,
            logic: VERSION,
            deposited: 0,
            tip: (Hash::ZERO, 0),
            warden: (0..shards).map(|_| Warden::default()).collect(),
            changed: HashMap::new(),
            balances: Arc::default(),
            at_home: vec![0; shards],
            counts: VecDeque::from([vec![0; shards]]),
        };
        model.snapshot(Slot::ZERO, ShardId(0));
        model
    }

    /// The balances after a slot that ran.
    #[must_use]
    pub fn balances_after(&self, slot: Slot) -> Arc<BTreeMap<u128, u64>> {
        let last = self.snapshots.range(..=slot).next_back().and_then(|(_, snapshots)| snapshots.last());
        last.map(|snapshot| Arc::clone(&snapshot.balances)).unwrap_or_default()
    }

    /// The last stripe at or before `at` that changed an account.
    #[must_use]
    pub fn changed(&self, account: u128, at: (Slot, ShardId)) -> Option<(Slot, ShardId)> {
        let changed = self.changed.get(&account)?;
        changed.iter().rev().find(|stripe| **stripe <= at).copied()
    }

    /// Runs a log, which must be one.
    pub fn run(agreed: Agreed, log: &[LoggedSlot]) -> Model {
        let mut model = Model::new(agreed);
        log.iter().for_each(|slot| model.push(slot));
        model
    }

    /// Runs the next slot of the log.
    ///
    /// # Panics
    /// When it does not follow the one before it: a chain of slots in which stream time never moves back (P4).
    pub fn push(&mut self, slot: &LoggedSlot) {
        let manifest = &slot.ordered.manifest;
        let (previous, time) = self.tip;
        assert_eq!(manifest.slot, self.through.next(), "a gap in the log");
        assert_eq!(manifest.previous, previous, "the log is no chain");
        assert!(manifest.time.0 >= time, "stream time moved back at slot {}", manifest.slot);
        // A slot without events is there for a checkpoint or for control events.
        let ordered = !manifest.stripes.is_empty() || !manifest.controls.is_empty();
        assert!(ordered || manifest.checkpoint, "slot {} is for nothing", manifest.slot);
        assert_eq!(manifest.stripes.len(), slot.stripes.len());
        self.tip = (Hash::of(&manifest.encode()), manifest.time.0);
        assert_eq!(slot.ordered.hash, self.tip.0, "the hash of slot {} is another", manifest.slot);
        for (named, (shard, bytes)) in manifest.stripes.iter().zip(&slot.stripes) {
            assert_eq!((named.id.shard, named.id.hash), (*shard, Hash::of(bytes)));
            self.run_stripe(manifest.slot, *shard, bytes);
            self.snapshot(manifest.slot, *shard);
        }
        if slot.stripes.is_empty() {
            self.snapshot(manifest.slot, ShardId(0));
        }
        for Control::SwitchLogic(to) in &manifest.controls {
            assert!(to.domain == BANK && to.version > self.logic, "slot {} switches to {to}", manifest.slot);
            self.logic = to.version;
        }
        self.through = manifest.slot;
        self.counts.push_back(self.at_home.clone());
        if self.counts.len() > ROOM_LAG_SLOTS {
            self.counts.pop_front();
        }
    }

    /// By account, now.
    #[must_use]
    pub fn balances(&self) -> &BTreeMap<u128, u64> {
        &self.balances
    }

    fn run_stripe(&mut self, slot: Slot, shard: ShardId, bytes: &[u8]) {
        let (hash, time) = self.tip;
        let ttl = self.agreed.ttl_ns;
        let warden = &mut self.warden[usize::from(shard.0)];
        while let Some((recorded, key)) = warden.recorded.front().copied().filter(|(at, _)| time - at >= ttl)
        {
            warden.recorded.pop_front();
            // A key that came again after its TTL was recorded again.
            if warden.live.get(&key).is_some_and(|live| live.time == recorded) {
                warden.live.remove(&key);
            }
        }
        let mut digested = hash.0.to_vec();
        digested.extend_from_slice(&shard.0.to_le_bytes());
        let mut outcomes = Vec::new();
        let stripe = Stripe::parse(bytes).unwrap();
        for (index, event) in stripe.events().enumerate() {
            let event = event.unwrap();
            let position = Position { slot, shard, index: index as u32 };
            assert_eq!(
                self.agreed.routing.shard_of_key(event.key()),
                shard,
                "an event in another shard's stripe"
            );
            let (ended, changes) = self.submit(&event, time, position);
            let duplicate = ended.status == Status::Duplicate;
            let mut encoded = Vec::new();
            Outcome {
                key: EventKey(ended.key),
                domain: event.domain(),
                status: ended.status,
                first_status: ended.first_status,
                reason: ended.reason,
                index: position.index,
                original_slot: ended.position.slot,
                original_index: ended.position.index,
                response: if duplicate { &[] } else { &ended.response },
            }
            .encode(&mut encoded);
            outcomes.extend_from_slice(&encoded);
            digested.extend_from_slice(&encoded);
            digest_changes(&mut digested, &changes);
            self.ended.insert(position, ended);
        }
        self.ran.insert((slot, shard), Ran { digest: Hash::of(&digested), outcomes });
    }

    fn snapshot(&mut self, slot: Slot, shard: ShardId) {
        let balances = Arc::clone(&self.balances);
        self.snapshots.entry(slot).or_default().push(Snapshot { shard, balances });
    }

    fn submit(
        &mut self,
        event: &Event<'_>,
        time: u64,
        position: Position,
    ) -> (Ended, Vec<(u128, Option<u64>)>) {
        let key = event.key().0;
        let nothing = |status, reason: u16| (ended(key, status, reason, position, &[]), Vec::new());
        let warden = &self.warden[usize::from(position.shard.0)];
        if let Some(seen) = warden.live.get(&key) {
            return match seen.body == event.body() {
                true => (Ended { status: Status::Duplicate, ..seen.ended.clone() }, Vec::new()),
                false => nothing(Status::Conflict, 0),
            };
        }
        if (event.domain(), event.version()) != (BANK, VERSION) {
            return nothing(Status::Invalid, EngineReason::UnknownDomain as u16);
        }
        let op = match Op::decode(event.payload()) {
            None => return nothing(Status::Invalid, UNREADABLE),
            Some(Op::Transfer { from, to, .. }) if from == to => {
                return nothing(Status::Invalid, EngineReason::BadEntities as u16);
            }
            Some(op) => op,
        };
        let deadline = event.deadline().0;
        if deadline <= time || deadline > time + self.agreed.ttl_ns {
            return nothing(Status::Expired, 0);
        }
        if warden.live.len() >= self.agreed.warden_capacity as usize {
            return nothing(Status::Full, 0);
        }
        let Evaluated { status, reason, response, changes } = self.evaluate(&op);
        self.store(&op, &changes);
        for (account, _) in &changes {
            let stripes = self.changed.entry(*account).or_default();
            if stripes.last() != Some(&(position.slot, position.shard)) {
                stripes.push((position.slot, position.shard));
            }
        }
        let ended = ended(key, status, reason, position, &response);
        let recorded = Recorded { body: event.body().to_vec(), time, ended: ended.clone() };
        let warden = &mut self.warden[usize::from(position.shard.0)];
        warden.live.insert(key, recorded);
        warden.recorded.push_back((time, key));
        (ended, changes)
    }

    fn evaluate(&self, op: &Op) -> Evaluated {
        let balance = |account: &u128| self.balances.get(account).copied().unwrap_or(0);
        let rejected = |reason, response: &[u8]| Evaluated {
            status: Status::Rejected,
            reason,
            response: response.to_vec(),
            changes: Vec::new(),
        };
        let mut response = Vec::new();
        let (changes, extra) = match op {
            Op::PanicLate { .. } | Op::PanicEarly { .. } => {
                let (response, changes) = (Vec::new(), Vec::new());
                return Evaluated { status: Status::Fault, reason: 0, response, changes };
            }
            Op::Close { account } => match self.balances.get(account) {
                None => return rejected(NO_ACCOUNT, &[]),
                Some(balance) => {
                    response.extend(balance.to_le_bytes());
                    (vec![(*account, None)], 0)
                }
            },
            Op::Deposit { account, amount, extra } => {
                let after = balance(account) + amount;
                response.extend(after.to_le_bytes());
                (vec![(*account, Some(after))], *extra)
            }
            Op::Transfer { from, amount, .. } if balance(from) < *amount => {
                return rejected(INSUFFICIENT, &balance(from).to_le_bytes());
            }
            Op::Transfer { from, to, amount, extra } => {
                let (left, right) = (balance(from) - amount, balance(to) + amount);
                response.extend(left.to_le_bytes());
                response.extend(right.to_le_bytes());
                (vec![(*from, Some(left)), (*to, Some(right))], *extra)
            }
        };
        response.extend(std::iter::repeat_n(extra, usize::from(extra)));
        if self.logic == NEXT_VERSION {
            response.push(0xee);
        }
        // D5: what counts is how many there were a window of slots ago.
        let counts = &self.counts[0];
        let no_room = changes.iter().any(|(account, state)| {
            let is_new = state.is_some() && !self.balances.contains_key(account);
            is_new && counts[self.home(*account)] >= self.agreed.entity_capacity as usize
        });
        if no_room {
            return rejected(EngineReason::NoRoom as u16, &[]);
        }
        Evaluated { status: Status::Applied, reason: 0, response, changes }
    }

    fn store(&mut self, op: &Op, changes: &[(u128, Option<u64>)]) {
        if changes.is_empty() {
            return;
        }
        let balances = Arc::make_mut(&mut self.balances);
        for (account, state) in changes {
            let before = match state {
                Some(balance) => balances.insert(*account, *balance),
                None => balances.remove(account),
            };
            let home = usize::from(self.agreed.routing.home_of(BANK, EntityId(*account)).0);
            self.at_home[home] += usize::from(state.is_some());
            self.at_home[home] -= usize::from(before.is_some());
            match op {
                Op::Deposit { amount, .. } => self.deposited += i128::from(*amount),
                Op::Close { .. } => self.deposited -= i128::from(before.unwrap_or(0)),
                _ => {}
            }
        }
    }

    fn home(&self, account: u128) -> usize {
        self.agreed.routing.home_of(BANK, EntityId(account)).0.into()
    }
}

fn ended(key: u128, status: Status, reason: u16, position: Position, response: &[u8]) -> Ended {
    Ended { key, status, first_status: status, reason, position, response: response.to_vec() }
}

/// As the Arbiter digests what an event changed: how many, and each as domain, id, present, length, state.
fn digest_changes(digested: &mut Vec<u8>, changes: &[(u128, Option<u64>)]) {
    digested.push(changes.len() as u8);
    for (account, state) in changes {
        digested.extend_from_slice(&BANK.0.to_le_bytes());
        digested.extend_from_slice(&account.to_le_bytes());
        digested.push(state.is_some().into());
        digested.push(if state.is_some() { 8 } else { 0 });
        state.iter().for_each(|state| digested.extend_from_slice(&state.to_le_bytes()));
    }
}

/// Slots between the count that decides whether there is room and the slot it decides for (D5).
const ROOM_LAG_SLOTS: usize = 8;
