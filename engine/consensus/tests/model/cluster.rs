//! Three Dockets and all that may happen to them within bounds.

use std::hash::{Hash, Hasher};

use assize_wire::peer::DocketMessage;
use assize_wire::{Ballot, ReplicaId, Slot};
use stateright::{Model, Property};

use crate::replica::{REPLICAS, Replica, Sent, Shared, Vote, digest};
use crate::steps::{Next, Step, Steps};

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

/// The model: what may happen, and what is known of it already.
pub struct Cluster {
    pub bounds: Bounds,
    steps: Steps,
}

impl Cluster {
    pub fn new(bounds: Bounds) -> Cluster {
        Cluster { bounds, steps: Steps::default() }
    }

    /// What one step of one replica leads to; nothing where it leads nowhere. `heard` is the message that arrives.
    fn take(&self, from: &Shared, step: Step, heard: Option<&Sent>, stops: bool) -> Option<Next> {
        let mut sent = Vec::new();
        let mut replica = from.replica.clone();
        match step {
            Step::Hear(_) => {
                let (from, _, message) = heard.expect("a message arrives");
                replica.hear(*from, message, &mut sent);
            }
            Step::Complete => replica.complete(&mut sent),
            Step::Elect => replica.elect(&mut sent),
            Step::Form if !replica.form(&mut sent) => return None,
            Step::Form => {}
            Step::GiveUp => replica.give_up(&mut sent),
            Step::EndLeases => replica.end_leases(&mut sent),
            Step::Restart { kept, damaged } => replica.restart(kept, damaged),
        }
        if stops {
            if !replica.is_writing() {
                // As if it stopped after this.
                return None;
            }
            replica.restart(false, None);
        }
        while !self.bounds.slow_writes && replica.is_writing() {
            replica.complete(&mut sent);
        }
        if !self.bounds.heartbeats {
            sent.retain(|(_, _, message)| !matches!(message, DocketMessage::Heartbeat { .. }));
        }
        let sent = sent.into_iter().map(|sent| (digest(&sent), &*Box::leak(Box::new(sent))));
        let sent = Vec::leak(sent.collect());
        Some(Next { replica: Shared::new(replica), sent })
    }
}

#[derive(Clone, Debug)]
pub struct State {
    pub replicas: [&'static Shared; REPLICAS as usize],
    /// Every message that was ever sent and can still do something, by digest. Each may arrive at any time, in any
    /// order, more than once, or never: that is loss, delay and disorder.
    pub sent: Vec<(u64, &'static Sent)>,
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

impl Model for Cluster {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let start = |at| Shared::new(Replica::new(ReplicaId(at as u8), self.bounds.leases));
        let replicas = std::array::from_fn(start);
        vec![State { replicas, sent: Vec::new(), ballots: 0, crashes: 0, damages: 0, abdications: 0 }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let bounds = &self.bounds;
        let may_stop = !bounds.slow_writes && state.crashes < bounds.crashes;
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
                if replica.tip() < Slot(bounds.slots) {
                    actions.extend(stops.iter().map(|stops| Action::Form { at, stops: *stops }));
                }
                if state.abdications < bounds.abdications {
                    actions.push(Action::GiveUp(at));
                }
            } else if state.ballots < bounds.ballots && (at == 0 || state.ballots > 0) {
                // Who is first does not matter: it is called 0.
                actions.push(Action::Elect(at));
            }
            if state.crashes < bounds.crashes {
                let kept = if replica.is_writing() { vec![false, true] } else { vec![true] };
                let whole = state.damages >= bounds.damages;
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
        let (at, step, stops) = match action {
            Action::Deliver { at, message, stops } => (at, Step::Hear(last.sent[message].0), stops),
            Action::Form { at, stops } => (at, Step::Form, stops),
            Action::Complete(at) => (at, Step::Complete, false),
            Action::Elect(at) => (at, Step::Elect, false),
            Action::GiveUp(at) => (at, Step::GiveUp, false),
            Action::EndLeases(at) => (at, Step::EndLeases, false),
            Action::Restart { at, kept, damaged } => (at, Step::Restart { kept, damaged }, false),
        };
        match action {
            Action::Elect(_) => state.ballots += 1,
            Action::GiveUp(_) => state.abdications += 1,
            Action::Restart { damaged, .. } => {
                state.crashes += 1;
                state.damages += u8::from(damaged.is_some());
            }
            _ => state.crashes += u8::from(stops),
        }
        let at = usize::from(at);
        let heard = match action {
            Action::Deliver { message, .. } => Some(last.sent[message].1),
            _ => None,
        };
        let key = (last.replicas[at].digest, step, stops);
        let Next { replica, sent } =
            self.steps.get(key, || self.take(last.replicas[at], step, heard, stops))?;
        let mut changed = replica.digest != last.replicas[at].digest;
        state.replicas[at] = replica;
        let State { replicas, sent: under_way, .. } = &mut state;
        let is_open = |(_, sent): &(u64, &Sent)| {
            let (_, to, message) = sent;
            !replicas[usize::from(to.0)].replica.is_done_with(message)
        };
        // What the others are done with is gone already.
        under_way.retain(|sent| usize::from(sent.1.1.0) != at || is_open(sent));
        for sent in sent.iter().filter(|sent| is_open(sent)) {
            if let Err(place) = under_way.binary_search_by_key(&sent.0, |(digest, _)| *digest) {
                under_way.insert(place, *sent);
                changed = true;
            }
        }
        changed.then_some(state)
    }

    fn properties(&self) -> Vec<Property<Cluster>> {
        vec![
            // ChosenOnce: a slot is chosen once, and nobody takes another value for chosen, nor one that is not.
            Property::always("agreement", |_, state: &State| {
                let Some(chosen) = state.chosen() else { return false };
                state.replicas.iter().all(|shared| {
                    let told = shared.replica.told().iter().zip(1..);
                    told.into_iter().all(|(hash, slot)| {
                        chosen.iter().any(|choice| (choice.slot, choice.hash) == (Slot(slot), *hash))
                    })
                })
            }),
            // ChoicesLast: no higher ballot gives a chosen slot another value.
            Property::always("no lost choice", |_, state: &State| {
                let Some(chosen) = state.chosen() else { return false };
                state.votes().all(|(_, vote)| {
                    let of_slot = |choice: &&Vote| choice.slot == vote.slot;
                    let choice = chosen.iter().find(of_slot);
                    choice.is_none_or(|first| vote.ballot < first.ballot || vote.hash == first.hash)
                })
            }),
            // LeaseKept: while a majority's leases last, nobody else is elected.
            Property::always("no leader beside a lease", |_, state: &State| {
                state.leased().all(|leased| state.ballots_led().all(|led| led <= leased))
            }),
            Property::sometimes("a lease is held", |model: &Cluster, state: &State| {
                !model.bounds.leases || state.leased().next().is_some()
            }),
            Property::always("no alarm", |_, state: &State| {
                state.replicas.iter().all(|shared| !shared.replica.has_alarmed())
            }),
            Property::sometimes(
                "everything is chosen under the last ballot",
                |Cluster { bounds, .. }: &Cluster, state: &State| {
                    let last = |ballot: Ballot| ballot.round() >= u64::from(bounds.ballots);
                    let chosen = state.chosen().unwrap_or_default();
                    chosen.len() as u64 == bounds.slots && chosen.iter().all(|choice| last(choice.ballot))
                },
            ),
            Property::sometimes("everybody executes everything", |model: &Cluster, state: &State| {
                let everything = |shared: &&Shared| shared.replica.told().len() as u64 == model.bounds.slots;
                // Without heartbeats nobody need hear that the last slot is chosen.
                !model.bounds.heartbeats || state.replicas.iter().all(everything)
            }),
            Property::sometimes("a damaged log is repaired", |model: &Cluster, state: &State| {
                let whole = state.replicas.iter().all(|shared| !shared.replica.is_damaged());
                state.damages == model.bounds.damages
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
            1 + gave.count() >= MAJORITY
        })
    }

    /// Every durable accept, and by whom.
    fn votes(&self) -> impl Iterator<Item = (usize, &Vote)> {
        self.replicas
            .iter()
            .enumerate()
            .flat_map(|(at, shared)| shared.votes.iter().map(move |vote| (at, vote)))
    }

    /// What a majority has accepted under one ballot, with the lowest such ballot, in slot order; nothing when that is
    /// two values.
    fn chosen(&self) -> Option<Vec<Vote>> {
        let mut chosen: Vec<Vote> = Vec::new();
        for (at, vote) in self.votes() {
            let has = |shared: &Shared| shared.votes.contains(vote);
            let before = self.replicas[..at].iter().filter(|shared| has(shared)).count();
            let after = self.replicas[at + 1..].iter().filter(|shared| has(shared)).count();
            // Each once, at the first who has it.
            if before > 0 || 1 + after < MAJORITY {
                continue;
            }
            match chosen.iter_mut().find(|choice| choice.slot == vote.slot) {
                Some(choice) if choice.hash != vote.hash => return None,
                Some(choice) => choice.ballot = choice.ballot.min(vote.ballot),
                None => chosen.push(*vote),
            }
        }
        Some(chosen)
    }
}

const MAJORITY: usize = REPLICAS as usize / 2 + 1;
