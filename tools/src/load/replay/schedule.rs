//! Which lines may be sent now: those that are due, and whose entities and key no earlier line waits with. No clock and
//! no connection: times and answers are arguments.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;

use clap::ValueEnum;
use serde::Serialize;

/// In which order lines are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// A line waits until each earlier one with an entity or the key in common is answered: outcomes are as in the
    /// file's order, however fast it is replayed
    Entities,
    /// A line is sent when it is due: outcomes are as in whatever order the engine takes them in
    None,
}

/// What is known of each line, by its index.
pub(super) struct Schedule {
    lines: Vec<Planned>,
    /// The first that is not due yet.
    next: usize,
    /// Those that may be sent, by shard; of several the earliest is sent first.
    ready: Vec<BinaryHeap<Reverse<u32>>>,
    /// Those that were not taken yet.
    left: u64,
}

struct Planned {
    /// When it is to be sent, on the clock that the caller asks by.
    due: u64,
    shard: u16,
    /// Earlier ones that it waits for.
    waits_for: u32,
    /// Later ones that wait for it.
    followers: Vec<u32>,
}

impl Schedule {
    /// Of lines that fall due in their order, each with its shard, on so many shards. Those that touch the same thing
    /// keep their order.
    pub(super) fn new<T: Eq + Hash>(
        lines: impl Iterator<Item = (u64, u16, Vec<T>)>,
        shards: usize,
    ) -> Schedule {
        let mut last: HashMap<T, u32> = HashMap::new();
        let mut planned: Vec<Planned> = Vec::new();
        for (due, shard, touched) in lines {
            assert!(planned.last().is_none_or(|before| before.due <= due), "lines fall due in their order");
            let at = planned.len() as u32;
            let mut before: Vec<u32> = touched
                .into_iter()
                .filter_map(|thing| last.insert(thing, at))
                .filter(|other| *other != at)
                .collect();
            before.sort_unstable();
            before.dedup();
            before.iter().for_each(|other| planned[*other as usize].followers.push(at));
            planned.push(Planned { due, shard, waits_for: before.len() as u32, followers: Vec::new() });
        }
        let left = planned.len() as u64;
        Schedule { lines: planned, next: 0, ready: vec![BinaryHeap::new(); shards], left }
    }

    /// It is now so late.
    pub(super) fn handle_time(&mut self, now: u64) {
        while let Some(line) = self.lines.get(self.next).filter(|line| line.due <= now) {
            if line.waits_for == 0 {
                self.ready[usize::from(line.shard)].push(Reverse(self.next as u32));
            }
            self.next += 1;
        }
    }

    /// A line is answered: those that waited for it may be sent, once they are due.
    pub(super) fn handle_answered(&mut self, line: u32) {
        for follower in std::mem::take(&mut self.lines[line as usize].followers) {
            let waiting = &mut self.lines[follower as usize];
            waiting.waits_for -= 1;
            if waiting.waits_for == 0 && (follower as usize) < self.next {
                self.ready[usize::from(waiting.shard)].push(Reverse(follower));
            }
        }
    }

    /// How many shards its lines are for.
    pub(super) fn shards(&self) -> u16 {
        self.ready.len() as u16
    }

    /// When the next line falls due; never if all have.
    pub(super) fn next_due(&self) -> u64 {
        self.lines.get(self.next).map_or(u64::MAX, |line| line.due)
    }

    /// When a line was to be sent.
    pub(super) fn due(&self, line: u32) -> u64 {
        self.lines[line as usize].due
    }

    /// Whether there is a line for this shard that may be sent.
    pub(super) fn has_ready(&self, shard: u16) -> bool {
        !self.ready[usize::from(shard)].is_empty()
    }

    /// The next line for this shard, which is sent now.
    pub(super) fn poll_ready(&mut self, shard: u16) -> Option<u32> {
        let Reverse(line) = self.ready[usize::from(shard)].pop()?;
        self.left -= 1;
        Some(line)
    }

    /// Lines that were not sent yet.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// What always holds.
    #[cfg(test)]
    fn check_invariants(&self) {
        let ready: Vec<u32> = self.ready.iter().flatten().map(|Reverse(line)| *line).collect();
        for line in &ready {
            let planned = &self.lines[*line as usize];
            assert!((*line as usize) < self.next && planned.waits_for == 0, "line {line} is not ready");
        }
        assert!(ready.len() as u64 <= self.left);
        let waiting: u32 = self.lines.iter().map(|line| line.waits_for).sum();
        let followers: usize = self.lines.iter().map(|line| line.followers.len()).sum();
        assert_eq!(waiting as usize, followers, "each waits for one that knows it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of one shard that touch these letters.
    fn schedule(lines: &[(u64, &str)]) -> Schedule {
        Schedule::new(lines.iter().map(|(due, touched)| (*due, 0, touched.chars().collect())), 1)
    }

    fn taken(schedule: &mut Schedule) -> Vec<u32> {
        schedule.check_invariants();
        std::iter::from_fn(|| schedule.poll_ready(0)).collect()
    }

    /// LineFallsDue.
    #[test]
    fn a_line_is_sent_when_it_is_due_and_not_before() {
        let mut schedule = schedule(&[(0, "a"), (5, "b"), (5, "c"), (9, "d")]);
        assert_eq!((schedule.next_due(), schedule.left()), (0, 4));
        schedule.handle_time(4);
        assert_eq!((taken(&mut schedule), schedule.next_due()), (vec![0], 5));
        schedule.handle_time(5);
        assert_eq!((taken(&mut schedule), schedule.next_due()), (vec![1, 2], 9));
        schedule.handle_time(100);
        assert_eq!((taken(&mut schedule), schedule.next_due(), schedule.left()), (vec![3], u64::MAX, 0));
        assert_eq!(schedule.due(3), 9);
    }

    /// LineSent, AnswerFrees. It waits for the last one before it that has something in common with it, and through
    /// that for all of them.
    #[test]
    fn a_line_waits_for_those_before_it_that_touch_the_same() {
        let mut schedule = schedule(&[(0, "ab"), (0, "bc"), (0, "d"), (0, "ac"), (0, "ad")]);
        schedule.handle_time(0);
        assert_eq!(taken(&mut schedule), [0, 2]);
        schedule.handle_answered(2);
        assert_eq!(taken(&mut schedule), [0u32; 0]);
        schedule.handle_answered(0);
        assert_eq!(taken(&mut schedule), [1]);
        schedule.handle_answered(1);
        assert_eq!(taken(&mut schedule), [3]);
        schedule.handle_answered(3);
        assert_eq!(taken(&mut schedule), [4]);
        schedule.handle_answered(4);
        assert_eq!(schedule.left(), 0);
    }

    #[test]
    fn an_answer_frees_nothing_that_is_not_due() {
        let mut schedule = schedule(&[(0, "a"), (7, "a")]);
        schedule.handle_time(0);
        assert_eq!(taken(&mut schedule), [0]);
        schedule.handle_answered(0);
        assert_eq!(taken(&mut schedule), [0u32; 0]);
        schedule.handle_time(7);
        assert_eq!(taken(&mut schedule), [1]);
    }

    #[test]
    fn what_touches_a_thing_twice_does_not_wait_for_itself() {
        let mut schedule = schedule(&[(0, "aa"), (0, "aab")]);
        schedule.handle_time(0);
        assert_eq!(taken(&mut schedule), [0]);
        schedule.handle_answered(0);
        assert_eq!(taken(&mut schedule), [1]);
    }

    /// OneOfThoseThatTouchTheSame. Whatever order answers come in: lines that have something in common are taken in the
    /// file's order, one after the other, and all of them in the end.
    #[test]
    fn no_two_lines_that_touch_the_same_are_under_way_at_once() {
        for seed in 0..200 {
            let mut rng = super::super::super::rng::Rng::new(seed);
            let lines: Vec<(u64, Vec<u64>)> =
                (0..60).map(|at| (at / 7, (0..1 + rng.below(3)).map(|_| rng.below(12)).collect())).collect();
            let planned = lines.iter().map(|(due, touched)| (*due, (rng.below(2)) as u16, touched.clone()));
            let mut schedule = Schedule::new(planned.collect::<Vec<_>>().into_iter(), 2);
            let (mut under_way, mut done, mut now): (Vec<u32>, Vec<u32>, u64) = (Vec::new(), Vec::new(), 0);
            while done.len() < lines.len() {
                schedule.handle_time(now);
                now += rng.below(2);
                schedule.check_invariants();
                let shard = rng.below(2) as u16;
                if let Some(line) = schedule.poll_ready(shard) {
                    let touched = |line: u32| &lines[line as usize].1;
                    let meets = |other: u32| touched(other).iter().any(|thing| touched(line).contains(thing));
                    assert!(!under_way.iter().any(|other| meets(*other)), "{under_way:?} {line}");
                    assert!(!done.iter().any(|other| meets(*other) && *other > line), "{done:?} {line}");
                    under_way.push(line);
                }
                if !under_way.is_empty() && rng.below(3) == 0 {
                    let line = under_way.swap_remove(rng.below(under_way.len() as u64) as usize);
                    schedule.handle_answered(line);
                    done.push(line);
                }
            }
            assert_eq!(schedule.left(), 0);
        }
    }
}
