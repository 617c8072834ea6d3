//! The source of a replay's requests: it takes from the schedule what may be sent, and counts what becomes of it.

use std::sync::Arc;

use assize_wire::message::Answer;
use assize_wire::outcome::Status;
use assize_wire::routing::Routing;
use assize_wire::{DomainId, EntityId, EventKey, StreamTime};

use super::super::batch::Batch;
use super::super::report::Counts;
use super::expected::Found;
use super::schedule::{Order, Schedule};
use super::script::Script;
use super::speed::Speed;
use super::tally::Tally;

/// Plays one script, once.
pub(in super::super) struct Player {
    script: Arc<Script>,
    schedule: Schedule,
    speed: Speed,
    /// When the script began, on the run's clock.
    begin: u64,
    /// An earlier run has recorded all that has a key.
    again: bool,
    /// Of each key that several lines have.
    keys: Vec<SharedKey>,
    tally: Tally,
}

/// A key that several lines have: an event and its retries.
#[derive(Clone, Copy, Debug, Default)]
struct SharedKey {
    /// The deadline that it went with first, and goes with ever after (W1).
    deadline: Option<StreamTime>,
    /// One of its lines is answered.
    answered: bool,
}

/// What lines have in common, so that their order matters.
#[derive(PartialEq, Eq, Hash)]
enum Touched {
    Entity(DomainId, EntityId),
    Key(EventKey),
}

impl Player {
    pub(super) fn new(
        script: &Arc<Script>,
        speed: Speed,
        order: Order,
        again: bool,
        routing: Routing,
    ) -> Player {
        let planned = script.lines().iter().map(|line| {
            let touched = match order {
                Order::None => Vec::new(),
                Order::Entities => {
                    let entities = line.entities.iter().map(|entity| Touched::Entity(line.domain, *entity));
                    entities.chain([Touched::Key(line.key)]).collect()
                }
            };
            (speed.after(line.at_ns), routing.shard_of_key(line.key).0, touched)
        });
        Player {
            schedule: Schedule::new(planned, routing.shards.into()),
            speed,
            begin: 0,
            again,
            keys: vec![SharedKey::default(); script.keys_shared()],
            tally: Tally::default(),
            script: Arc::clone(script),
        }
    }

    /// The script begins now.
    pub(super) fn start(&mut self, now: u64) {
        self.begin = now;
    }

    /// It is now so late. Returns when the next line falls due; never if all have.
    pub(super) fn handle_time(&mut self, now: u64) -> u64 {
        self.schedule.handle_time(now.saturating_sub(self.begin));
        self.schedule.next_due().saturating_add(self.begin)
    }

    /// Whether there is a line for this shard that may be sent.
    pub(super) fn has_ready(&self, shard: u16) -> bool {
        self.schedule.has_ready(shard)
    }

    /// Lines that were not sent yet.
    pub(in super::super) fn left(&self) -> u64 {
        self.schedule.left()
    }

    /// Fills a cleared batch with at most `most` lines that may be sent to its shard now. What is paced was intended
    /// for when the first of them was due.
    pub(in super::super) fn fill(&mut self, batch: &mut Batch, most: usize, deadline: StreamTime) {
        while batch.len() < most
            && let Some(at) = self.schedule.poll_ready(batch.shard)
        {
            let deadline = match self.script.shared_key(at) {
                Some(key) => *self.keys[key].deadline.get_or_insert(deadline),
                None => deadline,
            };
            self.script.lines()[at as usize].encode(deadline, batch.event_bytes());
            batch.push_line(at);
            batch.close_event(None);
            if self.speed != Speed::Max {
                batch.intended = batch.intended.min(self.begin + self.schedule.due(at));
            }
        }
    }

    /// Takes what the log decided of an event.
    pub(in super::super) fn settle(
        &mut self,
        batch: &Batch,
        event: usize,
        answer: &Answer<'_>,
        counts: &mut Counts,
    ) {
        let at = batch.line(event);
        let line = &self.script.lines()[at as usize];
        let again = self.again && line.key_text.is_some();
        let key = self.script.shared_key(at).map(|key| &mut self.keys[key]);
        let answered_before = key.is_some_and(|key| std::mem::replace(&mut key.answered, true));
        let mut found = Found::of(answer);
        // Its answer was lost, and it was sent again: what it repeats is its own first submission.
        if found.status == Status::Duplicate && batch.resubmitted && !answered_before && !again {
            found = found.first();
        }
        self.tally.count(line, found, again);
        match found.status {
            Status::Applied => counts.applied += 1,
            Status::Rejected => counts.rejected += 1,
            Status::Duplicate => counts.duplicates += 1,
            Status::Conflict => counts.conflicts += 1,
            _ => counts.errors += 1,
        }
        self.schedule.handle_answered(at);
    }

    /// How many shards its lines are for.
    pub(super) fn shards(&self) -> u16 {
        self.schedule.shards()
    }

    pub(super) fn into_tally(self) -> Tally {
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use assize_domain::DomainRegistry;
    use assize_inventory::InventoryDomain;
    use assize_wire::Position;
    use assize_wire::event::Event;

    use super::*;

    /// Of one shard, in the file's order, at the highest speed.
    fn player(lines: &[(&str, u64)]) -> Player {
        let mut domains = DomainRegistry::new();
        domains.register(InventoryDomain).unwrap();
        let line = |(key, sku): &(&str, u64)| {
            let event =
                format!("{{\"adjust\": {{\"item\": \"item:1:{sku}\", \"delta\": 1, \"reason\": 0}}}}");
            format!("{{\"at_ms\": 0, \"key\": \"{key}\", \"domain\": \"inventory\", \"event\": {event}}}\n")
        };
        let text: String = lines.iter().map(line).collect();
        let script = Script::parse("test".into(), text.as_bytes(), &domains).unwrap();
        let routing = Routing { seed: 1, shards: 1 };
        Player::new(&Arc::new(script), Speed::Max, Order::Entities, false, routing)
    }

    /// What may be sent now with this deadline, event by event: its line and the deadline that it goes with.
    fn sent(player: &mut Player, batch: &mut Batch, deadline: u64) -> Vec<(u32, u64)> {
        batch.clear(0, 0, 0);
        player.handle_time(0);
        player.fill(batch, 10, StreamTime(deadline));
        let event = |at: usize| Event::parse(batch.event(at)).unwrap().0.deadline().0;
        (0..batch.len()).map(|at| (batch.line(at), event(at))).collect()
    }

    fn applied() -> Answer<'static> {
        Answer {
            index: 0,
            status: Status::Applied,
            first_status: Status::Applied,
            reason: 0,
            position: Position::default(),
            retry_after_us: 0,
            response: &[],
        }
    }

    /// LineSent: a retry waits for the answer to its first submission, also one that is about something else by
    /// mistake, and goes with the deadline of the first (W1).
    #[test]
    fn a_retry_waits_for_the_first_and_goes_with_its_deadline() {
        let (mut batch, mut counts) = (Batch::default(), Counts::default());
        let mut player = player(&[("a", 1), ("a", 2), ("b", 3)]);
        assert_eq!(sent(&mut player, &mut batch, 50), [(0, 50), (2, 50)]);
        player.settle(&batch, 1, &applied(), &mut counts);
        assert_eq!((sent(&mut player, &mut Batch::default(), 60), player.left()), (Vec::new(), 1));
        player.settle(&batch, 0, &applied(), &mut counts);
        assert_eq!(sent(&mut player, &mut batch, 70), [(1, 50)]);
        assert_eq!((player.left(), counts.applied), (0, 2));
    }
}
