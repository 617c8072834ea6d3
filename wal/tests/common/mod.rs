//! A replica reduced to its logs, and beside it the plain model of what it promised: lists, no log.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;

use assize_wal::block::BlockBuffer;
use assize_wal::log::{FlushPolicy, LogFailure, check_record};
use assize_wal::memory::{MemoryDevice, Random};
use assize_wal::recovery::{AcceptRead, Peers, Recovered, RecoveryError, recover};
use assize_wal::superblock::{Superblock, SuperblockStore, find};
use assize_wal::{
    BLOCK_BYTES, Block, Device, Entry, Log, LogConfig, LogIdentity, Mark, RecordLocation, RecordSequence,
    SegmentReader,
};
use assize_wire::{
    Ballot, ClusterId, Hash, Incarnation, LogId, ReplicaId, ShardId, Slot, StreamTime, StripeId,
};

pub const SEGMENT_BYTES: u64 = 64 << 10;
pub const RECORD_KEY: u128 = 1 << 100 | 7;
/// Shard 0's stripes and the accepts share log 0; shard 1's stripes have log 1; outcomes are written lazily to log 2.
pub const LOGS: [LogId; 3] = [LogId(0), LogId(1), LogId(2)];

/// What was promised, and what may have happened beyond it.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Slot 1 on: what was proposed there, promised or not.
    pub proposed: Vec<Proposal>,
    /// Slots up to here were reported durable.
    pub promised: usize,
    /// Outcome chunks reported durable, by slot.
    pub outcomes: Vec<Slot>,
}

#[derive(Clone, Debug)]
pub struct Proposal {
    pub payload: Vec<u8>,
    pub stripes: Vec<(StripeId, Vec<u8>)>,
}

pub struct Replica {
    pub device: MemoryDevice,
    pub logs: BTreeMap<LogId, Log>,
    pub model: Model,
    pub random: Random,
    pub incarnation: Incarnation,
    /// Stripes that no slot names yet; log 1's only once they are durable (P2).
    unnamed: Vec<(StripeId, Vec<u8>)>,
    under_way: Vec<(RecordSequence, StripeId, Vec<u8>)>,
    outcome_slot: u64,
}

impl Replica {
    /// Formats a device and starts on it.
    pub fn format(seed: u64) -> Replica {
        let mut device = MemoryDevice::new(seed);
        let first = Superblock::first(ClusterId(42), ReplicaId(0), RECORD_KEY, SEGMENT_BYTES);
        let mut store = SuperblockStore::format(first);
        store.drive(|copy, blocks| device.write_superblock(copy, blocks)).unwrap();
        let mut replica = Replica {
            device,
            logs: BTreeMap::new(),
            model: Model::default(),
            random: Random(seed),
            incarnation: Incarnation(0),
            unnamed: vec![],
            under_way: vec![],
            outcome_slot: 0,
        };
        replica.start().unwrap();
        replica
    }

    /// Recovers, checks what was recovered against the model, and goes on under a new incarnation.
    pub fn start(&mut self) -> Result<(), RecoveryError> {
        let copies = [0, 1].map(|copy| self.device.read_superblock(copy).unwrap());
        let mut store = SuperblockStore::new(find(copies).unwrap());
        let recovered = recover_from(&mut self.device, store.current())?;
        check_recovered(&mut self.device, &self.model, &recovered);
        // What was recovered is promised from now on; what was not is gone.
        self.model.proposed.truncate(recovered.accepted.len());
        self.model.promised = recovered.accepted.len();
        self.incarnation = recovered.incarnation;
        let cuts = recovered.cuts(&LOGS);
        store.handle_update(|superblock| {
            superblock.incarnation = recovered.incarnation;
            superblock.cuts = cuts;
        });
        let device = &mut self.device;
        store.drive(|copy, blocks| device.write_superblock(copy, blocks)).unwrap();
        self.logs = LOGS.map(|log| (log, Log::new(identity(log), config(log), recovered.start(log)))).into();
        (self.unnamed, self.under_way) = (vec![], vec![]);
        self.outcome_slot = recovered.outcomes.last(ShardId(0)).map_or(0, |slot| slot.0);
        Ok(())
    }

    pub fn stripe(&mut self, shard: u16, bytes: usize) {
        let mut buffer = BlockBuffer::for_record(bytes);
        buffer.extend_from_slice(&self.random.next_u64().to_le_bytes());
        buffer.extend_zeroed(bytes).fill(self.random.next_u64() as u8);
        let content = buffer.payload().to_vec();
        let id = StripeId { shard: ShardId(shard), hash: Hash::of(&content) };
        let log = self.logs.get_mut(&LogId(shard)).unwrap();
        match log.append(Entry::Stripe(id), buffer) {
            Ok(_) if shard == 0 => self.unnamed.push((id, content)),
            Ok(sequence) => self.under_way.push((sequence, id, content)),
            Err(full) => assert_eq!(full.buffer.payload(), content, "a refused record is handed back"),
        }
    }

    /// Forms a slot from every stripe that may be named.
    pub fn accept(&mut self) {
        let slot = Slot(self.model.proposed.len() as u64 + 1);
        let previous = self.model.proposed.last().map_or(Hash::ZERO, |below| Hash::of(&below.payload));
        let mut payload = accept_head(slot, Slot(self.model.promised as u64), previous);
        for (id, _) in &self.unnamed {
            payload.extend_from_slice(&id.shard.0.to_le_bytes());
            payload.extend_from_slice(&id.hash.0);
        }
        let mut buffer = BlockBuffer::for_record(payload.len());
        buffer.extend_from_slice(&payload);
        let entry = Entry::Accept { slot, ballot: self.ballot(), manifest: Hash::of(&payload) };
        if self.logs.get_mut(&LogId(0)).unwrap().append(entry, buffer).is_ok() {
            let stripes = std::mem::take(&mut self.unnamed);
            self.model.proposed.push(Proposal { payload, stripes });
        }
    }

    pub fn outcomes(&mut self) {
        let slot = Slot(self.outcome_slot + 1);
        let mut buffer = BlockBuffer::for_record(3000);
        buffer.extend_from_slice(&[slot.0 as u8; 3000]);
        let entry = Entry::Outcomes { shard: ShardId(0), first: slot, last: slot, time: StreamTime(slot.0) };
        if self.logs.get_mut(&LogId(2)).unwrap().append(entry, buffer).is_ok() {
            self.outcome_slot += 1;
        }
    }

    pub fn idle(&mut self) {
        self.logs.values_mut().for_each(Log::handle_idle);
    }

    /// Lets the device take `steps` steps.
    pub fn pump(&mut self, steps: usize) -> Result<(), LogFailure> {
        for _ in 0..steps {
            for log in self.logs.values_mut() {
                while let Some(operation) = log.poll_operation() {
                    self.device.submit(operation);
                }
            }
            if let Some(completion) = self.device.poll() {
                self.logs.get_mut(&completion.id.log).unwrap().handle_completion(completion)?;
            }
            self.take_durable();
            self.logs.values().for_each(Log::check_invariants);
        }
        Ok(())
    }

    /// Lets everything become durable, marks included.
    pub fn quiesce(&mut self) -> Result<(), LogFailure> {
        for _ in 0..2 {
            self.idle();
            while !self.logs.values().all(Log::is_idle) {
                self.pump(1)?;
            }
        }
        Ok(())
    }

    fn ballot(&self) -> Ballot {
        Ballot::new(self.incarnation.0, ReplicaId(0))
    }

    fn take_durable(&mut self) {
        let mut mark = None;
        for log in self.logs.values_mut() {
            while let Some(durable) = log.poll_durable() {
                match durable.entry {
                    Entry::Stripe(_) => {
                        while self.under_way.first().is_some_and(|first| {
                            log.identity().log == LogId(1) && first.0 <= durable.sequence
                        }) {
                            let (_, id, content) = self.under_way.remove(0);
                            self.unnamed.push((id, content));
                        }
                    }
                    Entry::Accept { slot, ballot, .. } => {
                        self.model.promised += 1;
                        assert_eq!(slot.0 as usize, self.model.promised, "accepts become durable in order");
                        mark = Some(Mark { ballot, slot });
                    }
                    Entry::Outcomes { first, .. } => self.model.outcomes.push(first),
                    _ => {}
                }
            }
        }
        if let Some(mark) = mark {
            self.logs.values_mut().for_each(|log| log.handle_mark(mark));
        }
    }
}

/// Nothing promised is lost, nothing is there that was not proposed.
pub fn check_recovered(device: &mut MemoryDevice, model: &Model, recovered: &Recovered) {
    let found = recovered.accepted.len();
    assert!(found >= model.promised, "{} slots promised, {found} recovered", model.promised);
    for (index, (slot, proposal)) in recovered.accepted.iter().zip(&model.proposed).enumerate() {
        assert_eq!(slot.slot.0 as usize, index + 1);
        assert_eq!(*slot.payload, *proposal.payload, "slot {}", slot.slot);
        assert_eq!(slot.stripes.len(), proposal.stripes.len());
        for ((id, location), (expected, content)) in slot.stripes.iter().zip(&proposal.stripes) {
            assert_eq!(id, expected);
            assert_eq!(read_payload(device, *location), *content);
        }
    }
    assert!(found <= model.proposed.len(), "{found} slots recovered, {} proposed", model.proposed.len());
    for slot in &model.outcomes {
        let location = recovered.outcomes.locate(ShardId(0), *slot).expect("durable outcomes are indexed");
        assert_eq!(read_payload(device, location), [slot.0 as u8; 3000]);
    }
}

pub fn recover_from(device: &mut MemoryDevice, superblock: &Superblock) -> Result<Recovered, RecoveryError> {
    recover(device, superblock, &mut read_accept, Peers::None)
}

/// How the payload of an accept begins here: slot, known chosen, hash of the manifest below. Then the stripes' ids.
/// All of it is the manifest, too.
pub fn accept_head(slot: Slot, chosen: Slot, previous: Hash) -> Vec<u8> {
    [&slot.0.to_le_bytes()[..], &chosen.0.to_le_bytes(), &previous.0].concat()
}

pub fn read_accept(payload: &[u8]) -> Option<AcceptRead> {
    let stripe = |bytes: &[u8]| StripeId {
        shard: ShardId(u16::from_le_bytes([bytes[0], bytes[1]])),
        hash: Hash(bytes[2..].try_into().unwrap()),
    };
    Some(AcceptRead {
        chosen: Slot(u64::from_le_bytes(payload.get(8..16)?.try_into().unwrap())),
        previous: Hash(payload.get(16..48)?.try_into().unwrap()),
        stripes: payload[48..].chunks_exact(34).map(stripe).collect(),
    })
}

pub fn read_payload(device: &mut MemoryDevice, location: RecordLocation) -> Vec<u8> {
    let mut blocks = vec![Block::ZERO; location.bytes as usize / BLOCK_BYTES];
    device.read(location.log, location.segment, location.offset, &mut blocks).unwrap();
    let identity = identity(location.log);
    let record =
        check_record(&identity, identity.start_of(location.segment) + location.offset, blocks).unwrap();
    record.buffer.payload().to_vec()
}

pub fn identity(log: LogId) -> LogIdentity {
    LogIdentity {
        cluster: ClusterId(42),
        record_key: RECORD_KEY,
        replica: ReplicaId(0),
        log,
        segment_bytes: SEGMENT_BYTES,
    }
}

fn config(log: LogId) -> LogConfig {
    let flush = if log == LogId(2) { FlushPolicy::OnRequest } else { FlushPolicy::EachGroup };
    LogConfig { segments_max: 12, reserve_bytes: 16 << 10, flush, ..LogConfig::default() }
}
