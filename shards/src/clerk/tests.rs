//! The table, and the Clerk that follows it.

use alloc::vec;

use assize_wire::{ShardId, StreamTime};

use super::table::TABLE;
use super::*;
use crate::Outcomes;

#[test]
fn every_input_of_the_table_matches_exactly_one_row() {
    for own in [Own::Unknown, Own::Short, Own::Agreed] {
        for others in [Others::None, Others::One, Others::Several] {
            let seen = Seen { own, others };
            let rows = TABLE.iter().filter(|row| row.takes(seen)).count();
            assert_eq!(rows, 1, "{seen:?}");
        }
    }
}

fn own(slot: u64, digest: u8) -> Published {
    Published {
        slot: Slot(slot),
        shard: ShardId(0),
        digest: Hash([digest; 32]),
        time: StreamTime(1),
        outcomes: Outcomes::default(),
        fills: vec![],
        evaluated: crate::Evaluated::default(),
    }
}

/// Feeds own digest 1 and the others' in `copies`, in slot 1, and says what came of it.
fn settle(needed: u8, own_at: usize, copies: &[u8]) -> (bool, Option<Finding>) {
    let mut clerk = Clerk::new(ReplicaId(0), 5, needed, Slot::ZERO);
    for at in 0..=copies.len() {
        if at == own_at {
            clerk.handle_own(own(1, 1));
        }
        if let Some(digest) = copies.get(at) {
            let from = ReplicaId(at as u8 + 1);
            let _ = clerk.handle_copy(from, Slot(1), Hash([*digest; 32]));
        }
        clerk.check_invariants();
    }
    (clerk.poll_published().is_some(), clerk.poll_finding())
}

// OutcomesPublished.
#[test]
fn c1_it_publishes_at_copies_equal_digests_with_its_own_among_them() {
    assert_eq!(settle(1, 0, &[]), (true, None));
    for own_at in 0..=2 {
        assert_eq!(settle(2, own_at, &[1, 1]), (true, None));
        assert_eq!(settle(3, own_at, &[1, 1]), (true, None));
    }
    assert_eq!(settle(2, 0, &[]), (false, None));
    assert_eq!(settle(2, 0, &[2]), (false, None));
    assert_eq!(settle(2, 9, &[1, 1]), (false, None));
}

// OwnCopyOutside, TwoTruths.
#[test]
fn the_odd_one_out_is_named_and_quarantines_itself() {
    let diverged = settle(3, 3, &[1, 2, 1]);
    assert!(diverged.0 && matches!(diverged.1, Some(Finding::Diverged { replica: ReplicaId(2), .. })));
    let quarantine = settle(2, 0, &[2, 2]);
    assert!(!quarantine.0 && matches!(quarantine.1, Some(Finding::Quarantine { .. })));
    let split = settle(2, 4, &[2, 2, 1, 1]);
    assert!(!split.0 && matches!(split.1, Some(Finding::SplitBrain { .. })));
}

// SecondTruthShowsLate, LateCopyHandedBack.
#[test]
fn c5_a_second_group_that_comes_after_publishing_is_split_brain() {
    let mut clerk = Clerk::new(ReplicaId(0), 5, 2, Slot::ZERO);
    clerk.handle_failure_domain(ReplicaId(3), 9);
    clerk.handle_failure_domain(ReplicaId(4), 9);
    clerk.handle_own(own(1, 1));
    assert_eq!(clerk.handle_copy(ReplicaId(1), Slot(1), Hash([1; 32])), CopyFate::Held);
    assert!(clerk.poll_published().is_some());
    let diverges = |clerk: &mut Clerk, replica: u8, digest: u8| {
        let (replica, found) = (ReplicaId(replica), Hash([digest; 32]));
        assert_eq!(clerk.handle_copy(replica, Slot(1), found), CopyFate::Late);
        clerk.handle_outside(replica, Slot(1), Hash([1; 32]), found);
        clerk.check_invariants();
        assert!(matches!(clerk.poll_finding(), Some(Finding::Diverged { .. })));
        clerk.poll_finding()
    };
    assert_eq!(diverges(&mut clerk, 3, 2), None);
    assert_eq!(diverges(&mut clerk, 4, 2), None, "both fail together");
    assert_eq!(diverges(&mut clerk, 1, 3), None, "each has another");
    let split = diverges(&mut clerk, 2, 2);
    let Some(Finding::SplitBrain { slot: Slot(1), seen }) = split else { panic!("{split:?}") };
    assert_eq!(seen.len(), 5);
    // It publishes nothing any more.
    clerk.handle_own(own(2, 1));
    let _ = clerk.handle_copy(ReplicaId(1), Slot(2), Hash([1; 32]));
    assert_eq!(clerk.poll_published(), None);
}

// PublishedInOrder.
#[test]
fn c3_a_later_slot_waits_for_an_earlier_one() {
    let mut clerk = Clerk::new(ReplicaId(0), 3, 2, Slot::ZERO);
    clerk.handle_own(own(1, 1));
    clerk.handle_own(own(3, 3));
    assert_eq!(clerk.handle_copy(ReplicaId(1), Slot(3), Hash([3; 32])), CopyFate::Held);
    assert!(clerk.poll_published().is_none());
    assert_eq!(clerk.handle_copy(ReplicaId(1), Slot(1), Hash([1; 32])), CopyFate::Held);
    let slots = core::iter::from_fn(|| clerk.poll_published()).map(|published| published.slot.0);
    assert!(slots.eq([1, 3]));
}

// LateCopyHandedBack.
#[test]
fn c4_a_late_copy_and_one_far_ahead_are_handed_back() {
    let mut clerk = Clerk::new(ReplicaId(0), 1, 1, Slot::ZERO);
    clerk.handle_own(own(1, 1));
    assert_eq!(clerk.handle_copy(ReplicaId(1), Slot(1), Hash([1; 32])), CopyFate::Late);
    let far = Slot(2 + COPIES_AHEAD_MAX);
    assert_eq!(clerk.handle_copy(ReplicaId(1), far, Hash([1; 32])), CopyFate::Dropped);
}

// OutcomesPublished.
#[test]
fn c1_replicas_of_one_failure_domain_count_as_one() {
    let mut clerk = Clerk::new(ReplicaId(0), 3, 2, Slot::ZERO);
    for (replica, domain) in [(0, 7), (1, 7), (2, 8)] {
        clerk.handle_failure_domain(ReplicaId(replica), domain);
    }
    clerk.handle_own(own(1, 1));
    assert_eq!(clerk.handle_copy(ReplicaId(1), Slot(1), Hash([1; 32])), CopyFate::Held);
    assert!(clerk.poll_published().is_none(), "two copies of one domain");
    assert_eq!(clerk.handle_copy(ReplicaId(2), Slot(1), Hash([1; 32])), CopyFate::Held);
    assert!(clerk.poll_published().is_some(), "two domains");
    // Two that fail together do not put the third one into quarantine.
    let mut third = Clerk::new(ReplicaId(2), 3, 2, Slot::ZERO);
    for (replica, domain) in [(0, 7), (1, 7), (2, 8)] {
        third.handle_failure_domain(ReplicaId(replica), domain);
    }
    third.handle_own(own(1, 2));
    for peer in [0, 1] {
        assert_eq!(third.handle_copy(ReplicaId(peer), Slot(1), Hash([1; 32])), CopyFate::Held);
    }
    assert_eq!((third.poll_published(), third.poll_finding()), (None, None));
}
