//! Events that clients wait for, counted from both sides: at the connection that took them, and where they are kept
//! until they are answered. For whoever checks that no answer is lost: what only the connection knows of is never told.

use alloc::vec::Vec;

use crate::connections::ConnectionRef;
use crate::core::Core;
use crate::usher::Run;

impl Core {
    /// For each connection of this core whose client listens, how many events it waits for.
    #[must_use]
    pub fn awaited(&self) -> Vec<(ConnectionRef, u32)> {
        let all = self.connections.awaited();
        all.map(|(connection, events)| (ConnectionRef { core: self.id, connection }, events)).collect()
    }

    /// Whom this core answers, or refuses, how many events, in pieces; connections that are gone are among them.
    /// None while it has anything to say to a core, which may be just that.
    #[must_use]
    pub fn owed(&self) -> Option<Vec<(ConnectionRef, u32)>> {
        let says = !self.own.is_empty() || !self.outputs.is_empty() || self.usher.has_messages();
        let runs = self.usher.seats.iter().flat_map(|seat| seat.runs());
        let runs = runs.map(|Run { connection, events, .. }| (*connection, *events));
        let unfilled = self.outcomes.sought().map(|wanted| (wanted.then.connection(), 1));
        (!says).then(|| runs.chain(unfilled).collect())
    }
}
