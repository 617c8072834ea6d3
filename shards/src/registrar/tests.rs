//! The records against a map, and the queues.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use assize_wire::{DomainId, EntityId, ShardId, Slot};
use proptest::prelude::*;

use super::*;

const DOMAIN: DomainId = DomainId(3);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn records_do_what_a_map_does_also_beyond_their_capacity(
        steps in proptest::collection::vec((0u128..60, proptest::option::of(0u8..20)), 0..300),
    ) {
        let mut entities = Entities::new(5, 20, 1);
        let mut model = BTreeMap::new();
        for (id, length) in steps {
            let hash = entities.hash(DOMAIN, EntityId(id));
            let at = entities.find_or_add(hash, DOMAIN, EntityId(id));
            prop_assert_eq!(entities.state(at), model.get(&id).map(Vec::as_slice));
            let state = length.map(|length| vec![id as u8; length.into()]);
            let before = model.len() as i64;
            match state.clone() {
                Some(state) => model.insert(id, state),
                None => model.remove(&id),
            };
            prop_assert_eq!(entities.store(at, state.as_deref()), model.len() as i64 - before);
            entities.tidy(at);
            entities.check_invariants();
            prop_assert_eq!(entities.present(), model.len() as u64);
            let found = entities.find(DOMAIN, EntityId(id)).is_some();
            prop_assert_eq!(found, model.contains_key(&id));
        }
    }
}

#[test]
fn x1_x2_queues_are_served_in_the_order_of_joining_and_an_entity_has_one_holder() {
    let mut entities = Entities::new(10, 8, 1);
    let mut turns = Turns::default();
    let [a, b] = [1, 2].map(|id| {
        let hash = entities.hash(DOMAIN, EntityId(id));
        let at = entities.find_or_add(hash, DOMAIN, EntityId(id));
        entities.store(at, Some(&[id as u8]));
        at
    });
    let mut open = |shard: u16, wanted: &[u32]| {
        let turn = turns.open(Slot(1), Holder::Claimant(ShardId(shard)));
        for at in wanted {
            turns.join(&mut entities, turn, *at);
        }
        turns.check_invariants(&entities);
        turn
    };
    // Twice the same entity is one place.
    let first = open(1, &[a, a]);
    let second = open(2, &[b, a]);
    let third = open(3, &[b]);
    let granted = |turns: &mut Turns| {
        let (turn, _, claimant) = turns.poll_granting()?;
        let (mut positions, mut records) = (Vec::new(), Vec::new());
        turns.grant(turn, &mut positions, &mut records);
        Some((turn, claimant.0, positions, records))
    };
    assert_eq!(granted(&mut turns), Some((first, 1, vec![0], vec![a])));
    assert_eq!(granted(&mut turns), Some((second, 2, vec![0], vec![b])), "what is here waits for nothing");
    assert_eq!(granted(&mut turns), None);
    assert!(turns.granted(second, 0) == Some(b) && turns.granted(second, 1).is_none());
    assert!(turns.leave(&mut entities, first, 0));
    turns.end(first);
    assert_eq!(granted(&mut turns), Some((second, 2, vec![1], vec![a])));
    turns.check_invariants(&entities);
    // The second has the other one still, and the third gets this one at once.
    assert!(!turns.leave(&mut entities, second, 0));
    assert_eq!(granted(&mut turns), Some((third, 3, vec![0], vec![b])));
    turns.check_invariants(&entities);
    assert!(turns.leave(&mut entities, second, 1) && turns.leave(&mut entities, third, 0));
    turns.end(second);
    turns.end(third);
    assert!(turns.open_turns() == 0 && entities.queue(b) == NOBODY);
}
