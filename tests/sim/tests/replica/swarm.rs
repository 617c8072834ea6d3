//! The simulator's scenarios on some seeds, and on those that found something once.

use assize_domain::EngineReason;
use assize_sim::runner::{Run, STEPS, Summary};
use assize_sim::scenario::Scenario;
use assize_sim::world::World;
use assize_wire::outcome::Status;

/// W1 to W3, D1, D4, D5, C3, C4, C8, L3 to L5, L7, P1, P2, P4, R4: whatever the swarm draws, no checker finds anything.
#[test]
fn the_swarm_finds_nothing_broken() {
    let summary = run(Scenario::Swarm, 0..120);
    assert!(summary.downs > 300, "{summary:?}");
    use Status::{Applied, Busy, Conflict, Duplicate, Expired, Fault, Full, Invalid, Rejected};
    for status in [Applied, Rejected, Fault, Duplicate, Conflict, Full, Expired, Invalid, Busy] {
        assert!(summary.statuses >> status as u8 & 1 == 1, "no event ended as {status}");
    }
}

#[test]
fn without_faults_nothing_is_found_broken() {
    let summary = run(Scenario::Load, 1000..1060);
    assert!(summary.events > 10_000, "{summary:?}");
}

/// CoreStops, StopAdmitsNothing, CoreDrained, ReplicaHalted, under every habit of the swarm.
#[test]
fn a_stop_in_good_order_leaves_nobody_without_an_answer() {
    run(Scenario::Stop, 2000..2030);
}

/// A seed is the whole story: whatever happened happens again, to the last byte.
#[test]
fn a_seed_does_the_same_again() {
    for seed in 0..12 {
        let options = Scenario::Swarm.options(seed);
        let [first, second] = [(); 2].map(|()| Scenario::Swarm.run(&options, seed, 1500));
        let told = |world: &World| {
            let events = world.history.events.iter();
            events.map(|event| (event.bytes.clone(), event.answers.clone())).collect::<Vec<_>>()
        };
        assert_eq!(told(&first), told(&second), "seed {seed}");
        let [first, second] = [first, second].map(|world| {
            let slots = world.replicas[0].disk.recorder.slots().last().map(|slot| slot.ordered.hash);
            (slots, world.replicas[0].now(), world.replicas[0].steps(), world.random.0)
        });
        assert_eq!(first, second, "seed {seed}");
    }
}

/// D5, W1: the swarm reaches what only small capacities and short lives bring.
#[test]
fn the_swarm_meets_no_room_and_keys_that_live_again() {
    let (mut no_room, mut again, mut exact) = (0, 0, 0);
    for seed in 0..60 {
        let options = Scenario::Load.options(seed);
        let world = Scenario::Load.run(&options, seed, 1500);
        let model = &world.checkers[0].model;
        let mut first = std::collections::HashMap::new();
        for (position, ended) in &model.ended {
            no_room += u64::from(ended.reason == EngineReason::NoRoom as u16);
            if !ended.status.is_recorded() {
                continue;
            }
            let slots = world.replicas[0].disk.recorder.slots();
            let time = slots[position.slot.0 as usize - 1].ordered.manifest.time.0;
            if let Some(before) = first.insert(ended.key, time) {
                again += 1;
                exact += u64::from(time - before == options.shape.ttl_ns);
            }
        }
    }
    assert!(no_room > 100 && again > 10 && exact > 0, "{no_room} no room, {again} again, {exact} at the TTL");
}

/// What failed once never fails again.
#[test]
fn seeds_that_failed_once_pass() {
    let lines = include_str!("../../seeds.txt").lines();
    for line in lines.filter(|line| !line.starts_with('#') && !line.is_empty() && !line.contains(" cluster"))
    {
        let mut words = line.split_whitespace();
        let mut word = || words.next().unwrap_or_else(|| panic!("seed scenario steps reason: '{line}'"));
        let (seed, scenario, steps) = (word(), word(), word());
        let scenario = Scenario::named(scenario).unwrap_or_else(|| panic!("no scenario: '{line}'"));
        assert!(words.count() >= 3, "say what it found: '{line}'");
        let (seed, steps) = (seed.parse().expect("a seed"), steps.parse().expect("steps"));
        if let Err(failure) = (Run { scenario, seed, steps }.run()) {
            panic!("{failure}");
        }
    }
}

fn run(scenario: Scenario, seeds: std::ops::Range<u64>) -> Summary {
    let mut summary = Summary::default();
    for seed in seeds {
        match (Run { scenario, seed, steps: STEPS }.run()) {
            Ok(found) => summary = summary.and(found),
            Err(failure) => panic!("{failure}"),
        }
    }
    summary
}
