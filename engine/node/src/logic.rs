//! Which versions of the domains' logic are in force, and when a leader orders another one (P12, R5).
//!
//! Every replica says in the handshake which versions its program has. A leader whose operator wants a higher one than
//! is in force orders it once every voter that it is connected to has it. Who was away and lacks it stops when it comes
//! to that slot ([`Output::LogicMissing`](crate::Output)), rather than evaluate what it cannot.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use assize_wire::manifest::Manifest;
use assize_wire::{Control, LogicVersion, LogicVersions, ReplicaId, Slot};

/// What the control core starts with.
#[derive(Clone, Debug)]
pub struct LogicStart {
    /// What this replica's program has.
    pub registered: Vec<LogicVersion>,
    /// What its operator wants, as far as it is above what is in force.
    pub wanted: LogicVersions,
}

/// The control core's part of it.
#[derive(Debug)]
pub(crate) struct Logic {
    registered: Vec<LogicVersion>,
    wanted: LogicVersions,
    /// After the last slot that the cores were told.
    in_force: LogicVersions,
    /// What the programs of connected voters have.
    peers: BTreeMap<ReplicaId, Vec<LogicVersion>>,
    /// A slot with control events is accepted here and not chosen. Until it is, or another value is, none is ordered.
    formed: Option<Slot>,
    /// Ordered, and not among `registered`: the cores are told no slot above it.
    missing: Option<LogicVersion>,
}

impl Logic {
    /// With `in_force` before the first slot that the cores are told; `accepted` are the slots from there on that the
    /// start found, of which none was told.
    pub(crate) fn new<'a>(
        start: LogicStart,
        in_force: LogicVersions,
        accepted: impl Iterator<Item = &'a Manifest>,
    ) -> Logic {
        let LogicStart { registered, wanted } = start;
        let (peers, formed, missing) = (BTreeMap::new(), None, None);
        let mut logic = Logic { registered, wanted, in_force, peers, formed, missing };
        accepted.for_each(|manifest| logic.handle_formed(manifest));
        logic
    }

    pub(crate) fn handle_connected(&mut self, peer: ReplicaId, has: Vec<LogicVersion>) {
        self.peers.insert(peer, has);
    }

    pub(crate) fn handle_disconnected(&mut self, peer: ReplicaId) {
        self.peers.remove(&peer);
    }

    /// SwitchOrdered: what a leader orders in its next slot.
    pub(crate) fn to_order(&self) -> Vec<Control> {
        if self.formed.is_some() {
            return Vec::new();
        }
        let higher = |wanted: &LogicVersion| {
            self.in_force.get(wanted.domain).is_some_and(|version| version < wanted.version)
        };
        let everywhere = |wanted: &LogicVersion| {
            self.registered.contains(wanted) && self.peers.values().all(|has| has.contains(wanted))
        };
        self.wanted.iter().filter(higher).filter(everywhere).map(Control::SwitchLogic).collect()
    }

    /// A slot is accepted here.
    pub(crate) fn handle_formed(&mut self, manifest: &Manifest) {
        if !manifest.controls.is_empty() {
            self.formed = Some(manifest.slot);
        }
    }

    /// SwitchChosen, LackingStops: a slot is about to be told to the cores. What it switches to and this program lacks
    /// is returned; the slots above it are not to be told.
    pub(crate) fn handle_chosen(&mut self, manifest: &Manifest) -> Option<LogicVersion> {
        self.formed = self.formed.filter(|formed| *formed > manifest.slot);
        for Control::SwitchLogic(version) in &manifest.controls {
            self.in_force.set(*version);
            if !self.registered.contains(version) {
                self.missing = Some(*version);
            }
        }
        self.missing
    }

    /// Whether the cores may be told another slot.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use assize_wire::{DomainId, Hash, StreamTime};

    const fn of(version: u16) -> LogicVersion {
        LogicVersion { domain: DomainId(1), version }
    }

    fn slot(number: u64, controls: Vec<Control>) -> Manifest {
        let (slot, previous) = (Slot(number), Hash::ZERO);
        Manifest { slot, time: StreamTime(1), previous, checkpoint: false, stripes: Vec::new(), controls }
    }

    fn logic(registered: Vec<LogicVersion>) -> Logic {
        let [wanted, in_force] = [2, 1].map(|version| [of(version)].into_iter().collect());
        Logic::new(LogicStart { registered, wanted }, in_force, core::iter::empty())
    }

    /// SwitchOrdered: what an earlier start ordered is not ordered again before it is known whether it was chosen.
    #[test]
    fn r5_what_was_ordered_before_a_restart_is_not_ordered_again() {
        let order = vec![Control::SwitchLogic(of(2))];
        let found = [slot(1, Vec::new()), slot(2, order.clone()), slot(3, Vec::new())];
        let [wanted, in_force] = [2, 1].map(|version| [of(version)].into_iter().collect());
        let start = LogicStart { registered: vec![of(1), of(2)], wanted };
        let mut logic = Logic::new(start, in_force, found.iter());
        assert_eq!(logic.to_order(), []);
        assert_eq!(logic.handle_chosen(&found[0]), None);
        assert_eq!(logic.to_order(), []);
        assert_eq!(logic.handle_chosen(&found[1]), None);
        assert_eq!(logic.to_order(), [], "it is in force");
    }

    /// SwitchOrdered
    #[test]
    fn r5_it_is_ordered_when_all_who_are_there_have_it_and_once() {
        let order = vec![Control::SwitchLogic(of(2))];
        let mut logic = logic(vec![of(1), of(2)]);
        logic.handle_connected(ReplicaId(1), vec![of(1)]);
        assert_eq!(logic.to_order(), []);
        logic.handle_connected(ReplicaId(1), vec![of(1), of(2)]);
        assert_eq!(logic.to_order(), order);
        logic.handle_connected(ReplicaId(2), vec![of(1), of(3)]);
        assert_eq!(logic.to_order(), []);
        logic.handle_disconnected(ReplicaId(2));
        assert_eq!(logic.to_order(), order);
        logic.handle_formed(&slot(7, order.clone()));
        assert_eq!(logic.to_order(), []);
        // Another leader has filled the slot otherwise.
        assert_eq!(logic.handle_chosen(&slot(7, Vec::new())), None);
        assert_eq!(logic.to_order(), order);
        // SwitchChosen
        logic.handle_formed(&slot(8, order.clone()));
        assert_eq!(logic.handle_chosen(&slot(8, order)), None);
        assert_eq!((logic.to_order(), logic.is_complete()), (Vec::new(), true));
    }

    /// LackingStops, and never back to a lower version.
    #[test]
    fn r5_who_lacks_what_is_ordered_goes_no_further() {
        let mut behind = logic(vec![of(1)]);
        assert_eq!(behind.to_order(), []);
        assert_eq!(behind.handle_chosen(&slot(3, vec![Control::SwitchLogic(of(2))])), Some(of(2)));
        assert!(!behind.is_complete());
        let mut ahead = logic(vec![of(2), of(3)]);
        assert_eq!(ahead.handle_chosen(&slot(3, vec![Control::SwitchLogic(of(3))])), None);
        assert_eq!(ahead.to_order(), []);
    }
}
