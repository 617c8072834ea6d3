//! Where cores write their numbers and others read them.

use crate::numbers::{ControlCells, CoreCells, DomainCells, LogCells, ShardCells};
use crate::stages::StageCells;
use crate::{ControlNumbers, CoreNumbers, DomainNumbers, LogNumbers, STAGES, ShardNumbers, StageReadings};

/// The logs of a core, by name: stripes and accepts, outcomes, and of checkpoints entities and keys.
pub const LOGS: [&str; 4] = ["stripes", "outcomes", "parts", "keys"];

/// The numbers of one replica. Each cell has one writer: the core that it is of, or that owns the shard, or that has
/// the control role.
#[derive(Debug)]
pub struct Board {
    control: ControlCells,
    cores: Box<[CoreCells]>,
    /// By core.
    logs: Box<[[LogCells; LOGS.len()]]>,
    shards: Box<[ShardCells]>,
    /// By domain.
    names: Box<[DomainName]>,
    /// By shard, and there by domain.
    domains: Box<[Box<[DomainCells]>]>,
    /// By core.
    stages: Box<[[StageCells; STAGES.len()]]>,
}

/// What a domain is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainName {
    /// Its number.
    pub id: u16,
    /// For people.
    pub name: String,
}

/// What a domain is at, over all shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainReadings {
    /// Which.
    pub domain: DomainName,
    /// What its shards wrote.
    pub numbers: DomainNumbers,
}

/// All that a board said when it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    /// Of the replica.
    pub control: ControlNumbers,
    /// By core.
    pub cores: Vec<CoreNumbers>,
    /// By core, each as [`LOGS`].
    pub logs: Vec<[LogNumbers; LOGS.len()]>,
    /// By shard.
    pub shards: Vec<ShardNumbers>,
    /// By domain.
    pub domains: Vec<DomainReadings>,
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
            logs: (0..cores).map(|_| Default::default()).collect(),
            shards: (0..shards).map(|_| ShardCells::default()).collect(),
            names: Box::default(),
            domains: (0..shards).map(|_| Box::default()).collect(),
            stages: (0..cores).map(|_| Default::default()).collect(),
        }
    }

    /// The same for these domains, in the order of their numbers.
    #[must_use]
    pub fn with_domains(mut self, names: Vec<DomainName>) -> Board {
        let cells = || names.iter().map(|_| DomainCells::default()).collect();
        self.domains = self.domains.iter().map(|_| cells()).collect();
        self.names = names.into();
        self
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

    /// What one of a core's [`LOGS`] is at.
    ///
    /// # Panics
    /// When there is no such core or log.
    pub fn write_log(&self, core: usize, log: usize, numbers: &LogNumbers) {
        self.logs[core][log].store(numbers);
    }

    /// What a shard is at.
    ///
    /// # Panics
    /// When there is no such shard.
    pub fn write_shard(&self, shard: usize, numbers: &ShardNumbers) {
        self.shards[shard].store(numbers);
    }

    /// What the domain at this place is at in a shard. One that the board was not made for is left out.
    ///
    /// # Panics
    /// When there is no such shard.
    pub fn write_domain(&self, shard: usize, place: usize, numbers: &DomainNumbers) {
        if let Some(cells) = self.domains[shard].get(place) {
            cells.store(numbers);
        }
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

    /// What can be read of the outcome stream: through which slot all that a shard published is durable, by shard, and
    /// below which offset the logs are in which it is, by core.
    ///
    /// A core writes the offset before the slots, and here they are read the other way round: what the slots promise
    /// lies below the offsets.
    #[must_use]
    pub fn outcomes(&self) -> (Vec<u64>, Vec<u64>) {
        let written = self.shards.iter().map(|shard| shard.load().outcomes_written).collect();
        let durable = self.cores.iter().map(|core| core.load().outcomes_durable).collect();
        (written, durable)
    }

    /// All of it.
    #[must_use]
    pub fn read(&self) -> Readings {
        let mut stages: [StageReadings; STAGES.len()] = Default::default();
        for core in &self.stages {
            stages.iter_mut().zip(core).for_each(|(readings, stage)| stage.add_to(readings));
        }
        Readings {
            control: self.control.load(),
            cores: self.cores.iter().map(CoreCells::load).collect(),
            logs: self.logs.iter().map(|logs| logs.each_ref().map(LogCells::load)).collect(),
            shards: self.shards.iter().map(ShardCells::load).collect(),
            domains: self
                .names
                .iter()
                .enumerate()
                .map(|(place, name)| self.read_domain(place, name))
                .collect(),
            stages,
        }
    }

    fn read_domain(&self, place: usize, name: &DomainName) -> DomainReadings {
        let mut numbers = DomainNumbers::default();
        self.domains.iter().for_each(|shard| numbers.add(&shard[place].load()));
        DomainReadings { domain: name.clone(), numbers }
    }
}
