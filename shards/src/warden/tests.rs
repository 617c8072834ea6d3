//! The Warden against a map, and its size.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use assize_wire::checkpoint::ListDigest;

use crate::FirstResponse;

const TTL: u64 = 10;

/// What the rules say, with a map.
#[derive(Default)]
struct Model {
    keys: BTreeMap<u128, (u64, u64, First)>,
}

#[derive(Clone, Debug)]
enum Step {
    /// Time moves on by this much and a stripe begins.
    Stripe(u64),
    /// Key, body, deadline counted from now less one TTL.
    Submit(u128, u64, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let stripe = prop_oneof![0u64..4, Just(TTL - 1), Just(TTL), Just(TTL + 1)].prop_map(Step::Stripe);
    let submit = (0u128..12, 0u64..2, 0u64..=2 * TTL + 2);
    let submit = submit.prop_map(|(key, body, deadline)| Step::Submit(key, body, deadline));
    proptest::collection::vec(prop_oneof![1 => stripe, 3 => submit], 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    // KeyExpires, DuplicateAnswered, ConflictReported, DeadlineRefused, FullRefused, KeyAdmitted, OneLiveRecordPerKey,
    // CapacityHolds.
    #[test]
    fn w1_w2_w3_it_does_what_a_map_does(capacity in 1u32..9, reserve in 0usize..4, steps in steps()) {
        let mut warden = Warden::with_ring(capacity, capacity as usize + reserve, TTL, 5);
        let mut model = Model::default();
        let (mut slot, mut now, mut index) = (1, 100, 0);
        warden.begin(Slot(slot), StreamTime(now));
        for step in steps {
            match step {
                Step::Stripe(after) => {
                    slot += 1;
                    now += after;
                    index = 0;
                    warden.begin(Slot(slot), StreamTime(now));
                    model.keys.retain(|_, (time, ..)| now - *time < TTL);
                }
                Step::Submit(key, body, deadline) => {
                    let deadline = now - TTL + deadline;
                    submit(&mut warden, &mut model, capacity, (slot, now, index), (key, body, deadline));
                    index += 1;
                }
            }
            prop_assert_eq!(warden.live_keys(), model.keys.len() as u64);
            warden.check_invariants();
        }
    }
}

fn submit(
    warden: &mut Warden,
    model: &mut Model,
    capacity: u32,
    (slot, now, index): (u64, u64, u32),
    (key, body, deadline): (u128, u64, u64),
) {
    let hash = warden.hash(EventKey(key));
    let vacancy = match (warden.look(hash, EventKey(key), body), model.keys.get(&key)) {
        (Look::Duplicate(seen), Some((_, known, first))) => {
            assert_eq!((body, warden.first(seen)), (*known, *first));
            return;
        }
        (Look::Conflict, Some((_, known, _))) => {
            assert_ne!(body, *known);
            return;
        }
        (Look::Absent(vacancy), None) => vacancy,
        (look, known) => panic!("{look:?} of {known:?}"),
    };
    let wanted = if deadline <= now || deadline > now + TTL {
        Err(Refusal::Expired)
    } else if model.keys.len() >= capacity as usize {
        Err(Refusal::Full)
    } else {
        Ok(())
    };
    let admitted = warden.admit(vacancy, hash, EventKey(key), body, StreamTime(deadline), index);
    assert_eq!(admitted.map(|_| ()), wanted);
    let Ok(seen) = admitted else { return };
    let response = alloc::vec![key as u8; index as usize % 20];
    let (status, reason, most) = match key % 3 {
        0 => (Status::Applied, 0, 16),
        1 => (Status::Fault, 0, 16),
        _ => (Status::Rejected, 0xfe00 + key as u16, 14),
    };
    warden.decide(seen, status, reason, &response);
    let mut bytes = [0; 16];
    let first = First {
        slot: Slot(slot),
        index,
        status,
        reason,
        response: if response.len() <= most {
            bytes[..response.len()].copy_from_slice(&response);
            FirstResponse::Inline { bytes, length: response.len() as u8 }
        } else {
            FirstResponse::InStream { slot: Slot(slot), index }
        },
    };
    model.keys.insert(key, (now, body, first));
}

#[test]
fn an_entry_takes_at_most_64_bytes_all_in_and_the_table_never_grows() {
    let mut warden = Warden::new(1000, TTL, 1);
    let bytes = warden.table_bytes();
    assert!(bytes <= 64 * (1000 + warden_reserve(1000)), "{bytes} bytes");
    let mut key = 0;
    for slot in 1..=100 {
        warden.begin(Slot(slot), StreamTime(slot * TTL));
        for index in 0..1000 {
            key += 1;
            let hash = warden.hash(EventKey(key));
            let Look::Absent(vacancy) = warden.look(hash, EventKey(key), 0) else {
                panic!("key {key} is new");
            };
            let deadline = StreamTime(slot * TTL + 1);
            let seen = warden.admit(vacancy, hash, EventKey(key), 0, deadline, index);
            warden.decide(seen.unwrap(), Status::Applied, 0, &[]);
        }
    }
    assert_eq!(warden.table_bytes(), bytes);
}

// OutcomeDecided.
#[test]
fn w3_seen_is_apart_from_decided_and_survives_whatever_is_checked_before_it_runs() {
    let capacity = 4;
    let mut warden = Warden::new(capacity, TTL, 1);
    warden.begin(Slot(1), StreamTime(100));
    let hash = warden.hash(EventKey(1));
    let Look::Absent(vacancy) = warden.look(hash, EventKey(1), 0) else {
        panic!("the table is empty");
    };
    let seen = warden.admit(vacancy, hash, EventKey(1), 0, StreamTime(101), 0).unwrap();
    assert!(matches!(warden.look(hash, EventKey(1), 0), Look::Duplicate(found) if found == seen));
    for slot in 2..=8 {
        warden.begin(Slot(slot), StreamTime(slot * 100));
        for key in 0..u128::from(capacity) {
            let key = EventKey(100 * u128::from(slot) + key);
            let hash = warden.hash(key);
            if let Look::Absent(vacancy) = warden.look(hash, key, 0) {
                let deadline = StreamTime(slot * 100 + 1);
                warden.admit(vacancy, hash, key, 0, deadline, 0).unwrap();
            }
        }
    }
    warden.decide(seen, Status::Rejected, 9, &[3]);
    assert_eq!(warden.first(seen).reason, 9);
}

/// Admits keys `from .. to` in one stripe and decides them.
fn stripe(warden: &mut Warden, slot: u64, now: u64, keys: core::ops::Range<u128>) {
    warden.begin(Slot(slot), StreamTime(now));
    for (index, key) in keys.enumerate() {
        let (key, body) = (EventKey(key), key as u64);
        let hash = warden.hash(key);
        let Look::Absent(vacancy) = warden.look(hash, key, body) else { panic!("{key} is live") };
        let seen = warden.admit(vacancy, hash, key, body, StreamTime(now + TTL), index as u32).unwrap();
        warden.decide(seen, Status::Applied, 0, &[key.0 as u8; 20][..usize::from(key.0 as u8 % 20)]);
    }
}

// KeyKeptAside, KeyWritten.
#[test]
fn w5_keys_that_leave_the_ring_while_a_checkpoint_is_taken_are_in_it() {
    let mut warden = Warden::with_ring(4, 5, TTL, 5);
    stripe(&mut warden, 1, 100, 0..4);
    let firsts: Vec<First> = (0..4).map(|number| warden.first(Seen(number))).collect();
    assert_eq!(warden.begin_saving(StreamTime(101)), KeyNumbers { live: 0, next: 4, digested_from: 0 });
    // They expire, and others take their places in the ring, twice over.
    stripe(&mut warden, 2, 100 + TTL, 10..14);
    stripe(&mut warden, 3, 100 + 2 * TTL, 20..24);
    let (mut digest, mut records) = (ListDigest::default(), Vec::new());
    loop {
        let mut payload = Vec::new();
        let Some(saved) = warden.save_next(3, &mut payload, &mut digest) else { break };
        records.push((saved.first, saved.next, payload));
    }
    assert_eq!(records.iter().map(|(first, next, _)| (*first, *next)).collect::<Vec<_>>(), [(0, 3), (3, 4)]);

    let mut restored = Warden::with_ring(4, 5, TTL, 6);
    restored.restore(Slot(1), StreamTime(101), 0);
    for (first, next, payload) in &records {
        restored.restore_keys(*first, *next, payload).unwrap();
        restored.check_invariants();
    }
    assert_eq!((0..4).map(|number| restored.first(Seen(number))).collect::<Vec<_>>(), firsts);
    // The checkpoint after it writes what is new and live, and not what is written already or gone.
    restored.confirm_saved(4);
    stripe(&mut restored, 2, 103, 4..4);
    assert_eq!(restored.begin_saving(StreamTime(103)), KeyNumbers { live: 0, next: 4, digested_from: 4 });
    assert_eq!(restored.save_next(3, &mut Vec::new(), &mut digest), None);
    // One of everything writes all that is live, and digests it.
    let (mut payload, mut digest) = (Vec::new(), ListDigest::default());
    let keys = restored.begin_saving_all(StreamTime(103));
    assert_eq!(keys, KeyNumbers { live: 0, next: 4, digested_from: 0 });
    let saved = restored.save_next(9, &mut payload, &mut digest).expect("four keys");
    assert_eq!((saved.first, saved.next, payload.len()), (0, 4, 4 * 56));
    let mut of_all = ListDigest::default();
    of_all.add(&payload);
    assert_eq!(digest.hash(), of_all.hash());
}

/// C7: one replica took the checkpoint at the flagged slot before, another did not.
#[test]
fn c7_what_is_digested_follows_from_the_flagged_slots_and_not_from_what_is_written() {
    let digest_after = |taken: bool| {
        let mut warden = Warden::with_ring(9, 12, TTL, 5);
        stripe(&mut warden, 1, 100, 0..4);
        let (mut digest, mut payload) = (ListDigest::default(), Vec::new());
        if taken {
            let keys = warden.begin_saving(StreamTime(100));
            while warden.save_next(9, &mut payload, &mut digest).is_some() {}
            warden.confirm_saved(keys.next);
        }
        warden.note_flagged();
        stripe(&mut warden, 2, 103, 4..7);
        (digest, payload) = (ListDigest::default(), Vec::new());
        let keys = warden.begin_saving(StreamTime(103));
        assert_eq!(keys, KeyNumbers { live: 0, next: 7, digested_from: 4 });
        while warden.save_next(9, &mut payload, &mut digest).is_some() {}
        (digest.hash(), payload.len() / 56)
    };
    let ((taken, few), (skipped, all)) = (digest_after(true), digest_after(false));
    assert_eq!((few, all), (3, 7), "keys written");
    assert_eq!(taken, skipped);
}

#[test]
fn w5_keys_that_no_warden_wrote_are_refused() {
    let mut warden = Warden::with_ring(4, 5, TTL, 5);
    stripe(&mut warden, 1, 100, 0..2);
    stripe(&mut warden, 2, 104, 2..4);
    let _ = warden.begin_saving(StreamTime(104));
    let (mut payload, mut digest) = (Vec::new(), ListDigest::default());
    let _ = warden.save_next(9, &mut payload, &mut digest);
    let take = |at: u64, first: u64, payload: &[u8]| {
        let mut warden = Warden::with_ring(4, 5, TTL, 6);
        warden.restore(Slot(2), StreamTime(at), 0);
        warden.restore_keys(first, 4, payload)
    };
    assert_eq!(take(104, 0, &payload), Ok(()));
    assert!(matches!(take(104, 1, &payload), Err(KeysError::Shape { first: 1, wanted: 0, .. })));
    assert!(matches!(take(104, 0, &payload[..57]), Err(KeysError::Shape { bytes: 57, .. })));
    assert!(matches!(take(103, 0, &payload), Err(KeysError::Entry { number: 2 })), "recorded in the future");
    assert!(matches!(take(100 + TTL, 0, &payload), Err(KeysError::Entry { number: 0 })), "expired");
    let twice = [&payload[..56], &payload[..56]].concat();
    assert!(matches!(take(104, 0, &twice), Err(KeysError::Entry { number: 1 })), "there twice");
    let backwards = [&payload[112..168], &payload[..56]].concat();
    assert!(matches!(take(104, 0, &backwards), Err(KeysError::Entry { number: 1 })), "out of order");
}
