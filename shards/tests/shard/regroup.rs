//! The same events in the same order at the same times, under other stripe boundaries (D1).

use std::collections::BTreeMap;

use assize_kit::Dice;
use assize_kit::drive::{LogSlot, Replica, cut};
use assize_wire::outcome::Status;
use assize_wire::routing::Routing;
use assize_wire::{EventKey, Slot};

use super::log::{self, Agreed, Draft, Drafts};
use super::replica::{accounts, replica};

/// Runs a seed's log and the same events regrouped, each under a schedule of its own.
pub fn run(shards: u16, seed: u64) {
    let mut dice = Dice::new(seed << 8 | u64::from(shards) | 1 << 60);
    // Room for new entities counts slots (D5), and a mask is a stripe's: both are left out of it.
    let agreed = Agreed {
        routing: Routing { seed, shards },
        ttl: 1000,
        keys: 2 + dice.below(40) as u32,
        entities: 1000,
    };
    let slots = 5 + dice.below(15);
    let drafts = log::random_drafts(&mut dice, &agreed, slots);
    let regrouped = regroup(&drafts, shards, &mut dice);
    let before = results(agreed, drafts, &mut dice);
    let after = results(agreed, regrouped, &mut dice);
    assert_eq!(before, after);
}

/// What must not change: by shard the events' endings, and the states of all accounts.
#[derive(Debug, PartialEq, Eq)]
struct Results {
    endings: Vec<Vec<Ending>>,
    states: BTreeMap<u32, Option<Vec<u8>>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Ending {
    key: EventKey,
    status: Status,
    first_status: Status,
    reason: u16,
    response: Vec<u8>,
    /// Which of the shard's events it was, counted over all slots; of a duplicate the first.
    original: usize,
    first_response: Option<Vec<u8>>,
}

fn results(agreed: Agreed, drafts: Vec<Drafts>, dice: &mut Dice) -> Results {
    let mut log: Vec<LogSlot> = Vec::new();
    for slot in drafts {
        slot.append(&mut log, &agreed.routing, |_, _| {});
    }
    let mut replica = replica(agreed);
    let window = 1 + dice.below(14);
    replica.run(&log, dice, window, &[]);
    let shards = replica.shards.len();
    for shard in 0..shards {
        replica.read(shard, &accounts(0..64));
        replica.drain(shard);
    }
    let states = replica.answers.iter().flat_map(|answer| answer.states.clone());
    Results { states: states.collect(), endings: (0..shards).map(|shard| endings(&replica, shard)).collect() }
}

fn endings(replica: &Replica, shard: usize) -> Vec<Ending> {
    let published = &replica.published[shard];
    let mut positions: BTreeMap<(Slot, u32), usize> = BTreeMap::new();
    for stripe in published {
        for index in 0..stripe.outcomes.count() {
            let number = positions.len();
            positions.insert((stripe.slot, index), number);
        }
    }
    let stripes = published.iter().flat_map(|stripe| {
        let fills: BTreeMap<_, _> = stripe.fills.iter().map(|fill| (fill.index, fill.first)).collect();
        stripe.outcomes.iter().map(move |outcome| Ending {
            key: outcome.key,
            status: outcome.status,
            first_status: outcome.first_status,
            reason: outcome.reason,
            response: outcome.response.to_vec(),
            original: 0,
            first_response: fills.get(&outcome.index).map(|first| replica.first_response(shard, *first)),
        })
    });
    let mut endings: Vec<_> = stripes.collect();
    let outcomes = published.iter().flat_map(|stripe| &stripe.outcomes);
    for (ending, outcome) in endings.iter_mut().zip(outcomes) {
        ending.original = positions[&(outcome.original_slot, outcome.original_index)];
    }
    endings
}

/// The same sequence in (slot, shard, index) order, cut anew: a slot ends by chance, and where the next event could not
/// follow in it, being of a lower shard or another time.
fn regroup(drafts: &[Drafts], shards: u16, dice: &mut Dice) -> Vec<Drafts> {
    let events = drafts.iter().flat_map(|slot| {
        let stripes = slot.stripes.iter().enumerate();
        stripes.flat_map(move |(shard, stripe)| {
            let events = stripe.iter().flat_map(|(events, ..)| events);
            events.map(move |event: &Draft| (slot.time, shard, event.clone()))
        })
    });
    let often = 2 + dice.below(20);
    let cuts = cut(events, shards, dice, often, |_| false);
    let drafts = cuts.into_iter().map(|cut| {
        let stripes = cut.stripes.into_iter();
        let stripes = stripes.map(|events| (!events.is_empty()).then_some((events, 0, !0))).collect();
        Drafts { time: cut.time, stripes, switch: None }
    });
    drafts.collect()
}
