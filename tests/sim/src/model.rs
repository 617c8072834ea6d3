//! The plain serial model (D1): one event after the other in (slot, shard, index) order, with maps and no cleverness.
//! It shares with the engine the layouts and nothing else; of the bank's arithmetic it has its own.

use std::collections::{BTreeMap, HashMap};

use assize_domain::EngineReason;
use assize_wire::event::Event;
use assize_wire::outcome::Status;
use assize_wire::routing::Routing;
use assize_wire::stripe::Stripe;
use assize_wire::{Hash, Position, ShardId, Slot};

use crate::bank::{BANK, INSUFFICIENT, Op, UNREADABLE, VERSION};
use crate::left::LoggedSlot;
use crate::shape::TTL_NS;

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

#[derive(Clone)]
struct Recorded {
    body: Vec<u8>,
    time: u64,
    ended: Ended,
}

/// The accounts after a stripe.
pub struct Snapshot {
    /// The slot.
    pub slot: Slot,
    /// The shard of the stripe.
    pub shard: ShardId,
    /// By account.
    pub balances: BTreeMap<u128, u64>,
}

/// The model and what it found.
#[derive(Default)]
pub struct Model {
    /// Every event of the log, by where it stands.
    pub ended: BTreeMap<Position, Ended>,
    /// Before the log, and after each stripe.
    pub snapshots: Vec<Snapshot>,
    /// How often the log has an event, by its bytes.
    pub counted: HashMap<Vec<u8>, usize>,
    warden: HashMap<u128, Recorded>,
    balances: BTreeMap<u128, u64>,
}

impl Model {
    /// Runs a log, which must be one: a chain of slots in which stream time never moves back (P4).
    pub fn run(log: &[LoggedSlot], routing: Routing) -> Model {
        let mut model = Model::default();
        model.snapshot(Slot::ZERO, ShardId(0));
        let (mut previous, mut time) = (Hash::ZERO, 0);
        for (at, slot) in log.iter().enumerate() {
            let manifest = &slot.ordered.manifest;
            assert_eq!(manifest.slot.0, at as u64 + 1, "a gap in the log");
            assert_eq!(manifest.previous, previous, "the log is no chain");
            assert!(manifest.time.0 >= time, "stream time moved back at slot {}", manifest.slot);
            assert!(!manifest.stripes.is_empty() && manifest.stripes.len() == slot.stripes.len());
            (previous, time) = (Hash::of(&manifest.encode()), manifest.time.0);
            for (named, (shard, bytes)) in manifest.stripes.iter().zip(&slot.stripes) {
                assert_eq!((named.id.shard, named.id.hash), (*shard, Hash::of(bytes)));
                let stripe = Stripe::parse(bytes).unwrap();
                for (index, event) in stripe.events().enumerate() {
                    let position = Position { slot: manifest.slot, shard: *shard, index: index as u32 };
                    let event = event.unwrap();
                    assert_eq!(
                        routing.shard_of_key(event.key()),
                        *shard,
                        "an event in another shard's stripe"
                    );
                    *model.counted.entry(event.bytes().to_vec()).or_default() += 1;
                    let ended = model.submit(&event, time, position);
                    model.ended.insert(position, ended);
                }
                model.snapshot(manifest.slot, *shard);
            }
        }
        model
    }

    fn snapshot(&mut self, slot: Slot, shard: ShardId) {
        self.snapshots.push(Snapshot { slot, shard, balances: self.balances.clone() });
    }

    fn submit(&mut self, event: &Event<'_>, time: u64, position: Position) -> Ended {
        let key = event.key().0;
        let seen = self.warden.get(&key).filter(|seen| time - seen.time < TTL_NS);
        if let Some(seen) = seen {
            return match seen.body == event.body() {
                true => Ended { status: Status::Duplicate, ..seen.ended.clone() },
                false => ended(key, Status::Conflict, 0, position, &[]),
            };
        }
        let version = (event.domain(), event.version()) == (BANK, VERSION);
        let op = Op::decode(event.payload());
        let op = match op {
            _ if !version => {
                return ended(key, Status::Invalid, EngineReason::UnknownDomain as u16, position, &[]);
            }
            None => return ended(key, Status::Invalid, UNREADABLE, position, &[]),
            Some(Op::Transfer { from, to, .. }) if from == to => {
                return ended(key, Status::Invalid, EngineReason::BadEntities as u16, position, &[]);
            }
            Some(op) => op,
        };
        if event.deadline().0 <= time || event.deadline().0 > time + TTL_NS {
            return ended(key, Status::Expired, 0, position, &[]);
        }
        let ended = self.evaluate(key, &op, position);
        let recorded = Recorded { body: event.body().to_vec(), time, ended: ended.clone() };
        self.warden.insert(key, recorded);
        ended
    }

    fn evaluate(&mut self, key: u128, op: &Op, position: Position) -> Ended {
        let balance = |account: &u128| self.balances.get(account).copied().unwrap_or(0);
        let mut response = Vec::new();
        let extra = match op {
            Op::PanicLate { .. } | Op::PanicEarly { .. } => {
                return ended(key, Status::Fault, 0, position, &[]);
            }
            Op::Deposit { account, amount, extra } => {
                let after = balance(account) + amount;
                self.balances.insert(*account, after);
                response.extend(after.to_le_bytes());
                extra
            }
            Op::Transfer { from, amount, .. } if balance(from) < *amount => {
                let there = balance(from).to_le_bytes();
                return ended(key, Status::Rejected, INSUFFICIENT, position, &there);
            }
            Op::Transfer { from, to, amount, extra } => {
                let (left, right) = (balance(from) - amount, balance(to) + amount);
                self.balances.extend([(*from, left), (*to, right)]);
                response.extend(left.to_le_bytes());
                response.extend(right.to_le_bytes());
                extra
            }
        };
        response.extend(std::iter::repeat_n(*extra, usize::from(*extra)));
        ended(key, Status::Applied, 0, position, &response)
    }
}

fn ended(key: u128, status: Status, reason: u16, position: Position, response: &[u8]) -> Ended {
    Ended { key, status, first_status: status, reason, position, response: response.to_vec() }
}
