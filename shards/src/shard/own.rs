//! The own stripes: their turns, and running their events as the entities come.

use core::iter::repeat_n;

use assize_wire::{DomainId, EntityId, ShardId, Slot};

use super::Shard;
use crate::Published;
use crate::arbiter::{EntityRef, Executed, Plan, Step, Stock};
use crate::exchange::{Exchange, Grant};
use crate::registrar::{Entities, Holder, NOBODY, TurnId, Turns};
use crate::rehearsal::Rehearsal;

/// An own stripe that is examined.
pub(super) struct OwnStripe {
    pub(super) plan: Plan,
    /// Whether its turn has come.
    pub(super) opened: bool,
    /// Where its own entities are looked up: none before its turn, and none if nothing that it needs was away.
    pub(super) turn: Option<TurnId>,
    /// Events that are to be evaluated and have not run, from its turn on.
    pub(super) to_run: u32,
    /// Whether this home has room for new entities in its slot (D5).
    pub(super) room: bool,
}

impl Shard {
    /// The own stripe's turn. What lacks nothing runs at once, the rest waits in the queues.
    pub(super) fn open_own_turn(&mut self, slot: Slot) {
        let found = self.own.iter().position(|own| own.plan.slot() == slot);
        let at = found.expect("a stripe is examined before its turn");
        self.own[at].opened = true;
        let all_here = self.find_records(at);
        if !all_here {
            let id = self.join_queues(at);
            self.run_free_groups(at, id);
        } else {
            self.counters.stripes_unhindered += 1;
            if at == 0 {
                self.execute_first();
                return;
            }
            self.run_unhindered(at);
        }
        self.book(slot);
    }

    /// Finds the records of the stripe's local entities. True when all its entities are here, loans included.
    fn find_records(&mut self, at: usize) -> bool {
        let plan = &mut self.own[at].plan;
        let slot = plan.slot();
        let mut all_here = plan.loans.away() == 0;
        for steps in plan.steps.chunks(LOOKUPS_BEGUN) {
            self.hashes.clear();
            let local = local_entities(steps, &plan.ids, &mut plan.refs);
            self.hashes.extend(local.map(|(domain, id, _)| self.entities.hash(domain, id)));
            self.entities.touch_all(&self.hashes);
            let mut hashes = self.hashes.iter();
            for (domain, id, place) in local_entities(steps, &plan.ids, &mut plan.refs) {
                let hash = *hashes.next().expect("each was hashed above");
                let record = self.entities.find_or_add(hash, domain, id);
                *place = EntityRef::record(record);
                if self.entities.queue(record) == NOBODY {
                    self.entities.acquire(record, slot);
                } else {
                    all_here = false;
                }
                if self.entities.state(record).is_none() {
                    self.arbiter.tidy_later(record);
                }
            }
        }
        all_here
    }

    /// Runs a whole stripe by index and puts its outcomes together. It is the first, and nothing of it is away.
    fn execute_first(&mut self) {
        self.rehearse_wrong_outcome();
        let OwnStripe { plan, room, .. } = &mut self.own[0];
        let stock = Stock { room: *room, entities: &mut self.entities };
        let executed = self.arbiter.execute(&self.rules, plan, &mut self.warden, stock);
        plan.loans.give_all_back();
        self.hand_over_first(executed);
    }

    /// Runs a whole stripe by index. Nothing of it is away, but earlier stripes have not run to their end.
    fn run_unhindered(&mut self, at: usize) {
        let plan = &mut self.own[at].plan;
        plan.pieces.begin(plan.steps.len());
        plan.wait_for_all();
        self.run_waiting(at);
        self.own[at].plan.loans.give_all_back();
    }

    /// Joins the queues of the stripe's local entities, and numbers all its entities.
    fn join_queues(&mut self, at: usize) -> TurnId {
        let OwnStripe { plan, turn, .. } = &mut self.own[at];
        let id = self.turns.open(plan.slot(), Holder::Own);
        *turn = Some(id);
        let loans = plan.loans.len();
        self.partitioner.clear();
        for loan in 0..loans {
            self.partitioner.add(plan.loans.is_here(loan));
        }
        for step in plan.steps.iter().filter(|step| step.entities > 0) {
            for place in step.uses() {
                plan.uses.push(match plan.refs[place].place() {
                    Ok(record) => {
                        let (position, here) = self.turns.join(&mut self.entities, id, record);
                        if loans + position == self.partitioner.len() {
                            self.partitioner.add(here);
                        }
                        loans + position
                    }
                    Err(loan) => loan,
                });
            }
        }
        id
    }

    /// Runs the groups of which nothing is away, and leaves the events of the others waiting.
    fn run_free_groups(&mut self, at: usize, id: TurnId) {
        let OwnStripe { plan, to_run, room, .. } = &mut self.own[at];
        self.turns.clear_arrived(id);
        plan.loans.clear_arrived();
        plan.pieces.begin(plan.steps.len());
        // Not united yet, each entity stands for itself.
        let mut evaluated = plan.steps.iter().filter(|step| step.entities > 0);
        let any_whole =
            evaluated.any(|step| plan.uses.of(step).iter().all(|at| !self.partitioner.is_held(*at)));
        if !any_whole {
            plan.wait_for_all();
            *to_run = plan.waiting.len() as u32;
            return;
        }
        for step in &plan.steps {
            self.partitioner.unite(plan.uses.of(step));
        }
        for event in 0..plan.steps.len() {
            let Some(entity) = plan.uses.of(&plan.steps[event]).first() else {
                continue;
            };
            if self.partitioner.is_held(*entity) {
                plan.waiting.push(event as u32);
                continue;
            }
            let stock = Stock { room: *room, entities: &mut self.entities };
            self.arbiter.run(&self.rules, plan, event as u32, stock);
        }
        *to_run = plan.waiting.len() as u32;
        for entity in 0..self.partitioner.len() {
            if !self.partitioner.is_held(entity) {
                give_back(plan, &mut self.turns, &mut self.entities, id, entity);
            }
        }
        if !plan.waiting.is_empty() {
            // One that lacks nothing may be in a group that does.
            self.link(at, id);
            self.run_ready(at, id);
        }
    }

    /// Step 3: runs what entities that came have made ready.
    pub(super) fn run_own(&mut self) -> bool {
        let mut moved = false;
        for at in 0..self.own.len() {
            let OwnStripe { plan, turn, .. } = &self.own[at];
            let Some(id) = *turn else {
                continue;
            };
            if plan.loans.has_arrived() || self.turns.has_arrived(id) {
                moved = true;
                let slot = plan.slot();
                self.take_arrived(at, id);
                self.book(slot);
            }
        }
        moved
    }

    /// Entities have come that the stripe waited for.
    fn take_arrived(&mut self, at: usize, id: TurnId) {
        let plan = &mut self.own[at].plan;
        let loans = plan.loans.len();
        let entities = loans + self.turns.len(id);
        if plan.uses.is_linked() {
            while let Some(loan) = plan.loans.poll_arrived() {
                plan.uses.arrive(loan);
            }
            while let Some(position) = self.turns.poll_arrived(id) {
                plan.uses.arrive(loans + position);
            }
            self.run_ready(at, id);
            return;
        }
        self.turns.clear_arrived(id);
        plan.loans.clear_arrived();
        if plan.loans.away() == 0 && self.turns.is_ready(id) {
            // All at once: index order needs no tokens.
            self.run_waiting(at);
            let plan = &mut self.own[at].plan;
            for entity in 0..entities {
                if is_here(plan, &self.turns, id, entity) {
                    give_back(plan, &mut self.turns, &mut self.entities, id, entity);
                }
            }
            return;
        }
        self.link(at, id);
        self.run_ready(at, id);
    }

    /// From now on the waiting events of the stripe run by token. What is here hands out its own.
    fn link(&mut self, at: usize, id: TurnId) {
        let plan = &mut self.own[at].plan;
        let entities = plan.loans.len() + self.turns.len(id);
        plan.uses.link(&plan.steps, &plan.waiting, entities);
        for entity in 0..entities {
            if is_here(plan, &self.turns, id, entity) {
                plan.uses.arrive(entity);
            }
        }
    }

    /// Runs the waiting events of a stripe by index. All that they need is here.
    fn run_waiting(&mut self, at: usize) {
        let OwnStripe { plan, to_run, room, .. } = &mut self.own[at];
        let events = core::mem::take(&mut plan.waiting);
        for event in &events {
            let stock = Stock { room: *room, entities: &mut self.entities };
            self.arbiter.run(&self.rules, plan, *event, stock);
        }
        plan.waiting = events;
        *to_run = 0;
    }

    /// Runs the events that have all their tokens, and passes the tokens on.
    fn run_ready(&mut self, at: usize, id: TurnId) {
        let OwnStripe { plan, to_run, room, .. } = &mut self.own[at];
        while let Some(event) = plan.uses.poll_ready() {
            let stock = Stock { room: *room, entities: &mut self.entities };
            self.arbiter.run(&self.rules, plan, event, stock);
            *to_run -= 1;
            for place in plan.steps[event as usize].uses() {
                if plan.uses.pass_on(event, place) {
                    let entity = plan.uses.entity(place);
                    give_back(plan, &mut self.turns, &mut self.entities, id, entity);
                }
            }
        }
    }

    /// Books how the number of entities changed, and gives up records that are absent and that nobody wants.
    fn book(&mut self, slot: Slot) {
        self.arbiter.tidy(&mut self.entities);
        let change = self.arbiter.take_entities_change();
        self.work_of(slot).entities_change += change;
    }

    /// The first own stripe's outcomes, once all its events have run.
    pub(super) fn assemble_next(&mut self) -> bool {
        if !matches!(self.own.front(), Some(OwnStripe { opened: true, to_run: 0, .. })) {
            return false;
        }
        self.rehearse_wrong_outcome();
        let plan = &self.own[0].plan;
        let executed = self.arbiter.assemble(&self.rules, plan, &mut self.warden);
        self.hand_over_first(executed);
        true
    }

    fn rehearse_wrong_outcome(&mut self) {
        let slot = self.own[0].plan.slot();
        if matches!(self.rehearsal, Some(Rehearsal::WrongOutcome(from)) if slot >= from) {
            self.rehearsal = None;
            self.arbiter.rehearse_wrong_outcome();
        }
    }

    /// The first own stripe is done: the Clerk has it from now on.
    fn hand_over_first(&mut self, executed: Executed) {
        let OwnStripe { mut plan, turn, .. } = self.own.pop_front().expect("a stripe is under way");
        let (slot, time) = (plan.slot(), plan.ordered.manifest.time);
        let Executed { digest, outcomes, fills, evaluated, endings, domains } = executed;
        if let Some(turn) = turn {
            self.turns.end(turn);
        }
        self.book(slot);
        self.work_of(slot).turns_open -= 1;
        self.counters.stripes += 1;
        self.counters.events += u64::from(outcomes.count());
        self.counters.endings.add(&endings);
        self.counters.domains.add(&domains);
        let shard = self.rules.shard;
        self.clerk.handle_own(Published { slot, shard, digest, time, outcomes, fills, evaluated });
        let outbox = &mut self.outbox;
        plan.loans.take_returns(slot, |home, returned| {
            outbox.push_back((home, Exchange::Return(returned)));
        });
        self.plans.push(plan);
    }

    /// What own stripes under way have to give back, one return for each (slot, home).
    pub(super) fn send_returns(&mut self) {
        for OwnStripe { plan, .. } in self.own.iter_mut().filter(|own| own.plan.loans.is_returning()) {
            let outbox = &mut self.outbox;
            plan.loans.take_returns(plan.slot(), |home, returned| {
                outbox.push_back((home, Exchange::Return(returned)));
            });
        }
    }

    /// A home grants some of what was claimed of it. What that makes ready runs from the stripe's turn on.
    pub(super) fn take_grant(&mut self, from: ShardId, grant: &Grant) {
        let own = self.own.iter_mut().find(|own| own.plan.slot() == grant.slot);
        let own = own.unwrap_or_else(|| panic!("shard {from} grants slot {}, not waiting", grant.slot));
        own.plan.loans.grant(from, grant);
    }
}

/// Whether the stripe has this of its entities.
fn is_here(plan: &Plan, turns: &Turns, id: TurnId, entity: u32) -> bool {
    match entity.checked_sub(plan.loans.len()) {
        Some(position) => turns.is_here(id, position),
        None => plan.loans.is_here(entity),
    }
}

/// The stripe had its last use of this of its entities.
fn give_back(plan: &mut Plan, turns: &mut Turns, entities: &mut Entities, id: TurnId, entity: u32) {
    match entity.checked_sub(plan.loans.len()) {
        Some(position) => {
            turns.leave(entities, id, position);
        }
        None => plan.loans.give_back(entity),
    }
}

/// The entities of these events that are at home here, in order, each use of one.
fn local_entities<'a>(
    steps: &'a [Step],
    ids: &'a [EntityId],
    refs: &'a mut [EntityRef],
) -> impl Iterator<Item = (DomainId, EntityId, &'a mut EntityRef)> {
    // The events' entities follow each other, so those of a block are one piece. After an unreadable event come only
    // unreadable ones, and they have none.
    let from = steps.first().map_or(0, |step| step.entities_from as usize);
    let domains = steps.iter().flat_map(|step| repeat_n(step.domain, step.entities.into()));
    let all = domains.zip(&ids[from..]).zip(&mut refs[from..]);
    all.filter(|(_, place)| place.is_local()).map(|((domain, id), place)| (domain, *id, place))
}

/// Events whose entities' look-ups are begun together.
pub(super) const LOOKUPS_BEGUN: usize = 16;
