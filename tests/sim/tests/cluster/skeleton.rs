//! Three fresh replicas find each other by themselves, and answer.

use assize_sim::cluster::ClusterWorld;
use assize_sim::cluster::options::ClusterOptions;
use assize_sim::cluster::scenario;
use assize_sim::shape::Shape;

/// LeaderAdmits.
#[test]
fn the_first_request_is_answered() {
    let seed: u64 = std::env::var("ASSIZE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let options = ClusterOptions::calm(3, Shape::smallest());
    let mut world = ClusterWorld::format(&options, seed);
    for at in 0..3 {
        world.start(at);
    }
    world.run_until("somebody leads", 100_000, |world| world.cluster.leader().is_some());
    while world.history().events.iter().all(|event| event.answers.is_empty()) {
        world.act_and_step();
        assert!(world.cluster.steps < 200_000, "no answer");
    }
    let world = scenario::run(&options, seed, 3000);
    assert!(world.checkers.log().len() > 10, "{} slots", world.checkers.log().len());
}
