//! Operators have a leader hand over: each hears what became of it, and nobody waits for long.

use assize_consensus::HandOverRefused;
use assize_node::HandOverEnd;
use assize_sim::cluster::ClusterWorld;
use assize_sim::cluster::options::ClusterOptions;
use assize_sim::disk::Down;
use assize_sim::options::Mix;
use assize_sim::seeds::each_seed;
use assize_sim::shape::Shape;
use assize_wire::ReplicaId;

/// HandOverTaken, SuccessorTold, SuccessorHeard (P11, P12): under load leadership moves to whom it was to, and on to
/// the next one, and nobody waits for a lease or an election timeout.
#[test]
fn p12_leadership_moves_to_whom_an_operator_names() {
    each_seed("p12_leadership_moves", 0..8, |seed| {
        let mut world = busy(seed);
        for _ in 0..4 {
            let (leader, timeout) = (leader(&world), timeout_ns(&world));
            let to = (leader + 1) % 3;
            let (asked, before) =
                (world.cluster.now_ns, world.cluster.replicas[leader].hand_over_ends().len());
            ask(&mut world, leader, Some(to));
            while world.cluster.leader() != Some(to) {
                world.run(1);
                let waited = world.cluster.now_ns - asked;
                assert!(waited < 2 * timeout, "nobody leads {waited} ns later");
            }
            world.run_until_acting("the operator hears", 20_000, |world| {
                world.cluster.replicas[leader].hand_over_ends().len() > before
            });
            assert_eq!(last_end(&world, leader), led(to, to));
            world.run(300);
        }
        world.finish();
        world.count();
    });
}

/// LeadershipKept (P1): a successor that stands still while it lacks something is waited for an election timeout; then
/// the leader goes on under the ballot that it has. HandOverNotTaken: meanwhile another operator is refused.
#[test]
fn p1_a_leader_goes_on_when_its_successor_is_late() {
    each_seed("p1_a_leader_goes_on", 0..8, |seed| {
        let mut world = busy(seed);
        let (leader, timeout) = (leader(&world), timeout_ns(&world));
        let (to, ballot) = ((leader + 1) % 3, world.cluster.replicas[leader].leads());
        let lacks = |world: &ClusterWorld| {
            let [formed, there] = [leader, to].map(|at| world.cluster.replicas[at].watermarks());
            formed.formed > there.accepted
        };
        world.run_until_acting("it lacks something", 20_000, lacks);
        world.cluster.freeze(to, 3 * timeout);
        let asked = world.cluster.now_ns;
        ask(&mut world, leader, Some(to));
        ask(&mut world, leader, None);
        world.run_until_acting("both hear", 40_000, |world| {
            world.cluster.replicas[leader].hand_over_ends().len() == 2
        });
        assert_eq!(world.cluster.replicas[leader].hand_over_ends()[0], HandOverEnd::UnderWay);
        assert_eq!(last_end(&world, leader), HandOverEnd::Kept { late: true });
        let (now, formed) = (world.cluster.now_ns, world.cluster.replicas[leader].watermarks().formed);
        assert!(now - asked < 2 * timeout, "{} ns", now - asked);
        world.run_until_acting("slots are formed again", 20_000, |world| {
            world.cluster.replicas[leader].watermarks().formed > formed
        });
        assert_eq!(world.cluster.replicas[leader].leads(), ballot);
        world.finish();
        world.count();
    });
}

/// SuccessorHeard: a successor that has everything and stands still is told, and does not hear it: others elect
/// somebody, and the operator hears who.
#[test]
fn an_operator_hears_who_leads_in_place_of_a_successor_that_does_not() {
    each_seed("an_operator_hears_who_leads", 0..8, |seed| {
        let mut world = idle(seed);
        let leader = leader(&world);
        let to = (leader + 1) % 3;
        world.cluster.freeze(to, 40 * timeout_ns(&world));
        ask(&mut world, leader, Some(to));
        hears(&mut world, leader);
        let end = last_end(&world, leader);
        let others = [leader, (leader + 2) % 3].map(|by| led(to, by));
        assert!(others.contains(&end), "{end:?}");
    });
}

/// NobodyHeard: nor is anybody left who could be elected.
#[test]
fn an_operator_hears_that_nobody_leads() {
    each_seed("an_operator_hears_that_nobody_leads", 0..8, |seed| {
        let mut world = idle(seed);
        let (leader, long) = (leader(&world), 400 * timeout_ns(&world));
        let to = (leader + 1) % 3;
        world.cluster.freeze(to, long);
        world.cluster.freeze((leader + 2) % 3, long);
        ask(&mut world, leader, Some(to));
        hears(&mut world, leader);
        assert_eq!(last_end(&world, leader), HandOverEnd::Unheard { to: ReplicaId(to as u8) });
    });
}

/// HandOverLost (P9): a leader that nobody hears loses leadership before it could hand it over.
#[test]
fn p9_a_leader_that_is_cut_off_loses_what_it_was_to_hand_over() {
    each_seed("p9_a_leader_that_is_cut_off", 0..8, |seed| {
        let mut world = busy(seed);
        let leader = leader(&world);
        let lacks = |world: &ClusterWorld| {
            let formed = world.cluster.replicas[leader].watermarks().formed;
            let there = (0..3).map(|at| world.cluster.replicas[at].watermarks().accepted);
            there.min() < Some(formed)
        };
        world.run_until_acting("somebody lacks something", 20_000, lacks);
        world.cut_off_and_read(leader);
        ask(&mut world, leader, None);
        hears(&mut world, leader);
        // It may give up waiting first: nothing that it forms then is ever chosen.
        let end = last_end(&world, leader);
        let possible =
            [HandOverEnd::Lost, HandOverEnd::Kept { late: true }, HandOverEnd::Kept { late: false }];
        let refused = matches!(end, HandOverEnd::Refused(HandOverRefused::NobodyAble));
        assert!(possible.contains(&end) || refused, "{end:?}");
    });
}

/// HandOverNotTaken: a replica that is told to stop hands over by itself, and says so to who asked for it before.
#[test]
fn a_replica_that_stops_hands_over_by_itself() {
    each_seed("a_replica_that_stops", 0..8, |seed| {
        let mut world = busy(seed);
        let (leader, timeout) = (leader(&world), timeout_ns(&world));
        let to = (leader + 1) % 3;
        let lacks = |world: &ClusterWorld| {
            let [formed, there] = [leader, to].map(|at| world.cluster.replicas[at].watermarks());
            formed.formed > there.accepted
        };
        world.run_until_acting("it lacks something", 20_000, lacks);
        world.keep_down();
        world.cluster.freeze(to, timeout);
        ask(&mut world, leader, Some(to));
        world.cluster.replicas[leader].stop();
        world.run_until_acting("the operator hears", 40_000, |world| {
            !world.cluster.replicas[leader].hand_over_ends().is_empty()
        });
        assert_eq!(last_end(&world, leader), HandOverEnd::Stopping);
        world.run_until_acting("it halts", 100_000, |world| !world.cluster.replicas[leader].is_up());
    });
}

/// FullDiskHandsOver is not for one who could not lead: HandOverRefused, of whoever is named.
#[test]
fn who_is_down_is_not_handed_over_to() {
    each_seed("who_is_down", 0..4, |seed| {
        let mut world = idle(seed);
        let leader = leader(&world);
        let to = (leader + 1) % 3;
        world.down(to, Down::Process);
        world.run(2000);
        ask(&mut world, leader, Some(to));
        ask(&mut world, leader, Some(leader));
        ask(&mut world, leader, Some(7));
        ask(&mut world, (leader + 2) % 3, Some(leader));
        world.run(2000);
        let refused = |reasons: &[HandOverRefused]| -> Vec<HandOverEnd> {
            reasons.iter().copied().map(HandOverEnd::Refused).collect()
        };
        let [there_is, leads] = [ReplicaId(to as u8), ReplicaId(leader as u8)];
        let by_leader = [
            HandOverRefused::NotConnected { to: there_is },
            HandOverRefused::LeadsAlready,
            HandOverRefused::NoSuchReplica { to: ReplicaId(7), replicas: 3 },
        ];
        assert_eq!(world.cluster.replicas[leader].hand_over_ends(), refused(&by_leader));
        let by_other = refused(&[HandOverRefused::NotLeading { leader: Some(leads) }]);
        assert_eq!(world.cluster.replicas[(leader + 2) % 3].hand_over_ends(), by_other);
    });
}

fn ask(world: &mut ClusterWorld, at: usize, to: Option<usize>) {
    world.cluster.replicas[at].hand_over(to.map(|to| ReplicaId(to as u8)));
}

fn hears(world: &mut ClusterWorld, at: usize) {
    world.run_until("the operator hears", 400_000, |world| {
        !world.cluster.replicas[at].hand_over_ends().is_empty()
    });
}

fn last_end(world: &ClusterWorld, at: usize) -> HandOverEnd {
    *world.cluster.replicas[at].hand_over_ends().last().expect("somebody has heard")
}

fn led(to: usize, by: usize) -> HandOverEnd {
    HandOverEnd::Led { to: ReplicaId(to as u8), by: ReplicaId(by as u8) }
}

fn leader(world: &ClusterWorld) -> usize {
    world.cluster.leader().expect("somebody leads")
}

fn timeout_ns(world: &ClusterWorld) -> u64 {
    world.cluster.replicas[0].shape.election.timeout_ns
}

/// Three replicas, and clients that leave them no rest.
fn busy(seed: u64) -> ClusterWorld {
    let shape = Shape { shards: 2, ..Shape::smallest() };
    let mut options = ClusterOptions::calm(3, shape);
    options.clients = 4;
    options.mix = Mix { act_one_in: 10, ..Mix::CALM };
    let mut world = ClusterWorld::format(&options, seed);
    (0..3).for_each(|at| world.start(at));
    world.run_until("somebody leads", 100_000, |world| world.cluster.leader().is_some());
    world.run(2000);
    world
}

/// Three replicas that have answered everything.
fn idle(seed: u64) -> ClusterWorld {
    let mut world = ClusterWorld::format(&ClusterOptions::calm(3, Shape::smallest()), seed);
    (0..3).for_each(|at| world.start(at));
    world.keep_down();
    world.run_until("somebody leads", 100_000, |world| world.cluster.leader().is_some());
    world.run(500);
    world.finish();
    world
}
