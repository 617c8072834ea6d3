//! Chosen slots that a peer lacks and the Docket no longer has in memory: they are read from the log, and sent (P7).

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use assize_consensus::limits::FETCH_SLOTS_MAX;
use assize_wal::RecordLocation;
use assize_wire::accept::{ACCEPT_HEADER_BYTES, Accept};
use assize_wire::manifest::Ordered;
use assize_wire::peer::{DocketMessage, Lane};
use assize_wire::{ReplicaId, Slot};

use crate::core::Core;
use crate::execute::ReadFor;

/// Manifests for one peer.
pub(crate) struct Fetching {
    to: ReplicaId,
    slots: BTreeMap<Slot, Option<Arc<Ordered>>>,
}

impl Core {
    /// A peer lacks slots that the Docket no longer has in memory: they are read from the log.
    pub(crate) fn read_chosen(&mut self, to: ReplicaId, from: Slot) {
        let chosen = self.control().docket.watermarks().chosen;
        self.control().fetching.retain(|fetching| fetching.to != to);
        let locations: Vec<(Slot, RecordLocation)> = self
            .control()
            .accepts
            .range(from..=chosen)
            .take(FETCH_SLOTS_MAX as usize)
            .map(|(slot, location)| (*slot, *location))
            .collect();
        if locations.first().is_none_or(|(slot, _)| *slot != from) {
            // The log does not reach back so far any more: a checkpoint is needed.
            self.send_fetched(to, Vec::new());
            return;
        }
        let slots = locations.iter().map(|(slot, _)| (*slot, None)).collect();
        self.control().fetching.push(Fetching { to, slots });
        for (slot, location) in locations {
            let read = self.log.read(location);
            self.pending.note_read(read, ReadFor::Fetch(to, slot));
        }
    }

    /// A manifest was read for a peer; with the last one all are sent.
    pub(crate) fn fetched(&mut self, to: ReplicaId, slot: Slot, payload: &[u8]) {
        let accept = match Accept::parse(payload) {
            Ok(accept) => accept,
            Err(error) => panic!("the accept record of slot {slot} is whole and cannot be read: {error}"),
        };
        let hash = assize_wire::Hash::of(&payload[ACCEPT_HEADER_BYTES..]);
        let control = self.control();
        let Some(at) = control.fetching.iter().position(|fetching| fetching.to == to) else { return };
        if let Some(place) = control.fetching[at].slots.get_mut(&slot) {
            *place = Some(Arc::new(Ordered { manifest: accept.manifest, hash }));
        }
        if control.fetching[at].slots.values().all(Option::is_some) {
            let Fetching { slots, .. } = control.fetching.swap_remove(at);
            self.send_fetched(to, slots.into_values().flatten().collect());
        }
    }

    /// What a peer wants cannot be read.
    pub(crate) fn give_up_fetching(&mut self, to: ReplicaId) {
        self.control().fetching.retain(|fetching| fetching.to != to);
    }

    fn send_fetched(&mut self, to: ReplicaId, slots: Vec<Arc<Ordered>>) {
        let control = self.control();
        let (ballot, chosen) = (control.docket.promised(), control.told_chosen);
        let message = DocketMessage::Fetched { ballot, slots, chosen };
        let message = self.of_docket(message);
        self.send_peer(to, Lane::Control, &message);
    }
}
