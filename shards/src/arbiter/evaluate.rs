//! Evaluation: runs a plan in index order and digests what it did.
//!
//! The digest is blake3 over: the manifest's hash, the shard (2 bytes); then for each event its encoded outcome, the
//! number of entities it changed (1 byte) and for each of those domain (2), id (16), present (1), length of the state
//! (1), state. Integers are little-endian. Nothing else, so no padding and no order of a table (D3).

use alloc::vec;
use alloc::vec::Vec;

use assize_domain::{Cell, Domain, ENGINE_REASONS, EngineReason, Event, Response, States, Verdict};
use assize_wire::limits::EVENT_ENTITIES_MAX;
use assize_wire::outcome::{OUTCOME_HEADER_BYTES, Outcome, Status};
use assize_wire::{EventKey, Hash, ShardId};

use super::plan::Step;
use super::{Decision, EntityRef, Loans, Plan, Rules};
use crate::registrar::Entities;
use crate::warden::Warden;
use crate::{Fill, Outcomes};

/// The scratch of evaluation: nothing is allocated for an event.
pub(crate) struct Arbiter {
    cells: Vec<Cell>,
    response: Response,
    /// What is digested.
    digested: Vec<u8>,
    /// Records that may have become absent, or are still.
    absent: Vec<u32>,
    /// Bytes that the outcomes of an event took in the last stripe.
    outcome_bytes: usize,
}

/// What running a stripe did.
pub(crate) struct Executed {
    pub(crate) digest: Hash,
    pub(crate) outcomes: Outcomes,
    pub(crate) fills: Vec<Fill>,
    /// By how much the number of this shard's own entities changed.
    pub(crate) entities_change: i64,
}

/// Where the entities of a stripe are.
pub(crate) struct Stock<'a> {
    pub(crate) entities: &'a mut Entities,
    /// This shard's own room for new entities in this slot (D5).
    pub(crate) room: bool,
}

impl Arbiter {
    pub(crate) fn new() -> Arbiter {
        Arbiter {
            cells: vec![Cell::absent(); EVENT_ENTITIES_MAX],
            response: Response::new(),
            digested: Vec::new(),
            absent: Vec::new(),
            outcome_bytes: OUTCOME_HEADER_BYTES,
        }
    }

    /// Runs a plan whose entities are all here.
    pub(crate) fn execute(
        &mut self,
        rules: &Rules,
        plan: &mut Plan,
        warden: &mut Warden,
        mut stock: Stock<'_>,
    ) -> Executed {
        let bytes = plan.bytes.clone();
        let bytes: &[u8] = (*bytes).as_ref();
        let slot = plan.ordered.manifest.slot;
        plan.loans.rooms |= u64::from(stock.room) << rules.shard.0;
        self.digested.clear();
        self.digested.extend_from_slice(&plan.ordered.hash.0);
        self.digested.extend_from_slice(&rules.shard.0.to_le_bytes());
        let mut executed = Executed {
            digest: Hash::ZERO,
            outcomes: Outcomes::with_capacity(plan.steps.len() * self.outcome_bytes),
            fills: Vec::new(),
            entities_change: 0,
        };
        for (index, step) in plan.steps.iter().enumerate() {
            let index = index as u32;
            let event = match step.decision {
                Decision::Unreadable => None,
                _ => Some(Event::parse(&bytes[step.offset as usize..]).expect("it was read before").0),
            };
            let key = event.map_or(EventKey(0), |event| event.key());
            let mut outcome = Outcome {
                key,
                status: Status::Invalid,
                first_status: Status::Invalid,
                reason: 0,
                index,
                original_slot: slot,
                original_index: index,
                response: &[],
            };
            self.response.clear();
            let mut changed = 0;
            match (step.decision, event) {
                (Decision::Evaluate(seen), Some(event)) => {
                    let refs = refs_of(step, &plan.refs);
                    let (status, reason) = self.evaluate(rules, &event, refs, plan, &stock);
                    if status == Status::Applied {
                        changed = refs.len();
                    } else if status == Status::Fault || reason == EngineReason::NoRoom as u16 {
                        self.response.clear();
                    }
                    outcome.status = status;
                    outcome.reason = reason;
                    warden.decide(seen, status, reason, self.response.as_slice());
                }
                (Decision::Fault(seen), _) => {
                    outcome.status = Status::Fault;
                    warden.decide(seen, Status::Fault, 0, &[]);
                }
                (Decision::Duplicate(seen), _) => {
                    let first = warden.first(seen);
                    outcome.status = Status::Duplicate;
                    outcome.reason = first.reason;
                    outcome.original_slot = first.slot;
                    outcome.original_index = first.index;
                    outcome.first_status = first.status;
                    let first = first.response;
                    executed.fills.push(Fill { index, first });
                }
                (Decision::Conflict, _) => outcome.status = Status::Conflict,
                (Decision::Full, _) => outcome.status = Status::Full,
                (Decision::Expired, _) => outcome.status = Status::Expired,
                (Decision::Invalid(reason), _) => outcome.reason = reason,
                (Decision::Unreadable | Decision::Evaluate(_), _) => {
                    outcome.reason = EngineReason::Unreadable as u16;
                }
            }
            if outcome.status != Status::Duplicate {
                outcome.first_status = outcome.status;
            }
            outcome.response = self.response.as_slice();
            let from = self.digested.len();
            outcome.encode(&mut self.digested);
            executed.outcomes.push_encoded(&self.digested[from..]);
            self.digested.push(0);
            if changed > 0 {
                executed.entities_change +=
                    self.write_back(step, &plan.ids, &plan.refs, &mut plan.loans, &mut stock);
            }
        }
        self.outcome_bytes = executed.outcomes.bytes().len() / plan.steps.len().max(1) + 1;
        executed.digest = Hash::of(&self.digested);
        for at in self.absent.drain(..) {
            stock.entities.tidy(at);
        }
        executed
    }

    /// These records are absent and may have to go after the stripe.
    pub(crate) fn tidy_later(&mut self, at: u32) {
        self.absent.push(at);
    }

    /// Calls the domain. What it changed is in `cells`.
    fn evaluate(
        &mut self,
        rules: &Rules,
        event: &Event<'_>,
        refs: &[EntityRef],
        plan: &Plan,
        stock: &Stock<'_>,
    ) -> (Status, u16) {
        let domain = rules.domains.get(event.domain()).expect("it was found before");
        let cells = &mut self.cells[..refs.len()];
        for (cell, entity) in cells.iter_mut().zip(refs) {
            cell.load(state_of(*entity, stock.entities, &plan.loans));
        }
        let (now, response) = (plan.ordered.manifest.time, &mut self.response);
        let mut verdict = None;
        let completed = rules.guard.run(&mut || {
            verdict = Some(domain.evaluate(event, now, &mut States::new(cells), response));
        });
        match verdict.filter(|_| completed) {
            Some(Verdict::Applied) => self.admit_changes(domain, rules.shard, refs, plan, stock),
            Some(Verdict::Rejected(reason)) if (1..ENGINE_REASONS).contains(&reason) => {
                (Status::Rejected, reason)
            }
            // A panic, or a reason that is not a domain's: its logic failed (D4).
            _ => (Status::Fault, 0),
        }
    }

    /// Whether the changes may be: states within the domain's own limit, and room for what is new (D5).
    fn admit_changes(
        &self,
        domain: &dyn Domain,
        own: ShardId,
        refs: &[EntityRef],
        plan: &Plan,
        stock: &Stock<'_>,
    ) -> (Status, u16) {
        let state_bytes_max = domain.state_bytes_max();
        let changed = || self.cells.iter().zip(refs).filter(|(cell, _)| cell.is_changed());
        if changed().any(|(cell, _)| cell.get().is_some_and(|state| state.len() > state_bytes_max)) {
            return (Status::Fault, 0);
        }
        let no_room = changed().any(|(cell, entity)| {
            let home = entity.place().map_or_else(|loan| plan.loans.home(loan), |_| own);
            plan.loans.rooms >> home.0 & 1 == 0
                && cell.get().is_some()
                && state_of(*entity, stock.entities, &plan.loans).is_none()
        });
        if no_room { (Status::Rejected, EngineReason::NoRoom as u16) } else { (Status::Applied, 0) }
    }

    /// Stores what an applied event changed, and digests it after its outcome.
    fn write_back(
        &mut self,
        step: &Step,
        ids: &[assize_wire::EntityId],
        refs: &[EntityRef],
        loans: &mut Loans,
        stock: &mut Stock<'_>,
    ) -> i64 {
        let count_at = self.digested.len() - 1;
        let from = step.entities_from as usize;
        let mut change = 0;
        for (at, entity) in refs_of(step, refs).iter().enumerate() {
            let cell = &self.cells[at];
            if !cell.is_changed() {
                continue;
            }
            let state = cell.get();
            let bytes = state.unwrap_or(&[]);
            let mut head = [0; 20];
            head[..2].copy_from_slice(&step.domain.0.to_le_bytes());
            head[2..18].copy_from_slice(&ids[from + at].0.to_le_bytes());
            head[18] = u8::from(state.is_some());
            head[19] = bytes.len() as u8;
            self.digested[count_at] += 1;
            self.digested.extend_from_slice(&head);
            self.digested.extend_from_slice(bytes);
            match entity.place() {
                Ok(record) => {
                    change += stock.entities.store(record, state);
                    if state.is_none() {
                        self.absent.push(record);
                    }
                }
                Err(loan) => loans.store(loan, state),
            }
        }
        change
    }
}

fn refs_of<'a>(step: &Step, refs: &'a [EntityRef]) -> &'a [EntityRef] {
    let from = step.entities_from as usize;
    &refs[from..from + usize::from(step.entities)]
}

fn state_of<'a>(entity: EntityRef, entities: &'a Entities, loans: &'a Loans) -> Option<&'a [u8]> {
    match entity.place() {
        Ok(record) => entities.state(record),
        Err(loan) => loans.state(loan),
    }
}
