//! Which stripes are stored on this replica, and which of those that are named it waits for (P2, P8).

use alloc::collections::BTreeSet;

use assize_wire::StripeId;
use assize_wire::manifest::Manifest;

/// Stripes by identity, own and peers' alike.
///
/// Invariant: no stripe is in both sets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Stripes {
    /// Stored, and named by no slot that is known chosen: what those named is never asked about again.
    stored: BTreeSet<StripeId>,
    /// Asked for.
    wanted: BTreeSet<StripeId>,
}

impl Stripes {
    pub(crate) fn has(&self, id: &StripeId) -> bool {
        self.stored.contains(id)
    }

    pub(crate) fn has_all_of(&self, manifest: &Manifest) -> bool {
        manifest.stripes.iter().all(|stripe| self.has(&stripe.id))
    }

    pub(crate) fn store(&mut self, id: StripeId) {
        self.wanted.remove(&id);
        self.stored.insert(id);
    }

    pub(crate) fn lose(&mut self, id: &StripeId) {
        self.stored.remove(id);
    }

    /// Notes that a stripe is needed. Returns whether it must be asked for: it is not stored and was not asked for yet.
    pub(crate) fn want(&mut self, id: StripeId) -> bool {
        !self.has(&id) && self.wanted.insert(id)
    }

    /// The slot is given up: what it needed may be asked for again.
    pub(crate) fn unwant_all_of(&mut self, manifest: &Manifest) {
        for stripe in &manifest.stripes {
            self.wanted.remove(&stripe.id);
        }
    }

    /// The slot is chosen.
    pub(crate) fn forget_all_of(&mut self, manifest: &Manifest) {
        for stripe in &manifest.stripes {
            self.stored.remove(&stripe.id);
        }
    }

    pub(crate) fn check_invariants(&self) {
        assert!(self.stored.is_disjoint(&self.wanted), "a stripe is stored and asked for: {self:?}");
    }
}
