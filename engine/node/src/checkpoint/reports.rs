//! What replicas report of checkpoints, and what follows from it: the Clerk's table, over digests of whole checkpoints
//! (C7).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use assize_shards::clerk::table::{Decision, Others, Own, Seen, decide};
use assize_wire::canary::{self, Canary};
use assize_wire::peer::CheckpointTold;
use assize_wire::{Hash, ReplicaId, Slot};

/// Reports of this replica and of its peers.
#[derive(Debug)]
pub(super) struct Reports {
    replica: ReplicaId,
    copies: usize,
    /// What replicas share with others when they fail: those in one domain count as one (C1).
    domains: BTreeMap<ReplicaId, u64>,
    /// By flagged slot and replica: the digest, or that it has none to report. At most [`REPORTS_MAX`] of each replica.
    slots: BTreeMap<Slot, BTreeMap<ReplicaId, Option<Hash>>>,
}

impl Reports {
    pub(super) fn new(replica: ReplicaId, copies: u8) -> Reports {
        Reports { replica, copies: copies.into(), domains: BTreeMap::new(), slots: BTreeMap::new() }
    }

    /// A replica, perhaps this one, says what it shares with others when it fails. Of whom nothing was said counts
    /// alone.
    pub(super) fn handle_failure_domain(&mut self, replica: ReplicaId, domain: u64) {
        self.domains.insert(replica, domain);
    }

    /// A replica, perhaps this one, reports its digest, or that it has none.
    pub(super) fn note(&mut self, who: ReplicaId, slot: Slot, digest: Option<Hash>) {
        let of_slot = self.slots.entry(slot).or_default();
        // Who reported one, started again and does not know it any more has reported it all the same.
        let known = of_slot.entry(who).or_default();
        *known = digest.or(*known);
        let theirs = self.slots.values().filter(|of_slot| of_slot.contains_key(&who)).count();
        if theirs > REPORTS_MAX {
            let oldest = self.slots.values_mut().find(|of_slot| of_slot.contains_key(&who));
            oldest.and_then(|of_slot| of_slot.remove(&who));
            self.slots.retain(|_, of_slot| !of_slot.is_empty());
        }
    }

    /// What a replica reported; `Some(None)` if that it has none.
    pub(super) fn of(&self, who: ReplicaId, slot: Slot) -> Option<Option<Hash>> {
        self.slots.get(&slot)?.get(&who).copied()
    }

    /// Every digest reported of a checkpoint.
    pub(super) fn seen(&self, slot: Slot) -> Vec<(ReplicaId, Hash)> {
        let of_slot = self.slots.get(&slot).into_iter().flatten();
        of_slot.filter_map(|(who, digest)| Some((*who, (*digest)?))).collect()
    }

    /// What follows from the reports of a checkpoint.
    pub(super) fn decide(&self, slot: Slot) -> Decision {
        let own = self.of(self.replica, slot).flatten();
        if canary::armed(Canary::ActivateUncompared) && own.is_some() {
            return Decision::Publish;
        }
        let seen = self.seen(slot);
        let others = self.agreed(&seen).filter(|digest| Some(*digest) != own).count();
        decide(Seen {
            own: match own {
                None => Own::Unknown,
                Some(own) if self.group(&seen, own) >= self.copies => Own::Agreed,
                Some(_) => Own::Short,
            },
            others: match others {
                0 => Others::None,
                1 => Others::One,
                _ => Others::Several,
            },
        })
    }

    /// Whether enough replicas may still report the digest of this one: those that have, and those of `present` that
    /// have not reported anything.
    pub(super) fn can_agree(&self, slot: Slot, present: impl Iterator<Item = ReplicaId>) -> bool {
        let Some(own) = self.of(self.replica, slot).flatten() else { return false };
        let silent = present.filter(|who| self.of(*who, slot).is_none());
        let seen = self.seen(slot);
        self.distinct(same(&seen, own).chain(silent)) >= self.copies
    }

    /// Whether enough replicas reported this digest, not counting this one (C7): it is to be rebuilt.
    pub(super) fn others_agree(&self, slot: Slot, digest: Hash) -> bool {
        let seen = self.seen(slot);
        self.distinct(same(&seen, digest).filter(|who| *who != self.replica)) >= self.copies
    }

    /// A digest other than `own` that enough replicas reported.
    pub(super) fn agreed_against(&self, slot: Slot, own: Hash) -> Option<Hash> {
        let seen = self.seen(slot);
        self.agreed(&seen).find(|digest| *digest != own)
    }

    /// Every digest that reached `copies`, each once.
    fn agreed(&self, seen: &[(ReplicaId, Hash)]) -> impl Iterator<Item = Hash> {
        let first = |at: usize| !seen[..at].iter().any(|(_, digest)| *digest == seen[at].1);
        let firsts = (0..seen.len()).filter(move |at| first(*at)).map(|at| seen[at].1);
        firsts.filter(move |digest| self.group(seen, *digest) >= self.copies)
    }

    fn group(&self, seen: &[(ReplicaId, Hash)], digest: Hash) -> usize {
        self.distinct(same(seen, digest))
    }

    /// In how many failure domains these replicas are.
    fn distinct(&self, replicas: impl Iterator<Item = ReplicaId>) -> usize {
        replicas.map(|who| self.domains.get(&who).ok_or(who)).collect::<BTreeSet<_>>().len()
    }
}

/// Who reported this digest.
fn same(seen: &[(ReplicaId, Hash)], digest: Hash) -> impl Iterator<Item = ReplicaId> {
    seen.iter().filter(move |(_, other)| *other == digest).map(|(who, _)| *who)
}

/// Reports of one replica that are kept: whoever replays far behind the others takes the checkpoints that they took.
const REPORTS_MAX: usize = 16;

/// What is said to peers on the control lane. What is lost is said again when it is asked for, or on a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Say {
    /// To one, or to all: what became of a checkpoint here.
    Told(Option<ReplicaId>, CheckpointTold),
    /// To one: tell me what became of it.
    Wanted(ReplicaId, Slot),
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Hash = Hash([1; 32]);
    const B: Hash = Hash([2; 32]);

    fn reports(copies: u8, of: &[(u8, Option<Hash>)]) -> Reports {
        let mut reports = Reports::new(ReplicaId(0), copies);
        of.iter().for_each(|(who, digest)| reports.note(ReplicaId(*who), Slot(7), *digest));
        reports
    }

    /// CheckpointsCompared, CheckpointDiverged, CheckpointSplit.
    #[test]
    fn c7_the_clerks_table_decides_over_reports_of_checkpoints() {
        let decide = |copies, of: &[_]| reports(copies, of).decide(Slot(7));
        assert_eq!(decide(2, &[(0, Some(A))]), Decision::Hold);
        assert_eq!(decide(2, &[(1, Some(A)), (2, Some(A))]), Decision::Hold, "the own one may yet be it");
        assert_eq!(decide(2, &[(0, Some(A)), (1, None)]), Decision::Hold);
        assert_eq!(decide(2, &[(0, Some(A)), (1, Some(A))]), Decision::Publish);
        assert_eq!(decide(2, &[(0, Some(A)), (1, Some(B))]), Decision::Hold);
        assert_eq!(decide(2, &[(0, Some(A)), (1, Some(B)), (2, Some(B))]), Decision::Quarantine);
        let two = [(0, Some(A)), (1, Some(B)), (2, Some(B)), (3, Some(A))];
        assert_eq!(decide(2, &two), Decision::SplitBrain);
        assert_eq!(decide(1, &[(0, Some(A))]), Decision::Publish);
        assert_eq!(reports(2, &two).agreed_against(Slot(7), A), Some(B));
    }

    /// C1, CheckpointsCompared, ReplicaRebuilt: a bad host computes the same wrong digest twice.
    #[test]
    fn c7_reports_of_replicas_in_one_failure_domain_count_as_one() {
        let shared = |of: &[_]| {
            let mut reports = reports(2, of);
            for (who, domain) in [(0, 7), (1, 7), (2, 8)] {
                reports.handle_failure_domain(ReplicaId(who), domain);
            }
            reports
        };
        assert_eq!(shared(&[(0, Some(A)), (1, Some(A))]).decide(Slot(7)), Decision::Hold);
        assert_eq!(shared(&[(0, Some(A)), (1, Some(A)), (2, Some(A))]).decide(Slot(7)), Decision::Publish);
        assert_eq!(
            shared(&[(0, Some(A)), (3, Some(A))]).decide(Slot(7)),
            Decision::Publish,
            "3 counts alone"
        );
        assert_eq!(shared(&[(2, Some(A)), (0, Some(B)), (1, Some(B))]).decide(Slot(7)), Decision::Hold);
        let can = |of: &[_], present: &[u8]| {
            shared(of).can_agree(Slot(7), present.iter().map(|who| ReplicaId(*who)))
        };
        assert!(!can(&[(0, Some(A))], &[1]) && can(&[(0, Some(A))], &[1, 2]));
        assert!(!shared(&[(0, Some(A)), (1, Some(A))]).others_agree(Slot(7), A), "0 is to be rebuilt");
        assert!(shared(&[(1, Some(A)), (2, Some(A))]).others_agree(Slot(7), A));
        assert!(!shared(&[(1, Some(A)), (2, Some(B))]).others_agree(Slot(7), A));
    }

    /// CheckpointUnreported.
    #[test]
    fn c7_a_checkpoint_has_failed_when_too_few_can_still_report_it() {
        let can = |of: &[_], present: &[u8]| {
            reports(2, of).can_agree(Slot(7), present.iter().map(|who| ReplicaId(*who)))
        };
        assert!(can(&[(0, Some(A))], &[1]));
        assert!(!can(&[(0, Some(A))], &[]), "nobody is there");
        assert!(!can(&[(0, Some(A)), (1, None)], &[1]), "the only one there has none");
        assert!(can(&[(0, Some(A)), (1, None)], &[1, 2]));
        assert!(can(&[(0, Some(A)), (1, Some(A))], &[]), "it is gone, and reported before");
    }

    #[test]
    fn what_is_kept_of_a_peer_is_bounded_and_a_restart_takes_no_report_back() {
        let mut reports = reports(2, &[(1, Some(A)), (1, None)]);
        assert_eq!(reports.of(ReplicaId(1), Slot(7)), Some(Some(A)));
        (8..100).for_each(|slot| reports.note(ReplicaId(1), Slot(slot), Some(B)));
        assert_eq!(reports.of(ReplicaId(1), Slot(7)), None);
        assert_eq!(reports.slots.len(), REPORTS_MAX);
    }
}
