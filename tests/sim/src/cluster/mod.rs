//! Several replicas in one thread: one virtual time, one seed, and a network of byte streams between their cores.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | [`Cluster`]: replicas, clocks, what happens next |
//! | `network.rs` | connections between cores: delays, splits, resets, partitions |
//! | `peers.rs` | what a replica's cores want of the network, and what it brings them |
//! | `spoil.rs` | a replica that sends wrong bits of a checkpoint |
//! | `clients.rs` | clients that look for the leader |
//! | `world.rs` | all of it with the checkers: [`ClusterWorld`] |
//! | `faults.rs` | what goes wrong, and what must be survivable |
//! | `hand_overs.rs` | leaders that an operator has hand over |
//! | `depose.rs` | leaders that are deposed without knowing it |
//! | `options.rs` | what a seed draws |
//! | `scenario.rs` | a run from its beginning to its end |
//! | `runner.rs` | one seed, and what became of it |

mod clients;
mod depose;
mod faults;
mod hand_overs;
mod network;
pub mod options;
mod peers;
pub mod runner;
pub mod scenario;
mod spoil;
pub mod world;

use assize_wal::memory::Random;

use crate::disk::Down;
use crate::options::Options;
use crate::replica::{Expected, Replica};
use crate::seeds::trace;
use network::{Event, Network};
use options::ClusterOptions;

pub use world::ClusterWorld;

/// The replicas, and what is between them.
pub struct Cluster {
    /// By number.
    pub replicas: Vec<Replica>,
    pub(crate) network: Network,
    /// True time, in nanoseconds since the run began.
    pub now_ns: u64,
    /// Steps so far.
    pub steps: u64,
    step_ns_max: u64,
    clocks: Vec<Clock>,
    /// By replica: it does nothing until then, as a process that is stopped, or a core that is stuck.
    pub(crate) frozen_until: Vec<u64>,
    /// By replica: how fast it is, compared to others.
    weights: Vec<u64>,
    random: Random,
}

/// A replica's clocks: where they began, and how much faster than time they run. Leases rely on the rate of the
/// monotonic one alone (P11).
#[derive(Clone, Copy, Debug)]
struct Clock {
    begins_ns: u64,
    fast_ppm: i64,
    wall_fast_ppm: i64,
}

#[derive(Clone, Copy, Debug)]
enum Choice {
    Act(usize),
    Net(Event),
}

impl Cluster {
    /// Formatted replicas, none of them started.
    #[must_use]
    pub fn format(options: &ClusterOptions, seed: u64) -> Cluster {
        let mut random = Random(seed ^ 0xc105_7e20);
        let replicas: Vec<Replica> = (0..options.shapes.len())
            .filter(|at| *at < usize::from(options.replicas))
            .map(|at| {
                let of_one = Options {
                    shape: options.shapes[at],
                    schedule: options.schedules[at],
                    disk: options.disks[at],
                    clock: options.clock,
                    mix: options.mix,
                    faults: options.of_replica,
                    invariants_every_steps: options.invariants_every_steps,
                };
                let mut replica = Replica::format(&of_one, seed ^ (at as u64 + 1).wrapping_mul(0x51ed_270b));
                replica.driven = true;
                let goes_wrong = |wrong: usize| wrong != at && options.shapes[wrong].rehearsal.is_some();
                replica.expected = Expected {
                    doubt: of_one.shape.rehearsal.is_some(),
                    lost_disks: options.faults.lost_disk_percent > 0,
                    diverges: std::array::from_fn(goes_wrong),
                    spoiled: options.spoiler.is_some(),
                };
                replica.spoils_parts = options.spoiler == Some(at as u8);
                replica
            })
            .collect();
        let error_ppm = u64::from(options.shapes[0].leases.clock_rate_error_ppm);
        let clocks = replicas.iter().map(|_| Clock {
            begins_ns: 1 + random.below(1_000_000),
            fast_ppm: random.below(2 * error_ppm + 1) as i64 - error_ppm as i64,
            wall_fast_ppm: random.below(400) as i64 - 200,
        });
        let clocks: Vec<Clock> = clocks.collect();
        let weights = replicas.iter().map(|_| [2, 4, 4, 8][random.below(4) as usize]).collect();
        Cluster {
            network: Network::new(replicas.len(), options.network, seed),
            frozen_until: vec![0; replicas.len()],
            clocks,
            weights,
            replicas,
            now_ns: 0,
            steps: 0,
            step_ns_max: options.step_ns_max,
            random,
        }
    }

    /// Time passes and one thing happens. Returns the replica it happened to.
    pub fn step(&mut self) -> Option<usize> {
        self.steps += 1;
        self.now_ns += 1 + self.random.below(self.step_ns_max);
        self.set_clocks();
        let choices = self.choices();
        let all: u64 = choices.iter().map(|(weight, _)| weight).sum();
        if all == 0 {
            // Nothing is under way: until something is due.
            self.now_ns = self.now_ns.max(self.next_due()?);
            return None;
        }
        let mut drawn = self.random.below(all);
        let chosen = choices.into_iter().find(|(weight, _)| {
            let here = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            here
        });
        let touched = match chosen.expect("it was drawn below the sum").1 {
            Choice::Act(at) => {
                self.replicas[at].act();
                at
            }
            Choice::Net(event) => self.happen(event)?,
        };
        self.carry(touched);
        Some(touched)
    }

    /// Starts a replica that is down.
    ///
    /// # Panics
    /// When its disk does not let it: what happens here must be survivable.
    pub fn start(&mut self, at: usize) {
        self.set_clock(at);
        trace!("{} ms: replica {at} starts", self.now_ns / 1_000_000);
        if let Err(refused) = self.replicas[at].start() {
            panic!("[durability] a start of replica {at} is refused: {refused}");
        }
        self.network.up(at, self.now_ns);
        self.carry(at);
    }

    /// A replica does nothing for so long, as a process that is stopped.
    pub fn freeze(&mut self, at: usize, ns: u64) {
        self.frozen_until[at] = self.now_ns.saturating_add(ns);
    }

    /// A replica goes down.
    pub fn down(&mut self, at: usize, how: Down) {
        trace!("{} ms: replica {at} goes down: {how:?}", self.now_ns / 1_000_000);
        self.replicas[at].down(how);
        self.frozen_until[at] = 0;
        self.network.down(at, how, self.now_ns);
    }

    /// The replica that admits events, if one does; of two the one that began later.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        let leading =
            self.replicas.iter().enumerate().filter_map(|(at, replica)| Some((replica.leads()?, at)));
        leading.max().map(|(_, at)| at)
    }

    /// Whether everything that is chosen is published, by whoever is there.
    pub(crate) fn is_idle(&self) -> bool {
        let mut marks = self.replicas.iter().filter(|replica| replica.is_up()).map(Replica::watermarks);
        marks.all(|marks| marks.published == marks.chosen && marks.formed == marks.chosen)
    }

    /// The clocks of replicas show what they make of the time.
    fn set_clocks(&mut self) {
        (0..self.replicas.len()).for_each(|at| self.set_clock(at));
    }

    pub(crate) fn set_clock(&mut self, at: usize) {
        let shown = self.clocks[at].shows(self.now_ns);
        self.replicas[at].wall_gain_ns = self.clocks[at].wall_shows(self.now_ns) as i64 - shown as i64;
        self.replicas[at].advance_to(shown);
    }

    pub(crate) fn is_frozen(&self, at: usize) -> bool {
        self.now_ns < self.frozen_until[at]
    }

    /// What may happen now, each with its weight.
    fn choices(&mut self) -> Vec<(u64, Choice)> {
        let mut choices = Vec::new();
        for at in 0..self.replicas.len() {
            if !self.is_frozen(at) && self.replicas[at].is_busy() {
                choices.push((self.weights[at], Choice::Act(at)));
            }
        }
        let frozen = |at: usize| self.is_frozen(at);
        let events = self.network.ready(self.now_ns, frozen);
        choices.extend(events.into_iter().map(|event| (NETWORK_WEIGHT, Choice::Net(event))));
        choices
    }

    /// When something happens next by itself, in true time.
    fn next_due(&self) -> Option<u64> {
        let running = (0..self.replicas.len()).filter(|at| self.replicas[*at].is_up());
        let timers = running.clone().filter_map(|at| {
            let due = self.clocks[at].until(self.replicas[at].next_deadline()?);
            Some(due.max(self.frozen_until[at]))
        });
        let frozen = running.filter(|at| self.is_frozen(*at)).map(|at| self.frozen_until[at]);
        timers.chain(frozen).chain(self.network.next_due(self.now_ns)).min()
    }
}

impl Clock {
    fn shows(self, true_ns: u64) -> u64 {
        self.at_rate(true_ns, self.fast_ppm)
    }

    fn wall_shows(self, true_ns: u64) -> u64 {
        self.at_rate(true_ns, self.wall_fast_ppm)
    }

    fn at_rate(self, true_ns: u64, fast_ppm: i64) -> u64 {
        let gained = i128::from(true_ns) * i128::from(fast_ppm) / 1_000_000;
        (i128::from(self.begins_ns) + i128::from(true_ns) + gained) as u64
    }

    /// The first true time at which it shows this.
    fn until(self, shown_ns: u64) -> u64 {
        let passed = i128::from(shown_ns.saturating_sub(self.begins_ns)) * 1_000_000;
        // One more, since it shows whole nanoseconds.
        (passed / (1_000_000 + i128::from(self.fast_ppm))) as u64 + 2
    }
}

/// What one event of the network weighs.
const NETWORK_WEIGHT: u64 = 2;
