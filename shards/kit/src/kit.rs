//! [`Kit`]: what is run, and for how long.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use assize_domain::{DomainRegistry, StreamTime};

use crate::books::Evaluated;
use crate::drive::Guard;
use crate::failure::{Failure, Kind};
use crate::sequence::{Sequence, Source};
use crate::teller::Teller;
use crate::{Dice, Draft, Report, again, books, seeds, sharded};

/// Runs the same events in many ways, and compares.
#[derive(Clone)]
pub struct Kit {
    pub(crate) domains: Arc<dyn Fn() -> DomainRegistry + Send + Sync>,
    seeds: u64,
    events: usize,
    pub(crate) faults_expected: bool,
    patience: Duration,
}

impl Kit {
    /// Of the domains that `domains` makes: it is called for every replica anew.
    #[must_use]
    pub fn new(domains: impl Fn() -> DomainRegistry + Send + Sync + 'static) -> Kit {
        Kit {
            domains: Arc::new(domains),
            seeds: SEEDS,
            events: EVENTS,
            faults_expected: false,
            patience: PATIENCE,
        }
    }

    /// Runs so many seeds instead of 20. Set in the environment, `ASSIZE_SEEDS=N` counts more, and `ASSIZE_SEED=N` runs
    /// that one alone.
    #[must_use]
    pub fn seeds(self, seeds: u64) -> Kit {
        Kit { seeds, ..self }
    }

    /// Draws so many events for each seed instead of 200.
    #[must_use]
    pub fn events(self, events: usize) -> Kit {
        Kit { events, ..self }
    }

    /// Takes a fault for an ending like any other: for a domain that is known to panic. Faults are compared, too.
    #[must_use]
    pub fn faults_expected(self) -> Kit {
        Kit { faults_expected: true, ..self }
    }

    /// Waits so long instead of half a minute for an evaluation to come back.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Kit {
        Kit { patience, ..self }
    }

    /// Checks a domain with events that `draw` draws, each at its stream time. Draw few keys and entities, so that
    /// events meet. One in twelve gets its bytes spoiled: nobody promises that clients send events.
    ///
    /// # Errors
    /// [`Failure`], with the first event that shows it.
    ///
    /// # Panics
    /// When the engine breaks a promise of its own, or an event is longer than one may be.
    pub fn check(&self, draw: impl Fn(&mut Dice, StreamTime) -> Draft) -> Result<Report, Failure> {
        self.check_all(&Source::Drawn(&draw, self.events))
    }

    /// Checks a domain with these events, in this order, as they are.
    ///
    /// # Errors
    /// As [`Kit::check`].
    ///
    /// # Panics
    /// As [`Kit::check`].
    pub fn check_these(&self, events: &[Draft]) -> Result<Report, Failure> {
        self.check_all(&Source::Given(events))
    }

    fn check_all(&self, source: &Source<'_>) -> Result<Report, Failure> {
        let (mut report, mut last) = (Report::default(), 0);
        for seed in seeds(self.seeds) {
            let sequence = Sequence::of(seed, source, &(self.domains)());
            report.add(&self.check_one(Arc::new(sequence))?);
            last = seed;
        }
        if report.applied() == 0 {
            let text = report.to_string();
            let again = again(last);
            return Err(Failure { kind: Kind::NothingApplied, seed: last, event: None, text, again });
        }
        Ok(report)
    }

    /// Runs a seed on a thread of its own, so that one that does not come back can be told of.
    fn check_one(&self, sequence: Arc<Sequence>) -> Result<Report, Failure> {
        let seed = sequence.seed;
        let run = Run {
            kit: self.clone(),
            sequence,
            guard: Guard::default(),
            at: Arc::default(),
            again: again(seed),
        };
        let (watched, (done, wait)) = (run.clone(), channel());
        let body = move || {
            // If nobody waits any more, it was given up.
            let _ = done.send(catch_unwind(AssertUnwindSafe(|| run.check())));
        };
        thread::Builder::new().name(format!("seed {seed}")).spawn(body).expect("a thread for the seed");
        let mut calls = None;
        loop {
            match wait.recv_timeout(self.patience) {
                Ok(Ok(checked)) => return checked,
                Ok(Err(panic)) => {
                    eprintln!("{}", watched.again);
                    resume_unwind(panic)
                }
                Err(RecvTimeoutError::Timeout) => {
                    let now = watched.guard.calls.load(Ordering::Relaxed);
                    if calls.replace(now) == Some(now) {
                        return Err(watched.gave_up());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the thread of seed {seed} ended without a word")
                }
            }
        }
    }
}

/// One seed's run.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) kit: Kit,
    pub(crate) sequence: Arc<Sequence>,
    pub(crate) guard: Guard,
    /// The event that is evaluated.
    at: Arc<AtomicUsize>,
    again: String,
}

impl Run {
    fn check(&self) -> Result<Report, Failure> {
        let serial = again::check(self)?;
        let mut report = Report::default();
        for (entry, evaluated) in self.sequence.entries.iter().zip(&serial.evaluated) {
            let Evaluated { ending, .. } = evaluated;
            report.events += 1;
            *report.endings.entry((entry.draft.domain, ending.status, ending.reason)).or_default() += 1;
        }
        sharded::check(self, &serial, &mut report)?;
        Ok(report)
    }

    /// The domains, made anew.
    pub(crate) fn domains(&self) -> DomainRegistry {
        (self.kit.domains)()
    }

    /// What an event's evaluation is given beside the states.
    pub(crate) fn asked(&self, at: usize) -> books::Asked<'_> {
        self.at.store(at, Ordering::Relaxed);
        let entry = &self.sequence.entries[at];
        books::Asked { bytes: &entry.bytes, logic: &entry.logic, now: entry.time }
    }

    /// A failure that an event shows.
    pub(crate) fn failure(&self, kind: Kind, at: usize, domains: &DomainRegistry, text: &str) -> Failure {
        let entry = Teller { domains }.entry(&self.sequence.entries[at]);
        let text = format!("{entry}\n{text}");
        Failure { kind, seed: self.sequence.seed, event: Some(at), text, again: self.again.clone() }
    }

    fn gave_up(&self) -> Failure {
        let at = self.at.load(Ordering::Relaxed);
        let text = format!("  waited   {:?}", self.kit.patience);
        self.failure(Kind::Unbounded, at, &self.domains(), &text)
    }
}

const SEEDS: u64 = 20;
const EVENTS: usize = 200;

/// Nothing that is bounded takes so long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(30);
