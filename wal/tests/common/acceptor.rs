//! An acceptor with peers, reduced to two logs, and beside it the plain model of what it told others: lists of what it
//! attempted at each slot, no log, no marks.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::{BTreeMap, BTreeSet};

use assize_wal::block::BlockBuffer;
use assize_wal::memory::{MemoryDevice, Random};
use assize_wal::recovery::{Damage, Peers, Recovered, RecoveredSlot, recover};
use assize_wal::superblock::{Superblock, SuperblockStore, find};
use assize_wal::{Device, Entry, Log, LogConfig, Mark, RecordSequence, SegmentReader};
use assize_wire::{Ballot, Hash, LogId, ReplicaId, ShardId, Slot, StripeId};

use crate::common::{self, LOGS, SEGMENT_BYTES, accept_head, read_accept, read_payload};

/// A manifest, known everywhere by its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub number: u64,
    pub previous: Hash,
    pub stripes: Vec<(StripeId, Vec<u8>)>,
}

/// One accept that was given to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub ballot: Ballot,
    pub manifest: Hash,
    /// Whether others were told.
    pub told: bool,
    /// Counts attempts at all slots.
    pub at: u64,
    /// Whether it voided what was accepted above.
    pub voids: bool,
}

pub struct Acceptor {
    pub device: MemoryDevice,
    pub logs: BTreeMap<LogId, Log>,
    pub random: Random,
    /// The leader's ballot, and its chain, slot 1 first. The cluster's, not this replica's.
    pub round: u64,
    pub leader: Vec<Value>,
    /// Chosen by the cluster: a prefix of every later leader's chain.
    pub chosen: usize,
    /// By slot, in order.
    pub attempts: BTreeMap<Slot, Vec<Attempt>>,
    /// What this replica holds, slot 1 first; and how much of it it knows chosen.
    held: Vec<(Ballot, Hash)>,
    known: usize,
    stripes: BTreeSet<StripeId>,
    under_way: Vec<(RecordSequence, Slot, u64)>,
    count: u64,
    /// Of the stripes that it proposes.
    pub stripe_bytes_max: u64,
    /// The last slot that the last start found damaged or doubtful, if any.
    pub damaged_through: Option<Slot>,
    /// Whether anything was ever damaged that no crash explains.
    pub faults: bool,
    /// Whether the power was ever cut.
    pub crashed: bool,
}

impl Acceptor {
    pub fn format(seed: u64) -> Acceptor {
        let mut device = MemoryDevice::new(seed);
        let mut store = SuperblockStore::format(first_superblock());
        store.drive(|copy, blocks| device.write_superblock(copy, blocks)).unwrap();
        let mut acceptor = Acceptor {
            device,
            logs: BTreeMap::new(),
            random: Random(seed),
            round: 1,
            leader: vec![],
            chosen: 0,
            attempts: BTreeMap::new(),
            held: vec![],
            known: 0,
            stripes: BTreeSet::new(),
            under_way: vec![],
            count: 0,
            stripe_bytes_max: 9000,
            damaged_through: None,
            faults: false,
            crashed: false,
        };
        acceptor.start();
        acceptor.promise();
        acceptor
    }

    pub fn ballot(&self) -> Ballot {
        Ballot::new(self.round, ReplicaId(1))
    }

    pub fn superblock(&mut self) -> Superblock {
        self.store().current().clone()
    }

    pub fn recover(&mut self) -> Recovered {
        let superblock = self.superblock();
        recover_with_peers(&mut self.device, &superblock)
    }

    /// Recovers, compares what was found with the model, and goes on under a new incarnation.
    pub fn start(&mut self) {
        let recovered = self.recover();
        self.check(&recovered);
        let mut store = self.store();
        store.handle_update(|superblock| {
            superblock.incarnation = recovered.incarnation;
            superblock.cuts = recovered.cuts(&LOGS[..2]);
            superblock.accepted = recovered.to_remember;
            superblock.certain = recovered.to_remember_certain;
        });
        let device = &mut self.device;
        store.drive(|copy, blocks| device.write_superblock(copy, blocks)).unwrap();
        let open = |log| Log::new(common::identity(log), config(), recovered.start(log));
        self.logs = [LOGS[0], LOGS[1]].map(|log| (log, open(log))).into();
        self.held = recovered.accepted.iter().map(|slot| (slot.ballot, slot.manifest)).collect();
        self.known = recovered.chosen.0 as usize;
        self.stripes = recovered.stripes.iter().map(|(id, _)| *id).collect();
        self.under_way.clear();
        let unsure = recovered.damaged.iter().chain(&recovered.doubtful);
        self.damaged_through = unsure.map(|slot| slot.slot).max();
    }

    /// Another leader: it keeps what is chosen, and as much more of the last chain as it has heard of.
    pub fn new_leader(&mut self) {
        let heard = self.chosen + self.random.below((self.leader.len() - self.chosen) as u64 + 1) as usize;
        self.leader.truncate(heard);
        self.round += 1;
        self.promise();
    }

    /// The cluster chooses so many more slots, with or without this replica.
    pub fn choose(&mut self, slots: usize) {
        let to = self.chosen + slots;
        while self.leader.len() < to {
            self.propose();
        }
        self.chosen = to;
    }

    /// Accepts the leader's next value (P4).
    pub fn accept(&mut self) {
        let next = self.held_under_ballot();
        if self.leader.len() <= next {
            self.propose();
        }
        self.record(next, self.known);
    }

    /// Hears how far the cluster has chosen, and fetches what it lacks (P7).
    pub fn learn(&mut self) {
        while self.known < self.chosen {
            let manifest = hash_of(&self.leader[self.known]);
            let has = self.held.get(self.known).is_some_and(|(_, held)| *held == manifest);
            if !has && !self.record(self.known, self.chosen) {
                return;
            }
            self.known += 1;
        }
    }

    /// Accepts what a new leader proposes, or learns what is chosen, through this slot.
    pub fn repair(&mut self, through: Slot, fetch: bool) {
        self.new_leader();
        if fetch {
            self.choose((through.0 as usize).saturating_sub(self.chosen));
        }
        while self.known < through.0 as usize && (fetch || self.held_under_ballot() < through.0 as usize) {
            match fetch {
                true => self.learn(),
                false => self.accept(),
            }
            self.pump(4);
        }
        self.quiesce();
    }

    /// How many slots are known chosen, or accepted under the leader's ballot.
    fn held_under_ballot(&self) -> usize {
        (self.known..self.held.len()).find(|at| !self.has(*at)).unwrap_or(self.held.len().max(self.known))
    }

    /// What this replica holds, slot 1 first.
    pub fn held(&self) -> Vec<(Ballot, Hash)> {
        self.held.clone()
    }

    /// The power is cut.
    pub fn crash(&mut self, seed: u64) {
        self.crashed = true;
        self.device.crash(seed);
    }

    pub fn idle(&mut self) {
        self.logs.values_mut().for_each(Log::handle_idle);
    }

    pub fn pump(&mut self, steps: usize) {
        for _ in 0..steps {
            for log in self.logs.values_mut() {
                while let Some(operation) = log.poll_operation() {
                    self.device.submit(operation);
                }
            }
            if let Some(completion) = self.device.poll() {
                self.logs.get_mut(&completion.id.log).unwrap().handle_completion(completion).unwrap();
            }
            self.take_durable();
            self.logs.values().for_each(Log::check_invariants);
        }
    }

    /// Lets everything become durable, marks included.
    pub fn quiesce(&mut self) {
        for _ in 0..2 {
            self.idle();
            while !self.logs.values().all(Log::is_idle) {
                self.pump(1);
            }
        }
    }

    fn has(&self, at: usize) -> bool {
        self.held.get(at).is_some_and(|(ballot, manifest)| {
            *ballot == self.ballot() && self.leader.get(at).is_some_and(|value| hash_of(value) == *manifest)
        })
    }

    fn propose(&mut self) {
        self.count += 1;
        let mut stripes = vec![];
        for shard in 0..2_u16 {
            if self.random.below(3) == 0 {
                let bytes = vec![self.count as u8; 100 + self.random.below(self.stripe_bytes_max) as usize];
                let content = [&self.count.to_le_bytes()[..], &bytes].concat();
                stripes.push((StripeId { shard: ShardId(shard), hash: Hash::of(&content) }, content));
            }
        }
        let previous = self.leader.last().map_or(Hash::ZERO, hash_of);
        self.leader.push(Value { number: self.count, previous, stripes });
    }

    /// Logs the leader's value at an index, after the stripes that it names (P2), if there is room.
    fn record(&mut self, at: usize, chosen: usize) -> bool {
        let (value, slot) = (self.leader[at].clone(), Slot(at as u64 + 1));
        if self.logs.values().any(|log| log.room_bytes(16 << 10) < 64 << 10) {
            return false;
        }
        self.log_stripes(&value);
        let manifest = hash_of(&value);
        let mut payload = accept_head(Slot(value.number), Slot(chosen as u64), value.previous);
        for (id, _) in &value.stripes {
            payload.extend_from_slice(&id.shard.0.to_le_bytes());
            payload.extend_from_slice(&id.hash.0);
        }
        let ballot = self.ballot();
        let sequence = append(&mut self.logs, LOGS[0], Entry::Accept { slot, ballot, manifest }, &payload);
        self.count += 1;
        if self.held.get(at).is_some_and(|(_, before)| *before != manifest) {
            self.held.truncate(at);
        }
        // Whether this replica still knows what it accepted before or not.
        let before = self.attempts.get(&slot).and_then(|attempts| attempts.last());
        let voids = before.is_some_and(|before| before.manifest != manifest);
        match self.held.get_mut(at) {
            Some(held) => *held = (ballot, manifest),
            None => self.held.push((ballot, manifest)),
        }
        let attempt = Attempt { ballot, manifest, told: false, at: self.count, voids };
        self.attempts.entry(slot).or_default().push(attempt);
        self.under_way.push((sequence, slot, self.count));
        true
    }

    fn log_stripes(&mut self, value: &Value) {
        let lacking = value.stripes.iter().filter(|(id, _)| !self.stripes.contains(id));
        let lacking: Vec<_> = lacking.cloned().collect();
        for (id, content) in &lacking {
            append(&mut self.logs, LOGS[usize::from(id.shard.0)], Entry::Stripe(*id), content);
            self.stripes.insert(*id);
        }
        if lacking.iter().any(|(id, _)| id.shard == ShardId(1)) {
            while self.logs[&LOGS[1]].has_unwritten() {
                self.pump(1);
            }
        }
    }

    fn take_durable(&mut self) {
        let mut mark = None;
        for log in self.logs.values_mut() {
            while let Some(durable) = log.poll_durable() {
                let Entry::Accept { slot, ballot, .. } = durable.entry else { continue };
                let (sequence, of, at) = self.under_way.remove(0);
                assert_eq!((sequence, of), (durable.sequence, slot), "accepts become durable in order");
                let attempts = self.attempts.get_mut(&slot).unwrap();
                attempts.iter_mut().find(|attempt| attempt.at == at).unwrap().told = true;
                mark = Some(Mark { ballot, slot });
            }
        }
        if let Some(mark) = mark {
            self.logs.values_mut().for_each(|log| log.handle_mark(mark));
        }
    }

    /// A promise is durable before it is used (P1).
    fn promise(&mut self) {
        let ballot = self.ballot();
        let mut store = self.store();
        store.handle_update(|superblock| superblock.promised = ballot);
        let device = &mut self.device;
        store.drive(|copy, blocks| device.write_superblock(copy, blocks)).unwrap();
    }

    fn store(&mut self) -> SuperblockStore {
        let copies = [0, 1].map(|copy| self.device.read_superblock(copy).unwrap());
        SuperblockStore::new(find(copies).unwrap())
    }

    /// Everything that others were told is there or damaged, and nothing is there that was never attempted.
    pub fn check(&mut self, recovered: &Recovered) {
        assert!(recovered.ballot_max <= self.ballot());
        let doubtful_from = recovered.doubtful.first().map_or(Slot(u64::MAX), |doubtful| doubtful.slot);
        assert!(doubtful_from == Slot(u64::MAX) || doubtful_from.0 <= recovered.accepted.len() as u64 + 1);
        for (index, found) in recovered.accepted.iter().enumerate() {
            assert_eq!(found.slot, Slot(index as u64 + 1), "accepted slots have no gap");
            assert_eq!(found.chosen, recovered.chosen >= found.slot, "what is chosen has no gap");
            if found.slot < doubtful_from {
                self.check_found(found);
            }
        }
        if !self.faults {
            // What a crash left is torn and was told to nobody: everything told is there, whatever is in doubt.
            assert!(recovered.damaged.is_empty(), "{}", self.report(recovered));
            recovered.accepted.iter().for_each(|found| self.check_found(found));
        }
        assert!(self.crashed || recovered.doubtful.is_empty(), "nothing is torn: {}", self.report(recovered));
        for (index, doubtful) in recovered.doubtful.iter().enumerate() {
            assert_eq!(doubtful.slot.0, doubtful_from.0 + index as u64, "doubtful slots have no gap");
        }
        for (index, damaged) in recovered.damaged.iter().enumerate() {
            assert_eq!(
                damaged.slot.0 as usize,
                recovered.accepted.len() + index + 1,
                "damaged slots have no gap"
            );
            if let Some(hash) = damaged.hash {
                self.check_manifest(damaged.slot, hash, None);
            }
            match (&damaged.what, &damaged.found) {
                (Damage::Accept, _) => {}
                (_, Some(found)) => {
                    assert_eq!(damaged.hash, Some(found.manifest));
                    self.check_found(found);
                }
                (what, None) => panic!("slot {}: {what:?} without an accept", damaged.slot),
            }
        }
        let last = recovered.accepted.len() + recovered.damaged.len();
        let doubtful_through = recovered.doubtful.last().map_or(0, |doubtful| doubtful.slot.0 as usize);
        let last = if self.faults { last.max(doubtful_through) } else { last };
        for (slot, attempts) in self.attempts.range(Slot(last as u64 + 1)..) {
            let Some(told) = attempts.iter().rev().find(|attempt| attempt.told) else { continue };
            // Only what was voided may be absent, by an accept that counts or is damaged.
            let mut below = self.attempts.range(..slot);
            let voided = below.any(|(_, below)| below.iter().any(|below| below.voids && below.at > told.at));
            assert!(voided, "slot {slot}: {told:?} is absent: {}", self.report(recovered));
        }
        assert!(recovered.chosen.0 as usize <= recovered.accepted.len());
        // Above the doubtful ones there may be some that are void if those were accepted.
        let everything = if recovered.doubtful.is_empty() { last } else { doubtful_through };
        assert_eq!(recovered.to_remember.last_slot().0 as usize, everything, "{}", self.report(recovered));
    }

    /// What a start found, beside what was attempted.
    fn report(&self, recovered: &Recovered) -> String {
        let accepted: Vec<_> = recovered.accepted.iter().map(|slot| (slot.slot, slot.ballot)).collect();
        let damaged: Vec<_> = recovered.damaged.iter().map(|slot| (slot.slot, &slot.what)).collect();
        let gaps: Vec<_> = recovered.logs.iter().map(|log| &log.gaps).collect();
        let doubtful: Vec<_> = recovered.doubtful.iter().map(|slot| (slot.slot, &slot.what)).collect();
        format!(
            "accepted {accepted:?}, damaged {damaged:?}, doubtful {doubtful:?}, gaps {gaps:?}, attempted {:#?}",
            self.attempts
        )
    }

    fn check_found(&mut self, found: &RecoveredSlot) {
        match found.chosen {
            true => {
                assert!(found.slot.0 as usize <= self.chosen, "slot {} is not chosen", found.slot);
                assert_eq!(
                    found.manifest,
                    hash_of(&self.leader[found.slot.0 as usize - 1]),
                    "slot {}",
                    found.slot
                );
            }
            false => self.check_manifest(found.slot, found.manifest, Some(found.ballot)),
        }
        for (id, location) in &found.stripes {
            assert_eq!(Hash::of(&read_payload(&mut self.device, *location)), id.hash);
        }
    }

    /// It is the last accept at its slot that others were told of, or a later one.
    fn check_manifest(&self, slot: Slot, manifest: Hash, ballot: Option<Ballot>) {
        let attempts = self.attempts.get(&slot).map_or(&[][..], Vec::as_slice);
        let is_it = |attempt: &Attempt| {
            attempt.manifest == manifest && ballot.is_none_or(|ballot| attempt.ballot == ballot)
        };
        let least = attempts.iter().rposition(|attempt| attempt.told).unwrap_or(0);
        let found = attempts.iter().skip(least).any(is_it);
        assert!(found, "slot {slot}: {manifest:?} under {ballot:?} is not the last of {attempts:#?}");
    }
}

pub fn recover_with_peers(device: &mut MemoryDevice, superblock: &Superblock) -> Recovered {
    recover(device, superblock, &mut read_accept, peers()).unwrap()
}

pub fn peers() -> Peers {
    Peers::Some { repairable: |log| log.0 < 2 }
}

fn append(logs: &mut BTreeMap<LogId, Log>, log: LogId, entry: Entry, payload: &[u8]) -> RecordSequence {
    let mut buffer = BlockBuffer::for_record(payload.len());
    buffer.extend_from_slice(payload);
    logs.get_mut(&log).unwrap().append(entry, buffer).expect("there is room")
}

/// Of the manifest alone, which neither ballot nor what is known chosen is part of.
fn hash_of(value: &Value) -> Hash {
    Hash::of(&[&value.number.to_le_bytes()[..], &value.previous.0].concat())
}

fn first_superblock() -> Superblock {
    Superblock::first(common::identity(LOGS[0]).cluster, ReplicaId(0), common::RECORD_KEY, SEGMENT_BYTES)
}

fn config() -> LogConfig {
    LogConfig { segments_max: 200, reserve_bytes: 0, ..LogConfig::default() }
}
