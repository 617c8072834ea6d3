//! What clients did and were told, and whether the log that is left explains all of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use assize_wire::event::Event;
use assize_wire::outcome::Status;
use assize_wire::{Position, Slot};

use crate::bank::Op;
use crate::model::{Ended, Model};

/// One event as it was submitted once.
pub struct Submitted {
    /// The event.
    pub bytes: Vec<u8>,
    /// At most one, if all is well.
    pub answers: Vec<Given>,
}

/// An answer to it.
#[derive(Clone, Debug)]
pub struct Given {
    /// The replica's step in which it came.
    pub at: u64,
    /// What it said.
    pub ended: Ended,
}

/// The states that one frame brought for a read.
#[derive(Debug)]
pub struct ReadSeen {
    /// The step in which the read was sent.
    pub asked: u64,
    /// As of this slot.
    pub slot: Slot,
    /// By account.
    pub states: BTreeMap<u128, Option<u64>>,
}

/// All clients together.
#[derive(Default)]
pub struct History {
    /// Every submission.
    pub events: Vec<Submitted>,
    /// Every answer to a read.
    pub reads: Vec<ReadSeen>,
}

impl History {
    /// Holds everything that was told against the log. `Err` says what does not fit.
    pub fn check(&self, model: &Model) -> Result<(), String> {
        self.check_answers(model)?;
        self.check_counts(model)?;
        self.check_reads(model)
    }

    /// Each answer is what the serial model says, at the position that the answer names, and no two submissions were
    /// given the same one.
    fn check_answers(&self, model: &Model) -> Result<(), String> {
        let duplicates: HashSet<(u128, Position)> = model
            .ended
            .values()
            .filter(|ended| ended.status == Status::Duplicate)
            .map(|ended| (ended.key, ended.position))
            .collect();
        let mut given = HashSet::new();
        for submitted in &self.events {
            let key = Event::parse(&submitted.bytes).unwrap().0.key().0;
            if submitted.answers.len() > 1 {
                return Err(format!("answered twice: {:?}", submitted.answers));
            }
            let Some(Given { ended: found, .. }) = submitted.answers.first() else { continue };
            if !found.status.is_final() || found.position.slot == Slot::ZERO {
                continue;
            }
            let at_position = model.ended.get(&found.position);
            let Some(expected) = at_position.filter(|expected| expected.key == key) else {
                return Err(format!("key {key:x} was told {found:?}, and the log has {at_position:?} there"));
            };
            let expected = match found.status {
                Status::Duplicate if !duplicates.contains(&(key, found.position)) => {
                    return Err(format!(
                        "key {key:x} was told {found:?}, and the log has no duplicate of it"
                    ));
                }
                Status::Duplicate => Ended { status: Status::Duplicate, ..expected.clone() },
                _ if !given.insert(found.position) => {
                    return Err(format!("two submissions of key {key:x} were told {found:?}"));
                }
                _ => expected.clone(),
            };
            if *found != expected {
                return Err(format!("key {key:x} was told {found:?}, and the model says {expected:?}"));
            }
        }
        Ok(())
    }

    /// Nothing is in the log that was not submitted, nor more often than it was.
    fn check_counts(&self, model: &Model) -> Result<(), String> {
        let mut submitted: HashMap<&[u8], usize> = HashMap::new();
        self.events.iter().for_each(|event| *submitted.entry(&event.bytes).or_default() += 1);
        for (bytes, count) in &model.counted {
            let most = submitted.get(bytes.as_slice()).copied().unwrap_or(0);
            if *count > most {
                return Err(format!("an event is {count} times in the log and was submitted {most} times"));
            }
        }
        Ok(())
    }

    /// C8: what a read shows is the state at its slot, which the log has, and holds every event that was answered
    /// before the read was sent.
    fn check_reads(&self, model: &Model) -> Result<(), String> {
        let mut applied: Vec<(u64, Position, Vec<u128>)> = Vec::new();
        for submitted in &self.events {
            for Given { at, ended } in &submitted.answers {
                if ended.first_status == Status::Applied {
                    let payload = Event::parse(&submitted.bytes).unwrap().0.payload();
                    applied.push((*at, ended.position, Op::decode(payload).unwrap().accounts()));
                }
            }
        }
        for read in &self.reads {
            let answered_before = applied.iter().filter(|(at, ..)| *at <= read.asked);
            let seen_at_least = answered_before
                .filter(|(.., accounts)| accounts.iter().any(|account| read.states.contains_key(account)))
                .map(|(_, position, _)| (position.slot, position.shard))
                .max();
            let explains = model.snapshots.iter().any(|snapshot| {
                snapshot.slot == read.slot
                    && seen_at_least.is_none_or(|least| (snapshot.slot, snapshot.shard) >= least)
                    && read
                        .states
                        .iter()
                        .all(|(account, state)| snapshot.balances.get(account) == state.as_ref())
            });
            if !explains {
                return Err(format!("{read:?} shows what never was after {seen_at_least:?}"));
            }
        }
        Ok(())
    }
}
