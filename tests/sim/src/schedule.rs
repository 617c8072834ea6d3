//! Which of all that may happen happens next: a message arrives (in order between two cores), the disk moves, some of a
//! client's bytes come, a timer fires. Drawn from the seed, by the weights that were drawn first.

use assize_node::Core;

use crate::options::Schedule;
use crate::replica::Replica;

#[derive(Clone, Copy, Debug)]
enum Choice {
    Message { from: usize, to: usize },
    Disk,
    Bytes(usize),
    Close(usize),
    Timer,
}

impl Replica {
    /// Time passes, and one thing happens, drawn from all that may.
    pub fn step(&mut self) {
        if !self.failed {
            let passed = 1 + self.random.below(self.clock.step_ns_max);
            self.advance_to(self.now.monotonic_ns + passed);
        }
        self.act();
    }

    /// Whether anything may happen without time passing.
    pub(crate) fn is_busy(&mut self) -> bool {
        self.is_up() && self.choices().1 > 0
    }

    /// Whether its cores have heard all that they told each other.
    pub(crate) fn is_quiet(&self) -> bool {
        self.channels.iter().flatten().all(|channel| channel.is_empty())
    }

    /// One thing happens, drawn from all that may.
    pub(crate) fn act(&mut self) {
        self.steps += 1;
        if self.failed {
            return;
        }
        let every = self.invariants_every_steps;
        if every > 0 && self.steps.is_multiple_of(every) {
            self.cores.iter().for_each(Core::check_invariants);
        }
        let io_errors = self.faults.io_error_one_in;
        if io_errors > 0 && self.random.below(io_errors) == 0 {
            self.break_disk();
        }
        if self.schedule == Schedule::LastFirst && self.random.below(8) > 0 && self.hear_last() {
            return;
        }
        let (choices, all) = self.choices();
        if all == 0 {
            return;
        }
        let mut drawn = self.random.below(all);
        let chosen = choices.into_iter().find(|(weight, _)| {
            let here = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            here
        });
        match chosen.expect("it was drawn below the sum").1 {
            Choice::Message { from, to } => {
                let waiting = self.channels[from][to].len() as u64;
                // Several at once, as a core that was busy finds them.
                let count = 1 + self.random.below(waiting);
                self.deliver(from, to, count);
            }
            Choice::Disk => {
                if let Some(completion) = self.disk.step() {
                    self.complete(completion);
                }
            }
            Choice::Bytes(socket) => self.arrive(socket),
            Choice::Close(socket) => {
                if self.random.below(8) == 0 {
                    self.close(socket);
                }
            }
            Choice::Timer => {
                if let Some(due) = self.next_deadline().filter(|_| !self.driven) {
                    self.advance_to(due);
                }
                (0..self.cores.len()).for_each(|core| self.run_core(core));
                let overdue = self.next_deadline().is_some_and(|due| due <= self.now.monotonic_ns);
                self.seen.overdue += u64::from(overdue);
            }
        }
    }

    /// All that may happen, each with its weight, and the sum of these.
    fn choices(&mut self) -> (Vec<(u64, Choice)>, u64) {
        let mut choices: Vec<(u64, Choice)> = Vec::new();
        for from in 0..self.channels.len() {
            for to in (0..self.cores.len()).filter(|to| !self.channels[from][*to].is_empty()) {
                let starved = match self.schedule {
                    Schedule::Starve { core } => [from, to].contains(&usize::from(core)),
                    Schedule::Fair | Schedule::LastFirst => false,
                };
                choices.push((if starved { 1 } else { MESSAGE_WEIGHT }, Choice::Message { from, to }));
            }
        }
        let starving = matches!(self.schedule, Schedule::Starve { .. });
        let scale = if starving { STARVE_SCALE } else { 1 };
        choices.iter_mut().for_each(|(weight, _)| *weight *= if *weight > 1 { scale } else { 1 });
        if self.disk.under_way() > 0 {
            choices.push((self.disk.habits.weight * scale, Choice::Disk));
        }
        for (socket, state) in self.sockets.iter().enumerate().filter(|(_, socket)| socket.open) {
            if state.closing {
                choices.push((MESSAGE_WEIGHT * scale, Choice::Close(socket)));
            } else if !state.sent.is_empty() && self.listening[state.core] {
                choices.push((MESSAGE_WEIGHT * scale, Choice::Bytes(socket)));
            }
        }
        let due = if self.driven {
            self.next_deadline().is_some_and(|due| due <= self.now.monotonic_ns)
        } else {
            choices.is_empty() || self.random.below(50) == 0
        };
        if due {
            choices.push((MESSAGE_WEIGHT * scale, Choice::Timer));
        }
        let all = choices.iter().map(|(weight, _)| weight).sum();
        (choices, all)
    }

    /// All that the pair has to say which was last to send, if any has.
    fn hear_last(&mut self) -> bool {
        while let Some((from, to)) = self.pushed.pop() {
            let waiting = self.channels[from][to].len() as u64;
            if waiting > 0 {
                self.deliver(from, to, waiting);
                return true;
            }
        }
        false
    }

    fn deliver(&mut self, from: usize, to: usize, count: u64) {
        self.touch(to);
        for message in self.channels[from][to].drain(..count as usize) {
            let lost = self.lose_one_in > 0 && self.random.below(self.lose_one_in) == 0;
            if !self.halted[to] && !lost {
                self.cores[to].handle_message(message);
            }
        }
        self.run_core(to);
    }

    fn break_disk(&mut self) {
        use assize_wal::memory::FailAt;
        let at = if self.random.below(2) == 0 { FailAt::Write } else { FailAt::Flush };
        let after = self.random.below(4);
        self.disk.device.fail_operation(after, at);
        self.seen.io_errors += 1;
    }
}

/// What one pair's messages weigh among all that may happen.
const MESSAGE_WEIGHT: u64 = 2;

/// How much more everything else weighs than the messages of a starved core.
const STARVE_SCALE: u64 = 20;
