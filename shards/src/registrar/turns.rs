//! Turns and the queues in which they wait for entities.
//!
//! A turn is one stripe's need of this home's entities, or a read. It joins the queue of each entity it needs, all at
//! once; the front of a queue has the entity. A turn gets its entities one by one, as it comes to the front, and leaves
//! each queue for itself, after the entity's last use in its stripe. Turns are opened in (slot, shard) order, so a turn
//! waits only for earlier turns (X4), and an entity passes from each to the next in that order (X1).
//!
//! Invariants:
//! * an entity's queue is a chain of places, of which the record knows the last; its front is the only holder;
//! * `waiting` of a turn is the number of its places that are not at the front, `held` the number of all of them.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use assize_wire::canary::{self, Canary};
use assize_wire::{ShardId, Slot};

use super::{Entities, NOBODY, PendingRead, ReadAnswer};

/// All turns under way at one home.
#[derive(Default)]
pub(crate) struct Turns {
    turns: Vec<Option<Turn>>,
    turns_free: Vec<u32>,
    places: Vec<Place>,
    places_free: Vec<u32>,
    /// Spent lists, to be used again.
    lists: Vec<Vec<u32>>,
    /// Turns of claimants that have something to be granted, each once, in the order in which that became so.
    granting: VecDeque<TurnId>,
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
    held: u32,
    /// Its places by position, which is the order of joining; [`NOBODY`] where it has left.
    places: Vec<u32>,
    /// Positions that came to the front and were not taken notice of yet.
    arrived: Vec<u32>,
}

/// One turn's place in the queue of one entity.
#[derive(Clone, Copy, Debug)]
struct Place {
    entity: u32,
    turn: u32,
    /// The place behind it, or [`NOBODY`].
    next: u32,
    /// Its position in the turn; for a read, which of its states this is.
    item: u32,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    /// At the front: the turn has the entity.
    Front,
    /// At the front, and the entity is on its way to the claimant, or there.
    Granted,
}

impl Turns {
    /// Opens a turn. It joins all its queues before another turn is opened.
    pub(crate) fn open(&mut self, slot: Slot, holder: Holder) -> TurnId {
        let mut list = || self.lists.pop().unwrap_or_default();
        let (places, arrived) = (list(), list());
        let turn = Turn { slot, holder, waiting: 0, held: 0, places, arrived };
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

    /// Joins the queue of an entity. Returns the place's position in the turn and whether the turn has the entity. A
    /// second time by the same turn changes nothing.
    pub(crate) fn join(&mut self, entities: &mut Entities, id: TurnId, entity: u32) -> (u32, bool) {
        let last = entities.queue(entity);
        if last != NOBODY {
            let last = &self.places[last as usize];
            if last.turn == id.0 {
                return (last.item, last.stage != Stage::Waiting);
            }
        }
        let turn = self.turns[id.0 as usize].as_mut().expect("the turn is open");
        let position = turn.places.len() as u32;
        let mut place = Place { entity, turn: id.0, next: NOBODY, item: position, stage: Stage::Waiting };
        turn.waiting += 1;
        turn.held += 1;
        let here = last == NOBODY || canary::armed(Canary::LendTwice);
        if here {
            arrive(entities, &mut place, turn, &mut self.granting);
        }
        let at = append(&mut self.places, &mut self.places_free, entities, place);
        turn.places.push(at);
        (position, here)
    }

    /// A read joins the queue of an entity that is away, for one of its states.
    pub(crate) fn join_read(&mut self, entities: &mut Entities, id: TurnId, entity: u32, item: u32) {
        assert!(entities.queue(entity) != NOBODY, "record {entity} is here and read at once");
        let turn = self.turn_mut(id);
        turn.waiting += 1;
        turn.held += 1;
        let place = Place { entity, turn: id.0, next: NOBODY, item, stage: Stage::Waiting };
        append(&mut self.places, &mut self.places_free, entities, place);
    }

    /// Whether the turn has all its entities, but for those that it has left already.
    pub(crate) fn is_ready(&self, id: TurnId) -> bool {
        self.turn(id).waiting == 0
    }

    /// How many queues the turn joined.
    pub(crate) fn len(&self, id: TurnId) -> u32 {
        self.turn(id).places.len() as u32
    }

    /// Whether the turn has the entity at this position.
    pub(crate) fn is_here(&self, id: TurnId, position: u32) -> bool {
        let at = self.turn(id).places[position as usize];
        at != NOBODY && self.places[at as usize].stage != Stage::Waiting
    }

    /// Whether the turn got entities that were not taken notice of yet.
    pub(crate) fn has_arrived(&self, id: TurnId) -> bool {
        !self.turn(id).arrived.is_empty()
    }

    /// The position of the next entity that the turn got and that was not taken notice of yet.
    pub(crate) fn poll_arrived(&mut self, id: TurnId) -> Option<u32> {
        self.turn_mut(id).arrived.pop()
    }

    /// All that the turn got is taken notice of.
    pub(crate) fn clear_arrived(&mut self, id: TurnId) {
        self.turn_mut(id).arrived.clear();
    }

    /// The next claimant's turn that has something to be granted.
    pub(crate) fn poll_granting(&mut self) -> Option<(TurnId, Slot, ShardId)> {
        let id = self.granting.pop_front()?;
        let turn = self.turn(id);
        let Holder::Claimant(claimant) = turn.holder else {
            panic!("{turn:?} is granted to");
        };
        Some((id, turn.slot, claimant))
    }

    /// What there is to be granted to a turn, which has it from now on. Adds positions and records.
    pub(crate) fn grant(&mut self, id: TurnId, positions: &mut Vec<u32>, records: &mut Vec<u32>) {
        let turn = self.turns[id.0 as usize].as_mut().expect("the turn is open");
        for position in turn.arrived.drain(..) {
            let place = &mut self.places[turn.places[position as usize] as usize];
            assert!(place.stage == Stage::Front, "{place:?} is granted");
            place.stage = Stage::Granted;
            positions.push(position);
            records.push(place.entity);
        }
    }

    /// The next read that is answered.
    pub(crate) fn poll_answer(&mut self) -> Option<ReadAnswer> {
        self.answers.pop_front()
    }

    /// A read whose entities are all here.
    pub(crate) fn answer(&mut self, answer: ReadAnswer) {
        self.answers.push_back(answer);
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

    /// The record of an entity that a claimant was granted and has not given back, if it is one.
    pub(crate) fn granted(&self, id: TurnId, position: u32) -> Option<u32> {
        let at = *self.turn(id).places.get(position as usize)?;
        let place = self.places.get(at as usize)?;
        (place.stage == Stage::Granted).then_some(place.entity)
    }

    /// The turn had its last use of an entity, which goes to whoever is next. True when it was the turn's last.
    pub(crate) fn leave(&mut self, entities: &mut Entities, id: TurnId, position: u32) -> bool {
        let turn = self.turns[id.0 as usize].as_mut().expect("the turn is open");
        let at = core::mem::replace(&mut turn.places[position as usize], NOBODY);
        assert!(at != NOBODY, "position {position} of slot {} is left twice", turn.slot);
        turn.held -= 1;
        let over = turn.held == 0;
        let place = self.places[at as usize];
        assert!(place.stage != Stage::Waiting, "{place:?} is left before its turn");
        self.free(at);
        self.pass_on(entities, place);
        over
    }

    /// Ends a turn that has left all its queues.
    pub(crate) fn end(&mut self, id: TurnId) {
        let turn = self.turns[id.0 as usize].take().expect("the turn is open");
        assert!(turn.held == 0, "slot {} ends and holds {} entities", turn.slot, turn.held);
        self.turns_free.push(id.0);
        for mut list in [turn.places, turn.arrived] {
            list.clear();
            self.lists.push(list);
        }
    }

    /// Turns under way, reads included.
    pub(crate) fn open_turns(&self) -> usize {
        self.turns.len() - self.turns_free.len()
    }

    /// Panics when a promise at the head of this file is broken.
    pub(crate) fn check_invariants(&self, entities: &Entities) {
        let used = |at: &usize| self.places[*at].turn != NOBODY;
        let places: Vec<usize> = (0..self.places.len()).filter(used).collect();
        for (number, turn) in self.turns.iter().enumerate() {
            let Some(turn) = turn else { continue };
            let own = places.iter().filter(|at| self.places[**at].turn as usize == number);
            let stages: Vec<_> = own.map(|at| self.places[*at].stage).collect();
            let waiting = stages.iter().filter(|stage| **stage == Stage::Waiting).count();
            assert!(
                (waiting, stages.len()) == (turn.waiting as usize, turn.held as usize),
                "turn {number} holds {} places, {waiting} of them waiting; {} and {} are counted",
                stages.len(),
                turn.held,
                turn.waiting
            );
        }
        for at in &places {
            let place = self.places[*at];
            let ahead = places.iter().filter(|ahead| self.places[**ahead].next as usize == *at).count();
            assert!(ahead <= 1, "place {at} is behind {ahead} places");
            let front = ahead == 0;
            assert!(front == (place.stage != Stage::Waiting), "{place:?} is behind {ahead} places");
            let mut last = *at as u32;
            while self.places[last as usize].next != NOBODY {
                last = self.places[last as usize].next;
            }
            assert!(
                entities.queue(place.entity) == last,
                "the queue of record {} ends at {last}, not {}",
                place.entity,
                entities.queue(place.entity)
            );
        }
        let wanted = entities.iter().filter(|at| entities.queue(*at) != NOBODY).count();
        let fronts = places.iter().filter(|at| self.places[**at].stage != Stage::Waiting).count();
        assert!(wanted == fronts, "{wanted} records are wanted, {fronts} have a holder");
    }

    /// An entity goes to the place behind `place`. A read takes a copy of the state and passes it on at once.
    fn pass_on(&mut self, entities: &mut Entities, place: Place) {
        let mut at = place.next;
        while at != NOBODY {
            let next = self.places[at as usize];
            let turn = self.turns[next.turn as usize].as_mut().expect("who waits has a turn");
            let Holder::Read(read) = &mut turn.holder else {
                arrive(entities, &mut self.places[at as usize], turn, &mut self.granting);
                return;
            };
            read.answer.states[next.item as usize].1 = entities.state(next.entity).map(<[u8]>::to_vec);
            turn.waiting -= 1;
            turn.held -= 1;
            if turn.held == 0 {
                let holder = core::mem::replace(&mut turn.holder, Holder::Own);
                self.end(TurnId(next.turn));
                if let Holder::Read(read) = holder {
                    self.answers.push_back(read.answer);
                }
            }
            self.free(at);
            at = next.next;
        }
        entities.set_queue(place.entity, NOBODY);
        entities.tidy(place.entity);
    }

    fn free(&mut self, at: u32) {
        self.places[at as usize].turn = NOBODY;
        self.places[at as usize].next = NOBODY;
        self.places_free.push(at);
    }

    fn turn(&self, id: TurnId) -> &Turn {
        self.turns[id.0 as usize].as_ref().expect("the turn is open")
    }

    fn turn_mut(&mut self, id: TurnId) -> &mut Turn {
        self.turns[id.0 as usize].as_mut().expect("the turn is open")
    }
}

/// A place that is not a read's is at the front of its queue: its turn has the entity.
fn arrive(entities: &mut Entities, place: &mut Place, turn: &mut Turn, granting: &mut VecDeque<TurnId>) {
    place.stage = Stage::Front;
    entities.acquire(place.entity, turn.slot);
    turn.waiting -= 1;
    if turn.arrived.is_empty() && matches!(turn.holder, Holder::Claimant(_)) {
        granting.push_back(TurnId(place.turn));
    }
    turn.arrived.push(place.item);
}

/// Puts a place at the end of its entity's queue, and says where it is.
fn append(places: &mut Vec<Place>, free: &mut Vec<u32>, entities: &mut Entities, place: Place) -> u32 {
    let at = free.pop().unwrap_or(places.len() as u32);
    match places.get_mut(at as usize) {
        Some(spent) => *spent = place,
        None => places.push(place),
    }
    let last = entities.queue(place.entity);
    if last != NOBODY {
        places[last as usize].next = at;
    }
    entities.set_queue(place.entity, at);
    at
}
