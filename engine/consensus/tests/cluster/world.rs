//! Several replicas and what lies between them: connections that lose, delay, double and disorder what they carry.

use std::collections::{BTreeMap, VecDeque};

use assize_consensus::{CheckpointFlag, DocketConfig, Heir, Role};
use assize_wire::peer::{DocketMessage, Generations};
use assize_wire::{ReplicaId, Slot, StreamTime, StripeId};

use crate::replica::{Outgoing, Replica, SHARDS};
use crate::rng::Rng;
use crate::truth::Truth;

/// What a run does to the cluster; drawn from its seed, in chances of a thousand a step.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    pub drop: u64,
    pub double: u64,
    pub disorder: u64,
    pub crash: u64,
    pub damage: u64,
    pub disconnect: u64,
    pub stripe_lost: u64,
    pub election: u64,
    pub quarantine: u64,
    pub checkpoint: u64,
    pub lost_disk: u64,
}

impl Faults {
    pub fn draw(rng: &mut Rng) -> Faults {
        let mut often = |chances: &[u64]| rng.pick(chances);
        Faults {
            drop: often(&[0, 0, 20, 200]),
            double: often(&[0, 0, 50]),
            disorder: often(&[0, 0, 300]),
            crash: often(&[0, 2, 8, 20]),
            damage: often(&[0, 300, 700]),
            disconnect: often(&[0, 4, 20]),
            stripe_lost: often(&[0, 0, 10]),
            election: often(&[3, 10, 40]),
            quarantine: often(&[0, 0, 0, 1]),
            checkpoint: often(&[0, 5, 20]),
            lost_disk: often(&[0, 0, 100, 300]),
        }
    }
}

pub struct World {
    pub rng: Rng,
    pub truth: Truth,
    pub replicas: Vec<Replica>,
    links: BTreeMap<(u8, u8), VecDeque<(Generations, DocketMessage)>>,
    /// Pairs that are connected, the lower id first.
    connected: Vec<(u8, u8)>,
    /// Stripes pushed: to whom.
    pushed: Vec<(usize, StripeId)>,
}

impl World {
    pub fn new(seed: u64, replicas: u8, window: u32) -> World {
        let config = |replica| DocketConfig {
            replica: ReplicaId(replica),
            replicas,
            shards: SHARDS,
            window,
            lease_ns: 0,
        };
        let mut truth = Truth::new(replicas);
        let all = (0..replicas).map(|replica| Replica::new(config(replica), &mut truth)).collect();
        World {
            rng: Rng::new(seed),
            truth,
            replicas: all,
            links: BTreeMap::new(),
            connected: Vec::new(),
            pushed: Vec::new(),
        }
    }

    fn count(&self) -> usize {
        self.replicas.len()
    }

    /// One random thing happens.
    pub fn step(&mut self, faults: &Faults) {
        let at = self.rng.below(self.count());
        self.break_something(at, faults);
        if self.rng.per_mille(faults.election) {
            self.time_passes(at);
        }
        match self.rng.below(16) {
            0..=5 => self.deliver_some(faults),
            6..=8 => {
                let Self { replicas, rng, truth, .. } = self;
                replicas[at].complete_io(rng, truth);
            }
            9 => {
                let shard = self.rng.below(usize::from(SHARDS)) as u16;
                self.replicas[at].seal(shard);
            }
            10 | 11 => {
                let alone = self.rng.per_mille(50);
                self.replicas[at].form(if alone { CheckpointFlag::Alone } else { CheckpointFlag::Lowered });
            }
            12 => {
                let Self { replicas, rng, .. } = self;
                replicas[at].publish(rng);
            }
            13 => self.deliver_push(),
            14 => self.give_wanted(at),
            _ => {
                if let Some(docket) = &mut self.replicas[at].docket
                    && self.rng.per_mille(300)
                {
                    docket.handle_heartbeat_due();
                }
            }
        }
        self.settle(at);
    }

    /// Timers of one replica.
    fn time_passes(&mut self, at: usize) {
        let what = self.rng.below(8);
        let peer = ReplicaId(self.rng.below(self.count()) as u8);
        let Some(docket) = &mut self.replicas[at].docket else { return };
        match what {
            0 if docket.role() == Role::Leader => docket.handle_stalled(),
            1 if docket.role() == Role::Leader => {
                let to = if peer.0 as usize == at { Heir::Anybody } else { Heir::This(peer) };
                // Refused it may be, and where it is not it may have no end but this.
                let _ = docket.hand_over(to);
            }
            6 if docket.is_handing_over() => docket.keep_leading(),
            2 if docket.role() == Role::Leader => {
                docket.confirm();
            }
            3..=5 => docket.handle_silence(),
            _ => docket.handle_election_timeout(),
        }
        self.settle(at);
    }

    fn break_something(&mut self, at: usize, faults: &Faults) {
        if self.rng.per_mille(faults.crash) {
            match self.replicas[at].is_up() {
                true => self.crash(at, faults),
                false => self.start(at),
            }
        }
        if self.rng.per_mille(faults.disconnect) && self.count() > 1 {
            let other = (at + 1 + self.rng.below(self.count() - 1)) % self.count();
            match self.connected.contains(&pair(at, other)) {
                true => self.disconnect(at, other),
                false => self.connect(at, other),
            }
        }
        let first = self.replicas.iter().all(|replica| !replica.quarantined);
        if self.rng.per_mille(faults.quarantine)
            && first
            && let Some(docket) = &mut self.replicas[at].docket
            && docket.watermarks().published == docket.watermarks().chosen
            && self.links.len() > 1
        {
            docket.quarantine();
            self.replicas[at].quarantined = true;
            self.settle(at);
        }
        if self.rng.per_mille(faults.checkpoint) {
            self.replicas[at].take_checkpoint();
        }
        if self.rng.per_mille(faults.stripe_lost) {
            let ids: Vec<StripeId> = self.replicas[at].disk.stripes.iter().copied().collect();
            if let Some(id) = ids.last().copied() {
                let elsewhere =
                    (0..self.count()).any(|other| other != at && self.replicas[other].has_stripe(id));
                if elsewhere && !self.replicas[at].named().contains(&id) {
                    self.replicas[at].lose_stripe(id);
                    self.settle(at);
                }
            }
        }
    }

    fn crash(&mut self, at: usize, faults: &Faults) {
        for other in 0..self.count() {
            self.disconnect(at, other);
        }
        let Self { replicas, rng, truth, .. } = self;
        replicas[at].crash(rng, truth);
        // What must be survivable: the disks of a minority, always the same, are lost; or one damaged log at a time.
        let of_minority = at < (replicas.len() - 1) / 2;
        if faults.lost_disk > 0 {
            if of_minority && rng.per_mille(faults.lost_disk) {
                replicas[at].lose_disk(truth);
            }
            return;
        }
        let others_whole = replicas.iter().all(|replica| !replica.is_damaged());
        if others_whole && replicas.len() > 1 && rng.per_mille(faults.damage) {
            replicas[at].damage(rng);
        }
    }

    fn start(&mut self, at: usize) {
        let Self { replicas, truth, .. } = self;
        replicas[at].start(truth);
        self.settle(at);
        for other in 0..self.count() {
            if self.rng.per_mille(700) {
                self.connect(at, other);
            }
        }
    }

    pub fn connect_all(&mut self) {
        for a in 0..self.count() {
            for b in 0..a {
                self.connect(a, b);
            }
        }
    }

    fn connect(&mut self, a: usize, b: usize) {
        if a == b
            || self.connected.contains(&pair(a, b))
            || !self.replicas[a].is_up()
            || !self.replicas[b].is_up()
        {
            return;
        }
        self.connected.push(pair(a, b));
        for (at, peer) in [(a, b), (b, a)] {
            let disk = self.replicas[peer].generation();
            if let Some(docket) = &mut self.replicas[at].docket {
                docket.handle_connected(ReplicaId(peer as u8), disk);
            }
            self.settle(at);
        }
    }

    fn disconnect(&mut self, a: usize, b: usize) {
        let before = self.connected.len();
        self.connected.retain(|known| *known != pair(a, b));
        if self.connected.len() == before {
            return;
        }
        for (at, peer) in [(a, b), (b, a)] {
            self.links.remove(&(at as u8, peer as u8));
            if let Some(docket) = &mut self.replicas[at].docket {
                docket.handle_disconnected(ReplicaId(peer as u8));
            }
            self.settle(at);
        }
    }

    /// Carries out what a replica wants of others.
    fn settle(&mut self, at: usize) {
        let Self { replicas, truth, .. } = self;
        replicas[at].settle(truth);
        for outgoing in std::mem::take(&mut self.replicas[at].outgoing) {
            match outgoing {
                Outgoing::Message(to, known, message) => {
                    if self.connected.contains(&pair(at, usize::from(to.0))) {
                        self.links.entry((at as u8, to.0)).or_default().push_back((known, message));
                    }
                }
                Outgoing::Push(id) => {
                    let others = (0..self.count()).filter(|other| *other != at);
                    self.pushed.extend(others.map(|other| (other, id)));
                }
                Outgoing::WantCheckpoint(from) => self.install(at, usize::from(from.0)),
            }
        }
    }

    /// A replica takes over a peer's checkpoint: it starts anew with it.
    fn install(&mut self, at: usize, from: usize) {
        let checkpoint = self.replicas[from].disk.checkpoint;
        if checkpoint.slot <= self.replicas[at].disk.checkpoint.slot {
            return;
        }
        for other in 0..self.count() {
            self.disconnect(at, other);
        }
        let Self { replicas, rng, truth, .. } = self;
        replicas[at].crash(rng, truth);
        truth.events.checkpoints_installed += 1;
        replicas[at].disk.checkpoint = checkpoint;
        self.start(at);
    }

    fn deliver_some(&mut self, faults: &Faults) {
        let links: Vec<(u8, u8)> =
            self.links.iter().filter(|(_, queue)| !queue.is_empty()).map(|(k, _)| *k).collect();
        if links.is_empty() {
            return;
        }
        let link = self.rng.pick(&links);
        let Some(queue) = self.links.get_mut(&link) else { return };
        let at = if self.rng.per_mille(faults.disorder) { self.rng.below(queue.len()) } else { 0 };
        let message =
            if self.rng.per_mille(faults.double) { queue.get(at).cloned() } else { queue.remove(at) };
        if self.rng.per_mille(faults.drop) {
            return;
        }
        if let Some(message) = message {
            self.deliver(link, message);
        }
    }

    fn deliver(&mut self, (from, to): (u8, u8), (known, message): (Generations, DocketMessage)) {
        if let Some(docket) = &mut self.replicas[usize::from(to)].docket {
            docket.handle_generations(&known);
            docket.handle_message(ReplicaId(from), message, StreamTime(u64::MAX));
        }
        self.settle(usize::from(to));
    }

    fn deliver_push(&mut self) {
        if self.pushed.is_empty() {
            return;
        }
        let at = self.rng.below(self.pushed.len());
        let (to, id) = self.pushed.swap_remove(at);
        if self.rng.per_mille(800) {
            self.replicas[to].receive_stripe(id);
            self.settle(to);
        }
    }

    /// A replica gets what it asked for, from anybody who has it.
    fn give_wanted(&mut self, at: usize) {
        let wanted: Vec<StripeId> = self.replicas[at].wanted.keys().copied().collect();
        for id in wanted {
            let has = |other: &usize| {
                *other != at
                    && self.connected.contains(&pair(at, *other))
                    && self.replicas[*other].has_stripe(id)
            };
            if (0..self.count()).any(|other| has(&other)) {
                self.replicas[at].receive_stripe(id);
                self.settle(at);
            }
        }
    }

    /// Faults stop: everybody starts and connects. The cluster must choose new slots, and everybody must get
    /// everything.
    pub fn must_recover(&mut self, rounds: u64) {
        for at in 0..self.count() {
            if !self.replicas[at].is_up() {
                let Self { replicas, truth, .. } = self;
                replicas[at].start(truth);
                self.settle(at);
            }
        }
        let target = Slot(self.truth.chosen_through().0 + 3);
        let mut timeouts: Vec<u64> = Vec::new();
        for _ in 0..self.count() {
            timeouts.push(5 + self.rng.below(10) as u64);
        }
        let mut stalled = vec![0; self.count()];
        for _ in 0..rounds {
            self.connect_all();
            for at in 0..self.count() {
                let marks = self.replicas[at].marks();
                self.tick(at, &mut timeouts[at]);
                self.run_quiet();
                let idle = self.replicas[at].docket.as_ref().is_none_or(|docket| docket.is_idle());
                stalled[at] = if idle || marks != self.replicas[at].marks() { 0 } else { stalled[at] + 1 };
                if let Some(docket) = &mut self.replicas[at].docket
                    && stalled[at] > 20
                {
                    docket.handle_stalled();
                    stalled[at] = 0;
                }
                self.settle(at);
            }
            let all_there = self.replicas.iter().all(|replica| {
                let marks = replica.marks();
                marks.chosen >= target
                    && !replica.disk.rejoins
                    && marks.published == marks.chosen
                    && marks.chosen == self.replicas[0].marks().chosen
            });
            if all_there {
                return;
            }
        }
        let states: Vec<String> =
            self.replicas.iter().map(|replica| format!("{:#?}", replica.docket)).collect();
        panic!("no progress to slot {target} in {rounds} rounds: {}", states.join("\n"));
    }

    /// One heartbeat's time passes on one replica.
    fn tick(&mut self, at: usize, timeout: &mut u64) {
        let replica = &mut self.replicas[at];
        replica.since_reset += 1;
        let since = replica.since_reset;
        let Some(docket) = &mut replica.docket else { return };
        docket.handle_heartbeat_due();
        if docket.role() != Role::Leader && since >= 5 {
            docket.handle_silence();
        }
        if docket.role() != Role::Leader && since >= *timeout {
            replica.since_reset = 0;
            docket.handle_election_timeout();
            *timeout = 5 + self.rng.below(10) as u64;
        }
        if replica.docket.as_ref().is_some_and(|docket| docket.is_ready_to_serve()) {
            replica.seal(0);
            replica.seal(1);
        }
        replica.form(CheckpointFlag::Lowered);
        self.settle(at);
    }

    /// Everything that is under way arrives, in order.
    fn run_quiet(&mut self) {
        for _ in 0..40 {
            let mut moved = false;
            for at in 0..self.count() {
                loop {
                    let Self { replicas, rng, truth, .. } = self;
                    if !(replicas[at].complete_io(rng, truth) || replicas[at].publish(rng)) {
                        break;
                    }
                    moved = true;
                    self.settle(at);
                }
                self.give_wanted(at);
            }
            for (to, id) in std::mem::take(&mut self.pushed) {
                self.replicas[to].receive_stripe(id);
                self.settle(to);
            }
            let links: Vec<(u8, u8)> = self.links.keys().copied().collect();
            for link in links {
                while let Some(message) = self.links.get_mut(&link).and_then(VecDeque::pop_front) {
                    moved = true;
                    self.deliver(link, message);
                }
            }
            if !moved {
                return;
            }
        }
    }
}

fn pair(a: usize, b: usize) -> (u8, u8) {
    (a.min(b) as u8, a.max(b) as u8)
}
