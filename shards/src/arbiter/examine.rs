//! Examination: what the log alone says of each event of a stripe (W1 to W3, X6, D4).
//!
//! The order of the checks is the order in which they are answered: unreadable bytes; a key of another shard; a
//! live key (a duplicate is answered with its first outcome even where its domain has changed since); an event that
//! its domain
//! cannot read or that reaches outside the stripe's mask; the deadline; the Warden's capacity.

use core::hint::black_box;

use assize_domain::{EVENT_ENTITIES_MAX, EngineReason, Entities as EntityList, Event};
use assize_wire::canary::{self, Canary};
use assize_wire::routing::body_hash;
use assize_wire::stripe::{STRIPE_HEADER_BYTES, Stripe};
use assize_wire::{DomainId, LogicVersions, ShardId};

use super::plan::Step;
use super::{Decision, EntityRef, Plan, Rules};
use crate::warden::{Look, Refusal, Vacancy, Warden};

/// An event that was read, before the Warden is asked.
#[derive(Clone, Copy)]
struct Read<'a> {
    event: Event<'a>,
    offset: u32,
    hash: u64,
    body: u64,
}

impl Rules {
    /// Fills a plan that was reset to a chosen slot. `entities` is scratch.
    pub(crate) fn examine(&self, plan: &mut Plan, warden: &mut Warden, entities: &mut EntityList) {
        let ordered = plan.ordered.clone();
        let bytes = plan.bytes.clone();
        let manifest = &ordered.manifest;
        let named = manifest.stripe_of(self.shard).expect("the slot has a stripe of this shard");
        warden.begin(manifest.slot, manifest.time);
        for home in 0..self.routing.shards {
            if named.home_mask >> home & 1 == 1 && home != self.shard.0 {
                plan.loans.expect_home(ShardId(home));
            }
        }
        let stripe = Stripe::parse((*bytes).as_ref()).ok();
        let mut events = match stripe.filter(|stripe| stripe.head.events == named.events) {
            Some(stripe) => stripe.events(),
            // Not the stripe that was ordered: as many unreadable events as the manifest counted, on every replica.
            None => {
                plan.steps.resize(named.events as usize, Step::UNREADABLE);
                return;
            }
        };
        let mut offset = STRIPE_HEADER_BYTES as u32;
        let mut block: [Option<Read<'_>>; BLOCK_EVENTS] = [None; BLOCK_EVENTS];
        loop {
            let mut count = 0;
            for (place, event) in block.iter_mut().zip(&mut events) {
                count += 1;
                *place = event.ok().map(|event| {
                    let hash = warden.hash(event.key());
                    let at = offset;
                    offset += event.bytes().len() as u32;
                    Read { event, offset: at, hash, body: body_hash(&event, self.body_seed) }
                });
            }
            if count == 0 {
                break;
            }
            // All look-ups of the block begin here before the first ends below, so their cache misses overlap.
            let hashes = block[..count].iter().flatten().map(|read| read.hash);
            black_box(hashes.fold(0, |all, hash| all ^ warden.touch(hash)));
            warden.touch_oldest(count);
            for read in &block[..count] {
                let step = match read {
                    Some(read) => self.decide(read, plan, warden, entities, named.home_mask),
                    None => Step::UNREADABLE,
                };
                plan.steps.push(step);
            }
            if count < BLOCK_EVENTS {
                break;
            }
        }
    }

    fn decide(
        &self,
        read: &Read<'_>,
        plan: &mut Plan,
        warden: &mut Warden,
        entities: &mut EntityList,
        mask: u64,
    ) -> Step {
        let key = read.event.key();
        let mut step = Step {
            offset: read.offset,
            entities_from: plan.ids.len() as u32,
            entities: 0,
            domain: read.event.domain(),
            decision: Decision::Unreadable,
        };
        step.decision = if self.routing.shard_of_key(key) != self.shard {
            Decision::Invalid(EngineReason::WrongShard as u16)
        } else {
            match warden.look(read.hash, key, read.body) {
                Look::Duplicate(first) => {
                    if canary::armed(Canary::RenewOnDuplicate) {
                        warden.renew(first);
                    }
                    Decision::Duplicate(first)
                }
                Look::Conflict => Decision::Conflict,
                Look::Absent(vacancy) => {
                    return self.decide_absent(read, step, vacancy, plan, warden, entities, mask);
                }
            }
        };
        step
    }

    #[expect(clippy::too_many_arguments, reason = "the second half of `decide`")]
    fn decide_absent(
        &self,
        read: &Read<'_>,
        mut step: Step,
        vacancy: Vacancy,
        plan: &mut Plan,
        warden: &mut Warden,
        entities: &mut EntityList,
        mask: u64,
    ) -> Step {
        let mut homes = [ShardId(0); EVENT_ENTITIES_MAX];
        let named = self.name_entities(&read.event, &plan.logic, entities, &mut homes, mask);
        if let Err(Unnamed::Invalid(reason)) = named {
            step.decision = Decision::Invalid(reason);
            return step;
        }
        let event = &read.event;
        let index = plan.steps.len() as u32;
        let admitted = warden.admit(vacancy, read.hash, event.key(), read.body, event.deadline(), index);
        step.decision = match admitted {
            Err(Refusal::Expired) => Decision::Expired,
            Err(Refusal::Full) => Decision::Full,
            Ok(seen) if named.is_err() => Decision::Fault(seen),
            Ok(seen) => {
                step.entities = entities.as_slice().len() as u8;
                plan.ids.extend_from_slice(entities.as_slice());
                for (id, home) in entities.as_slice().iter().zip(&homes) {
                    plan.refs.push(if *home == self.shard {
                        EntityRef::LOCAL
                    } else {
                        EntityRef::loan(plan.loans.need(step.domain, *id, *home))
                    });
                }
                Decision::Evaluate(seen)
            }
        };
        step
    }

    /// Lists the entities of an event and their homes, all within the mask (X6).
    fn name_entities(
        &self,
        event: &Event<'_>,
        logic: &LogicVersions,
        entities: &mut EntityList,
        homes: &mut [ShardId; EVENT_ENTITIES_MAX],
        mask: u64,
    ) -> Result<(), Unnamed> {
        let invalid = |reason: EngineReason| Unnamed::Invalid(reason as u16);
        let domain = self
            .domain(logic, event.domain())
            .filter(|domain| domain.reads(event.version()))
            .ok_or(invalid(EngineReason::UnknownDomain))?;
        entities.clear();
        let mut named = Ok(());
        let completed = self.guard.run(&mut || named = domain.entities(event, entities));
        if !completed {
            return Err(Unnamed::Panicked);
        }
        named.map_err(|error| Unnamed::Invalid(error.reason))?;
        if !entities.is_valid() {
            return Err(invalid(EngineReason::BadEntities));
        }
        let mut outside = false;
        for (id, home) in entities.as_slice().iter().zip(homes) {
            *home = self.home_of(event.domain(), *id);
            outside |= mask >> home.0 & 1 == 0;
        }
        if outside && !canary::armed(Canary::MaskIgnored) {
            return Err(invalid(EngineReason::OutsideMask));
        }
        Ok(())
    }

    fn home_of(&self, domain: DomainId, id: assize_wire::EntityId) -> ShardId {
        if self.routing.shards == 1 {
            return ShardId(0);
        }
        self.routing.home_of(domain, id)
    }
}

/// Why an event's entities are not known.
#[derive(Clone, Copy, Debug)]
enum Unnamed {
    Invalid(u16),
    Panicked,
}

impl Step {
    const UNREADABLE: Step = Step {
        offset: 0,
        entities_from: 0,
        entities: 0,
        domain: DomainId(0),
        decision: Decision::Unreadable,
    };
}

/// Events whose look-ups are begun together.
const BLOCK_EVENTS: usize = 32;
