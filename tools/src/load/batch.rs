//! One request of the load: its events' bytes, kept until the last is answered, and what each answer will mean.

use assize_wire::Position;
use assize_wire::message::Answer;
use assize_wire::outcome::Status;
use xxhash_rust::xxh3::xxh3_64;

/// What an applied event does to one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delta {
    pub item: u32,
    pub by: i32,
}

/// The first answer to an event, as far as a duplicate's must equal it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct First {
    pub status: Status,
    pub reason: u16,
    pub position: Position,
    pub response: u64,
}

impl First {
    /// From the answer to a first submission, or to its repetition.
    pub(super) fn of(answer: &Answer<'_>) -> First {
        First {
            status: answer.first_status,
            reason: answer.reason,
            position: answer.position,
            response: xxh3_64(answer.response),
        }
    }
}

/// A request, reused when it is done. `missing` counts the open events.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub shard: u16,
    /// The connection and shard that go together, counted over all threads: requests of one lane keep their order.
    pub lane: usize,
    /// When it was to be sent, by the open loop's schedule; in closed loop when it was sent.
    pub intended: u64,
    /// While it waits to be sent again: from when on.
    pub retry_at: u64,
    pub state: BatchState,
    /// How often it was told to come back; sets the wait.
    pub attempts: u32,
    /// The longest wait that the answers of the request under way ask for, if any asks.
    pub hint_us: Option<u32>,
    /// Some of its events were sent before and their fate was open.
    pub resubmitted: bool,
    /// An answer was one that nobody wants.
    pub failed: bool,
    pub missing: u32,
    events: Vec<u8>,
    ends: Vec<u32>,
    open: Vec<bool>,
    deltas: Vec<Delta>,
    delta_ends: Vec<u32>,
    /// Of a replay: which line each event is.
    lines: Vec<u32>,
    /// Events that are resubmissions on purpose, by index ascending, with what their answers must say.
    duplicates: Vec<(u32, First)>,
    /// For a request that carries only some of the events: their indices. Empty stands for all.
    carried: Vec<u32>,
}

/// Where a batch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum BatchState {
    /// To be filled.
    #[default]
    Free,
    /// To be sent, first or again.
    Waiting,
    /// Under way.
    Sent,
}

impl Batch {
    pub(super) fn clear(&mut self, shard: u16, lane: usize, intended: u64) {
        self.shard = shard;
        self.lane = lane;
        self.intended = intended;
        self.retry_at = 0;
        self.state = BatchState::Waiting;
        self.attempts = 0;
        self.hint_us = None;
        self.resubmitted = false;
        self.failed = false;
        self.missing = 0;
        self.events.clear();
        self.ends.clear();
        self.open.clear();
        self.deltas.clear();
        self.delta_ends.clear();
        self.lines.clear();
        self.duplicates.clear();
        self.carried.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Where the next event's bytes go; [`Batch::close_event`] ends it.
    pub(super) fn event_bytes(&mut self) -> &mut Vec<u8> {
        &mut self.events
    }

    pub(super) fn push_delta(&mut self, item: u32, by: i32) {
        self.deltas.push(Delta { item, by });
    }

    /// The event under way is this line of a replay.
    pub(super) fn push_line(&mut self, line: u32) {
        self.lines.push(line);
    }

    /// Ends an event: its bytes and deltas are those pushed since the last.
    pub(super) fn close_event(&mut self, duplicate_of: Option<First>) {
        if let Some(first) = duplicate_of {
            self.duplicates.push((self.ends.len() as u32, first));
        }
        self.ends.push(self.events.len() as u32);
        self.delta_ends.push(self.deltas.len() as u32);
        self.open.push(true);
        self.missing += 1;
    }

    pub(super) fn event(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.events[start as usize..self.ends[index] as usize]
    }

    pub(super) fn deltas(&self, index: usize) -> &[Delta] {
        let start = if index == 0 { 0 } else { self.delta_ends[index - 1] };
        &self.deltas[start as usize..self.delta_ends[index] as usize]
    }

    /// Which line of the replay an event is.
    pub(super) fn line(&self, index: usize) -> u32 {
        self.lines[index]
    }

    pub(super) fn duplicate_of(&self, index: usize) -> Option<First> {
        let at = self.duplicates.binary_search_by_key(&(index as u32), |(at, _)| *at).ok()?;
        Some(self.duplicates[at].1)
    }

    /// Chooses at most `most` open events for the next request and returns how many.
    pub(super) fn choose(&mut self, most: u32) -> u32 {
        self.carried.clear();
        if self.missing as usize == self.len() && self.missing <= most {
            return self.missing;
        }
        let open = self.open.iter().enumerate().filter(|(_, open)| **open);
        self.carried.extend(open.map(|(index, _)| index as u32).take(most as usize));
        self.carried.len() as u32
    }

    /// The bytes of the chosen events: one slice if all are.
    pub(super) fn chosen(&self) -> impl Iterator<Item = &[u8]> {
        let all = self.carried.is_empty().then_some(self.events.as_slice());
        all.into_iter().chain(self.carried.iter().map(|index| self.event(*index as usize)))
    }

    /// The event that an answer to index `index` of the request is about, if it is open.
    pub(super) fn open_event(&self, index: u32) -> Option<usize> {
        let event = match self.carried.is_empty() {
            true => index as usize,
            false => *self.carried.get(index as usize)? as usize,
        };
        self.open.get(event).copied()?.then_some(event)
    }

    pub(super) fn close(&mut self, event: usize) {
        self.open[event] = false;
        self.missing -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_request_carries_only_open_events() {
        let mut batch = Batch::default();
        batch.clear(0, 0, 0);
        for n in 0..5u8 {
            batch.event_bytes().extend_from_slice(&[n; 16]);
            batch.push_delta(n.into(), 1);
            batch.close_event(None);
        }
        assert_eq!((batch.choose(8), batch.chosen().count()), (5, 1));
        for event in [0, 3] {
            assert_eq!(batch.open_event(event), Some(event as usize));
            batch.close(event as usize);
        }
        assert_eq!(batch.open_event(3), None);
        assert_eq!(batch.choose(2), 2);
        let chosen: Vec<u8> = batch.chosen().map(|event| event[0]).collect();
        assert_eq!(chosen, [1, 2]);
        assert_eq!(batch.open_event(1), Some(2));
        assert_eq!(batch.open_event(2), None);
        assert_eq!(batch.deltas(2), [Delta { item: 2, by: 1 }]);
    }
}
