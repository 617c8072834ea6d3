//! Every byte that a replica reads from its disk, flipped in turn: found out, or of no consequence; never a wrong
//! answer, never a panic. Names in comments are those of `ledger.allium`.
//!
//! | what | where |
//! |---|---|
//! | a record of each kind; a log of several; both copies of the superblock | here |
//! | a log of several, with peers | `wal/tests/damaged.rs` |
//! | one copy of the superblock | `wal/src/superblock.rs` |
//! | manifest, stripe, accept, published outcomes, frames | `engine/wire/tests/flips.rs` |
//! | the active checkpoint of a whole replica | `tests/sim/tests/replica/flips.rs` |

mod common;

use assize_wal::header::{Entry, Mark, RecordHeader};
use assize_wal::log::check_record;
use assize_wal::recovery::Recovered;
use assize_wal::superblock::find;
use assize_wal::{BlockBuffer, RecoveryError, SegmentId, SegmentReader};
use assize_wire::{Ballot, Hash, Incarnation, LogId, ReplicaId, ShardId, Slot, StreamTime, StripeId};
use common::{LOGS, Replica, SEGMENT_BYTES, check_recovered, recover_from};
use zerocopy::IntoBytes;

/// EveryByteChecked (L3): header, payload and padding of every kind of record, with each bit of each byte.
#[test]
fn l3_every_flipped_bit_of_every_kind_of_record_is_found_out() {
    let payload = [0x5a; 300];
    let (hash, slot) = (Hash::of(&payload), Slot(7));
    let entries = [
        (Entry::Stripe(StripeId { shard: ShardId(1), hash }), 0),
        (Entry::Accept { slot, ballot: Ballot::new(3, ReplicaId(0)), manifest: hash }, 0),
        (Entry::Accept { slot, ballot: Ballot::new(3, ReplicaId(0)), manifest: hash }, 1),
        (Entry::Idle, 0),
        (Entry::Outcomes { shard: ShardId(1), first: slot, last: Slot(9), time: StreamTime(77) }, 0),
        (Entry::Entities { slot, shard: ShardId(1), number: 3 }, 0),
        (Entry::Keys { shard: ShardId(1), first: 40, next: 55 }, 0),
        (Entry::Part { slot, shard: ShardId(1), records: 4 }, 0),
        (Entry::Start, 0),
        (Entry::Entities { slot, shard: ShardId(1), number: 3 }, 0),
        (Entry::Keys { shard: ShardId(1), first: 5, next: 9 }, 0),
        (Entry::Part { slot, shard: ShardId(1), records: 4 }, 0),
    ];
    let identity = common::identity(LogId(0));
    for (entry, copy) in entries {
        let mut buffer = BlockBuffer::for_record(payload.len());
        buffer.extend_from_slice(&payload);
        let header = RecordHeader {
            entry,
            copy,
            checksum: 0,
            previous: 0x1234_5678,
            offset: 8192,
            segment: SegmentId(0),
            incarnation: Incarnation(2),
            payload_bytes: payload.len() as u32,
            mark: Mark { ballot: Ballot::new(3, ReplicaId(0)), slot: Slot(6) },
            group_blocks: 1,
            durable_through: 4096,
        };
        header.seal(&identity, &mut buffer);
        let whole = buffer.as_blocks().to_vec();
        assert!(check_record(&identity, 8192, whole.clone()).is_ok(), "{entry:?}");
        for at in 0..whole.len() * 4096 {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped.as_mut_slice().as_mut_bytes()[at] ^= 1 << bit;
                assert!(check_record(&identity, 8192, flipped).is_err(), "{entry:?}: byte {at} bit {bit}");
            }
        }
    }
}

/// EveryByteChecked, LossRefused, AcceptReadFromTwin (L5, P2): a start after any one byte of any log has changed finds
/// everything that was promised, or refuses and names the log; and it refuses only where a record lies.
#[test]
fn l5_every_flipped_byte_of_every_log_is_refused_or_changes_nothing() {
    let mut replica = Replica::format(11);
    replica.pump(60).unwrap();
    for round in 0..3 {
        replica.stripe(0, 40 + round * 2100);
        replica.stripe(1, 500);
        while replica.logs[&LOGS[1]].has_unwritten() {
            replica.pump(1).unwrap();
        }
        replica.accept();
        replica.outcomes();
        replica.quiesce().unwrap();
    }
    let copies = [0, 1].map(|copy| replica.device.read_superblock(copy).unwrap());
    let superblock = find(copies).unwrap().superblock;
    let (mut refused, mut unharmed) = (0, 0);
    for log in LOGS {
        let used = replica.logs[&log].durable_through();
        assert!(used < SEGMENT_BYTES, "the log has left its first segment, the only one looked at here");
        for byte in worth_flipping(replica.device.bytes(log, SegmentId(0))) {
            replica.device.flip_bit(log, SegmentId(0), byte, (byte % 8) as u8);
            match recover_from(&mut replica.device, &superblock) {
                Ok(recovered) => {
                    assert_eq!(recovered.accepted.len(), replica.model.promised, "log {log} byte {byte}");
                    check_promised(&mut replica, &recovered, log);
                    unharmed += 1;
                }
                Err(error @ RecoveryError::Lost { .. }) => {
                    assert!(byte < used, "log {log}: byte {byte} is behind the end: {error}");
                    let report = error.to_string();
                    assert!(report.contains(&format!("log {log}")) || report.contains("shard"), "{report}");
                    refused += 1;
                }
                Err(error) => panic!("log {log} byte {byte}: {error}"),
            }
            replica.device.flip_bit(log, SegmentId(0), byte, (byte % 8) as u8);
        }
    }
    assert!(refused > 1_000 && unharmed > 1_000, "{refused} refused, {unharmed} unharmed");
}

/// Every byte of headers and payloads, and some of each block's zeros, which are all alike.
fn worth_flipping(bytes: &[u8]) -> Vec<u64> {
    let of_block = |(block, bytes): (usize, &[u8])| {
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let all = (0..used).chain((used..bytes.len()).step_by(509));
        all.map(|at| (block * 4096 + at) as u64).collect::<Vec<u64>>()
    };
    bytes.chunks(4096).enumerate().flat_map(of_block).collect()
}

/// Nothing else is there than what was proposed, and all that was promised. A chunk of outcomes at the end of its log
/// is proven by nothing, and made again from the slots (L9): what is there must be right.
fn check_promised(replica: &mut Replica, recovered: &Recovered, flipped: LogId) {
    let mut model = replica.model.clone();
    if flipped == LOGS[2] {
        model.outcomes.retain(|slot| recovered.outcomes.locate(ShardId(0), *slot).is_some());
    }
    check_recovered(&mut replica.device, &model, recovered);
}

/// SuperblockUpdated (L7): a start after any one byte of either copy has changed has the other one, and one of an
/// acknowledged update is never older than the last before it.
#[test]
fn l7_every_flipped_byte_of_either_superblock_leaves_the_other() {
    let mut replica = Replica::format(12);
    replica.start().unwrap();
    let copies = [0, 1].map(|copy| replica.device.read_superblock(copy).unwrap());
    let whole = find(copies.clone()).unwrap();
    assert_eq!(whole.rewrite, None);
    let bytes = assize_wal::limits::SUPERBLOCK_COPY_BYTES;
    for copy in [0, 1] {
        for at in 0..bytes {
            let mut flipped = copies.clone();
            flipped[copy].as_mut().unwrap().as_mut_slice().as_mut_bytes()[at] ^= 1 << (at % 8);
            let found = find(flipped).unwrap_or_else(|error| panic!("copy {copy} byte {at}: {error}"));
            assert_eq!(found.superblock, whole.superblock, "copy {copy} byte {at}");
            assert_eq!(found.rewrite, Some(copy as u8), "copy {copy} byte {at}");
        }
    }
}
