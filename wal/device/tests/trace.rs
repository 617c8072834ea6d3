//! What a tracer hears of one write, with each way of making it durable. The names in comments are those of
//! `ledger.allium`.

use std::sync::{Arc, Mutex};

use assize_device::{DeviceOptions, DiskEvent, DurabilityMode, Place, RingDevice, Tracer};
use assize_wal::operation::{Operation, OperationId};
use assize_wal::{BlockBuffer, Device, SegmentId};
use assize_wire::LogId;
use tempfile::TempDir;

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<DiskEvent>>);

impl Tracer for Heard {
    fn record(&self, event: DiskEvent) {
        self.0.lock().expect("nothing panics under it").push(event);
    }
}

const PREPARE: OperationId = OperationId { log: LogId(1), number: 1 };
const WRITE: OperationId = OperationId { log: LogId(1), number: 2 };
const FLUSH: OperationId = OperationId { log: LogId(1), number: 3 };
const SEGMENT: SegmentId = SegmentId(4);
const PLACE: Place = Place::Segment(LogId(1), SEGMENT);

/// A segment is prepared, a group written with a flush, and the segment flushed on its own.
fn heard(mode: DurabilityMode) -> Vec<DiskEvent> {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
    let heard = Arc::new(Heard::default());
    let options = DeviceOptions { mode, tracer: Some(Arc::clone(&heard) as Arc<_>) };
    let mut device = RingDevice::with(folder.path(), options).expect("the host has io_uring");
    let group = [1, 2].map(|byte| {
        let mut buffer = BlockBuffer::for_record(5000);
        buffer.extend_from_slice(&[byte; 5000]);
        Arc::new(buffer)
    });
    let operations = [
        Operation::PrepareSegment {
            id: PREPARE,
            segment: SEGMENT,
            bytes: 1 << 20,
            recycled: None,
            urgent: true,
        },
        Operation::Write { id: WRITE, segment: SEGMENT, offset: 8192, buffers: group.to_vec(), flush: true },
        Operation::Flush { id: FLUSH, segment: SEGMENT },
    ];
    for operation in operations {
        let id = operation.id();
        device.submit(operation);
        let completion = loop {
            device.wait();
            if let Some(completion) = device.poll() {
                break completion;
            }
        };
        assert!(completion.id == id && completion.result.is_ok(), "{completion:?}");
    }
    let bytes = group.iter().flat_map(|buffer| buffer.as_blocks_bytes().to_vec()).collect();
    let mut events = std::mem::take(&mut *heard.0.lock().expect("nothing panics under it"));
    assert_eq!(events[0], DiskEvent::Named { place: PLACE, bytes: 1 << 20 });
    assert_eq!(events[1], DiskEvent::NameDurable { place: PLACE });
    assert_eq!(events[2], DiskEvent::WriteSubmitted { id: WRITE, place: PLACE, offset: 8192, bytes });
    events.split_off(3)
}

/// WriteCompleted, FlushCompleted: submitted before it can happen, completed after it has (L3).
#[test]
fn l3_a_linked_flush_is_told_apart_from_its_write() {
    let expected = [
        DiskEvent::FlushSubmitted { id: WRITE, place: PLACE },
        DiskEvent::WriteCompleted { id: WRITE, durable: false },
        DiskEvent::FlushCompleted { id: WRITE },
        DiskEvent::FlushSubmitted { id: FLUSH, place: PLACE },
        DiskEvent::FlushCompleted { id: FLUSH },
    ];
    assert_eq!(heard(DurabilityMode::LinkedFdatasync), expected);
}

#[test]
fn l3_a_synced_write_makes_itself_durable() {
    let expected = [
        DiskEvent::WriteCompleted { id: WRITE, durable: true },
        DiskEvent::FlushSubmitted { id: FLUSH, place: PLACE },
        DiskEvent::FlushCompleted { id: FLUSH },
    ];
    assert_eq!(heard(DurabilityMode::WriteDsync), expected);
}

/// The device that the power-cut test must find out.
#[test]
fn an_unflushed_device_makes_nothing_durable() {
    assert_eq!(heard(DurabilityMode::Unflushed), [DiskEvent::WriteCompleted { id: WRITE, durable: false }]);
}
