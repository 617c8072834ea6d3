//! No answer is lost: every event that a client waits for is kept by some core, which answers it or refuses it.

use std::collections::HashMap;

use assize_node::Core;

use super::hold;

/// The cores of a replica that have heard all that they told each other.
pub fn check(at: usize, cores: &[Core]) {
    let mut owed = HashMap::new();
    for core in cores {
        // One that has more to say may be about to say just that.
        let Some(of_core) = core.owed() else { return };
        for (connection, events) in of_core {
            *owed.entry(connection).or_insert(0) += events;
        }
    }
    for (connection, awaited) in cores.iter().flat_map(Core::awaited) {
        let owed = owed.get(&connection).copied().unwrap_or(0);
        hold!(
            "owed",
            awaited == owed,
            "of replica {at} {connection:?} waits for {awaited} events, and {owed} are kept"
        );
    }
}
