//! A running cluster switches to another version of its domain's logic (P12, R5).

use assize_sim::bank::{NEXT_VERSION, VERSION};
use assize_sim::cluster::ClusterWorld;
use assize_sim::cluster::options::ClusterOptions;
use assize_sim::disk::Down;
use assize_sim::seeds::each_seed;
use assize_sim::shape::Shape;

/// SwitchOrdered, SwitchChosen: one after the other replicas get the next program, and nothing is switched before the
/// last of them has it. The checkers compare every outcome with the model, which switches at the same slot.
#[test]
fn r5_a_rolling_upgrade_switches_once_all_have_it() {
    each_seed("r5_a_rolling_upgrade", 0..8, |seed| {
        let mut world = started(seed);
        for at in 0..3 {
            world.run(200);
            assert_eq!(world.checkers.model.logic, VERSION, "not all have it");
            upgrade(&mut world, at);
        }
        world.run_until_acting("it is switched", 20_000, |world| world.checkers.model.logic == NEXT_VERSION);
        let events = world.checkers.model.ended.len();
        world.run_until_acting("events are evaluated by it", 20_000, |world| {
            world.checkers.model.ended.len() > events + 20
        });
        world.finish();
        assert!(world.cluster.replicas.iter().all(|replica| replica.seen.logic_missing == 0));
    });
}

/// LackingStops: who was away when it was ordered and lacks it stops there, and goes on with a program that has it.
#[test]
fn r5_who_was_away_and_lacks_it_stops_at_that_slot() {
    each_seed("r5_who_was_away", 0..8, |seed| {
        let mut world = started(seed);
        world.keep_down();
        let away = 2;
        for at in [0, 1] {
            upgrade(&mut world, at);
            world.run(200);
        }
        assert_eq!(world.checkers.model.logic, VERSION, "one that can be reached lacks it");
        world.down(away, Down::Process);
        world.run_until_acting("it is switched", 20_000, |world| world.checkers.model.logic == NEXT_VERSION);
        let switched = world.checkers.log().len() as u64;
        world.start(away);
        world.run_until_acting("it stops", 20_000, |world| {
            world.cluster.replicas[away].seen.logic_missing == 1
        });
        assert!(world.cluster.replicas[away].watermarks().published.0 <= switched);
        world.restart_again();
        world.finish();
        assert_eq!(world.cluster.replicas[away].seen.logic_missing, 1);
    });
}

/// Three replicas with the first program, which answer.
fn started(seed: u64) -> ClusterWorld {
    let shape = Shape { shards: 2, ..Shape::smallest() };
    let mut world = ClusterWorld::format(&ClusterOptions::calm(3, shape), seed);
    (0..3).for_each(|at| world.start(at));
    world.run_until_acting("events are answered", 20_000, |world| world.checkers.model.ended.len() > 10);
    world
}

fn upgrade(world: &mut ClusterWorld, at: usize) {
    world.down(at, Down::Process);
    world.cluster.replicas[at].shape.has_next_logic = true;
    world.start(at);
}
