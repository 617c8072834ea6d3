//! A log that is followed while it is written, through restarts: every record of it comes once, in order, and none
//! before it is durable.

mod common;

use assize_wal::follow::{Follower, read_record};
use assize_wal::log::LogEnd;
use assize_wal::memory::Random;
use assize_wal::superblock::find;
use assize_wal::{Entry, SegmentReader};
use assize_wire::{LogId, Slot};
use common::{Replica, identity, recover_from};

const LOG: LogId = LogId(2);

fn end_of(replica: &mut Replica) -> LogEnd {
    let copies = [0, 1].map(|copy| replica.device.read_superblock(copy).unwrap());
    let superblock = find(copies).unwrap().superblock;
    recover_from(&mut replica.device, &superblock).unwrap().start(LOG).end
}

/// SubscriberResumes.
#[test]
fn l9_a_log_is_followed_while_it_is_written() {
    for seed in 0..40 {
        let mut replica = Replica::format(seed);
        let mut random = Random(seed);
        let mut followed: Vec<Slot> = Vec::new();
        for _ in 0..4 {
            let end = end_of(&mut replica);
            let mut follower = Follower::new(identity(LOG), replica.incarnation, end);
            let mut follow = |replica: &mut Replica| {
                let below = replica.logs[&LOG].durable_through();
                while let Some(record) = follower.poll(&mut replica.device, below).unwrap() {
                    let Entry::Outcomes { first, .. } = record.entry else { continue };
                    let read = read_record(&mut replica.device, identity(LOG), record.location).unwrap();
                    assert_eq!(read.buffer.payload(), [first.0 as u8; 3000]);
                    followed.push(first);
                    assert!(followed.len() <= replica.model.outcomes.len(), "{first} is not durable");
                }
            };
            for _ in 0..60 {
                match random.below(8) {
                    0 => replica.idle(),
                    1..4 => replica.outcomes(),
                    4 => follow(&mut replica),
                    _ => replica.pump(1 + random.below(12) as usize).unwrap(),
                }
            }
            replica.quiesce().unwrap();
            follow(&mut replica);
            assert_eq!(followed, replica.model.outcomes);
            replica.device.crash(random.next_u64());
            replica.start().unwrap();
        }
        assert!(!followed.is_empty());
    }
}
