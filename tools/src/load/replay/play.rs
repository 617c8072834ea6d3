//! How a worker plays a script: it sends each line that may be sent on a connection to the shard of its key, until none
//! is left.

use std::io;
use std::sync::atomic::Ordering;

use super::super::source::Source;
use super::super::worker::Worker;
use super::player::Player;

impl Worker<'_> {
    /// Sends until no line is left, or nothing was answered for as long as a run's end may take; returns when that was.
    pub(in super::super) fn play(&mut self, begin: u64) -> io::Result<u64> {
        let shards = self.player().shards();
        let mut carriers: Vec<Carriers> = (0..shards).map(|shard| self.carriers_of(shard)).collect();
        self.player().start(begin);
        let limit_ns = self.context.plan.drain_limit.as_nanos() as u64;
        let mut waiting_since = begin;
        loop {
            let now = self.context.shared.now();
            self.end_intervals(now);
            let next = self.attend(now);
            let due = self.player().handle_time(now);
            for (shard, carriers) in (0..shards).zip(&mut carriers) {
                self.send_ready(shard, carriers, now);
            }
            let stopped = self.context.plan.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
            if self.player().left() == 0 || stopped {
                return Ok(now);
            }
            let owes = self.connections.iter().any(|connection| connection.outstanding() > 0);
            if !owes && !(0..shards).any(|shard| self.player().has_ready(shard)) {
                waiting_since = now;
            }
            let silent_since = waiting_since.max(self.context.shared.last_answer());
            if now.saturating_sub(silent_since) > limit_ns {
                return Ok(silent_since);
            }
            self.wait(next.min(due).min(self.context.stats.interval_end()), false)?;
        }
    }

    /// Sends lines of a shard as far as there are some that may be sent, and room.
    fn send_ready(&mut self, shard: u16, carriers: &mut Carriers, now: u64) {
        while self.player().has_ready(shard) {
            let count = carriers.connections.len();
            let turns = (0..count).map(|step| (carriers.next + step) % count);
            let has_room =
                |turn: &usize| self.connections[carriers.connections[*turn]].has_room(&self.context);
            let Some(turn) = { turns }.find(has_room) else { return };
            carriers.next = (turn + 1) % count;
            self.connections[carriers.connections[turn]].start_for(shard, &mut self.context, now);
        }
    }

    fn carriers_of(&self, shard: u16) -> Carriers {
        let connections = self.connections.iter().enumerate();
        let carrying = connections.filter(|(_, connection)| connection.carries(shard));
        Carriers { connections: carrying.map(|(at, _)| at).collect(), next: 0 }
    }

    fn player(&mut self) -> &mut Player {
        match &mut self.context.source {
            Source::Recorded(player) => player,
            Source::Drawn(_) => unreachable!("what is drawn at random is not played"),
        }
    }
}

/// The connections that carry a shard's events, which take turns.
struct Carriers {
    connections: Vec<usize>,
    next: usize,
}
