//! Three fresh replicas find each other by themselves, elect a leader and answer.

use assize_sim::cluster::ClusterWorld;
use assize_sim::cluster::options::ClusterOptions;
use assize_sim::shape::Shape;
use assize_wire::outcome::Status;

/// LeaderAdmits.
#[test]
fn the_first_request_is_answered() {
    let options = ClusterOptions::calm(3, Shape::smallest());
    let mut world = ClusterWorld::format(&options, 1);
    (0..3).for_each(|at| world.start(at));
    world.run_until("somebody leads", 100_000, |world| world.cluster.leader().is_some());
    while world.history().events.iter().all(|event| event.answers.is_empty()) {
        world.run(10);
        assert!(world.cluster.steps < 200_000, "no answer");
    }
    world.finish();
    world.count();
    world.stop_all();
    assert!(world.statuses().contains_key(&(Status::Applied as u8)), "{:?}", world.statuses());
    // Two lanes to each of two peers, from either end.
    let connected: u64 = world.cluster.replicas.iter().map(|replica| replica.seen.connected).sum();
    assert!(connected >= 12, "{connected} lanes were connected");
}
