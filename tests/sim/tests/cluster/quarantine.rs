//! A replica that goes wrong is found out, by itself and by the others, before anything of it leaves (C5).

use assize_consensus::limits::REPLICAS_MAX;
use assize_shards::Rehearsal;
use assize_sim::cluster::ClusterWorld;
use assize_sim::cluster::options::ClusterOptions;
use assize_sim::disk::Down;
use assize_sim::replica::Expected;
use assize_sim::seeds::{all_seeds, each_seed};
use assize_sim::shape::Shape;
use assize_wal::{Quarantine, QuarantineKind};
use assize_wire::{ReplicaId, Slot};

/// OwnCopyOutside, ReplicaDoubted, DoubtSurvives, FirstDifferenceTold: one replica computes one wrong outcome, be it
/// the leader or not. No client is told it, the others go on, and it stays out, also after a restart.
#[test]
fn c5_who_computes_a_wrong_outcome_is_quarantined_for_good() {
    each_seed("c5_who_computes_a_wrong_outcome", 0..12, |seed| {
        let wrong = (seed % 3) as usize;
        let mut world = cluster(seed, wrong, Some(Rehearsal::WrongOutcome(Slot(3 + seed))));
        world.run_until_acting("it is quarantined", 60_000, |world| quarantined(world, wrong));
        let found = world.cluster.replicas[wrong].quarantined.unwrap();
        assert_eq!((found.kind, found.slot >= Slot(3 + seed)), (QuarantineKind::Outcomes, true));
        world.run(2000);
        world.finish();
        let diverged: u64 = world.cluster.replicas.iter().map(|replica| replica.seen.peers_diverged).sum();
        assert!(diverged > 0, "nobody else named it");
        // Both sides say which event it was, and in what it differs: the fault is in its reason.
        for (at, replica) in world.cluster.replicas.iter().enumerate() {
            for report in &replica.reports {
                let of = (report.slot, report.outside, report.difference.entity);
                assert_eq!(of, (found.slot, ReplicaId(wrong as u8), None), "replica {at}: {report}");
                assert!(report.difference.expected.contains("reason"), "replica {at}: {report}");
            }
        }
        assert!(world.cluster.replicas.iter().filter(|replica| !replica.reports.is_empty()).count() >= 2);
        stays_out(&mut world, wrong);
        assert_eq!(world.cluster.replicas[wrong].quarantined, Some(found));
    });
}

/// ReplicaDoubted: what was published before the restart is not what the replay comes to.
#[test]
fn c4_a_replay_that_contradicts_what_was_published_is_quarantined() {
    each_seed("c4_a_replay_that_contradicts", 0..6, |seed| {
        let wrong = (seed % 3) as usize;
        let mut world = cluster(seed, wrong, None);
        world.run(3000);
        world.finish();
        world.down(wrong, Down::Process);
        world.cluster.replicas[wrong].falsify_digests = true;
        world.start(wrong);
        world.run_until_acting("it is quarantined", 60_000, |world| quarantined(world, wrong));
        let found = world.cluster.replicas[wrong].quarantined.unwrap();
        assert_eq!(found.kind, QuarantineKind::Replay);
        world.cluster.replicas[wrong].falsify_digests = false;
        stays_out(&mut world, wrong);
    });
}

/// A bit of an entity turns over in memory: the next event that touches it has another outcome here than elsewhere.
#[test]
fn c5_who_has_lost_a_bit_of_its_state_is_quarantined() {
    each_seed("c5_who_has_lost_a_bit", 0..6, |seed| {
        let mut world = cluster(seed, 0, Some(Rehearsal::FlipBit(Slot(4))));
        world.run_until_acting("it is quarantined", 60_000, |world| quarantined(world, 0));
        world.run(1000);
        world.finish();
        let reports = world.cluster.replicas.iter().flat_map(|replica| &replica.reports);
        assert!(reports.clone().count() > 0 && reports.clone().all(|report| report.outside == ReplicaId(0)));
        stays_out(&mut world, 0);
    });
}

/// FailureDomainsCompared: two replicas of one failure domain are wrong in the same way. They count as one, so nothing
/// of it is published, nobody is put into quarantine by them, and both sides say why they are worth no more than one.
#[test]
fn c1_two_that_fail_together_publish_nothing_by_themselves() {
    each_seed("c1_two_that_fail_together", 0..6, |seed| {
        let mut options = ClusterOptions::calm(3, Shape::smallest());
        options.mix.read_percent = 0;
        for shape in &mut options.shapes[1..3] {
            shape.failure_domain = Some(9);
            shape.rehearsal = Some(Rehearsal::WrongOutcome(Slot(5)));
        }
        let mut world = ClusterWorld::format(&options, seed);
        (0..3).for_each(|at| world.start(at));
        world.keep_down();
        world.run_until_acting("too few agree for a while", 100_000, |world| {
            world.cluster.replicas.iter().any(|replica| replica.seen.copies_missing > 0)
        });
        world.run(2000);
        for replica in &world.cluster.replicas {
            assert_eq!(replica.quarantined, None);
            assert!(replica.seen.failure_domains_shared > 0, "it says nothing of failure domains");
        }
    });
}

/// TwoTruths, SecondTruthShowsLate, ReplicaDoubted: of five replicas, whose operator asked for no more than two copies,
/// two compute the same wrong outcome. Both groups are large enough, so nobody can tell who is right: all five stop for
/// good and say so. No client was told anything wrong by the leader, which is one of the three.
#[test]
fn c5_two_groups_that_agree_stop_every_replica() {
    each_seed("c5_two_groups_that_agree", 0..8, |seed| {
        let mut options = ClusterOptions::calm(5, Shape { shards: 2, ..Shape::smallest() });
        options.mix.read_percent = 0;
        options.shapes.iter_mut().for_each(|shape| shape.copies = 2);
        let fault = Rehearsal::WrongOutcome(Slot(8));
        options.shapes[3..].iter_mut().for_each(|shape| shape.rehearsal = Some(fault));
        let mut world = ClusterWorld::format(&options, seed);
        world.keep_down();
        let everyone = Expected { doubt: true, diverges: [true; REPLICAS_MAX], ..Expected::default() };
        world.cluster.replicas.iter_mut().for_each(|replica| replica.expected = everyone);
        (3..5).for_each(|at| world.checkers.expect_wrong(at));
        (0..3).for_each(|at| world.start(at));
        world.run_until("somebody leads", 100_000, |world| world.cluster.leader().is_some());
        (3..5).for_each(|at| world.start(at));
        world.run_until_acting("all are quarantined", 400_000, |world| {
            (0..5).all(|at| quarantined(world, at))
        });
        // It is acted on at once, and durable a little later.
        world.run(500);
        for at in 0..5 {
            world.down(at, Down::Power);
            world.cluster.replicas[at].shape.rehearsal = None;
        }
        (0..5).for_each(|at| world.start(at));
        let found =
            world.cluster.replicas.iter().map(|replica| replica.quarantined.expect("it is quarantined"));
        let kinds: Vec<QuarantineKind> = found.map(|found| found.kind).collect();
        // Whoever was not decided yet when the other group had reached two takes itself for the odd one out.
        assert!(kinds.contains(&QuarantineKind::SplitBrain), "{kinds:?}");
        world.run(2000);
        assert_eq!(world.cluster.leader(), None);
    });
}

/// ReplicaRebuilt: a quarantined replica is rebuilt from the others, and is one of them again. Its
/// promises and what it accepted stay, so it is needed for the majority all the time.
#[test]
fn r3_a_quarantined_replica_is_rebuilt_from_the_others() {
    each_seed("r3_a_quarantined_replica_is_rebuilt", 0..6, |seed| {
        let wrong = (seed % 3) as usize;
        let fault = [Rehearsal::WrongOutcome(Slot(3 + seed)), Rehearsal::FlipBit(Slot(4))];
        let (checkpoint_bytes, segment_bytes) = (200 << 10, 64 << 10);
        let shape = Shape { shards: 2, checkpoint_bytes, segment_bytes, ..Shape::smallest() };
        let mut world = cluster_of(shape, seed, wrong, Some(fault[(seed / 3) as usize % 2]));
        world.run_until_acting("it is quarantined", 60_000, |world| quarantined(world, wrong));
        world.run(500);
        world.down(wrong, Down::Power);
        world.cluster.replicas[wrong].shape.rehearsal = None;
        world.cluster.replicas[wrong].rebuild();
        world.start(wrong);
        assert_eq!(world.cluster.replicas[wrong].quarantined, Some(Quarantine::REBUILD));
        world.restart_again();
        world.run_until_acting("it is rebuilt", 400_000, |world| {
            world.cluster.replicas[wrong].seen.taken_over > 0
        });
        world.run(2000);
        assert_eq!(world.cluster.replicas[wrong].quarantined, None, "it is quarantined still");
        world.finish();
        world.count();
        world.stop_all();
    });
}

/// NotTakenOver (C7): what comes of a peer's checkpoint has a wrong bit. It is not taken over, the start ends, and
/// a later one takes the same from another peer, although what was wrong lies in the logs.
#[test]
fn c7_a_checkpoint_that_comes_with_a_wrong_bit_is_not_taken_over() {
    let mut sent_wrong = 0;
    each_seed("c7_a_checkpoint_that_comes_with_a_wrong_bit", 0..8, |seed| {
        let [behind, bad] = [seed % 3, (seed + 1 + seed / 3 % 2) % 3].map(|at| at as usize);
        let (checkpoint_bytes, segment_bytes) = (200 << 10, 64 << 10);
        let shape = Shape { shards: 2, checkpoint_bytes, segment_bytes, ..Shape::smallest() };
        let mut world = cluster_of(shape, seed, behind, None);
        world.down(behind, Down::Power);
        world.cluster.replicas[bad].spoils_parts = true;
        world.run_until_acting("the others' logs begin above its own", 400_000, |world| {
            world.cluster.replicas[bad].seen.checkpoints > 2
        });
        world.restart_again();
        world.start(behind);
        world.run_until_acting("it has taken one over", 400_000, |world| {
            world.cluster.replicas[behind].seen.taken_over > 0
        });
        world.run(2000);
        assert_eq!(world.cluster.replicas[behind].quarantined, None, "it is to be rebuilt still");
        world.finish();
        sent_wrong += world.cluster.replicas[behind].seen.sent_wrong;
        world.count();
        world.stop_all();
    });
    assert!(sent_wrong > 2 || !all_seeds(), "only {sent_wrong} were sent wrong");
}

/// RoomAsked (C5, L6): the log of a quarantined replica is as large as it may be, and nobody takes checkpoints for it,
/// which would make no room there.
#[test]
fn c5_nobody_takes_checkpoints_for_a_quarantined_replica_whose_log_is_full() {
    each_seed("c5_nobody_takes_checkpoints", 0..3, |seed| {
        let wrong = (seed % 3) as usize;
        let shape = Shape { shards: 2, ..Shape::smallest() };
        let mut options = options_of(shape, wrong, Some(Rehearsal::WrongOutcome(Slot(3))));
        options.shapes[wrong].segments_max = 16;
        let mut world = started(&options, seed, wrong);
        world.run_until_acting("it is quarantined", 60_000, |world| quarantined(world, wrong));
        world.run(60_000);
        world.finish_without(Some(wrong));
        for replica in &world.cluster.replicas {
            assert_eq!(
                replica.seen.checkpoints + replica.seen.checkpoints_unreported,
                0,
                "{:?}",
                replica.seen
            );
        }
        world.count();
    });
}

/// It starts again, is quarantined as before, does not lead, and the others go on without it.
fn stays_out(world: &mut ClusterWorld, wrong: usize) {
    // It becomes durable at once, but not before it is acted on.
    world.run(500);
    world.down(wrong, Down::Power);
    world.cluster.replicas[wrong].shape.rehearsal = None;
    world.start(wrong);
    assert!(quarantined(world, wrong), "it comes up as if nothing had been found");
    let before = world.checkers.log().len();
    world.run(2000);
    world.finish();
    assert!(world.checkers.log().len() > before, "nothing goes on");
    assert!(!world.cluster.replicas[wrong].is_serving(), "it serves");
    assert!(world.cluster.leader().is_some_and(|leader| leader != wrong), "{:?}", world.cluster.leader());
    world.count();
    world.stop_all();
}

fn quarantined(world: &ClusterWorld, at: usize) -> bool {
    world.cluster.replicas[at].quarantined.is_some()
}

/// Three replicas, of which one is going to be wrong. Nobody reads: what a leader has in memory is read before anybody
/// compares it.
fn cluster(seed: u64, wrong: usize, rehearsal: Option<Rehearsal>) -> ClusterWorld {
    cluster_of(Shape { shards: 2, ..Shape::smallest() }, seed, wrong, rehearsal)
}

fn cluster_of(shape: Shape, seed: u64, wrong: usize, rehearsal: Option<Rehearsal>) -> ClusterWorld {
    started(&options_of(shape, wrong, rehearsal), seed, wrong)
}

fn options_of(shape: Shape, wrong: usize, rehearsal: Option<Rehearsal>) -> ClusterOptions {
    let mut options = ClusterOptions::calm(3, shape);
    options.mix.read_percent = 0;
    options.clients = 2;
    options.shapes[wrong].rehearsal = rehearsal;
    options
}

fn started(options: &ClusterOptions, seed: u64, wrong: usize) -> ClusterWorld {
    let mut world = ClusterWorld::format(options, seed);
    for at in 0..3 {
        let diverges = std::array::from_fn(|peer| peer == wrong && at != wrong);
        world.cluster.replicas[at].expected =
            Expected { doubt: at == wrong, diverges, ..Expected::default() };
        world.start(at);
    }
    world.keep_down();
    world.run_until("somebody leads", 100_000, |world| world.cluster.leader().is_some());
    world
}
