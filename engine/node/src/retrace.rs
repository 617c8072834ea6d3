//! The slots of a replica that does not run, evaluated again: from its checkpoint on, by the same shards, one slot
//! after the other. Nothing is written, nobody is asked, and nothing is published (D1: whatever the cores were, the
//! outcomes are the same).

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use assize_consensus::LogTip;
use assize_domain::DomainRegistry;
use assize_shards::{Exchange, PanicGuard, Published, ReadEntity, ReadRequest, Shard, StateDigest};
use assize_wal::{LogIdentity, Recovered, SegmentReader};
use assize_wire::control::Control;
use assize_wire::manifest::Ordered;
use assize_wire::{DomainId, EntityId, Hash, LogicVersion, LogicVersions, ReplicaId, ShardId, Slot};

use crate::agreed::Agreed;
use crate::boot::{ReadError, restore_shard, tip};
use crate::message::ReplayedSlot;

/// All shards of a replica, at one slot.
///
/// Invariant: between calls every shard stands at the same slot, and nothing of any shard is lent.
pub struct Retrace {
    /// By id.
    shards: Vec<Shard>,
    domains: Arc<DomainRegistry>,
    /// What evaluates the next slot (R5).
    logic: LogicVersions,
    /// Where they stand.
    tip: LogTip,
}

impl Retrace {
    /// As the active checkpoint has them, or before slot 1 if there is none.
    ///
    /// # Errors
    /// [`RetraceError`]: the checkpoint cannot be read, or was evaluated by logic that is not here.
    pub fn restore(
        reader: &mut dyn SegmentReader,
        identity: LogIdentity,
        agreed: &Agreed,
        recovered: &Recovered,
        domains: Arc<DomainRegistry>,
        guard: &Arc<dyn PanicGuard>,
    ) -> Result<Retrace, RetraceError> {
        let checkpoint = recovered.checkpoint.as_ref();
        if checkpoint.is_some_and(|checkpoint| checkpoint.parts.is_empty()) {
            return Err(RetraceError::ToBeRebuilt);
        }
        let first_part = checkpoint.and_then(|checkpoint| checkpoint.parts.first());
        let logic = first_part.map_or_else(|| agreed.logic(), |part| part.head.logic);
        let at = checkpoint.map_or(Slot::ZERO, |checkpoint| checkpoint.at.slot);
        if let Some(logic) = logic.iter().find(|logic| domains.get(*logic).is_none()) {
            return Err(RetraceError::LogicMissing { slot: at.next(), logic });
        }
        let shard = |shard| {
            let mut config = agreed.shard_config(ShardId(shard), ReplicaId(0), logic);
            // Nobody else is asked; and what each event changed is kept, as where there are peers to differ from.
            (config.copies, config.replicas) = (1, config.replicas.max(3));
            restore_shard(reader, identity, checkpoint, config, Arc::clone(&domains), Arc::clone(guard))
        };
        let shards = (0..agreed.shard_count).map(shard).collect::<Result<_, _>>();
        let shards = shards.map_err(RetraceError::Read)?;
        Ok(Retrace { shards, domains, logic, tip: tip(recovered) })
    }

    /// The slot that was evaluated last.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.tip.slot
    }

    /// The same with its time and the hash of its manifest, which the next one chains to.
    #[must_use]
    pub fn tip(&self) -> LogTip {
        self.tip
    }

    /// All shards as they stand, by id: for a checkpoint of them.
    pub fn shards_mut(&mut self) -> &mut [Shard] {
        &mut self.shards
    }

    /// Evaluates the next slot: what came of each of its stripes, by shard.
    ///
    /// # Errors
    /// [`RetraceError`]: what evaluates it is not here, or what came of it is not what was published (C4). Then the
    /// states are of no use.
    pub fn evaluate(&mut self, slot: ReplayedSlot) -> Result<Vec<Published>, RetraceError> {
        let ReplayedSlot { ordered, stripes, digests } = slot;
        let number = ordered.manifest.slot;
        let tip = LogTip { slot: number, hash: ordered.hash, time: ordered.manifest.time };
        if let Some(logic) = self.logic.iter().find(|logic| self.domains.get(*logic).is_none()) {
            return Err(RetraceError::LogicMissing { slot: number, logic });
        }
        self.run(&Arc::new(ordered), stripes);
        self.tip = tip;
        let mut published: Vec<Published> = Vec::new();
        for shard in &mut self.shards {
            // Copies are for peers, and there are none.
            while shard.poll_copy().is_some() {}
            while let Some(mut stripe) = shard.poll_published() {
                // The Clerk keeps it, for peers that would ask.
                stripe.evaluated = shard.clerk().evaluated(stripe.slot).cloned().unwrap_or_default();
                published.push(stripe);
            }
        }
        for (shard, expected) in digests {
            let found = published.iter().find(|found| found.shard == shard).map(|found| found.digest);
            if found != Some(expected) {
                let found = found.unwrap_or_default();
                return Err(RetraceError::Contradicted { slot: number, shard, expected, found });
            }
        }
        Ok(published)
    }

    fn run(&mut self, ordered: &Arc<Ordered>, mut stripes: Vec<(ShardId, assize_shards::StripeBytes)>) {
        for Control::SwitchLogic(version) in &ordered.manifest.controls {
            self.logic.set(*version);
        }
        for shard in &mut self.shards {
            let own = stripes.iter().position(|(of, _)| *of == shard.id());
            let stripe = own.map(|at| stripes.swap_remove(at).1);
            shard.handle_chosen(Arc::clone(ordered), stripe, false);
        }
        assert!(
            stripes.is_empty(),
            "slot {} has stripes of shards that there are none of",
            ordered.manifest.slot
        );
        let mut under_way: VecDeque<(ShardId, ShardId, Exchange)> = VecDeque::new();
        loop {
            for shard in &mut self.shards {
                let from = shard.id();
                while let Some((to, message)) = shard.poll_exchange() {
                    under_way.push_back((from, to, message));
                }
            }
            if under_way.is_empty() {
                break;
            }
            while let Some((from, to, message)) = under_way.pop_front() {
                self.shards[usize::from(to.0)].handle_exchange(from, message);
            }
        }
        let slot = ordered.manifest.slot;
        let stuck = self.shards.iter().find(|shard| shard.executed() != slot);
        assert!(stuck.is_none(), "slot {slot} does not come to its end in shard {:?}", stuck.map(Shard::id));
    }

    /// An entity's state, or nothing if it is absent.
    pub fn state(&mut self, agreed: &Agreed, domain: DomainId, entity: EntityId) -> Option<Vec<u8>> {
        let home = &mut self.shards[usize::from(agreed.routing().home_of(domain, entity).0)];
        home.handle_read(ReadRequest {
            token: 0,
            entities: alloc::vec![ReadEntity { index: 0, domain, entity }],
        });
        let answer = home.poll_read();
        let states = answer.unwrap_or_else(|| panic!("entity {entity} is lent and no slot runs")).states;
        states.into_iter().next().and_then(|(_, state)| state)
    }

    /// What all entities come to: as every replica has it that executed the same slots.
    #[must_use]
    pub fn digest(&self) -> Option<(Slot, Hash)> {
        StateDigest::of_all(&self.shards.iter().map(Shard::state_digest).collect::<Vec<_>>())
    }

    /// Entities that exist, and keys that are live.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        let counts = self.shards.iter().map(|shard| (shard.counters().entities, shard.counters().live_keys));
        counts.fold((0, 0), |sum, counts| (sum.0 + counts.0, sum.1 + counts.1))
    }
}

/// Why slots cannot be evaluated again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetraceError {
    /// A record cannot be read.
    Read(ReadError),
    /// What evaluates a slot is not among the domains of this program.
    LogicMissing {
        /// The first slot that it evaluates.
        slot: Slot,
        /// What is missing.
        logic: LogicVersion,
    },
    /// What came of a stripe is not what was published of it.
    Contradicted {
        /// The slot.
        slot: Slot,
        /// The stripe's shard.
        shard: ShardId,
        /// What was published.
        expected: Hash,
        /// What came of it now.
        found: Hash,
    },
    /// What was evaluated there is to be replaced by a checkpoint of the others (R3).
    ToBeRebuilt,
}

impl fmt::Display for RetraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RetraceError::Read(error) => error.fmt(f),
            RetraceError::LogicMissing { slot, logic } => write!(
                f,
                "slot {slot} is evaluated by version {} of domain {}, which this program does not have: use the one that \
                 serves the cluster",
                logic.version,
                logic.domain.0
            ),
            RetraceError::Contradicted { slot, shard, expected, found } => write!(
                f,
                "slot {slot}, shard {shard}: the digest {expected} was published and evaluating it again gives {found}. \
                 Nothing from this slot on can be relied upon: test this machine's memory and disk, and ask another replica"
            ),
            RetraceError::ToBeRebuilt => f.write_str(
                "what this replica evaluated is to be replaced by a checkpoint of the others: it has no states until it was \
                 started and has caught up",
            ),
        }
    }
}

impl core::error::Error for RetraceError {}

#[cfg(test)]
mod tests;
