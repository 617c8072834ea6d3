//! Runs one seed of a cluster and says what became of it.

use std::fmt;

use super::options::ClusterOptions;
use super::scenario;
use super::world::ClusterWorld;
use crate::bank::VERSION;
use crate::runner::replay_line;
use crate::seeds::caught;

/// A kind of run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything at once, as the swarm's options have it.
    Swarm,
    /// The swarm without faults.
    Load,
    /// The swarm with checkpoints.
    Checkpoints,
    /// The swarm with a replica that computes one wrong outcome.
    Wrong,
    /// The swarm with checkpoints, of which one replica sends wrong bits.
    Spoiled,
    /// The swarm with replicas that lose their disks.
    Rejoin,
    /// The same with checkpoints.
    RejoinCheckpoints,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 7] = [
        Kind::Swarm,
        Kind::Load,
        Kind::Checkpoints,
        Kind::Wrong,
        Kind::Spoiled,
        Kind::Rejoin,
        Kind::RejoinCheckpoints,
    ];

    /// As it is named on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Swarm => "cluster",
            Kind::Load => "cluster-load",
            Kind::Checkpoints => "cluster-checkpoints",
            Kind::Wrong => "cluster-wrong",
            Kind::Spoiled => "cluster-spoiled",
            Kind::Rejoin => "cluster-rejoin",
            Kind::RejoinCheckpoints => "cluster-rejoin-checkpoints",
        }
    }

    /// What a seed draws for it.
    #[must_use]
    pub fn options(self, seed: u64) -> ClusterOptions {
        scenario::options(seed, self)
    }
}

/// One run, and all that it follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// What is done.
    pub kind: Kind,
    /// What everything is drawn from.
    pub seed: u64,
    /// Steps under load.
    pub steps: u64,
}

/// What a run came to that found nothing broken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Steps in all.
    pub steps: u64,
    /// Slots of the log.
    pub slots: u64,
    /// Events of the log.
    pub events: u64,
    /// How often replicas went down.
    pub downs: u64,
    /// Checkpoints that became active.
    pub checkpoints: u64,
    /// Checkpoints that were taken over from a peer.
    pub taken_over: u64,
    /// Checkpoints of a peer that came with something wrong in them.
    pub sent_wrong: u64,
    /// How often a replica said that it is quarantined.
    pub quarantines: u64,
    /// Runs in which the cluster switched to the next version of its domain's logic.
    pub switched: u64,
    /// Times that a replica stopped for want of it.
    pub logic_missing: u64,
    /// Times that a replica said that its disk is full.
    pub disks_full: u64,
    /// Disks that were lost.
    pub lost_disks: u64,
    /// How often a replica had its vote again after that.
    pub rejoined: u64,
    /// Times that leadership was handed over as an operator wanted it.
    pub handed_over: u64,
    /// Times that a leader gave that up and went on leading.
    pub kept_leading: u64,
    /// Ballots under which anything was accepted.
    pub ballots: u64,
    /// Times that the network was parted.
    pub partitions: u64,
    /// Connections that were cut.
    pub resets: u64,
    /// Bit s: an event ended as the status with number s.
    pub statuses: u64,
    /// Virtual time, in milliseconds.
    pub milliseconds: u64,
}

/// A run that found something broken.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which run.
    pub run: Run,
    /// What it had drawn.
    pub options: Box<ClusterOptions>,
    /// What was said last: by a checker, or by the engine's own assertion.
    pub said: String,
}

impl Run {
    /// Runs it.
    ///
    /// # Errors
    /// [`Failure`] if anything was found broken.
    pub fn run(self) -> Result<Summary, Failure> {
        self.run_with(self.kind.options(self.seed))
    }

    /// Runs it with options of the caller's.
    ///
    /// # Errors
    /// [`Failure`] if anything was found broken.
    pub fn run_with(self, options: ClusterOptions) -> Result<Summary, Failure> {
        match caught(|| Summary::of(&scenario::run(&options, self.seed, self.steps))) {
            Ok(summary) => Ok(summary),
            Err(said) => Err(Failure { run: self, options: Box::new(options), said }),
        }
    }

    /// What is typed to see it again.
    #[must_use]
    pub fn command(&self) -> String {
        let Run { kind, seed, steps } = self;
        let kind = kind.name();
        let mut command = format!("cargo run --release -p assize-sim -- --scenario {kind} --seed {seed}");
        if *steps != STEPS {
            command += &format!(" --steps {steps}");
        }
        command
    }
}

impl Summary {
    fn of(world: &ClusterWorld) -> Summary {
        Summary {
            steps: world.cluster.steps,
            slots: world.checkers.log().len() as u64,
            events: world.checkers.model.ended.len() as u64,
            downs: world.downs(),
            checkpoints: world.cluster.replicas.iter().map(|replica| replica.seen.checkpoints).sum(),
            taken_over: world.cluster.replicas.iter().map(|replica| replica.seen.taken_over).sum(),
            sent_wrong: world.cluster.replicas.iter().map(|replica| replica.seen.sent_wrong).sum(),
            switched: u64::from(world.checkers.model.logic != VERSION),
            logic_missing: world.cluster.replicas.iter().map(|replica| replica.seen.logic_missing).sum(),
            quarantines: world.cluster.replicas.iter().map(|replica| replica.seen.quarantines).sum(),
            disks_full: world.cluster.replicas.iter().map(|replica| replica.seen.disks_full).sum(),
            lost_disks: world.faults.lost_disks,
            rejoined: world.cluster.replicas.iter().map(|replica| replica.seen.rejoined).sum(),
            handed_over: world.cluster.replicas.iter().map(|replica| replica.seen.handed_over).sum(),
            kept_leading: world.cluster.replicas.iter().map(|replica| replica.seen.kept_leading).sum(),
            ballots: world.checkers.ballots(),
            partitions: world.faults.partitions,
            resets: world.cluster.network.resets,
            statuses: world.statuses().keys().fold(0, |all, status| all | 1 << status),
            milliseconds: world.cluster.now_ns / 1_000_000,
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Summary) -> Summary {
        Summary {
            steps: self.steps + other.steps,
            slots: self.slots + other.slots,
            events: self.events + other.events,
            downs: self.downs + other.downs,
            checkpoints: self.checkpoints + other.checkpoints,
            taken_over: self.taken_over + other.taken_over,
            sent_wrong: self.sent_wrong + other.sent_wrong,
            switched: self.switched + other.switched,
            logic_missing: self.logic_missing + other.logic_missing,
            quarantines: self.quarantines + other.quarantines,
            disks_full: self.disks_full + other.disks_full,
            lost_disks: self.lost_disks + other.lost_disks,
            rejoined: self.rejoined + other.rejoined,
            handed_over: self.handed_over + other.handed_over,
            kept_leading: self.kept_leading + other.kept_leading,
            ballots: self.ballots + other.ballots,
            partitions: self.partitions + other.partitions,
            resets: self.resets + other.resets,
            statuses: self.statuses | other.statuses,
            milliseconds: self.milliseconds + other.milliseconds,
        }
    }
}

impl Failure {
    /// Who found it: the checker's name, or `assertion` for the engine's own.
    #[must_use]
    pub fn caught_by(&self) -> &str {
        crate::runner::caught_by(&self.said)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { run, options, said } = self;
        writeln!(f, "seed {} of a cluster of {} fails", run.seed, options.replicas)?;
        writeln!(f, "options: {options:?}")?;
        writeln!(f, "{said}")?;
        write!(f, "{}", replay_line(&run.command()))
    }
}

/// Steps under load of a run that says nothing else.
pub const STEPS: u64 = 6000;
