//! What goes wrong in a cluster, and only that: all of it must be survivable.
//!
//! * Any replicas may go down, all at once too, by power or by the process alone, at any step and again while they
//!   start: what was flushed stays. A write or flush may fail, which stops its replica.
//! * Any connection may break and lose what was under way, any piece may come late, any replica may be cut off from any
//!   other, in one direction or both, for any time: not for ever.
//! * Any replica may do nothing for a while and then go on, as a stopped process or a stuck core.
//! * Any monotonic clock may run as much fast or slow as is agreed. Any wall clock may run 200 ppm fast or slow and be
//!   off by a tenth of the bound. One at a time, or two of five, may be
//!   off by more: such a replica must not lead. With more of them the cluster may hold until they are right again,
//!   which is not done here, since then nobody could say what time it is.
//! * Any start may be one of a program with the next version of the domain's logic: whoever has it when all who are
//!   there do switches to it, and who was away and lacks it stops, and comes back with it.
//! * A minority of replicas, the same ones in a run, may find blocks of their logs of stripes and accepts damaged at a
//!   start: they repair them from the others. Of all others what a device says is durable stays readable.
//! * Any disk may be full for a while, in the middle of anything.
//! * A leader may be told at any moment to hand over to any other, which may stand still, go down or be cut off then.
//! * The same minority may lose their disks, and rejoin with empty ones. Until they have their votes again they are as
//!   good as down, and all others must come back for them.

use assize_wal::memory::Random;

use super::depose::Deposing;
use super::world::ClusterWorld;
use crate::disk::Down;
use crate::seeds::trace;
use crate::shape::EPOCH_NS;

/// How often what goes wrong. Numbers are of steps; 0 means never.
#[derive(Clone, Copy, Debug)]
pub struct FaultHabits {
    /// One in so many, a replica goes down.
    pub down_one_in: u64,
    /// How often everybody goes down with it.
    pub all_percent: u64,
    /// How often it is the power that fails, and not only the process.
    pub power_percent: u64,
    /// How long it stays down at most.
    pub down_ns: u64,
    /// One in so many, a replica is stopped in good order.
    pub stop_one_in: u64,
    /// One in so many, a connection breaks.
    pub reset_one_in: u64,
    /// One in so many, the network is parted, or mended.
    pub partition_one_in: u64,
    /// One in so many, a replica stands still.
    pub freeze_one_in: u64,
    /// For at most so long.
    pub freeze_ns: u64,
    /// How often a start of one of the minority finds its log damaged.
    pub damage_percent: u64,
    /// How often a start of one of the minority finds an empty disk, which an operator has formatted to rejoin.
    pub lost_disk_percent: u64,
    /// One in so many, a clock is set.
    pub skew_one_in: u64,
    /// By at most so much from what is right.
    pub skew_ns: u64,
    /// One in so many, a disk is about to be full, or has space again.
    pub full_disk_one_in: u64,
    /// One in so many, a leader is deposed without knowing it.
    pub depose_one_in: u64,
    /// How often a start is one of the program with the next version of the domain's logic, which it then keeps (R5).
    pub upgrade_percent: u64,
    /// One in so many, an operator has a leader hand over.
    pub hand_over_one_in: u64,
}

impl FaultHabits {
    /// Nothing goes wrong.
    pub const NONE: FaultHabits = FaultHabits {
        down_one_in: 0,
        all_percent: 0,
        power_percent: 50,
        down_ns: 1,
        stop_one_in: 0,
        reset_one_in: 0,
        partition_one_in: 0,
        freeze_one_in: 0,
        freeze_ns: 1,
        damage_percent: 0,
        lost_disk_percent: 0,
        skew_one_in: 0,
        skew_ns: 1,
        full_disk_one_in: 0,
        depose_one_in: 0,
        upgrade_percent: 0,
        hand_over_one_in: 0,
    };
}

pub(super) struct Faults {
    pub(super) habits: FaultHabits,
    pub(super) random: Random,
    /// When replicas that are down start again.
    restarts: Vec<(u64, usize)>,
    pub(super) parted: bool,
    pub(super) deposing: Deposing,
    /// Which minority it is whose logs may be damaged: so far behind its first one are all of them.
    first_damaged: usize,
    /// Nobody starts again.
    pub(super) keep_down: bool,
    pub(super) downs: u64,
    pub(super) partitions: u64,
    pub(super) lost_disks: u64,
}

impl Faults {
    /// At first everybody is down, and starts soon. A replica that sends wrong bits is one of those whose logs may be
    /// damaged: what nobody but it has is lost where another one's log decays.
    pub(super) fn new(habits: FaultHabits, replicas: u8, spoiler: Option<u8>, seed: u64) -> Faults {
        let mut random = Random(seed ^ 0xfa17);
        let restarts = (0..usize::from(replicas)).map(|at| (random.below(habits.down_ns), at)).collect();
        let drawn = random.below(replicas.into()) as usize;
        let first_damaged = spoiler.map_or(drawn, |spoiler| usize::from(replicas - spoiler));
        Faults {
            habits,
            random,
            restarts,
            parted: false,
            deposing: Deposing::No,
            first_damaged,
            keep_down: false,
            downs: 0,
            partitions: 0,
            lost_disks: 0,
        }
    }

    pub(super) fn draws_power(&mut self) -> bool {
        self.random.below(100) < self.habits.power_percent
    }

    pub(super) fn restart_later(&mut self, at: usize, now: u64) {
        let down = self.random.below(self.habits.down_ns);
        self.restarts.push((now + down, at));
    }

    pub(super) fn comes(&mut self, one_in: u64) -> bool {
        one_in > 0 && self.random.below(one_in) == 0
    }
}

impl ClusterWorld {
    /// Perhaps something goes wrong, or right again.
    pub(super) fn go_wrong(&mut self) {
        let now = self.cluster.now_ns;
        let habits = self.faults.habits;
        if self.faults.comes(habits.stop_one_in) {
            let at = self.any();
            if self.cluster.replicas[at].is_up() {
                trace!("replica {at} is stopped");
                self.cluster.replicas[at].stop();
            }
        }
        if self.faults.comes(habits.down_one_in) {
            let all = self.faults.random.below(100) < habits.all_percent;
            let one = self.any();
            for at in 0..self.cluster.replicas.len() {
                if (all || at == one) && self.cluster.replicas[at].is_up() {
                    let power = self.faults.draws_power();
                    self.down(at, if power { Down::Power } else { Down::Process });
                    self.faults.restart_later(at, now);
                }
            }
        }
        if self.faults.comes(habits.reset_one_in) {
            self.cluster.network.reset_any(now);
        }
        if self.faults.comes(habits.partition_one_in) {
            self.part_or_mend(now);
        }
        if self.faults.comes(habits.freeze_one_in) {
            let (at, ns) = (self.any(), self.faults.random.below(habits.freeze_ns));
            self.cluster.frozen_until[at] = now + ns;
        }
        if self.faults.comes(habits.skew_one_in) {
            self.set_a_clock(habits.skew_ns);
        }
        if self.faults.comes(habits.full_disk_one_in) {
            let at = self.any();
            let left = self.faults.random.below(SEGMENTS_LEFT_MAX);
            let replica = &mut self.cluster.replicas[at];
            let full = replica.segments_left().is_none();
            replica.set_segments_left(full.then_some(left));
        }
        self.depose();
        self.perhaps_hand_over();
    }

    /// Nothing goes wrong any more, and everything is as it should be.
    pub fn calm(&mut self) {
        self.faults.habits = FaultHabits { down_ns: 1, ..FaultHabits::NONE };
        self.clients.mix.rude_percent = 0;
        self.depose_nobody();
        let now = self.cluster.now_ns;
        self.cluster.network.heal(now);
        for at in 0..self.cluster.replicas.len() {
            self.cluster.frozen_until[at] = 0;
            let replica = &mut self.cluster.replicas[at];
            replica.wall_offset_ns = 0;
            replica.set_segments_left(None);
            replica.faults.io_error_one_in = 0;
            replica.faults.in_recovery_percent = 0;
            if replica.seen.io_errors > 0 && replica.is_up() {
                self.down(at, Down::Power);
                self.faults.restart_later(at, now);
            }
        }
        while !self.faults.restarts.is_empty() {
            self.faults.restarts.iter_mut().for_each(|(due, _)| *due = 0);
            self.restart_due();
            // Who is about to stop by itself is down only then.
            self.step();
        }
    }

    /// A clock is set right, or wrong, if not too many are.
    fn set_a_clock(&mut self, skew_ns: u64) {
        let at = self.any();
        let bound = (self.cluster.replicas[at].shape.clock_skew_ns / 10) as i64;
        let off = self.faults.random.below(2 * skew_ns) as i64 - skew_ns as i64;
        let others = self.cluster.replicas.iter().enumerate().filter(|(other, _)| *other != at);
        let wrong = others.filter(|(_, replica)| replica.wall_offset_ns.abs() > bound).count();
        let may = wrong < (self.cluster.replicas.len() - 1) / 2;
        self.cluster.replicas[at].wall_offset_ns = if may { off } else { off % bound };
    }

    pub(super) fn restart_due(&mut self) {
        let now = self.cluster.now_ns;
        while let Some(place) = self.faults.restarts.iter().position(|(due, _)| *due <= now) {
            let (_, at) = self.faults.restarts.swap_remove(place);
            if !self.cluster.replicas[at].is_up() {
                if !self.lose_disk(at) {
                    self.damage(at);
                }
                self.start(at);
            }
        }
    }

    /// Perhaps a replica starts with the next program.
    pub(super) fn perhaps_upgrade(&mut self, at: usize) {
        let percent = self.faults.habits.upgrade_percent;
        if percent > 0 && self.faults.random.below(100) < percent {
            self.cluster.replicas[at].shape.has_next_logic = true;
        }
    }

    fn any(&mut self) -> usize {
        self.faults.random.below(self.cluster.replicas.len() as u64) as usize
    }

    /// Perhaps a bit of a replica's log of stripes and accepts has turned over.
    fn damage(&mut self, at: usize) {
        let percent = self.faults.habits.damage_percent;
        if !self.is_of_the_minority(at) || self.faults.random.below(100) >= percent {
            return;
        }
        self.cluster.replicas[at].disk.damage_any(&mut self.faults.random);
    }

    /// Perhaps a replica's disk is lost.
    fn lose_disk(&mut self, at: usize) -> bool {
        let percent = self.faults.habits.lost_disk_percent;
        if percent == 0 || !self.is_of_the_minority(at) || self.cluster.replicas[at].starts == 0 {
            return false;
        }
        let lost = self.faults.random.below(100) < percent;
        if lost {
            self.faults.lost_disks += 1;
            self.cluster.replicas[at].lose_disk(EPOCH_NS + self.cluster.now_ns);
            self.checkers.lost_disk(at);
        }
        lost
    }

    /// Whether what a replica's disk holds may be damaged or lost.
    fn is_of_the_minority(&self, at: usize) -> bool {
        let replicas = self.cluster.replicas.len();
        (at + self.faults.first_damaged) % replicas < (replicas - 1) / 2
    }

    /// Parts the network in a way that is drawn, or mends it.
    fn part_or_mend(&mut self, now: u64) {
        if self.faults.parted {
            self.faults.parted = false;
            self.cluster.network.heal(now);
            return;
        }
        self.faults.parted = true;
        self.faults.partitions += 1;
        let replicas = self.cluster.replicas.len();
        let one = self.any();
        // Each replica on one of two sides; the leader alone now and then.
        let side = match self.faults.random.below(3) {
            0 => 1 << one,
            1 => 1 << self.cluster.leader().unwrap_or(one),
            _ => self.faults.random.below(1 << replicas),
        };
        let direction = self.faults.random.below(3);
        for from in 0..replicas {
            for to in 0..replicas {
                let [here, there] = [from, to].map(|at| side >> at & 1 == 1);
                // Both ways, or only out of one side.
                let blocked = here != there && (direction > 0 || here);
                self.cluster.network.block(from, to, blocked);
            }
        }
    }
}

/// Segments that a disk which is about to be full still has space for, and one more.
const SEGMENTS_LEFT_MAX: u64 = 6;
