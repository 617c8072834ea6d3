//! The plain model: transfers between items, one after the other in the order of the log, with nothing but a map. It
//! shares with the engine the events' layout and the numbers of reasons; the arithmetic is its own.

use std::collections::{BTreeMap, HashSet};

use assize_inventory::{InventoryEvent, Reason};
use assize_tools::load::JournalEntry;
use assize_wire::outcome::Status;

/// What every item holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    pub held: BTreeMap<u128, u64>,
}

/// What an event comes to: how it ends, why, and what it returns.
type Ended = (Status, u16, Vec<u8>);

impl Model {
    /// Holds every answered event against its place in the log, and returns what the items hold after the last. The
    /// journal must be whole: every event that was ever taken in beside those that made the items.
    pub fn check(items: BTreeMap<u128, u64>, journal: &[JournalEntry]) -> Model {
        let mut model = Model { held: items };
        let mut ordered: Vec<&JournalEntry> = journal.iter().collect();
        ordered.sort_by_key(|entry| entry.answer.position);
        let mut keys = HashSet::new();
        for pair in ordered.windows(2) {
            let [position, next] = [pair[0].answer.position, pair[1].answer.position];
            assert!(position < next, "two events have one place in the log: {pair:#?}");
        }
        for entry in ordered {
            let event = entry.resubmission();
            assert!(keys.insert(event.key), "one key was answered as if it were new twice: {entry:#?}");
            let answer = &entry.answer;
            let expected = model.run(&InventoryEvent::parse(&event.payload).expect("an inventory event"));
            let found = (answer.first_status, answer.reason, answer.response.clone());
            assert_eq!(found, expected, "the model, beside it, at {:?}: {event:?}", answer.position);
        }
        model
    }

    fn run(&mut self, event: &InventoryEvent<'_>) -> Ended {
        match *event {
            InventoryEvent::Adjust { item, delta, .. } => {
                let held = self.held.get(&item.0).copied().unwrap_or(0);
                match held.checked_add_signed(delta) {
                    Some(left) => {
                        self.held.insert(item.0, left);
                        applied(&[left])
                    }
                    None => insufficient(&[]),
                }
            }
            InventoryEvent::Transfer { source, destination, quantity } => {
                match self.transfer(source.0, destination.0, quantity) {
                    Some(left) => applied(&left),
                    None => insufficient(&[]),
                }
            }
            InventoryEvent::TransferLines { lines } => {
                let before = self.held.clone();
                let mut returned = Vec::new();
                for (number, line) in lines.iter().enumerate() {
                    match self.transfer(line.source().0, line.destination().0, line.quantity()) {
                        Some(left) => returned.extend(left),
                        None => {
                            self.held = before;
                            return insufficient(&[number as u64]);
                        }
                    }
                }
                applied(&returned)
            }
            ref other => panic!("{other:?} is not an event of this load"),
        }
    }

    /// What source and destination then hold; nothing if the source does not hold so much.
    fn transfer(&mut self, source: u128, destination: u128, quantity: u64) -> Option<[u64; 2]> {
        let left = self.held[&source].checked_sub(quantity)?;
        let reached = self.held[&destination] + quantity;
        self.held.insert(source, left);
        self.held.insert(destination, reached);
        Some([left, reached])
    }
}

fn applied(quantities: &[u64]) -> Ended {
    (Status::Applied, 0, bytes(quantities))
}

fn insufficient(quantities: &[u64]) -> Ended {
    (Status::Rejected, Reason::InsufficientStock.number(), bytes(quantities))
}

fn bytes(quantities: &[u64]) -> Vec<u8> {
    quantities.iter().flat_map(|quantity| quantity.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use assize_inventory::item_id;
    use assize_tools::client::AnswerOwned;
    use assize_wire::event::encode_event;
    use assize_wire::{EventKey, Position, ShardId, Slot, StreamTime};

    use super::*;
    use crate::load::inventory;

    fn entry(index: u32, quantity: u64, answered: &Ended) -> JournalEntry {
        let (source, destination) = (item_id(1, 0), item_id(1, 1));
        let event = inventory(&InventoryEvent::Transfer { source, destination, quantity });
        let mut bytes = Vec::new();
        let key = EventKey(u128::from(index) + 1);
        encode_event(&mut bytes, key, StreamTime(9), event.domain, event.version, &event.payload)
            .expect("fits");
        let (status, reason, response) = answered.clone();
        let position = Position { slot: Slot(3), shard: ShardId(0), index };
        JournalEntry {
            event: bytes,
            answer: AnswerOwned { status, first_status: status, reason, position, response },
        }
    }

    fn items() -> BTreeMap<u128, u64> {
        BTreeMap::from([(item_id(1, 0).0, 10), (item_id(1, 1).0, 0)])
    }

    #[test]
    fn outcomes_in_the_log_s_order_pass() {
        let journal = [entry(1, 7, &insufficient(&[])), entry(0, 4, &applied(&[6, 4]))];
        let left = Model::check(items(), &journal);
        assert_eq!(left.held.into_values().collect::<Vec<_>>(), [6, 4]);
    }

    #[test]
    #[should_panic(expected = "the model, beside it")]
    fn an_event_that_was_lost_changes_what_the_next_must_return() {
        Model::check(items(), &[entry(1, 4, &applied(&[2, 8]))]);
    }

    #[test]
    #[should_panic(expected = "two events have one place in the log")]
    fn two_events_cannot_have_one_place() {
        Model::check(items(), &[entry(0, 4, &applied(&[6, 4])), entry(0, 4, &applied(&[6, 4]))]);
    }
}
