//! Where a thread's requests come from.

use assize_wire::StreamTime;

use super::batch::Batch;
use super::generator::Generator;
use super::replay::Player;
use super::workload::Told;

/// One thread's.
pub(super) enum Source {
    /// Drawn at random.
    Drawn(Generator),
    /// Lines of a file. One thread plays them all: what is sent next depends on answers to any of them.
    Recorded(Player),
}

impl Source {
    /// Fills a cleared batch for its shard: with `most` events, or with as many as there are now, if those are fewer.
    pub(super) fn fill(&mut self, batch: &mut Batch, most: usize, now: StreamTime, deadline: StreamTime) {
        match self {
            Source::Drawn(generator) => generator.fill(batch, most, now, deadline),
            Source::Recorded(player) => player.fill(batch, most, deadline),
        }
    }

    /// Events that were to be sent, and were not.
    pub(super) fn left(&self) -> u64 {
        match self {
            Source::Drawn(_) => 0,
            Source::Recorded(player) => player.left(),
        }
    }

    /// What the answers say was done to the entities of the load.
    pub(super) fn told(&self) -> Option<&Told> {
        match self {
            Source::Drawn(generator) => Some(generator.told()),
            Source::Recorded(_) => None,
        }
    }
}
