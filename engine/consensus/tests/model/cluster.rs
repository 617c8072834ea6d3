//! Three Dockets and all that may happen to them within bounds.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use assize_wire::peer::DocketMessage;
use assize_wire::{Ballot, Hash as Blake3, ReplicaId, Slot};
use stateright::{Model, Property};

use crate::replica::{REPLICAS, Replica, Sent, Shared, digest};

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Slots that are formed.
    pub slots: u64,
    /// Ballots: elections that are begun.
    pub ballots: u8,
    /// Replicas that stop and start again.
    pub crashes: u8,
    /// Records that have decayed at such a start.
    pub damages: u8,
    /// Leaders that give up, and may lead again.
    pub abdications: u8,
    /// Whether a write takes time: whether anything may happen between its begin and its end.
    pub slow_writes: bool,
    /// Whether heartbeats tell what is chosen, too: without them it is told with the next slot, or promised.
    pub heartbeats: bool,
    /// Whether heartbeats are answered with leases (P11).
    pub leases: bool,
}

#[derive(Clone, Debug)]
pub struct State {
    pub replicas: Vec<Shared>,
    /// Every message that was ever sent and can still do something, by digest. Each may arrive at any time, in any
    /// order, more than once, or never: that is loss, delay and disorder.
    pub sent: Vec<(u64, Arc<Sent>)>,
    ballots: u8,
    crashes: u8,
    damages: u8,
    abdications: u8,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for replica in &self.replicas {
            state.write_u64(replica.digest);
        }
        for (digest, _) in &self.sent {
            state.write_u64(*digest);
        }
        state.write(&[self.ballots, self.crashes, self.damages, self.abdications]);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &State) -> bool {
        digest(self) == digest(other)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The message arrives; or it does, and the replica stops before anything is durable of what it then writes.
    Deliver {
        at: u8,
        message: usize,
        stops: bool,
    },
    Complete(u8),
    Elect(u8),
    Form {
        at: u8,
        stops: bool,
    },
    GiveUp(u8),
    EndLeases(u8),
    Restart {
        at: u8,
        kept: bool,
        damaged: Option<usize>,
    },
}

impl Model for Bounds {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let replicas =
            (0..REPLICAS).map(|id| Shared::new(Replica::new(ReplicaId(id), self.leases))).collect();
        vec![State { replicas, sent: Vec::new(), ballots: 0, crashes: 0, damages: 0, abdications: 0 }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let may_stop = !self.slow_writes && state.crashes < self.crashes;
        let stops = if may_stop { [false, true].as_slice() } else { [false].as_slice() };
        for (message, (_, sent)) in state.sent.iter().enumerate() {
            actions.extend(stops.iter().map(|stops| Action::Deliver {
                at: sent.1.0,
                message,
                stops: *stops,
            }));
        }
        for at in 0..REPLICAS {
            let replica = &state.replicas[usize::from(at)].replica;
            if replica.is_writing() {
                actions.push(Action::Complete(at));
            }
            if replica.has_leases() {
                actions.push(Action::EndLeases(at));
            }
            if replica.leads() {
                if replica.tip() < Slot(self.slots) {
                    actions.extend(stops.iter().map(|stops| Action::Form { at, stops: *stops }));
                }
                if state.abdications < self.abdications {
                    actions.push(Action::GiveUp(at));
                }
            } else if state.ballots < self.ballots && (at == 0 || state.ballots > 0) {
                // Who is first does not matter: it is called 0.
                actions.push(Action::Elect(at));
            }
            if state.crashes < self.crashes {
                let kept = if replica.is_writing() { vec![false, true] } else { vec![true] };
                let whole = state.damages >= self.damages;
                let decaying = if whole { 0 } else { replica.readable() };
                for kept in kept {
                    actions.push(Action::Restart { at, kept, damaged: None });
                    actions.extend((0..decaying).map(|n| Action::Restart { at, kept, damaged: Some(n) }));
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        let mut sent = Vec::new();
        let (at, stops) = match action {
            Action::Deliver { at, stops, .. } | Action::Form { at, stops } => (at, stops),
            Action::Complete(at) | Action::Elect(at) | Action::GiveUp(at) | Action::EndLeases(at) => {
                (at, false)
            }
            Action::Restart { at, .. } => (at, false),
        };
        let at = usize::from(at);
        let mut replica = (*last.replicas[at].replica).clone();
        match action {
            Action::Deliver { message, .. } => {
                let (from, _, message) = &*last.sent[message].1;
                replica.hear(*from, message, &mut sent);
            }
            Action::Complete(_) => replica.complete(&mut sent),
            Action::Elect(_) => {
                state.ballots += 1;
                replica.elect(&mut sent);
            }
            Action::Form { .. } => {
                if !replica.form(&mut sent) {
                    return None;
                }
            }
            Action::GiveUp(_) => {
                state.abdications += 1;
                replica.give_up(&mut sent);
            }
            Action::EndLeases(_) => replica.end_leases(&mut sent),
            Action::Restart { kept, damaged, .. } => {
                state.crashes += 1;
                state.damages += u8::from(damaged.is_some());
                replica.restart(kept, damaged);
            }
        }
        if stops {
            if !replica.is_writing() {
                // As if it stopped after this.
                return None;
            }
            state.crashes += 1;
            replica.restart(false, None);
        }
        while !self.slow_writes && replica.is_writing() {
            replica.complete(&mut sent);
        }
        state.replicas[at] = Shared::new(replica);
        let mut news = false;
        for sent in sent {
            if matches!(sent.2, DocketMessage::Heartbeat { .. }) && !self.heartbeats {
                continue;
            }
            let digest = digest(&sent);
            if let Err(place) = state.sent.binary_search_by_key(&digest, |(digest, _)| *digest) {
                state.sent.insert(place, (digest, Arc::new(sent)));
                news = true;
            }
        }
        let State { replicas, sent, .. } = &mut state;
        sent.retain(|(_, sent)| !replicas[usize::from(sent.1.0)].replica.is_done_with(&sent.2));
        let changed = news || state.replicas[at].digest != last.replicas[at].digest;
        changed.then_some(state)
    }

    fn properties(&self) -> Vec<Property<Bounds>> {
        vec![
            // ChosenOnce: a slot is chosen once, and nobody takes another value for chosen, nor one that is not.
            Property::always("agreement", |_, state: &State| {
                let Some(chosen) = state.chosen() else { return false };
                state.replicas.iter().all(|shared| {
                    let told = shared.replica.told().iter().zip(1..);
                    told.into_iter()
                        .all(|(hash, slot)| chosen.get(&Slot(slot)).is_some_and(|(_, known)| known == hash))
                })
            }),
            // ChoicesLast: no higher ballot gives a chosen slot another value.
            Property::always("no lost choice", |_, state: &State| {
                let Some(chosen) = state.chosen() else { return false };
                state.records().all(|(_, slot, ballot, hash)| {
                    chosen.get(&slot).is_none_or(|(first, known)| ballot < *first || hash == *known)
                })
            }),
            // LeaseKept: while a majority's leases last, nobody else is elected.
            Property::always("no leader beside a lease", |_, state: &State| {
                state.leased().all(|leased| state.ballots_led().all(|led| led <= leased))
            }),
            Property::sometimes("a lease is held", |model: &Bounds, state: &State| {
                !model.leases || state.leased().next().is_some()
            }),
            Property::always("no alarm", |_, state: &State| {
                state.replicas.iter().all(|shared| !shared.replica.has_alarmed())
            }),
            Property::sometimes(
                "everything is chosen under the last ballot",
                |model: &Bounds, state: &State| {
                    let last = |ballot: Ballot| ballot.round() >= u64::from(model.ballots);
                    let chosen = state.chosen().unwrap_or_default();
                    chosen.len() as u64 == model.slots && chosen.values().all(|(ballot, _)| last(*ballot))
                },
            ),
            Property::sometimes("everybody executes everything", |model: &Bounds, state: &State| {
                let everything = |shared: &Shared| shared.replica.told().len() as u64 == model.slots;
                // Without heartbeats nobody need hear that the last slot is chosen.
                !model.heartbeats || state.replicas.iter().all(everything)
            }),
            Property::sometimes("a damaged log is repaired", |model: &Bounds, state: &State| {
                let whole = state.replicas.iter().all(|shared| !shared.replica.is_damaged());
                state.damages == model.damages
                    && whole
                    && state.replicas.iter().any(|shared| shared.replica.leads())
            }),
        ]
    }
}

impl State {
    /// The ballots that are led under.
    fn ballots_led(&self) -> impl Iterator<Item = Ballot> {
        self.replicas.iter().filter_map(|shared| shared.replica.ballot())
    }

    /// Those of them whose leaders hold a lease of a majority, themselves included.
    fn leased(&self) -> impl Iterator<Item = Ballot> {
        self.ballots_led().filter(|ballot| {
            let gave = self.replicas.iter().filter(|shared| shared.replica.gave(*ballot));
            1 + gave.count() > usize::from(REPLICAS) / 2
        })
    }

    /// Every durable accept: by whom, of which slot, under which ballot, with which value. What was fetched is no vote.
    fn records(&self) -> impl Iterator<Item = (usize, Slot, Ballot, Blake3)> {
        self.replicas.iter().enumerate().flat_map(|(at, shared)| {
            let votes = shared.replica.accepts().filter(|proposal| proposal.chosen < proposal.slot);
            votes.map(move |vote| (at, vote.slot, vote.ballot, vote.ordered.hash))
        })
    }

    /// What a majority has accepted under one ballot, with the lowest such ballot; nothing when that is two values.
    fn chosen(&self) -> Option<BTreeMap<Slot, (Ballot, Blake3)>> {
        let mut votes: BTreeMap<(Slot, Ballot, Blake3), u8> = BTreeMap::new();
        for (at, slot, ballot, hash) in self.records() {
            *votes.entry((slot, ballot, hash)).or_default() |= 1 << at;
        }
        let mut chosen: BTreeMap<Slot, (Ballot, Blake3)> = BTreeMap::new();
        for ((slot, ballot, hash), who) in votes {
            if who.count_ones() > u32::from(REPLICAS) / 2 {
                let known = chosen.entry(slot).or_insert((ballot, hash));
                if known.1 != hash {
                    return None;
                }
            }
        }
        Some(chosen)
    }
}
