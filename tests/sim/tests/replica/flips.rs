//! Every byte of an active checkpoint flipped in turn, and whole files of it gone: a start refuses and names what is
//! lost, or comes to exactly the same state.

use std::collections::BTreeMap;

use assize_sim::left::recover_logs;
use assize_sim::shape::{Shape, build_core};
use assize_sim::world::World;
use assize_wal::log::check_record;
use assize_wal::memory::MemoryDevice;
use assize_wal::recovery::{Recovered, RecoveryError};
use assize_wal::superblock::{Superblock, find};
use assize_wal::{BLOCK_BYTES, Block, DeviceError, RecordLocation, SegmentId, SegmentReader};
use assize_wire::checkpoint::SAVED_KEY_BYTES;
use assize_wire::{LogId, ShardId};

/// A replica that has taken checkpoints and is at rest, as its disk holds it.
struct Rest {
    shape: Shape,
    device: MemoryDevice,
    superblock: Superblock,
}

/// ShardRestored (L5, L6): every byte of headers and payloads in the logs of parts and keys, and some of the zeros.
#[test]
fn l6_every_flipped_byte_of_a_checkpoint_is_refused_or_changes_nothing() {
    for cores in [1, 2] {
        let rest = Rest::with_checkpoints(cores);
        let mut device = rest.device.clone();
        let whole = rest.recover(&mut device).unwrap();
        let state = rest.state(&mut device, &whole);
        let (mut refused, mut unharmed) = (0, 0);
        for log in rest.logs_of_checkpoints() {
            for (segment, _) in rest.device.clone().segments(log).unwrap() {
                for byte in worth_flipping(rest.device.bytes(log, segment)) {
                    device.flip_bit(log, segment, byte, (byte % 8) as u8);
                    let what = format!("{cores} cores: log {log}, segment {segment}, byte {byte}");
                    match rest.recover(&mut device) {
                        Ok(recovered) => {
                            assert!(rest.state(&mut device, &recovered) == state, "{what} changes the state");
                            unharmed += 1;
                        }
                        Err(error) => {
                            assert_names(&what, &error, log);
                            refused += 1;
                        }
                    }
                    device.flip_bit(log, segment, byte, (byte % 8) as u8);
                }
            }
        }
        println!("{cores} cores: {refused} refused, {unharmed} unharmed");
        assert!(refused > 1_000 && unharmed > 10, "{cores} cores: {refused} refused, {unharmed} unharmed");
    }
}

/// L7: a superblock that names a checkpoint; one copy is enough, and two that are not whole are refused.
#[test]
fn l7_every_flipped_byte_of_a_superblock_with_a_checkpoint_is_found_out() {
    let rest = Rest::with_checkpoints(2);
    let copies = [0, 1].map(|copy| rest.device.clone().read_superblock(copy).unwrap());
    let bytes: Vec<u8> = copies[0].iter().flatten().flat_map(|block| block.0).collect();
    for at in worth_flipping(&bytes) {
        let flip = |copy: &mut Option<Vec<Block>>| {
            let block = &mut copy.as_mut().unwrap()[at as usize / BLOCK_BYTES];
            block.0[at as usize % BLOCK_BYTES] ^= 1 << (at % 8);
        };
        for copy in [0, 1] {
            let mut flipped = copies.clone();
            flip(&mut flipped[copy]);
            let found = find(flipped).unwrap_or_else(|error| panic!("copy {copy} byte {at}: {error}"));
            assert_eq!(found.superblock, rest.superblock, "copy {copy} byte {at}");
        }
        let mut both = copies.clone();
        both.iter_mut().for_each(flip);
        assert!(find(both).is_err(), "byte {at} of both");
    }
}

/// L5: a segment, a log or all files of a checkpoint are gone, or a block of it cannot be read.
#[test]
fn l5_what_is_gone_of_a_checkpoint_is_named() {
    for cores in [1, 2] {
        let rest = Rest::with_checkpoints(cores);
        for log in rest.logs_of_checkpoints() {
            let kept = rest.superblock.cut(log).unwrap();
            let end = rest.shape.identity(log).segment_of(kept.offset - 1);
            for segment in kept.first_segment.0..=end.0 {
                let gone = Without { device: rest.device.clone(), log, segment: Some(SegmentId(segment)) };
                rest.assert_refused(&format!("without segment {segment} of log {log}"), gone, log);
                let mut device = rest.device.clone();
                device.make_unreadable(log, SegmentId(segment), 0);
                rest.assert_refused(&format!("segment {segment} of log {log} unreadable"), device, log);
            }
            let gone = Without { device: rest.device.clone(), log, segment: None };
            rest.assert_refused(&format!("without log {log}"), gone, log);
        }
    }
}

/// What a start comes to: the checkpoint's entities and live keys by shard, and the slots above it.
#[derive(Debug, PartialEq, Eq)]
struct State {
    entities: BTreeMap<ShardId, Vec<Vec<u8>>>,
    keys: BTreeMap<(ShardId, u64), Vec<u8>>,
    slots: Vec<Vec<u8>>,
}

impl Rest {
    /// Two shards, whose clients have worked until there were several checkpoints. With one core there was a start
    /// since, which proves all that it found; with two the superblock says only what the last checkpoint needs.
    fn with_checkpoints(cores: u16) -> Rest {
        let shape = Shape {
            cores,
            shards: 2,
            window: 1,
            stripe_bytes: 4_400,
            stripe_events: 8,
            segment_bytes: 64 << 10,
            checkpoint_bytes: 64 << 10,
            warden_capacity: 2_000,
            entity_capacity: 64,
            ..Shape::smallest()
        };
        let mut world = World::serving(shape, 3);
        let mut rounds = 0;
        while world.replicas[0].seen.checkpoints < 3 {
            world.run(100);
            rounds += 1;
            assert!(rounds < 5_000, "{:?}", world.replicas[0].seen);
        }
        world.finish();
        world.replicas[0].pass(1_000_000_000);
        world.replicas[0].settle();
        world.crash();
        if cores == 1 {
            world.replicas[0].start().unwrap();
            world.crash();
        }
        let device = world.replicas[0].disk.device.clone();
        let copies = [0, 1].map(|copy| device.clone().read_superblock(copy).unwrap());
        let superblock = find(copies).unwrap().superblock;
        assert!(superblock.checkpoint.is_some());
        Rest { shape, device, superblock }
    }

    /// Of parts and of keys, of each core.
    fn logs_of_checkpoints(&self) -> Vec<LogId> {
        let cores = (0..self.shape.cores() as u16).map(assize_wire::CoreId);
        cores.map(assize_node::LogIds::of).flat_map(|ids| [ids.parts, ids.keys]).collect()
    }

    fn recover(&self, reader: &mut dyn SegmentReader) -> Result<Recovered, RecoveryError> {
        recover_logs(reader, &self.superblock, 1)
    }

    /// Builds the cores, which restores every shard, and reads what they were restored from.
    fn state(&self, device: &mut MemoryDevice, recovered: &Recovered) -> State {
        for core in 0..self.shape.cores() {
            build_core(&self.shape, core, recovered, &self.superblock, device).check_invariants();
        }
        let (mut entities, mut keys) = (BTreeMap::new(), BTreeMap::new());
        for part in &recovered.checkpoint.as_ref().unwrap().parts {
            let shard = part.head.shard;
            let payloads = part.entities.iter().map(|location| self.payload(device, *location)).collect();
            entities.insert(shard, payloads);
            for record in &part.keys {
                let payload = self.payload(device, record.location);
                let live = part.head.keys_from..part.head.keys_next;
                let numbered = (record.first..).zip(payload.chunks(SAVED_KEY_BYTES));
                let numbered = numbered.filter(|(number, _)| live.contains(number));
                keys.extend(numbered.map(|(number, key)| ((shard, number), key.to_vec())));
            }
        }
        assert!(keys.len() > 20, "{} live keys", keys.len());
        let slots = recovered.accepted.iter().map(|slot| slot.payload.to_vec()).collect();
        State { entities, keys, slots }
    }

    fn payload(&self, device: &mut MemoryDevice, location: RecordLocation) -> Vec<u8> {
        let mut blocks = vec![Block::ZERO; location.bytes as usize / BLOCK_BYTES];
        device.read(location.log, location.segment, location.offset, &mut blocks).unwrap();
        let identity = self.shape.identity(location.log);
        let offset = identity.start_of(location.segment) + location.offset;
        check_record(&identity, offset, blocks).unwrap().buffer.payload().to_vec()
    }

    fn assert_refused(&self, what: &str, mut reader: impl SegmentReader, log: LogId) {
        match self.recover(&mut reader) {
            Ok(_) => panic!("{what} it starts"),
            Err(error) => assert_names(what, &error, log),
        }
    }
}

/// The refusal is about this log.
fn assert_names(what: &str, error: &RecoveryError, log: LogId) {
    let report = error.to_string();
    assert!(matches!(error, RecoveryError::Lost { .. }), "{what}: {report}");
    assert!(report.contains(&format!("log {log} ")), "{what}: {report}");
}

/// Every byte of headers and payloads, and some of each block's zeros, which are all alike.
fn worth_flipping(bytes: &[u8]) -> Vec<u64> {
    let of_block = |(block, bytes): (usize, &[u8])| {
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let all = (0..used).chain((used..bytes.len()).step_by(1021));
        all.map(|at| (block * BLOCK_BYTES + at) as u64).collect::<Vec<u64>>()
    };
    bytes.chunks(BLOCK_BYTES).enumerate().flat_map(of_block).collect()
}

/// A disk on which a segment is gone, or all of a log.
struct Without {
    device: MemoryDevice,
    log: LogId,
    segment: Option<SegmentId>,
}

impl SegmentReader for Without {
    fn logs(&mut self) -> Result<Vec<LogId>, DeviceError> {
        let mut logs = self.device.logs()?;
        logs.retain(|log| *log != self.log || self.segment.is_some());
        Ok(logs)
    }

    fn segments(&mut self, log: LogId) -> Result<Vec<(SegmentId, u64)>, DeviceError> {
        let mut segments = self.device.segments(log)?;
        let gone = |id: SegmentId| log == self.log && self.segment.is_none_or(|segment| segment == id);
        segments.retain(|(id, _)| !gone(*id));
        Ok(segments)
    }

    fn read(
        &mut self,
        log: LogId,
        segment: SegmentId,
        offset: u64,
        into: &mut [Block],
    ) -> Result<(), DeviceError> {
        self.device.read(log, segment, offset, into)
    }

    fn flush(&mut self, log: LogId) -> Result<(), DeviceError> {
        SegmentReader::flush(&mut self.device, log)
    }

    fn read_superblock(&mut self, copy: u8) -> Result<Option<Vec<Block>>, DeviceError> {
        self.device.read_superblock(copy)
    }
}
