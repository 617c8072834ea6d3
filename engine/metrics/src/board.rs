//! Where cores write their numbers and others read them.

use crate::numbers::{ControlCells, CoreCells, ShardCells};
use crate::stages::StageCells;
use crate::{ControlNumbers, CoreNumbers, STAGES, ShardNumbers, StageReadings};

/// The numbers of one replica. Each cell has one writer: the core that it is of, or that owns the shard, or that has
/// the control role.
#[derive(Debug)]
pub struct Board {
    control: ControlCells,
    cores: Box<[CoreCells]>,
    shards: Box<[ShardCells]>,
    /// By core.
    stages: Box<[[StageCells; STAGES.len()]]>,
}

/// All that a board said when it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// Of the replica.
    pub control: ControlNumbers,
    /// By core.
    pub cores: Vec<CoreNumbers>,
    /// By shard.
    pub shards: Vec<ShardNumbers>,
    /// By stage, as [`STAGES`].
    pub stages: [StageReadings; STAGES.len()],
}

impl Board {
    /// A board on which nothing is written.
    #[must_use]
    pub fn new(cores: usize, shards: usize) -> Board {
        Board {
            control: ControlCells::default(),
            cores: (0..cores).map(|_| CoreCells::default()).collect(),
            shards: (0..shards).map(|_| ShardCells::default()).collect(),
            stages: (0..cores).map(|_| Default::default()).collect(),
        }
    }

    /// What the control role knows.
    pub fn write_control(&self, numbers: &ControlNumbers) {
        self.control.store(numbers);
    }

    /// What a core is at.
    ///
    /// # Panics
    /// When there is no such core.
    pub fn write_core(&self, core: usize, numbers: &CoreNumbers) {
        self.cores[core].store(numbers);
    }

    /// What a shard is at.
    ///
    /// # Panics
    /// When there is no such shard.
    pub fn write_shard(&self, shard: usize, numbers: &ShardNumbers) {
        self.shards[shard].store(numbers);
    }

    /// So many events took so long, in nanoseconds, to reach each of [`STAGES`].
    ///
    /// # Panics
    /// When there is no such core.
    pub fn record_stages(&self, core: usize, events: u64, ns: [u64; STAGES.len()]) {
        for (stage, ns) in self.stages[core].iter().zip(ns) {
            stage.record(ns, events);
        }
    }

    /// All of it.
    #[must_use]
    pub fn read(&self) -> Readings {
        let mut stages = [StageReadings::default(); STAGES.len()];
        for core in &self.stages {
            stages.iter_mut().zip(core).for_each(|(readings, stage)| stage.add_to(readings));
        }
        Readings {
            control: self.control.load(),
            cores: self.cores.iter().map(CoreCells::load).collect(),
            shards: self.shards.iter().map(ShardCells::load).collect(),
            stages,
        }
    }
}

impl Readings {
    /// Whether every core stands where the cluster does, and none is quarantined (R2, C5).
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.cores.iter().all(|core| core.ready == 1 && core.quarantined == 0)
    }
}
