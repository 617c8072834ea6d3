//! Single stories about damage in a replica that has peers. Names in comments are those of `ledger.allium`.

#[path = "common/acceptor.rs"]
mod acceptor;
mod common;

use std::ops::Range;

use acceptor::{Acceptor, peers, recover_with_peers};
use assize_wal::memory::MemoryDevice;
use assize_wal::operation::{DeviceError, SegmentReader};
use assize_wal::recovery::{Damage, LogDecision, Loss, Peers, Recovered, RecoveryError, recover};
use assize_wal::{BLOCK_BYTES, Block, Entry, RecordLocation, SegmentId};
use assize_wire::{Ballot, LogId, ReplicaId, Slot};
use common::{LOGS, SEGMENT_BYTES, read_accept};

const BLOCK: u64 = BLOCK_BYTES as u64;

fn ballot(round: u64) -> Ballot {
    Ballot::new(round, ReplicaId(1))
}

/// Slots 1 to `slots` accepted under ballot 1, durable and marked; none known chosen.
fn accepted(slots: usize) -> Acceptor {
    let mut acceptor = Acceptor::format(1);
    acceptor.stripe_bytes_max = 500;
    // These stories damage what they please.
    acceptor.faults = true;
    acceptor.pump(60);
    accept(&mut acceptor, slots);
    acceptor
}

fn accept(acceptor: &mut Acceptor, slots: usize) {
    for _ in 0..slots {
        acceptor.accept();
        acceptor.quiesce();
    }
}

/// Both copies of an accept.
fn lose(device: &mut MemoryDevice, accept: RecordLocation) {
    for copy in [0, 1] {
        device.flip_bit(accept.log, accept.segment, accept.offset + copy * u64::from(accept.bytes) + 99, 1);
    }
}

/// Every block of a part of a log, from one logical offset to another.
fn lose_blocks(device: &mut MemoryDevice, log: LogId, part: Range<u64>) {
    for at in part.step_by(BLOCK_BYTES) {
        device.flip_bit(log, SegmentId(at / SEGMENT_BYTES), at % SEGMENT_BYTES + 7, 1);
    }
}

fn offset(location: RecordLocation) -> u64 {
    location.segment.0 * SEGMENT_BYTES + location.offset
}

fn location(recovered: &Recovered, slot: u64) -> RecordLocation {
    recovered.accepted.iter().find(|found| found.slot == Slot(slot)).expect("it is accepted").location
}

fn damaged(recovered: &Recovered) -> Vec<(u64, &Damage)> {
    recovered.damaged.iter().map(|slot| (slot.slot.0, &slot.what)).collect()
}

/// DamagedNotAbsent, RepairAppends, LossRefused: where a single replica refuses, one with peers says which slots it
/// cannot vouch for, with the hash that the manifest above names, and goes on behind everything that was ever there.
#[test]
fn l5_p5_a_lost_accept_is_damaged_and_repaired_by_appending() {
    let mut acceptor = accepted(5);
    let whole = acceptor.recover();
    lose(&mut acceptor.device, location(&whole, 3));
    let superblock = acceptor.superblock();
    let alone = recover(&mut acceptor.device, &superblock, &mut read_accept, Peers::None);
    assert!(matches!(alone, Err(RecoveryError::Lost { .. })), "{alone:?}");

    let found = acceptor.recover();
    assert_eq!(found.accepted.len(), 2);
    assert_eq!(damaged(&found), [(3, &Damage::Accept), (4, &Damage::Below), (5, &Damage::Below)]);
    assert_eq!(found.damaged[0].hash, Some(whole.accepted[2].manifest), "slot 4 names it");
    assert!(found.damaged[0].found.is_none() && found.damaged[1].found.is_some());
    assert_eq!(found.logs[0].decision, LogDecision::GoOnBehind);
    assert_eq!(found.logs[0].end, whole.logs[0].end, "nothing that is there is written again");
    assert_eq!((found.ballot_max, found.to_remember.last_slot()), (ballot(1), Slot(5)));

    acceptor.start();
    acceptor.repair(Slot(5), true);
    let repaired = acceptor.recover();
    assert_eq!((repaired.accepted.len(), repaired.chosen), (5, Slot(5)));
    assert!(repaired.damaged.is_empty(), "the same damage counts again: {:?}", damaged(&repaired));
    assert!(location(&repaired, 3) > location(&whole, 5));
}

/// NewestAcceptCounts: an older accept of the slot does not stand for the lost one, and nothing names its hash.
///
/// 1. Slots 1 to 4 are accepted under ballot 1, then slots 1 to 3 under ballot 2.
/// 2. The record of slot 3 under ballot 2 is damaged. That under ballot 1 is whole.
#[test]
fn p5_an_older_accept_does_not_stand_for_a_lost_one() {
    let mut acceptor = accepted(4);
    acceptor.new_leader();
    accept(&mut acceptor, 3);
    let whole = acceptor.recover();
    assert_eq!(whole.accepted[2].ballot, ballot(2));
    lose(&mut acceptor.device, location(&whole, 3));
    let found = acceptor.recover();
    let of_three = found.damaged.iter().find(|slot| slot.slot == Slot(3)).expect("slot 3 is damaged");
    assert_eq!((&of_three.what, of_three.hash), (&Damage::Accept, None));
    assert_eq!(of_three.found.as_ref().map(|older| older.ballot), Some(ballot(1)), "good for its bytes only");
    assert_eq!(found.accepted.len(), 2);
}

/// DamagedNotAbsent: where the manifest above does not chain to an older accept, the one that it chains to is lost,
/// even if no ballot says so, and its hash is named.
#[test]
fn p5_what_the_manifest_above_chains_to_is_lost_if_it_is_not_here() {
    let mut acceptor = accepted(3);
    let before = acceptor.recover();
    // Another value under the same ballot, which no leader proposes (P6).
    acceptor.leader.truncate(2);
    accept(&mut acceptor, 2);
    let whole = acceptor.recover();
    assert_ne!(whole.accepted[2].manifest, before.accepted[2].manifest);
    lose(&mut acceptor.device, location(&whole, 3));
    let found = acceptor.recover();
    assert_eq!(damaged(&found), [(3, &Damage::Accept), (4, &Damage::Below)]);
    assert_eq!(found.damaged[0].hash, Some(whole.accepted[2].manifest));
    assert_eq!(
        found.damaged[0].found.as_ref().map(|older| older.manifest),
        Some(before.accepted[2].manifest)
    );
}

/// GapHidesAccepts: where the ballot changed in a gap, the mark behind it says nothing of higher slots under lower
/// ballots.
///
/// 1. Slot 4 is accepted under ballot 1, then slot 1 under ballot 2. Both are damaged, and what stands between them.
/// 2. Slot 2 is accepted under ballot 2: its mark says (ballot 2, slot 1).
#[test]
fn l5_a_gap_in_which_the_ballot_changed_hides_higher_slots() {
    let mut acceptor = accepted(3);
    acceptor.accept();
    while acceptor.logs[&LOGS[0]].has_unwritten() {
        acceptor.pump(1);
    }
    let fourth = location(&acceptor.recover(), 4);
    acceptor.new_leader();
    accept(&mut acceptor, 2);
    let second = location(&acceptor.recover(), 2);
    lose_blocks(&mut acceptor.device, LOGS[0], offset(fourth)..offset(second));
    // Other logs may have the mark of slot 4: only this one counts here.
    let end = acceptor.logs[&LOGS[1]].durable_through();
    lose_blocks(&mut acceptor.device, LOGS[1], 0..end);
    let found = acceptor.recover();
    assert!(damaged(&found).contains(&(4, &Damage::Accept)), "{:?}", damaged(&found));
}

/// DamagedNotAbsent, UnreadableRefused: blocks at the end of a log that cannot be read may be what was acknowledged
/// last. So many slots are damaged as fit there, the superblock remembers it, and the log goes on behind them.
#[test]
fn l5_what_cannot_be_read_at_the_end_of_a_log_is_damaged_until_it_is_accepted_again() {
    let mut acceptor = accepted(3);
    acceptor.accept();
    while acceptor.logs[&LOGS[0]].has_unwritten() {
        acceptor.pump(1);
    }
    let whole = acceptor.recover();
    let fourth = location(&whole, 4);
    for copy in [0, 1] {
        acceptor.device.make_unreadable(fourth.log, fourth.segment, fourth.offset + copy * BLOCK);
    }
    let found = acceptor.recover();
    assert_eq!(damaged(&found), [(4, &Damage::Accept)]);
    assert_eq!(found.logs[0].end.offset, whole.logs[0].end.offset);
    acceptor.start();
    for what in ["nothing is written", "the log goes on"] {
        let found = acceptor.recover();
        assert_eq!(damaged(&found), [(4, &Damage::Accept)], "{what}");
        let log = acceptor.logs.get_mut(&LOGS[0]).unwrap();
        log.append(Entry::Idle, assize_wal::BlockBuffer::for_record(0)).unwrap();
        acceptor.quiesce();
        acceptor.start();
    }
    acceptor.repair(Slot(4), false);
    let repaired = acceptor.recover();
    assert!(repaired.damaged.is_empty() && repaired.accepted.len() >= 4, "{:?}", damaged(&repaired));
}

/// A gap before a whole accept above all marks: damaged with peers, torn in a single replica (L5).
///
/// 1. Slots 4 and 5 are accepted, and durable before anything else is written.
/// 2. Slot 4 is lost. Nothing says that it was ever durable; slot 5 is whole.
#[test]
fn l5_a_gap_before_a_whole_accept_is_doubted_with_peers_and_torn_without() {
    let mut acceptor = accepted(3);
    acceptor.accept();
    acceptor.accept();
    while acceptor.logs[&LOGS[0]].has_unwritten() {
        acceptor.pump(1);
    }
    let whole = acceptor.recover();
    lose(&mut acceptor.device, location(&whole, 4));
    let superblock = acceptor.superblock();
    let alone = recover(&mut acceptor.device, &superblock, &mut read_accept, Peers::None).unwrap();
    assert_eq!((alone.accepted.len(), alone.logs[0].decision), (3, LogDecision::CutTornTail));
    let found = acceptor.recover();
    assert_eq!((found.accepted.len(), damaged(&found)), (3, vec![]));
    let doubtful: Vec<_> = found.doubtful.iter().map(|slot| (slot.slot.0, &slot.what)).collect();
    assert_eq!(doubtful, [(4, &Damage::Accept), (5, &Damage::Below)]);
    assert_eq!(found.logs[0].decision, LogDecision::GoOnBehind);
    assert_eq!(found.doubtful[0].hash, Some(whole.accepted[3].manifest));
}

/// DamagedNotAbsent, RepairAppends: a stripe's loss is named with its identity, and the stripe alone, appended again,
/// makes its slot whole and those above.
#[test]
fn p5_p8_a_lost_stripe_is_named_and_appended_again() {
    let mut acceptor = accepted(12);
    let whole = acceptor.recover();
    let slot = whole.accepted.iter().find(|slot| slot.stripes.iter().any(|(id, _)| id.shard.0 == 1));
    let slot = slot.expect("some slot names a stripe of shard 1").clone();
    let (id, at) = *slot.stripes.iter().find(|(id, _)| id.shard.0 == 1).unwrap();
    let content = common::read_payload(&mut acceptor.device, at);
    acceptor.device.flip_bit(at.log, at.segment, at.offset + 300, 0);
    let found = acceptor.recover();
    let of_slot = &found.damaged[0];
    assert_eq!((of_slot.slot, &of_slot.what), (slot.slot, &Damage::Stripes(vec![id])));
    assert_eq!(of_slot.hash, Some(slot.manifest));
    assert!(found.damaged[1..].iter().all(|above| above.what == Damage::Below));
    assert!(!found.stripes.iter().any(|(found, _)| *found == id));

    acceptor.start();
    let mut buffer = assize_wal::BlockBuffer::for_record(content.len());
    buffer.extend_from_slice(&content);
    acceptor.logs.get_mut(&LOGS[1]).unwrap().append(Entry::Stripe(id), buffer).unwrap();
    acceptor.quiesce();
    let repaired = acceptor.recover();
    assert_eq!(repaired.accepted.len(), 12);
    assert!(repaired.damaged.is_empty());
}

/// ChosenSurvives: after a start all that an accept's writer knew chosen is known chosen, and what was fetched as
/// chosen; a lower ballot of a chosen slot is no damage.
#[test]
fn p7_what_was_known_chosen_is_known_after_a_start() {
    let mut acceptor = accepted(4);
    assert_eq!(acceptor.recover().chosen, Slot(0));
    acceptor.choose(3);
    acceptor.learn();
    acceptor.new_leader();
    while acceptor.leader.len() < 6 {
        acceptor.accept();
        acceptor.quiesce();
    }
    let found = acceptor.recover();
    assert_eq!(found.chosen, Slot(3), "the accepts of ballot 2 say so");
    assert!(found.damaged.is_empty() && found.accepted[0].ballot < found.accepted[5].ballot);
    acceptor.start();
    acceptor.choose(9);
    acceptor.learn();
    acceptor.quiesce();
    let found = acceptor.recover();
    assert_eq!((found.chosen, found.accepted.len()), (Slot(12), 12), "fetched slots say it of themselves");
}

/// RebuildAsked: what peers do not repair in place is refused, and the operator told so: a log of another kind, and a
/// segment that is gone.
#[test]
fn l5_what_peers_cannot_repair_in_place_asks_for_a_rebuild() {
    let mut acceptor = accepted(12);
    acceptor.start();
    let superblock = acceptor.superblock();
    let accept = location(&acceptor.recover(), 3);
    lose(&mut acceptor.device, accept);
    let none = Peers::Some { repairable: |_| false };
    let refused = recover(&mut acceptor.device, &superblock, &mut read_accept, none);
    let Err(error @ RecoveryError::Rebuild { .. }) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("`assize rebuild"), "{error}");

    let mut reader = WithoutSegment { device: &mut acceptor.device, log: LOGS[0], segment: SegmentId(0) };
    let refused = recover(&mut reader, &superblock, &mut read_accept, peers());
    let Err(RecoveryError::Rebuild { losses }) = refused else { panic!("{refused:?}") };
    assert!(losses.iter().any(|loss| matches!(loss, Loss::Segment { at } if at.segment == SegmentId(0))));
}

/// DamagedNotAbsent, AcceptReadFromTwin: after any one byte of a log has changed, or any block of it cannot be read,
/// everything that was told is there or damaged; and one fault never costs an accept, which is written twice (P2).
#[test]
fn l5_every_flipped_byte_of_every_log_is_whole_or_damaged() {
    let mut acceptor = accepted(3);
    acceptor.choose(1);
    acceptor.learn();
    acceptor.new_leader();
    accept(&mut acceptor, 3);
    acceptor.start();
    accept(&mut acceptor, 2);
    let superblock = acceptor.superblock();
    let whole = acceptor.recover();
    let (mut unharmed, mut hurt, mut lost_above) = (0, 0, 0);
    for log in [LOGS[0], LOGS[1]] {
        let used = acceptor.logs[&log].durable_through();
        for at in (0..used).filter(|at| at % BLOCK < 300 || at % 509 == 0) {
            let mut device = acceptor.device.clone();
            let (segment, byte) = (SegmentId(at / SEGMENT_BYTES), at % SEGMENT_BYTES);
            match at % BLOCK {
                0 => device.make_unreadable(log, segment, byte),
                _ => device.flip_bit(log, segment, byte, (at % 8) as u8),
            }
            let found = recover_with_peers(&mut device, &superblock);
            std::mem::swap(&mut acceptor.device, &mut device);
            acceptor.check(&found);
            std::mem::swap(&mut acceptor.device, &mut device);
            // Above everything, for what cannot be read at the end of a log.
            let lost = found.damaged.iter().filter(|slot| slot.what == Damage::Accept);
            assert!(lost.clone().all(|slot| slot.slot > whole.accepted_through), "log {log} byte {at}");
            lost_above += lost.count();
            // The last record of all looks like a write that the power cut off.
            if at + BLOCK < used {
                assert_eq!(ends(&found), ends(&whole), "log {log} byte {at}");
            }
            match found.damaged.is_empty() {
                true => unharmed += 1,
                false => hurt += 1,
            }
        }
    }
    assert!(unharmed > 1_000 && hurt > 100, "{unharmed} unharmed, {hurt} hurt");
    assert_eq!(lost_above, 2, "the last block of each log");
}

fn ends(recovered: &Recovered) -> Vec<u64> {
    recovered.logs.iter().map(|log| log.end.offset).collect()
}

/// A device of which one segment is gone.
struct WithoutSegment<'a> {
    device: &'a mut MemoryDevice,
    log: LogId,
    segment: SegmentId,
}

impl SegmentReader for WithoutSegment<'_> {
    fn logs(&mut self) -> Result<Vec<LogId>, DeviceError> {
        self.device.logs()
    }

    fn segments(&mut self, log: LogId) -> Result<Vec<(SegmentId, u64)>, DeviceError> {
        let mut segments = self.device.segments(log)?;
        segments.retain(|(segment, _)| (log, *segment) != (self.log, self.segment));
        Ok(segments)
    }

    fn read(
        &mut self,
        log: LogId,
        segment: SegmentId,
        at: u64,
        into: &mut [Block],
    ) -> Result<(), DeviceError> {
        self.device.read(log, segment, at, into)
    }

    fn flush(&mut self, log: LogId) -> Result<(), DeviceError> {
        self.device.flush(log)
    }

    fn read_superblock(&mut self, copy: u8) -> Result<Option<Vec<Block>>, DeviceError> {
        self.device.read_superblock(copy)
    }
}
