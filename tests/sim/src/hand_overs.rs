//! An operator who has a replica that leads hand over, and hears what became of it.

use std::collections::BTreeMap;

use assize_node::{Core, CoreMessage, HandOverEnd};
use assize_wire::ReplicaId;

use crate::checkers::hold;
use crate::replica::Replica;
use crate::seeds::trace;

/// What was asked of one replica.
#[derive(Debug, Default)]
pub(crate) struct HandOvers {
    asked: u64,
    /// When each was asked that has not heard, by the replica's clock.
    pub(crate) open: BTreeMap<u64, u64>,
    /// What all of them heard.
    pub(crate) ends: Vec<HandOverEnd>,
}

impl Replica {
    /// An operator wants another replica to lead: this one, or any that could.
    pub fn hand_over(&mut self, to: Option<ReplicaId>) {
        let ask = self.hand_overs.asked;
        self.hand_overs.asked += 1;
        self.hand_overs.open.insert(ask, self.now.monotonic_ns);
        let control = usize::from(self.shape.layout().control.0);
        let shell = self.cores.len();
        self.channels[shell][control].push_back(CoreMessage::HandOver { ask, to });
    }

    /// What operators heard of what they asked of it.
    #[must_use]
    pub fn hand_over_ends(&self) -> &[HandOverEnd] {
        &self.hand_overs.ends
    }

    /// Whether a checkpoint is under way here.
    #[must_use]
    pub fn takes_checkpoint(&self) -> bool {
        self.cores.iter().find_map(Core::control_gauges).is_some_and(|gauges| gauges.checkpoint_runs)
    }

    /// Whoever asked hears once, and not too early that nothing came of it.
    pub(crate) fn told_hand_over(&mut self, ask: Option<u64>, end: HandOverEnd) {
        trace!("replica {}, hand-over {ask:?}: {end}", self.shape.replica);
        if let Some(ask) = ask {
            let asked = self.hand_overs.open.remove(&ask);
            hold!("hand over", asked.is_some(), "{ask} heard {end:?}, and had heard before or never asked");
            let waited = self.now.monotonic_ns - asked.unwrap_or_default();
            let patience = self.shape.election.timeout_ns;
            let early = end == HandOverEnd::Kept { late: true } && waited < patience;
            self.hand_overs.ends.push(end);
            hold!("hand over", !early, "{ask} was given up after {waited} ns, of {patience}");
        }
        match end {
            HandOverEnd::Led { to, by } if to == by => self.seen.handed_over += 1,
            HandOverEnd::Led { .. } | HandOverEnd::Unheard { .. } => self.seen.handed_over_in_vain += 1,
            HandOverEnd::Kept { .. } => self.seen.kept_leading += 1,
            _ => self.seen.not_handed_over += 1,
        }
    }
}
