//! Evaluation: runs the events of a plan and digests what they did.
//!
//! The digest is blake3 over: the manifest's hash, the shard (2 bytes); then for each event its encoded outcome, the
//! number of entities it changed (1 byte) and for each of those domain (2), id (16), present (1), length of the state
//! (1), state. Integers are little-endian. Nothing else, so no padding and no order of a table (D3).
//!
//! A stripe that lacks nothing is run and digested in one go ([`Arbiter::execute`]). Of any other each event is run
//! when it may ([`Arbiter::run`]), and outcomes and digest are put together from the pieces at the end
//! ([`Arbiter::assemble`]): in index order, which is when the Warden learns of them, so that a duplicate finds the
//! outcome of the first.

use alloc::vec;
use alloc::vec::Vec;

use assize_domain::{Cell, Domain, ENGINE_REASONS, EngineReason, Event, Response, States, Verdict};
use assize_wire::canary::{self, Canary};
use assize_wire::limits::EVENT_ENTITIES_MAX;
use assize_wire::outcome::{OUTCOME_HEADER_BYTES, Outcome, Status};
use assize_wire::{DomainId, EntityId, EventKey, Hash, LogicVersions};

use super::pieces::Ending;
use super::plan::Step;
use super::{Decision, EntityRef, Loans, Plan, Rules};
use crate::endings::{DomainEndings, Endings};
use crate::registrar::Entities;
use crate::warden::Warden;
use crate::{Evaluated, Fill, OrderedSlot, Outcomes};

/// The scratch of evaluation: nothing is allocated for an event.
pub(crate) struct Arbiter {
    cells: Vec<Cell>,
    response: Response,
    /// What is digested.
    digested: Vec<u8>,
    /// Records that may have become absent, or are still.
    absent: Vec<u32>,
    /// By how much the number of this shard's own entities has changed since it was last asked.
    entities_change: i64,
    /// Bytes that the outcomes of an event took in the last stripe.
    outcome_bytes: usize,
    /// The next event that is evaluated gets a wrong outcome: a rehearsed fault.
    wrong_outcome: bool,
}

/// What running a stripe did.
pub(crate) struct Executed {
    pub(crate) digest: Hash,
    pub(crate) outcomes: Outcomes,
    pub(crate) fills: Vec<Fill>,
    pub(crate) evaluated: Evaluated,
    /// How its events ended, by [`Status`].
    pub(crate) endings: Endings,
    /// Of those, what their domains decided.
    pub(crate) domains: DomainEndings,
}

/// Where the entities of a stripe are.
pub(crate) struct Stock<'a> {
    pub(crate) entities: &'a mut Entities,
    /// This shard's own room for new entities in this slot (D5).
    pub(crate) room: bool,
}

/// What the events of one stripe are run with.
struct Bench<'a> {
    rules: &'a Rules,
    ordered: &'a OrderedSlot,
    bytes: &'a [u8],
    logic: &'a LogicVersions,
    ids: &'a [EntityId],
    refs: &'a [EntityRef],
    loans: &'a mut Loans,
    stock: Stock<'a>,
}

impl Arbiter {
    pub(crate) fn new() -> Arbiter {
        Arbiter {
            cells: vec![Cell::absent(); EVENT_ENTITIES_MAX],
            response: Response::new(),
            digested: Vec::new(),
            absent: Vec::new(),
            entities_change: 0,
            outcome_bytes: OUTCOME_HEADER_BYTES,
            wrong_outcome: false,
        }
    }

    /// Runs a plan whose entities are all here, and digests it.
    pub(crate) fn execute(
        &mut self,
        rules: &Rules,
        plan: &mut Plan,
        warden: &mut Warden,
        stock: Stock<'_>,
    ) -> Executed {
        let Plan { ordered, bytes, logic, steps, ids, refs, loans, .. } = plan;
        let bytes: &[u8] = (**bytes).as_ref();
        let mut bench = Bench { rules, ordered, bytes, logic, ids, refs, loans, stock };
        self.compose(rules, ordered, bytes, steps, warden, |arbiter, index, out| {
            let step = &steps[index as usize];
            if index.is_multiple_of(RECORDS_TOUCHED) {
                // A stripe's records are more than the cache keeps since they were looked up.
                let from = step.entities_from as usize;
                let next = refs[from..].iter().take(RECORDS_TOUCHED as usize * step.entities as usize);
                bench.stock.entities.touch_records(next.filter_map(|entity| entity.place().ok()));
            }
            arbiter.run_event(&mut bench, step, index, out)
        })
    }

    /// Runs one event whose entities are all here, and keeps its piece.
    pub(crate) fn run(&mut self, rules: &Rules, plan: &mut Plan, event: u32, stock: Stock<'_>) {
        let Plan { ordered, bytes, logic, steps, ids, refs, loans, pieces, .. } = plan;
        let bytes: &[u8] = (**bytes).as_ref();
        let mut bench = Bench { rules, ordered, bytes, logic, ids, refs, loans, stock };
        let ending = self.run_event(&mut bench, &steps[event as usize], event, pieces.bytes_mut());
        pieces.keep(event, ending);
    }

    /// The next event that is evaluated gets a wrong outcome.
    pub(crate) fn rehearse_wrong_outcome(&mut self) {
        self.wrong_outcome = true;
    }

    /// Digests a plan whose events have all run.
    pub(crate) fn assemble(&mut self, rules: &Rules, plan: &Plan, warden: &mut Warden) -> Executed {
        let bytes: &[u8] = (*plan.bytes).as_ref();
        self.compose(rules, &plan.ordered, bytes, &plan.steps, warden, |_, index, out| {
            let (piece, ending) = plan.pieces.get(index);
            out.extend_from_slice(piece);
            ending
        })
    }

    /// By how much the number of this shard's own entities has changed since this was last asked.
    pub(crate) fn take_entities_change(&mut self) -> i64 {
        core::mem::take(&mut self.entities_change)
    }

    /// This record is absent and may have to go after the stripe.
    pub(crate) fn tidy_later(&mut self, at: u32) {
        self.absent.push(at);
    }

    /// Gives up the records that are absent and that nobody has or waits for.
    pub(crate) fn tidy(&mut self, entities: &mut Entities) {
        for at in self.absent.drain(..) {
            entities.tidy(at);
        }
    }

    /// Puts outcomes and digest together by index. `evaluated` appends the piece of an event that is evaluated.
    fn compose(
        &mut self,
        rules: &Rules,
        ordered: &OrderedSlot,
        bytes: &[u8],
        steps: &[Step],
        warden: &mut Warden,
        mut evaluated: impl FnMut(&mut Arbiter, u32, &mut Vec<u8>) -> Ending,
    ) -> Executed {
        let mut digested = core::mem::take(&mut self.digested);
        digested.clear();
        digested.extend_from_slice(&ordered.hash.0);
        digested.extend_from_slice(&rules.shard.0.to_le_bytes());
        let mut executed = Executed {
            digest: Hash::ZERO,
            outcomes: Outcomes::with_capacity(steps.len() * self.outcome_bytes),
            fills: Vec::new(),
            evaluated: Evaluated::default(),
            endings: Endings::default(),
            domains: DomainEndings::default(),
        };
        let pieces = digested.len();
        for (index, step) in steps.iter().enumerate() {
            let index = index as u32;
            let from = digested.len();
            let to = if let Decision::Evaluate(seen) = step.decision {
                let ending = evaluated(self, index, &mut digested);
                if core::mem::take(&mut self.wrong_outcome) {
                    change_outcome(&mut digested[from..]);
                }
                warden.decide(seen, ending.status, ending.reason, ending.response(&digested[from..]));
                executed.endings.note(ending.status);
                executed.domains.note(step.domain, ending.status);
                from + ending.outcome_bytes()
            } else {
                let (status, fill) = settle(ordered, bytes, step, index, warden, &mut digested);
                executed.endings.note(status);
                executed.fills.extend(fill);
                digested.len() - 1
            };
            executed.outcomes.push_encoded(&digested[from..to]);
        }
        self.outcome_bytes = executed.outcomes.bytes().len() / steps.len().max(1) + 1;
        executed.digest = Hash::of(&digested);
        if rules.keeps_pieces {
            executed.evaluated = Evaluated(digested[pieces..].to_vec());
        }
        self.digested = digested;
        executed
    }

    /// Runs one event: appends its piece to `out` and stores what it changed.
    fn run_event(&mut self, bench: &mut Bench<'_>, step: &Step, index: u32, out: &mut Vec<u8>) -> Ending {
        let (event, _) = Event::parse(&bench.bytes[step.offset as usize..]).expect("it was read before");
        let from = out.len();
        self.response.clear();
        let (status, reason) = self.evaluate(bench, &event, &bench.refs[step.uses()]);
        if status == Status::Fault || reason == EngineReason::NoRoom as u16 {
            self.response.clear();
        }
        let response = self.response.as_slice();
        let slot = bench.ordered.manifest.slot;
        Outcome {
            key: event.key(),
            domain: event.domain(),
            status,
            first_status: status,
            reason,
            index,
            original_slot: slot,
            original_index: index,
            response,
        }
        .encode(out);
        let response_bytes = response.len() as u16;
        out.push(0);
        let keeps_fault = status == Status::Fault && canary::armed(Canary::PanicKeepsChanges);
        if status == Status::Applied || keeps_fault {
            self.write_back(bench, step, out);
        }
        Ending { status, reason, response_bytes, bytes: (out.len() - from) as u32 }
    }

    /// Calls the domain. What it changed is in `cells`.
    fn evaluate(&mut self, bench: &Bench<'_>, event: &Event<'_>, refs: &[EntityRef]) -> (Status, u16) {
        let domain = bench.rules.domain(bench.logic, event.domain()).expect("it was found before");
        let cells = &mut self.cells[..refs.len()];
        for (cell, entity) in cells.iter_mut().zip(refs) {
            cell.load(state_of(*entity, bench.stock.entities, bench.loans));
        }
        let (now, response) = (bench.ordered.manifest.time, &mut self.response);
        let mut verdict = None;
        let completed = bench.rules.guard.run(&mut || {
            verdict = Some(domain.evaluate(event, now, &mut States::new(cells), response));
        });
        match verdict.filter(|_| completed) {
            Some(Verdict::Applied) => self.admit_changes(domain, refs, bench),
            Some(Verdict::Rejected(reason)) if (1..ENGINE_REASONS).contains(&reason) => {
                (Status::Rejected, reason)
            }
            // A panic, or a reason that is not a domain's: its logic failed (D4).
            _ => (Status::Fault, 0),
        }
    }

    /// Whether the changes may be: states within the domain's own limit, and room for what is new (D5).
    fn admit_changes(&self, domain: &dyn Domain, refs: &[EntityRef], bench: &Bench<'_>) -> (Status, u16) {
        let state_bytes_max = domain.state_bytes_max();
        let changed = || self.cells.iter().zip(refs).filter(|(cell, _)| cell.is_changed());
        if changed().any(|(cell, _)| cell.get().is_some_and(|state| state.len() > state_bytes_max)) {
            return (Status::Fault, 0);
        }
        let (stock, loans) = (&bench.stock, &bench.loans);
        let no_room = changed().any(|(cell, entity)| {
            let room = entity.place().map_or_else(|loan| loans.has_room(loan), |_| stock.room);
            !room && cell.get().is_some() && state_of(*entity, stock.entities, loans).is_none()
        });
        if no_room { (Status::Rejected, EngineReason::NoRoom as u16) } else { (Status::Applied, 0) }
    }

    /// Stores what an applied event changed, and appends it after its outcome.
    fn write_back(&mut self, bench: &mut Bench<'_>, step: &Step, out: &mut Vec<u8>) {
        let count_at = out.len() - 1;
        for (cell, at) in self.cells.iter().zip(step.uses()) {
            if !cell.is_changed() {
                continue;
            }
            let state = cell.get();
            let bytes = state.unwrap_or(&[]);
            let mut head = [0; 20];
            head[..2].copy_from_slice(&step.domain.0.to_le_bytes());
            head[2..18].copy_from_slice(&bench.ids[at].0.to_le_bytes());
            head[18] = u8::from(state.is_some());
            head[19] = bytes.len() as u8;
            out[count_at] += 1;
            out.extend_from_slice(&head);
            out.extend_from_slice(bytes);
            match bench.refs[at].place() {
                Ok(record) => {
                    self.entities_change += bench.stock.entities.store(record, state);
                    if state.is_none() {
                        self.absent.push(record);
                    }
                }
                Err(loan) => bench.loans.store(loan, state),
            }
        }
    }
}

/// Appends the piece of an event that is not evaluated: its outcome, and that it changed nothing. A duplicate's first
/// response is filled in at publish.
fn settle(
    ordered: &OrderedSlot,
    bytes: &[u8],
    step: &Step,
    index: u32,
    warden: &mut Warden,
    out: &mut Vec<u8>,
) -> (Status, Option<Fill>) {
    let (key, domain) = match step.decision {
        Decision::Unreadable => (EventKey(0), DomainId(0)),
        _ => {
            let (event, _) = Event::parse(&bytes[step.offset as usize..]).expect("it was read before");
            (event.key(), event.domain())
        }
    };
    let slot = ordered.manifest.slot;
    let mut fill = None;
    let mut outcome = Outcome {
        key,
        domain,
        status: Status::Invalid,
        first_status: Status::Invalid,
        reason: 0,
        index,
        original_slot: slot,
        original_index: index,
        response: &[],
    };
    match step.decision {
        Decision::Evaluate(_) => panic!("event {index} of slot {slot} is to be evaluated"),
        Decision::Fault(seen) => {
            outcome.status = Status::Fault;
            warden.decide(seen, Status::Fault, 0, &[]);
        }
        Decision::Duplicate(seen) => {
            let first = warden.first(seen);
            outcome.status = Status::Duplicate;
            outcome.reason = first.reason;
            outcome.original_slot = first.slot;
            outcome.original_index = first.index;
            outcome.first_status = first.status;
            fill = Some(Fill { index, first: first.response });
        }
        Decision::Conflict => outcome.status = Status::Conflict,
        Decision::Full => outcome.status = Status::Full,
        Decision::Expired => outcome.status = Status::Expired,
        Decision::Invalid(reason) => outcome.reason = reason,
        Decision::Unreadable => outcome.reason = EngineReason::Unreadable as u16,
    }
    if outcome.status != Status::Duplicate {
        outcome.first_status = outcome.status;
    }
    outcome.encode(out);
    out.push(0);
    (outcome.status, fill)
}

fn state_of<'a>(entity: EntityRef, entities: &'a Entities, loans: &'a Loans) -> Option<&'a [u8]> {
    match entity.place() {
        Ok(record) => entities.state(record),
        Err(loan) => loans.state(loan),
    }
}

/// Gives the event whose piece this is another reason than it had: a rehearsed fault.
fn change_outcome(piece: &mut [u8]) {
    let (outcome, _) = Outcome::parse(piece).expect("it was encoded just now");
    let mut changed = Vec::new();
    Outcome { reason: outcome.reason ^ 1, ..outcome }.encode(&mut changed);
    piece[..changed.len()].copy_from_slice(&changed);
}

/// Events whose records are brought into the cache together.
const RECORDS_TOUCHED: u32 = 16;
