//! What a run is drawn from, all of it from the seed: the replica's shape, how its messages, its disk and its clocks
//! behave, what clients do, and what goes wrong. A swarm: each run has few of many habits, and these to excess.

use assize_wal::memory::Random;
use assize_wire::LogId;

use crate::bank::Op;
use crate::disk::{DiskHabits, Honesty};
use crate::shape::{Shape, TTL_NS};

/// Everything that was drawn.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What the replica is made of.
    pub shape: Shape,
    /// Which message comes next.
    pub schedule: Schedule,
    /// How the disk takes its time.
    pub disk: DiskHabits,
    /// How the clocks go.
    pub clock: ClockHabits,
    /// What clients do.
    pub mix: Mix,
    /// What goes wrong.
    pub faults: Faults,
    /// The invariants of every part are checked once in so many steps, since they look at whole tables; 0 means never.
    pub invariants_every_steps: u64,
}

/// Which of the messages under way comes next. Between two cores they stay in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Any pair's, as likely.
    Fair,
    /// What goes to or from one core waits for everything else, mostly.
    Starve {
        /// Which core.
        core: u16,
    },
    /// The pair that was last to send is heard first, with all that it has.
    LastFirst,
}

/// How a replica's clocks go.
#[derive(Clone, Copy, Debug)]
pub struct ClockHabits {
    /// What passes in a step at most.
    pub step_ns_max: u64,
    /// The wall clock is set back and forth by up to half of this.
    pub jitter_ns: u64,
    /// The wall clock shows multiples of this, so that times meet exactly.
    pub grain_ns: u64,
}

/// What clients do. Percentages are of events, or of actions.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// One in so many steps a client does something.
    pub act_one_in: u64,
    /// Events of a request at most.
    pub batch_max: u64,
    /// Account numbers are below this.
    pub accounts: u64,
    /// Events that go to account 0.
    pub hot_percent: u64,
    /// Events that were submitted before, with the same body.
    pub duplicate_percent: u64,
    /// Keys that were submitted before, with another body.
    pub conflict_percent: u64,
    /// Deadlines that come soon.
    pub tight_percent: u64,
    /// Deadlines that are long past, or too far away.
    pub odd_percent: u64,
    /// Events at which the domain panics.
    pub panic_percent: u64,
    /// Events that close an account.
    pub close_percent: u64,
    /// Responses that the Warden has no room for.
    pub long_percent: u64,
    /// Actions that are reads.
    pub read_percent: u64,
    /// Actions that are misbehaviour, or leaving.
    pub rude_percent: u64,
}

/// What goes wrong. A replica must survive all of it.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// One in so many steps the replica goes down; 0 means never.
    pub down_one_in: u64,
    /// How often it is the power that fails, and not only the process.
    pub power_percent: u64,
    /// How often a start goes down again while it recovers.
    pub in_recovery_percent: u64,
    /// How often it goes down again while it replays.
    pub in_replay_percent: u64,
    /// How often it starts again with another core map: other cores, shards on other cores, the Docket on another.
    pub remap_percent: u64,
    /// One in so many steps the next write or flush fails, which stops the replica; 0 means never.
    pub io_error_one_in: u64,
    /// Segments that can be prepared before the disk is full.
    pub segments_left: Option<u64>,
}

impl ClockHabits {
    /// Steps of 10 µs, a wall clock that jumps by two milliseconds.
    pub const CALM: ClockHabits = ClockHabits { step_ns_max: 20_000, jitter_ns: 4_000_000, grain_ns: 1 };
}

impl Mix {
    /// A little of everything.
    pub const CALM: Mix = Mix {
        act_one_in: 4,
        batch_max: 5,
        accounts: 20,
        hot_percent: 0,
        duplicate_percent: 22,
        conflict_percent: 3,
        tight_percent: 0,
        odd_percent: 1,
        panic_percent: 10,
        close_percent: 2,
        long_percent: 30,
        read_percent: 8,
        rude_percent: 2,
    };

    /// What an event does.
    pub(crate) fn draw_op(&self, random: &mut Random) -> Op {
        let account = |random: &mut Random| match random.below(100) < self.hot_percent {
            true => 0,
            false => u128::from(random.below(self.accounts)),
        };
        let (first, second) = (account(random), account(random));
        let long = random.below(100) < self.long_percent;
        let extra = [0, 1, 9, 40, 200][if long { 3 + random.below(2) } else { random.below(3) } as usize];
        let amount = 1 + random.below(50);
        match random.below(100) {
            drawn if drawn < self.panic_percent => match random.below(2) {
                0 => Op::PanicLate { account: first },
                _ => Op::PanicEarly { account: first },
            },
            drawn if drawn < self.panic_percent + self.close_percent => Op::Close { account: first },
            _ if random.below(5) < 2 => Op::Deposit { account: first, amount, extra },
            _ => Op::Transfer { from: first, to: second, amount, extra },
        }
    }

    pub(crate) fn draw(random: &mut Random) -> Mix {
        let mut some = |percent: [u64; 4]| percent[random.below(4) as usize];
        Mix {
            act_one_in: some([2, 4, 4, 12]),
            batch_max: some([1, 5, 5, 30]),
            accounts: some([2, 6, 20, 200]),
            hot_percent: some([0, 0, 30, 90]),
            duplicate_percent: some([0, 10, 25, 60]),
            conflict_percent: some([0, 3, 3, 15]),
            tight_percent: some([0, 0, 20, 60]),
            odd_percent: some([0, 1, 1, 10]),
            panic_percent: some([0, 2, 10, 30]),
            close_percent: some([0, 2, 10, 30]),
            long_percent: some([0, 20, 40, 90]),
            read_percent: some([0, 8, 8, 40]),
            rude_percent: some([0, 1, 2, 8]),
        }
    }
}

impl Faults {
    /// None.
    pub const NONE: Faults = Faults {
        down_one_in: 0,
        power_percent: 50,
        in_recovery_percent: 0,
        in_replay_percent: 0,
        remap_percent: 0,
        io_error_one_in: 0,
        segments_left: None,
    };

    /// The replica goes down often, and often again before it serves.
    #[must_use]
    pub fn crashes(random: &mut Random) -> Faults {
        Faults {
            down_one_in: [60, 150, 400][random.below(3) as usize],
            power_percent: [0, 50, 80, 100][random.below(4) as usize],
            in_recovery_percent: [0, 20, 40][random.below(3) as usize],
            in_replay_percent: [0, 30, 50][random.below(3) as usize],
            remap_percent: [0, 0, 30, 80][random.below(4) as usize],
            ..Faults::NONE
        }
    }
}

impl Options {
    /// This shape, and nothing out of the ordinary.
    #[must_use]
    pub fn calm(shape: Shape) -> Options {
        Options {
            shape,
            schedule: Schedule::Fair,
            disk: DiskHabits::CALM,
            clock: ClockHabits::CALM,
            mix: Mix::CALM,
            faults: Faults::NONE,
            invariants_every_steps: INVARIANTS_EVERY_STEPS,
        }
    }

    /// One of the swarm.
    #[must_use]
    pub fn draw(random: &mut Random) -> Options {
        let shape = draw_shape(random);
        let schedule = match random.below(4) {
            0 | 1 => Schedule::Fair,
            2 => Schedule::Starve { core: random.below(shape.cores() as u64) as u16 },
            _ => Schedule::LastFirst,
        };
        let logs = 4 * shape.cores() as u64;
        let mut disk = DiskHabits { weight: [1, 6, 6, 30][random.below(4) as usize], ..DiskHabits::CALM };
        if random.below(3) == 0 {
            disk.slow_log = Some(LogId(random.below(logs) as u16));
            disk.slow_one_in = 2 + random.below(30);
        }
        if random.below(4) == 0 {
            (disk.stall_one_in, disk.stall_moves) = (20 + random.below(200), 1 + random.below(300));
        }
        // A TTL is a multiple of the grain, so that a key's age can be exactly that.
        let grain_ns = match shape.ttl_ns {
            TTL_NS => 1,
            ttl => ttl / [1, 2, 8][random.below(3) as usize],
        };
        let clock = ClockHabits {
            step_ns_max: [200, 20_000, 20_000, 60_000][random.below(4) as usize],
            jitter_ns: [1, 100_000, 4_000_000][random.below(3) as usize],
            grain_ns,
        };
        let mut faults = match random.below(3) {
            0 => Faults::NONE,
            _ => Faults::crashes(random),
        };
        if random.below(8) == 0 {
            faults.io_error_one_in = 300;
        }
        if random.below(12) == 0 {
            let most = shape.prepare_ahead() + 4;
            faults.segments_left = Some(logs * (1 + random.below(most)));
        }
        let (mix, invariants_every_steps) = (Mix::draw(random), INVARIANTS_EVERY_STEPS);
        Options { shape, schedule, disk, clock, mix, faults, invariants_every_steps }
    }
}

fn draw_shape(random: &mut Random) -> Shape {
    let mut shape = Shape::random(random);
    shape.window = [1, 1, 2, 3, 4, 8][random.below(6) as usize];
    shape.stripe_events = [1, 2, 8, 20, 100][random.below(5) as usize];
    let more = [1, 4000, 12_000][random.below(3) as usize];
    shape.stripe_bytes = 4300 + random.below(more) as usize;
    shape.segment_bytes = [64 << 10, 128 << 10, 256 << 10, 512 << 10][random.below(4) as usize];
    shape.writes_in_flight = [1, 2, 4, 16][random.below(4) as usize];
    shape.credit_events = [40, 64, 200][random.below(3) as usize];
    shape.connections_max = [2, 8, 64][random.below(3) as usize];
    shape.ttl_ns = [TTL_NS, TTL_NS, 24_000_000, 4_000_000, 800_000][random.below(5) as usize];
    shape.warden_capacity = [10_000, 10_000, 12, 3, 1][random.below(5) as usize];
    shape.entity_capacity = [1000, 1000, 4, 1][random.below(4) as usize];
    shape.checkpoint_bytes = [24 << 10, 100 << 10, 500 << 10, u64::MAX][random.below(4) as usize];
    if random.below(10) == 0 {
        // Enough to begin with, and soon full.
        shape.segments_max = shape.prepare_ahead() + random.below(6);
    }
    shape.honesty = Honesty::Honest;
    shape
}

/// Often enough to find who broke them, rarely enough that a run stays fast.
const INVARIANTS_EVERY_STEPS: u64 = 32;
