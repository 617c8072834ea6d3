//! One Docket on a bench: what it is told, and what it wants.

use std::collections::BTreeSet;
use std::sync::Arc;

use assize_consensus::{
    Alarm, CheckpointFlag, Docket, DocketConfig, DocketStart, Effect, LogTip, Offer, Proposal, Role,
};
use assize_wire::manifest::{Manifest, Ordered, StripeRef};
use assize_wire::peer::{Chosen, DocketMessage, Generation, Generations, Promised};
use assize_wire::{Ballot, Hash, ReplicaId, ShardId, Slot, StreamTime, StripeId};

pub const SHARDS: u16 = 3;
/// What clocks allow when a test does not say.
pub const ANY_TIME: StreamTime = StreamTime(u64::MAX);

pub fn ballot(round: u64, replica: u8) -> Ballot {
    Ballot::new(round, ReplicaId(replica))
}

pub fn start() -> DocketStart {
    DocketStart {
        tip: LogTip::START,
        accepted: Vec::new(),
        damaged: Vec::new(),
        doubtful: Vec::new(),
        chosen: Slot::ZERO,
        promised: Ballot::NONE,
        stored: Vec::new(),
        generations: Generations::default(),
        rejoins: false,
    }
}

pub fn stripe(shard: u16, tag: u64) -> StripeRef {
    let hash = Hash::of(&[shard.to_le_bytes().as_slice(), &tag.to_le_bytes()].concat());
    StripeRef { id: StripeId { shard: ShardId(shard), hash }, home_mask: 1, events: 1, bytes: 80 }
}

/// A manifest of one stripe of shard 0 that continues `below`; the tag tells it from others.
pub fn value(below: LogTip, tag: u64) -> Arc<Ordered> {
    let manifest = Manifest {
        slot: below.slot.next(),
        time: below.time,
        previous: below.hash,
        checkpoint: false,
        controls: Vec::new(),
        stripes: vec![stripe(0, tag)],
    };
    let hash = Hash::of(&manifest.encode());
    Arc::new(Ordered { manifest, hash })
}

pub fn tip(ordered: &Ordered) -> LogTip {
    LogTip { slot: ordered.manifest.slot, hash: ordered.hash, time: ordered.manifest.time }
}

pub fn chosen(ordered: &Ordered) -> Chosen {
    Chosen { slot: ordered.manifest.slot, hash: ordered.hash }
}

pub const NOTHING_CHOSEN: Chosen = Chosen { slot: Slot::ZERO, hash: Hash::ZERO };

/// A chain of values with these tags.
pub fn values(tags: &[u64]) -> Vec<Arc<Ordered>> {
    let mut below = LogTip::START;
    tags.iter()
        .map(|tag| {
            let ordered = value(below, *tag);
            below = tip(&ordered);
            ordered
        })
        .collect()
}

pub struct Bench {
    pub docket: Docket,
    /// What it wanted since this was last taken, writes apart.
    pub effects: Vec<Effect>,
    /// Accept records on their way.
    pub writes: Vec<Proposal>,
    pub promises: Vec<Ballot>,
}

impl Bench {
    pub fn new(replica: u8, replicas: u8, window: u32, start: DocketStart) -> Bench {
        let config =
            DocketConfig { replica: ReplicaId(replica), replicas, shards: SHARDS, window, lease_ns: 0 };
        Bench::of(config, start)
    }

    /// Replica 0 of three, which gives leases; connected to nobody.
    pub fn with_leases(lease_ns: u64, start: DocketStart) -> Bench {
        Bench::of(
            DocketConfig { replica: ReplicaId(0), replicas: 3, shards: SHARDS, window: 8, lease_ns },
            start,
        )
    }

    fn of(config: DocketConfig, start: DocketStart) -> Bench {
        let docket = Docket::new(config, start);
        Bench { docket, effects: Vec::new(), writes: Vec::new(), promises: Vec::new() }
    }

    /// Replica 0 of three, connected to both others.
    pub fn of_three(start: DocketStart) -> Bench {
        let mut bench = Bench::new(0, 3, 8, start);
        bench.tell(|docket| {
            docket.handle_connected(ReplicaId(1), Generation::NONE);
            docket.handle_connected(ReplicaId(2), Generation::NONE);
        });
        bench
    }

    /// Replica 0 of three leads under this round, having found nothing.
    pub fn leading(round: u64) -> Bench {
        let mut bench = Bench::of_three(DocketStart { promised: ballot(round - 1, 2), ..start() });
        bench.win(NOTHING_CHOSEN, Vec::new());
        assert_eq!(bench.docket.ballot(), ballot(round, 0));
        bench.effects.clear();
        bench
    }

    pub fn tell<T>(&mut self, what: impl FnOnce(&mut Docket) -> T) -> T {
        let answer = what(&mut self.docket);
        while let Some(effect) = self.docket.poll_effect() {
            match effect {
                Effect::WriteAccept(proposal) => self.writes.push(proposal),
                Effect::WritePromise(ballot) => self.promises.push(ballot),
                other => self.effects.push(other),
            }
        }
        self.docket.check_invariants();
        answer
    }

    pub fn hear(&mut self, from: u8, message: DocketMessage) {
        self.tell(|docket| docket.handle_message(ReplicaId(from), message, ANY_TIME));
    }

    /// The stripes of these values are stored.
    pub fn store(&mut self, values: &[Arc<Ordered>]) {
        let ids: BTreeSet<StripeId> =
            values.iter().flat_map(|value| value.manifest.stripes.iter().map(|stripe| stripe.id)).collect();
        self.tell(|docket| ids.into_iter().for_each(|id| docket.handle_stripe_stored(id)));
    }

    /// Completes what is written of promises: nothing is accepted under a ballot before.
    pub fn promise(&mut self) {
        for promise in std::mem::take(&mut self.promises) {
            self.tell(|docket| docket.handle_promise_durable(promise));
        }
    }

    /// Completes all writes.
    pub fn sync(&mut self) {
        while !(self.writes.is_empty() && self.promises.is_empty()) {
            self.promise();
            for write in std::mem::take(&mut self.writes) {
                self.tell(|docket| docket.handle_accept_durable(write.slot, write.ballot));
            }
        }
    }

    /// Canvasses, and wins with replica 1's promise of this.
    pub fn win(&mut self, chosen: Chosen, entries: Vec<Promised>) {
        self.tell(|docket| docket.handle_election_timeout());
        let asked = self.sent_to(1).into_iter().find_map(|message| match message {
            DocketMessage::Canvass { ballot, .. } => Some(ballot),
            _ => None,
        });
        let asked = asked.expect("it canvasses");
        let promised = ballot(1, 1).min(asked);
        self.hear(1, DocketMessage::CanvassAnswer { ballot: asked, granted: true, promised, chosen });
        self.promise();
        let promised = self.docket.promised();
        self.hear(1, DocketMessage::Promise { ballot: promised, chosen, entries });
    }

    pub fn accept(&mut self, from: u8, under: Ballot, ordered: &Arc<Ordered>, chosen: Chosen) {
        let ordered = Arc::clone(ordered);
        self.hear(from, DocketMessage::Accept { ballot: under, fresh: false, ordered, chosen });
        self.promise();
    }

    pub fn heartbeat(&mut self, from: u8, under: Ballot, chosen: Chosen, formed: Slot) {
        self.hear(from, DocketMessage::Heartbeat { ballot: under, sequence: 1, chosen, formed });
    }

    /// Offers a stripe that stands in the Docket's log.
    pub fn offer(&mut self, shard: u16, tag: u64) {
        let under = self.docket.ballot();
        let offer = Offer { ballot: under, stripe: stripe(shard, tag), in_docket_log: true };
        self.tell(|docket| docket.handle_offer(offer));
    }

    pub fn form(&mut self, time: u64) -> bool {
        self.tell(|docket| docket.form(StreamTime(time), CheckpointFlag::Lowered, &[]))
    }

    /// What was sent to this replica since the effects were last cleared.
    pub fn sent_to(&self, replica: u8) -> Vec<DocketMessage> {
        let sent = self.effects.iter().filter_map(|effect| match effect {
            Effect::Send { to, message } if to.0 == replica => Some(message.clone()),
            _ => None,
        });
        sent.collect()
    }

    pub fn alarms(&self) -> Vec<Alarm> {
        let alarms = self.effects.iter().filter_map(|effect| match effect {
            Effect::Alarm(alarm) => Some(*alarm),
            _ => None,
        });
        alarms.collect()
    }

    /// What is being written: slot, ballot and tag of its stripe's identity.
    pub fn writing(&self) -> Vec<(u64, Ballot, Hash)> {
        self.writes.iter().map(|write| (write.slot.0, write.ballot, write.ordered.hash)).collect()
    }

    pub fn told(&mut self) -> Vec<u64> {
        let mut told = Vec::new();
        while let Some(ordered) = self.docket.poll_chosen() {
            told.push(ordered.manifest.slot.0);
        }
        told
    }

    pub fn has(&self, effect: &Effect) -> bool {
        self.effects.contains(effect)
    }

    pub fn leads(&self) -> bool {
        self.docket.role() == Role::Leader
    }
}
