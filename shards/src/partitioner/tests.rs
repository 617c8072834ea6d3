//! The groups against connected components found by flood fill.

use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

/// The lowest entity of each one's component: floods from every entity along the events.
fn flooded(count: u32, events: &[Vec<u32>]) -> Vec<u32> {
    let mut component = vec![u32::MAX; count as usize];
    for lowest in 0..count {
        let mut reached = vec![lowest];
        while let Some(at) = reached.pop() {
            if component[at as usize] != u32::MAX {
                continue;
            }
            component[at as usize] = lowest;
            let touching = events.iter().filter(|event| event.contains(&at));
            reached.extend(touching.flatten());
        }
    }
    component
}

fn scenario() -> impl Strategy<Value = (u32, Vec<Vec<u32>>, Vec<u32>)> {
    (1u32..60).prop_flat_map(|count| {
        let event = proptest::collection::vec(0..count, 1..5);
        (Just(count), proptest::collection::vec(event, 0..40), proptest::collection::vec(0..count, 0..6))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    // EntitiesUnited, GroupHeld, GroupsAreComponents.
    #[test]
    fn x2_groups_are_the_connected_components(
        (count, events, held) in scenario(),
        (_, other, _) in scenario(),
    ) {
        let mut partitioner = Partitioner::default();
        // What an earlier stripe left behind changes nothing.
        (0..60).for_each(|entity| partitioner.add(entity > 0));
        other.iter().for_each(|event| partitioner.unite(event));
        partitioner.clear();
        (0..count).for_each(|entity| partitioner.add(!held.contains(&entity)));
        for event in &events {
            partitioner.unite(event);
            partitioner.check_invariants();
        }
        let component = flooded(count, &events);
        for a in 0..count {
            let waits = held.iter().any(|entity| component[*entity as usize] == component[a as usize]);
            prop_assert_eq!(partitioner.is_held(a), waits, "entity {}", a);
            for b in 0..count {
                let together = partitioner.root(a) == partitioner.root(b);
                prop_assert_eq!(together, component[a as usize] == component[b as usize]);
            }
        }
        partitioner.check_invariants();
    }
}

// Union by rank: a path is never longer than the logarithm of its group.
#[test]
fn paths_stay_short_however_groups_are_united() {
    let mut partitioner = Partitioner::default();
    (0..1 << 12).for_each(|_| partitioner.add(true));
    for step in 0..12 {
        for pair in (0..1 << 12).step_by(2 << step) {
            partitioner.unite(&[pair, pair + (1 << step)]);
        }
    }
    partitioner.check_invariants();
    assert!(partitioner.nodes.iter().all(|node| node.rank <= 12));
    let root = partitioner.root(0);
    assert!((0..1 << 12).all(|entity| partitioner.root(entity) == root));
    assert!(
        partitioner.nodes.iter().all(|node| node.parent == root),
        "looked at once, each is below the root"
    );
}
