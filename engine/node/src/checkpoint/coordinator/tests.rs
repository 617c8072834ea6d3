//! What the coordinator makes of what it is told, without any core.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use assize_wal::superblock::Superblock;
use assize_wire::{ClusterId, CoreId, Incarnation};

use super::*;

const SLOT: Slot = Slot(9);
const A: Hash = Hash([1; 32]);
const B: Hash = Hash([2; 32]);

/// Of five replicas, which has a checkpoint with digest [`A`].
fn coordinator(copies: u8) -> Coordinator {
    let active = CheckpointRef {
        slot: SLOT,
        time: StreamTime(3),
        ballot: Ballot::new(2, ReplicaId(0)),
        manifest: Hash([4; 32]),
        digest: A,
    };
    let superblock = Superblock {
        sequence: 1,
        incarnation: Incarnation(2),
        checkpoint: Some(active),
        ..Superblock::first(ClusterId(42), ReplicaId(0), 7, 1 << 20)
    };
    let greeting = Greeting {
        cluster: ClusterId(42),
        replica: ReplicaId(0),
        warden_ttl_ns: 1,
        replicas: 5,
        copies,
        durable: true,
        ports: Vec::new(),
    };
    let start = CoordinatorStart { superblock, checkpoint_bytes: 10, put_off_bytes_max: 100, cores: 1 };
    Coordinator::new(start, &greeting, 0)
}

fn told(digest: Hash) -> CheckpointTold {
    CheckpointTold { slot: SLOT, digest: Some(digest), active: None }
}

fn offer(slot: Slot) -> CheckpointOffer {
    CheckpointOffer { slot, time: StreamTime(3), manifest: Hash([4; 32]), digest: A, ballot: Ballot::NONE }
}

/// CheckpointSplitShowsLate: a checkpoint is active, and one peer after the other says that it had another state there.
/// The first is named; with the second they are as many as agreed, and this replica is in doubt, too.
#[test]
fn c7_a_second_group_that_reports_late_is_split_brain() {
    let mut coordinator = coordinator(2);
    let findings = |coordinator: &mut Coordinator| {
        core::iter::from_fn(|| coordinator.poll_finding()).collect::<Vec<_>>()
    };
    for (peer, domain) in [(1, 1), (2, 2), (3, 3)] {
        coordinator.handle_failure_domain(ReplicaId(peer), domain);
    }
    coordinator.handle_told(ReplicaId(1), told(A));
    assert_eq!(findings(&mut coordinator), []);
    let diverged =
        |replica| Finding::Diverged { slot: SLOT, replica: ReplicaId(replica), agreed: A, found: B };
    coordinator.handle_told(ReplicaId(2), told(B));
    assert_eq!(findings(&mut coordinator), [diverged(2)]);
    coordinator.handle_told(ReplicaId(3), told(B));
    let found = findings(&mut coordinator);
    assert!(
        matches!(&found[..], [first, Finding::SplitBrain { seen, .. }] if *first == diverged(3) && seen.len() == 4)
    );
    // It takes and offers none any more.
    coordinator.handle_told(ReplicaId(4), told(B));
    assert_eq!(findings(&mut coordinator), []);
}

/// With `copies` of a majority there is no second group; the one that comes late is only named.
#[test]
fn c7_who_reports_late_and_alone_is_named() {
    let mut coordinator = coordinator(3);
    for peer in 1..3 {
        coordinator.handle_told(ReplicaId(peer), told(A));
    }
    for peer in 3..5 {
        coordinator.handle_told(ReplicaId(peer), told(B));
        let found = coordinator.poll_finding();
        assert!(matches!(found, Some(Finding::Diverged { .. })), "{found:?}");
        assert_eq!(coordinator.poll_finding(), None);
    }
}

/// FlagPutOff: twice as long each time that the peer was not there by then, as far as the log has room; and as ever
/// once it is.
#[test]
fn l6_a_checkpoint_is_put_off_until_a_peer_that_begins_again_has_the_time_for_it() {
    let mut coordinator = coordinator(2);
    let behind = CheckpointTold { slot: SLOT, digest: None, active: Some(offer(SLOT)) };
    coordinator.handle_told(ReplicaId(1), behind);
    let mut slot = SLOT;
    let mut flagged_after = |coordinator: &mut Coordinator| {
        let mut bytes = 0;
        while !coordinator.wants_flag() {
            slot = slot.next();
            bytes += 10;
            coordinator.handle_formed(slot, 10, false);
        }
        slot = slot.next();
        coordinator.handle_formed(slot, 0, true);
        // It was void, so the next one may be flagged at once.
        coordinator.handle_chosen(slot, false, StreamTime(4), Hash([4; 32]), Ballot::NONE);
        bytes
    };
    let after: Vec<u64> = (0..4).map(|_| flagged_after(&mut coordinator)).collect();
    assert_eq!(after, [30, 60, 100, 100]);
    let there = CheckpointTold { slot: SLOT.next(), digest: Some(A), active: Some(offer(SLOT)) };
    coordinator.handle_told(ReplicaId(1), there);
    assert_eq!((0..2).map(|_| flagged_after(&mut coordinator)).collect::<Vec<_>>(), [10, 10]);
    let later = CheckpointTold { slot: SLOT, digest: None, active: Some(offer(SLOT)) };
    coordinator.handle_told(ReplicaId(2), later);
    assert_eq!(flagged_after(&mut coordinator), 30);
}

/// Cores that are told of the same peer again begin anew what is not complete, so they are not, for as long
/// as it takes, unless the peer was away or has it no more.
#[test]
fn l6_what_is_taken_over_from_a_peer_goes_on_however_long_it_takes() {
    let mut coordinator = coordinator(2);
    let later = Slot(20);
    let told = CheckpointTold { slot: later, digest: Some(A), active: Some(offer(later)) };
    let mut now_ns = 1;
    let mut begun_in_a_minute = |coordinator: &mut Coordinator| {
        let mut begun = Vec::new();
        for _ in 0..240 {
            now_ns += 250_000_000;
            coordinator.handle_time(SLOT, now_ns);
            begun.extend(coordinator.poll_take_over().map(|begun| begun.from.0));
        }
        begun
    };
    coordinator.handle_told(ReplicaId(1), told);
    assert_eq!(begun_in_a_minute(&mut coordinator), [1]);
    coordinator.handle_part_gone(ReplicaId(1), later, 1);
    assert_eq!(begun_in_a_minute(&mut coordinator), [1], "it has it anew");
    coordinator.handle_disconnected(ReplicaId(1));
    assert!(begun_in_a_minute(&mut coordinator).is_empty(), "nobody has it");
    coordinator.handle_told(ReplicaId(1), told);
    assert_eq!(begun_in_a_minute(&mut coordinator), [1], "it may have cut its records otherwise since");
    coordinator.handle_disconnected(ReplicaId(1));
    coordinator.handle_told(ReplicaId(2), told);
    assert_eq!(begun_in_a_minute(&mut coordinator), [2]);
}

/// TakeOverPutOff, TakeOverTriedAgain, ReplicaRebuilt: cores begin it anew each time, less often the more often it
/// fails; and so does a replica that is to be rebuilt.
#[test]
fn l6_what_could_not_be_taken_over_is_tried_again_whoever_waits_for_it() {
    let later = Slot(20);
    let told = CheckpointTold { slot: later, digest: Some(A), active: Some(offer(later)) };
    for rebuilds in [false, true] {
        let mut coordinator = coordinator(2);
        (coordinator.ended, coordinator.rebuilds) = (rebuilds, rebuilds);
        [1, 2].into_iter().for_each(|peer| coordinator.handle_told(ReplicaId(peer), told));
        let (mut now_ns, mut begun) = (1, Vec::new());
        for _ in 0..160 {
            now_ns += 250_000_000;
            coordinator.handle_time(SLOT, now_ns);
            let Some(TakeOver { from, anew, .. }) = coordinator.poll_take_over() else { continue };
            assert!(anew, "what came before does not count");
            begun.push((from.0, now_ns / 1_000_000_000));
            let full = PartFailure { reason: "no space".to_owned(), sent_wrong: false };
            let report = CheckpointReport { slot: later, core: CoreId(0), of_peer: true, part: Err(full) };
            coordinator.handle_report(report, now_ns);
        }
        let waited: Vec<u64> = begun.windows(2).map(|two| two[1].1 - two[0].1).collect();
        assert_eq!(waited, [2, 4, 8, 16], "{begun:?}, rebuilds: {rebuilds}");
        assert!(begun.iter().any(|(from, _)| *from != begun[0].0), "another peer is asked: {begun:?}");
    }
}
