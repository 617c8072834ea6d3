//! What a device holds, by its copies of the superblock and its logs. Names in comments are those of `ledger.allium`.

use assize_wal::formatted::{Formatted, formatted};
use assize_wal::memory::MemoryDevice;
use assize_wal::operation::{Device, Operation, OperationId};
use assize_wal::superblock::{Superblock, SuperblockError};
use assize_wal::{Block, SegmentId};
use assize_wire::{ClusterId, LogId, ReplicaId};
use zerocopy::IntoBytes;

fn first(sequence: u64) -> Vec<Block> {
    let first = Superblock {
        sequence,
        parameters: vec![7; 90],
        ..Superblock::first(ClusterId(42), ReplicaId(0), 9, 1 << 20)
    };
    first.encode()
}

/// Half of its only sectors that are not zero.
fn torn() -> Vec<Block> {
    let mut blocks = first(1);
    blocks.as_mut_slice().as_mut_bytes()[100..512].fill(0);
    blocks
}

fn of_another_version() -> Vec<Block> {
    let mut blocks = first(1);
    let bytes = blocks.as_mut_slice().as_mut_bytes();
    bytes[4] = 99;
    bytes[8..12].fill(0);
    let checksum = crc32c::crc32c(bytes);
    bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    blocks
}

fn device(copies: [Option<Vec<Block>>; 2], with_log: bool) -> MemoryDevice {
    let mut device = MemoryDevice::new(1);
    for (copy, blocks) in (0..).zip(copies) {
        if let Some(blocks) = blocks {
            device.write_superblock(copy, &blocks).unwrap();
        }
    }
    if with_log {
        let id = OperationId { log: LogId(0), number: 1 };
        device.submit(Operation::PrepareSegment {
            id,
            segment: SegmentId(0),
            bytes: 1 << 16,
            recycled: None,
            urgent: true,
        });
        while device.poll().is_none() {}
    }
    device
}

/// FormatStartsOver, HalfFormatCounts, FormattedOnce (L7): every row of the table, and all that no format leaves.
#[test]
fn l7_only_what_an_unfinished_format_leaves_is_formatted_over() {
    let states = [None, Some(torn()), Some(of_another_version()), Some(first(1)), Some(first(2))];
    for (a, first) in states.iter().enumerate() {
        for (b, second) in states.iter().enumerate() {
            for with_log in [false, true] {
                let found = formatted(&mut device([first.clone(), second.clone()], with_log)).unwrap();
                let whole = a >= 3 || b >= 3;
                match (a, b, with_log) {
                    (0, 0, false) => assert_eq!(found, Formatted::No),
                    (1, 0, false) => assert_eq!(found, Formatted::Unfinished),
                    _ if whole => assert!(matches!(found, Formatted::Yes(_)), "{a} {b} {found:?}"),
                    _ => {
                        let corrupt = matches!(found, Formatted::Corrupt(SuperblockError::Corrupt { .. }));
                        assert!(corrupt, "{a} {b} {found:?}");
                    }
                }
                if let (3 | 4, 0 | 1, Formatted::Yes(found)) = (a, b, &found) {
                    assert_eq!(found.rewrite, Some(1), "the copy that lacks is written again");
                }
            }
        }
    }
}
