//! Turns and the queues in which they wait for entities.
//!
//! A turn is one stripe's need of this home's entities, or a read. It joins the queue of each entity it needs; the
//! front of a queue has the entity, and a turn that is at the front of all its queues is ready. Turns are opened in
//! (slot, shard) order and join all their queues at once, so a turn waits only for earlier turns (X4).
//!
//! Invariants:
//! * an entity's queue is a chain of places, of which the record knows the last; its front is the only holder;
//! * `waiting` of a turn is the number of its places that are not at the front.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use assize_wire::{ShardId, Slot};

use super::{Entities, NOBODY, PendingRead, ReadAnswer};

/// All turns under way at one home.
#[derive(Default)]
pub(crate) struct Turns {
    turns: Vec<Option<Turn>>,
    turns_free: Vec<u32>,
    places: Vec<Place>,
    places_free: Vec<u32>,
    /// Spent lists of places, to be used again.
    lists: Vec<Vec<u32>>,
    /// Turns that became ready, in that order.
    ready: VecDeque<TurnId>,
    answers: VecDeque<ReadAnswer>,
}

/// Names a turn under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TurnId(u32);

/// Whose turn it is.
#[derive(Clone, Debug)]
pub(crate) enum Holder {
    Own,
    Claimant(ShardId),
    Read(Box<PendingRead>),
}

#[derive(Debug)]
struct Turn {
    slot: Slot,
    holder: Holder,
    waiting: u32,
    /// In the order of joining.
    places: Vec<u32>,
}

/// One turn's place in the queue of one entity.
#[derive(Clone, Copy, Debug)]
struct Place {
    entity: u32,
    turn: u32,
    /// The place behind it, or [`NOBODY`].
    next: u32,
    /// For a read, which of its states this is.
    item: u32,
}

impl Turns {
    /// Opens a turn. Join its queues, then [`Turns::close_joining`].
    pub(crate) fn open(&mut self, slot: Slot, holder: Holder) -> TurnId {
        let turn = Turn { slot, holder, waiting: 0, places: self.lists.pop().unwrap_or_default() };
        match self.turns_free.pop() {
            Some(at) => {
                self.turns[at as usize] = Some(turn);
                TurnId(at)
            }
            None => {
                self.turns.push(Some(turn));
                TurnId(self.turns.len() as u32 - 1)
            }
        }
    }

    /// Joins the queue of an entity. A second time by the same turn changes nothing, except for a read.
    pub(crate) fn join(&mut self, entities: &mut Entities, id: TurnId, entity: u32, item: u32) {
        let last = entities.queue(entity);
        let turn = self.turns[id.0 as usize].as_mut().expect("the turn is open");
        if last != NOBODY
            && self.places[last as usize].turn == id.0
            && !matches!(turn.holder, Holder::Read(_))
        {
            return;
        }
        let place = Place { entity, turn: id.0, next: NOBODY, item };
        let at = match self.places_free.pop() {
            Some(at) => {
                self.places[at as usize] = place;
                at
            }
            None => {
                self.places.push(place);
                self.places.len() as u32 - 1
            }
        };
        if last != NOBODY {
            self.places[last as usize].next = at;
            turn.waiting += 1;
        } else {
            entities.acquire(entity, turn.slot);
        }
        turn.places.push(at);
        entities.set_queue(entity, at);
    }

    /// The turn has joined all its queues.
    pub(crate) fn close_joining(&mut self, id: TurnId) {
        if self.is_ready(id) {
            self.ready.push_back(id);
        }
    }

    /// Whether the turn has all its entities.
    pub(crate) fn is_ready(&self, id: TurnId) -> bool {
        self.turn(id).waiting == 0
    }

    /// The next turn that became ready. Reads are answered by themselves and do not come up here.
    pub(crate) fn poll_ready(&mut self) -> Option<TurnId> {
        self.ready.pop_front()
    }

    /// The next read that is answered.
    pub(crate) fn poll_answer(&mut self) -> Option<ReadAnswer> {
        self.answers.pop_front()
    }

    /// A read whose entities are all here.
    pub(crate) fn answer(&mut self, answer: ReadAnswer) {
        self.answers.push_back(answer);
    }

    pub(crate) fn slot(&self, id: TurnId) -> Slot {
        self.turn(id).slot
    }

    pub(crate) fn holder(&self, id: TurnId) -> &Holder {
        &self.turn(id).holder
    }

    /// The turn of a claimant's stripe.
    pub(crate) fn find_claimant(&self, slot: Slot, claimant: ShardId) -> Option<TurnId> {
        let is_it = |turn: &Option<Turn>| {
            turn.as_ref().is_some_and(|turn| {
                turn.slot == slot && matches!(turn.holder, Holder::Claimant(shard) if shard == claimant)
            })
        };
        self.turns.iter().position(is_it).map(|at| TurnId(at as u32))
    }

    /// The entities of a turn, in the order of joining.
    pub(crate) fn entities(&self, id: TurnId) -> impl ExactSizeIterator<Item = u32> {
        self.turn(id).places.iter().map(|place| self.places[*place as usize].entity)
    }

    /// Ends a turn: its entities go to whoever is next.
    pub(crate) fn end(&mut self, entities: &mut Entities, id: TurnId) {
        assert!(self.is_ready(id), "{:?} ends while it waits", self.turn(id));
        let turn = self.turns[id.0 as usize].take().expect("the turn is open");
        self.turns_free.push(id.0);
        let mut places = turn.places;
        for at in places.drain(..) {
            let place = self.places[at as usize];
            self.places_free.push(at);
            self.pass_on(entities, place);
        }
        self.lists.push(places);
    }

    /// Turns under way, reads included.
    pub(crate) fn open_turns(&self) -> usize {
        self.turns.len() - self.turns_free.len()
    }

    /// Panics when a promise at the head of this file is broken.
    pub(crate) fn check_invariants(&self, entities: &Entities) {
        let mut places: Vec<u32> = Vec::new();
        for (at, turn) in self.turns.iter().enumerate() {
            let held = turn.iter().flat_map(|turn| &turn.places);
            // A read gives each place back when it has its state.
            places.extend(held.copied().filter(|place| self.places[*place as usize].turn == at as u32));
        }
        for (at, turn) in self.turns.iter().enumerate() {
            let Some(turn) = turn else { continue };
            let mut waiting = 0;
            for place in places.iter().filter(|place| self.places[**place as usize].turn == at as u32) {
                let ahead =
                    places.iter().filter(|ahead| self.places[**ahead as usize].next == *place).count();
                assert!(ahead <= 1, "place {place} is behind {ahead} places");
                waiting += ahead as u32;
                let entity = self.places[*place as usize].entity;
                let mut last = *place;
                while self.places[last as usize].next != NOBODY {
                    last = self.places[last as usize].next;
                }
                assert!(
                    entities.queue(entity) == last,
                    "the queue of record {entity} ends at {last}, not {}",
                    entities.queue(entity)
                );
            }
            assert!(
                waiting == turn.waiting,
                "turn {at} waits for {waiting} entities, {} counted",
                turn.waiting
            );
        }
        let places = places.len();
        let wanted = entities.iter().filter(|at| entities.queue(*at) != NOBODY).count();
        assert!(wanted <= places, "{wanted} records are wanted by {places} places");
    }

    /// An entity goes to the place behind `place`. A read takes a copy of the state and passes it on at once.
    fn pass_on(&mut self, entities: &mut Entities, place: Place) {
        let mut at = place.next;
        while at != NOBODY {
            let next = self.places[at as usize];
            let turn = self.turns[next.turn as usize].as_mut().expect("who waits has a turn");
            turn.waiting -= 1;
            let ready = turn.waiting == 0;
            let Holder::Read(read) = &mut turn.holder else {
                entities.acquire(next.entity, turn.slot);
                if ready {
                    self.ready.push_back(TurnId(next.turn));
                }
                return;
            };
            read.answer.states[next.item as usize].1 = entities.state(next.entity).map(<[u8]>::to_vec);
            if ready {
                let turn = self.turns[next.turn as usize].take().expect("it is open");
                self.turns_free.push(next.turn);
                if let Holder::Read(read) = turn.holder {
                    self.answers.push_back(read.answer);
                }
            }
            self.places[at as usize].turn = NOBODY;
            self.places_free.push(at);
            at = next.next;
        }
        entities.set_queue(place.entity, NOBODY);
        entities.tidy(place.entity);
    }

    fn turn(&self, id: TurnId) -> &Turn {
        self.turns[id.0 as usize].as_ref().expect("the turn is open")
    }
}
