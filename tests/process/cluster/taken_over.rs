//! Replicas that begin again from a checkpoint of the others: one that was gone for so long that nobody has the log
//! that it lacks, and one that computed wrongly and is rebuilt (R3).

use super::replicas::{Cluster, REPLICAS, Running};
use super::steady::{Steady, check_all, events};
use crate::engine::Engine;
use crate::rng::Rng;
use crate::site::{Settings, text};

/// Of each shard: the load goes on for as long as a replica takes to come back, again and again.
const KEYS: u64 = 512 << 10;
/// Checkpoints that the others take meanwhile, each after the smallest segment there is. The first of them may end
/// below what the one that is gone has.
const CHECKPOINTS: usize = 4;

/// P7, C7: what it lacks is gone from the logs of the others, so it takes a checkpoint over and starts again from it;
/// and then it is as good as any.
#[test]
fn c7_a_follower_that_was_gone_for_long_takes_a_checkpoint_over_and_goes_on() {
    let mut rng = Rng::announced("take over");
    let events = events(60_000);
    let cluster = Cluster::of(&Settings::small(), KEYS, |_| {});
    let mut running = Running::start(&cluster);
    let load = Steady::start(&cluster, events);
    load.wait_for(10, &mut rng);
    let leader = cluster.leader();
    let follower = (leader + 1 + rng.below(REPLICAS as u64 - 1) as usize) % REPLICAS;
    running.kill(follower);
    wait_for_checkpoints(&mut running, leader);
    running.spawn(follower);
    take_over(running.engine(follower));
    needs(&mut running, follower, &load, &mut rng);
    let report = load.finish();
    check_all(running, &report);
}

/// ReplicaRebuilt: what it evaluated is replaced by what the others did, and what it accepted stays. It is kept alive
/// by a fault on purpose until it is found out.
#[test]
fn r3_a_replica_that_computed_wrongly_is_rebuilt_and_is_one_of_them_again() {
    const WRONG: usize = 2;
    let mut rng = Rng::announced("rebuild");
    let events = events(60_000);
    let cluster = Cluster::of(&Settings { allow_faults: true, ..Settings::small() }, KEYS, |_| {});
    // The others have a leader before it comes.
    let engines = cluster.sites.iter().enumerate();
    let engines = engines.map(|(replica, site)| (replica != WRONG).then(|| site.spawn()));
    let mut running = Running { cluster: &cluster, engines: engines.collect() };
    running.wait_until_serving();
    let mut command = cluster.sites[WRONG].command("serve");
    command.args(["--fault", "wrong-outcome@40"]);
    running.engines[WRONG] = Some(Engine::spawn(command));
    running.engine(WRONG).wait_until_serving();
    let load = Steady::start(&cluster, events);
    running.engine(WRONG).wait_until_said("quarantined: slot", 1);
    load.wait_for(5, &mut rng);
    running.engines[WRONG].take().expect("it runs").stop();
    let rebuild = cluster.sites[WRONG].run("rebuild", &[]);
    assert!(
        rebuild.status.success() && text(&rebuild).contains("it was quarantined: slot"),
        "{}",
        text(&rebuild)
    );
    running.spawn(WRONG);
    take_over(running.engine(WRONG));
    needs(&mut running, WRONG, &load, &mut rng);
    let report = load.finish();
    check_all(running, &report);
}

/// Waits until a replica has taken some checkpoints more.
fn wait_for_checkpoints(running: &mut Running<'_>, replica: usize) {
    let engine = running.engine(replica);
    let before = engine.said().matches(ACTIVE).count();
    engine.wait_until_said(ACTIVE, before + CHECKPOINTS);
}

/// It takes a checkpoint over, perhaps one after the other while the load goes on, and comes to where the others are.
fn take_over(engine: &mut Engine) {
    engine.wait_until_said("starting again from the checkpoint that was taken over", 1);
    stands(engine);
    let said = engine.said();
    assert!(said.contains("starting from the checkpoint after this slot"), "{said}");
    println!("{} checkpoints were taken over", said.matches("starting again from").count());
}

/// It takes checkpoints with the others: it has executed what they have.
fn stands(engine: &mut Engine) {
    let before = engine.said().matches(ACTIVE).count();
    engine.wait_until_said(ACTIVE, before + 1);
}

/// The others die one after the other, so that nothing is answered without it; and then it dies itself.
fn needs(running: &mut Running<'_>, replica: usize, load: &Steady, rng: &mut Rng) {
    for other in (0..REPLICAS).filter(|other| *other != replica).chain([replica]) {
        running.kill(other);
        load.wait_for(5, rng);
        running.spawn(other);
        stands(running.engine(other));
    }
}

const ACTIVE: &str = "a checkpoint is active";
