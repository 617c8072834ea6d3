//! What a seed draws for a cluster, before anything else. A failing run prints it.

use assize_node::{ElectionTimes, LeaseUse};
use assize_shards::Rehearsal;
use assize_wal::memory::Random;
use assize_wire::{LogId, ReplicaId, Slot};

use super::faults::FaultHabits;
use super::network::NetworkHabits;
use crate::disk::DiskHabits;
use crate::options::{ClockHabits, Faults, Mix, Schedule};
use crate::shape::Shape;

/// Everything that was drawn.
#[derive(Clone, Copy, Debug)]
pub struct ClusterOptions {
    /// How many there are.
    pub replicas: u8,
    /// What each is made of, beyond the last one unused.
    pub shapes: [Shape; REPLICAS_MAX],
    /// Which message comes next in each.
    pub schedules: [Schedule; REPLICAS_MAX],
    /// How each disk takes its time.
    pub disks: [DiskHabits; REPLICAS_MAX],
    /// How clocks go.
    pub clock: ClockHabits,
    /// What passes in a step at most.
    pub step_ns_max: u64,
    /// How the network takes its time.
    pub network: NetworkHabits,
    /// What goes wrong within a replica.
    pub of_replica: Faults,
    /// What goes wrong else.
    pub faults: FaultHabits,
    /// Which replica sends wrong bits of its checkpoints, if one does.
    pub spoiler: Option<u8>,
    /// How many clients.
    pub clients: usize,
    /// How long a client waits for an answer.
    pub patience_ns: u64,
    /// What they do.
    pub mix: Mix,
    /// As of one replica.
    pub invariants_every_steps: u64,
}

impl ClusterOptions {
    /// Replicas of this shape, and nothing out of the ordinary.
    #[must_use]
    pub fn calm(replicas: u8, shape: Shape) -> ClusterOptions {
        let mut shapes = [shape; REPLICAS_MAX];
        for (at, shape) in shapes.iter_mut().enumerate() {
            (shape.replica, shape.replicas) = (ReplicaId(at as u8), replicas);
            shape.copies = replicas / 2 + 1;
        }
        ClusterOptions {
            replicas,
            shapes,
            schedules: [Schedule::Fair; REPLICAS_MAX],
            disks: [DiskHabits::CALM; REPLICAS_MAX],
            clock: ClockHabits { jitter_ns: 1_000_000, ..ClockHabits::CALM },
            step_ns_max: 100_000,
            network: NetworkHabits {
                delay_ns: 100_000,
                jitter_ns: 200_000,
                slow_one_in: 0,
                buffer_bytes: 1 << 20,
            },
            of_replica: Faults::NONE,
            faults: FaultHabits::NONE,
            spoiler: None,
            clients: 1,
            patience_ns: 2_000_000_000,
            mix: Mix::CALM,
            invariants_every_steps: 32,
        }
    }

    /// Checkpoints are taken, and logs recycled. Whoever lacks what was recycled needs a checkpoint of a peer.
    #[must_use]
    pub fn with_checkpoints(mut self, random: &mut Random) -> ClusterOptions {
        let checkpoint_bytes = [100 << 10, 200 << 10, 500 << 10][random.below(3) as usize];
        self.shapes.iter_mut().for_each(|shape| shape.checkpoint_bytes = checkpoint_bytes);
        self
    }

    /// One replica, of three or five, computes one wrong outcome; it is found out where a majority must agree (C1).
    #[must_use]
    pub fn with_a_wrong_replica(mut self, random: &mut Random) -> ClusterOptions {
        self = self.at_least_three();
        for shape in &mut self.shapes {
            shape.copies = self.replicas / 2 + 1;
        }
        let wrong = random.below(self.replicas.into()) as usize;
        self.shapes[wrong].rehearsal = Some(Rehearsal::WrongOutcome(Slot(1 + random.below(20))));
        self
    }

    /// One replica, of three or five, sends wrong bits of its checkpoints. Whoever has some in its logs is rebuilt,
    /// from one that as many others as `copies` have reported (C7).
    #[must_use]
    pub fn with_a_spoiler(mut self, random: &mut Random) -> ClusterOptions {
        self = self.at_least_three();
        for shape in &mut self.shapes {
            shape.copies = self.replicas / 2 + 1;
        }
        self.spoiler = Some(random.below(self.replicas.into()) as u8);
        self
    }

    /// Replicas of a minority lose their disks, and rejoin.
    #[must_use]
    pub fn with_lost_disks(mut self, random: &mut Random) -> ClusterOptions {
        self.faults.lost_disk_percent = [10, 30, 60][random.below(3) as usize];
        if self.faults.down_one_in == 0 {
            self.faults.down_one_in = 1200;
        }
        self.at_least_three()
    }

    fn at_least_three(mut self) -> ClusterOptions {
        if self.replicas < 3 {
            self.replicas = 3;
            for shape in &mut self.shapes {
                (shape.replicas, shape.copies) = (3, 2);
            }
        }
        self
    }

    /// One of the swarm.
    #[must_use]
    pub fn draw(random: &mut Random) -> ClusterOptions {
        let replicas = [1, 3, 3, 3, 3, 3, 5, 5][random.below(8) as usize];
        let mut options = ClusterOptions::calm(replicas, draw_shape(random));
        let entropy = random.next_u64();
        let all_copies = random.below(4) == 0;
        for at in 0..REPLICAS_MAX {
            let shape = &mut options.shapes[at];
            shape.entropy = entropy;
            // D2: where shards run is a replica's own affair.
            shape.remap(random);
            if all_copies {
                shape.copies = 1 + random_copies(entropy, replicas);
            }
            options.schedules[at] = draw_schedule(shape, random);
            options.disks[at] = draw_disk(shape, random);
        }
        options.clock.jitter_ns = [1, 100_000, 2_000_000][random.below(3) as usize];
        options.step_ns_max = [20_000, 60_000, 60_000, 200_000][random.below(4) as usize];
        options.network = NetworkHabits {
            delay_ns: [1_000, 50_000, 400_000][random.below(3) as usize],
            jitter_ns: [1_000, 100_000, 1_000_000][random.below(3) as usize],
            slow_one_in: [0, 0, 100, 20][random.below(4) as usize],
            buffer_bytes: [1_000, 20_000, 1 << 20][random.below(3) as usize],
        };
        options.of_replica.remap_percent = [0, 0, 30, 80][random.below(4) as usize];
        options.clients = [1, 2, 4, 8][random.below(4) as usize];
        options.patience_ns = [30_000_000, 300_000_000, 2_000_000_000][random.below(3) as usize];
        options.mix = Mix::draw(random);
        options.mix.act_one_in = [4, 10, 30][random.below(3) as usize];
        if random.below(8) > 0 {
            draw_faults(&mut options, random);
            options.faults.depose_one_in = [0, 3000, 1000, 1000][random.below(4) as usize];
        }
        let reads = random.below(2) == 0;
        let clock_rate_error_ppm = [200, 10_000][random.below(2) as usize];
        for shape in &mut options.shapes {
            shape.leases = LeaseUse { reads, clock_rate_error_ppm };
        }
        options.faults.upgrade_percent = [0, 0, 40, 100][random.below(4) as usize];
        options
    }
}

/// Each kind of fault for itself: most runs have some of them.
fn draw_faults(options: &mut ClusterOptions, random: &mut Random) {
    let some = |random: &mut Random, of: [u64; 4]| of[random.below(4) as usize];
    options.faults = FaultHabits {
        down_one_in: some(random, [0, 4000, 1200, 500]),
        all_percent: some(random, [0, 0, 10, 50]),
        power_percent: some(random, [0, 50, 80, 100]),
        down_ns: some(random, [1, 20_000_000, 200_000_000, 2_000_000_000]),
        stop_one_in: some(random, [0, 0, 4000, 1000]),
        reset_one_in: some(random, [0, 0, 1000, 200]),
        partition_one_in: some(random, [0, 0, 2000, 600]),
        freeze_one_in: some(random, [0, 0, 2000, 500]),
        freeze_ns: some(random, [1_000_000, 20_000_000, 300_000_000, 1_000_000_000]),
        damage_percent: some(random, [0, 0, 30, 80]),
        lost_disk_percent: 0,
        skew_one_in: some(random, [0, 0, 0, 1500]),
        skew_ns: some(random, [1_000_000, 20_000_000, 100_000_000, 5_000_000_000]),
        full_disk_one_in: 0,
        depose_one_in: 0,
        upgrade_percent: 0,
        hand_over_one_in: 0,
    };
    options.of_replica.in_recovery_percent = some(random, [0, 0, 20, 40]);
    if random.below(8) == 0 {
        options.of_replica.io_error_one_in = 2000;
    }
}

fn draw_shape(random: &mut Random) -> Shape {
    let mut shape = Shape::smallest();
    shape.shards = 1 + random.below(4) as u16;
    shape.window = [1, 2, 3, 4, 8][random.below(5) as usize];
    shape.stripe_events = [1, 2, 8, 20][random.below(4) as usize];
    shape.stripe_bytes = 4300 + random.below(4000) as usize;
    shape.segment_bytes = [64 << 10, 128 << 10, 256 << 10][random.below(3) as usize];
    shape.writes_in_flight = [1, 2, 4, 16][random.below(4) as usize];
    let timeout_ns = [40_000_000, 80_000_000, 150_000_000][random.below(3) as usize];
    shape.election = ElectionTimes { timeout_ns, heartbeat_ns: timeout_ns / 6 };
    shape.clock_skew_ns = [50_000_000, 500_000_000][random.below(2) as usize];
    shape.ttl_ns = [TTL_NS, TTL_NS, TTL_NS, 2_000_000_000, 100_000_000][random.below(5) as usize];
    shape
}

fn draw_schedule(shape: &Shape, random: &mut Random) -> Schedule {
    match random.below(4) {
        0 | 1 => Schedule::Fair,
        2 => Schedule::Starve { core: random.below(shape.cores() as u64) as u16 },
        _ => Schedule::LastFirst,
    }
}

fn draw_disk(shape: &Shape, random: &mut Random) -> DiskHabits {
    let mut disk = DiskHabits { weight: [1, 6, 6, 30][random.below(4) as usize], ..DiskHabits::CALM };
    if random.below(4) == 0 {
        disk.slow_log = Some(LogId(random.below(4 * shape.cores() as u64) as u16));
        disk.slow_one_in = 2 + random.below(20);
    }
    if random.below(5) == 0 {
        (disk.stall_one_in, disk.stall_moves) = (20 + random.below(200), 1 + random.below(100));
    }
    disk
}

/// Any number of copies, the same for all replicas.
fn random_copies(entropy: u64, replicas: u8) -> u8 {
    (entropy % u64::from(replicas)) as u8
}

/// The most replicas that a cluster has.
pub const REPLICAS_MAX: usize = 5;

/// How long a key is live: longer than any run takes.
const TTL_NS: u64 = 3_600_000_000_000;
