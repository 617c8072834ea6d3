//! Runs one seed and says what became of it: panics included, and what ends nowhere, since every wait has a budget of
//! steps.

use std::fmt;
use std::process::Command;

use crate::options::Options;
use crate::scenario::Scenario;
use crate::seeds::caught;
use crate::world::World;

/// One run, and all that it follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// What is done.
    pub scenario: Scenario,
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
    /// How often the replica went down.
    pub downs: u64,
    /// Bit s: an event ended as the status with number s.
    pub statuses: u64,
}

/// A run that found something broken.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which run.
    pub run: Run,
    /// What it had drawn.
    pub options: Options,
    /// What was said last: by a checker, or by the engine's own assertion.
    pub said: String,
}

impl Run {
    /// Runs it.
    ///
    /// # Errors
    /// [`Failure`] if anything was found broken.
    pub fn run(self) -> Result<Summary, Box<Failure>> {
        self.run_with(self.scenario.options(self.seed))
    }

    /// Runs it with options of the caller's.
    ///
    /// # Errors
    /// [`Failure`] if anything was found broken.
    pub fn run_with(self, options: Options) -> Result<Summary, Box<Failure>> {
        match caught(|| Summary::of(&self.scenario.run(&options, self.seed, self.steps))) {
            Ok(summary) => Ok(summary),
            Err(said) => Err(Box::new(Failure { run: self, options, said })),
        }
    }

    /// What is typed to see it again.
    #[must_use]
    pub fn command(&self) -> String {
        let Run { scenario, seed, steps } = self;
        let mut command = format!("cargo run --release -p assize-sim -- --seed {seed}");
        if *scenario != Scenario::Swarm {
            command += &format!(" --scenario {}", scenario.name());
        }
        if *steps != STEPS {
            command += &format!(" --steps {steps}");
        }
        command
    }
}

impl Summary {
    fn of(world: &World) -> Summary {
        let replica = &world.replicas[0];
        let statuses = world.statuses.keys().fold(0, |all, status| all | 1 << status);
        Summary {
            steps: replica.steps(),
            slots: replica.disk.recorder.accepted().0,
            events: world.checkers[0].model.ended.len() as u64,
            downs: world.downs,
            statuses,
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
            statuses: self.statuses | other.statuses,
        }
    }
}

impl Failure {
    /// Who found it: the checker's name, or `assertion` for the engine's own.
    #[must_use]
    pub fn caught_by(&self) -> &str {
        caught_by(&self.said)
    }
}

/// The name of the checker that said this, or `assertion`.
pub(crate) fn caught_by(said: &str) -> &str {
    let named = said.split_once("[").and_then(|(_, rest)| rest.split_once("]"));
    named.map_or("assertion", |(name, _)| name)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { run, options, said } = self;
        writeln!(f, "seed {} of {} fails", run.seed, run.scenario.name())?;
        writeln!(f, "options: {options:?}")?;
        writeln!(f, "{said}")?;
        write!(f, "{}", replay_line(&run.command()))
    }
}

/// The one line that shows a failure again.
#[must_use]
pub fn replay_line(command: &str) -> String {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "<commit>".to_owned());
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|all| !all.is_empty());
    let also = if changed { " # with uncommitted changes" } else { "" };
    format!("replay: git checkout {commit} && {command}{also}")
}

/// Steps under load of a run that says nothing else.
pub const STEPS: u64 = 3000;
