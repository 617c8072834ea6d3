//! Each event one after the other, then each of them once more: at once, and elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::thread;

use assize_domain::{DomainId, DomainRegistry, EntityId};

use crate::books::{Evaluated, evaluate, keep};
use crate::contract;
use crate::drive::Guard;
use crate::failure::{Failure, Kind};
use crate::kit::Run;
use crate::teller::Teller;
use crate::{Dice, Ending};

/// What every other way of running the events must come to.
pub(crate) struct Serial {
    /// By event.
    pub(crate) evaluated: Vec<Evaluated>,
    /// The states that each was evaluated on.
    before: Vec<States>,
    /// All states at the end.
    pub(crate) states: States,
    /// All entities that were named.
    pub(crate) names: BTreeSet<(DomainId, EntityId)>,
}

/// States of entities that exist.
pub(crate) type States = BTreeMap<(DomainId, EntityId), Vec<u8>>;

/// Evaluates all events, checks what their domains promise, and evaluates each again.
pub(crate) fn check(run: &Run) -> Result<Serial, Failure> {
    let serial = one_after_the_other(run)?;
    let (domains, guard) = (run.domains(), run.guard.clone());
    // Scoped: the thread ends before what it reads does.
    let elsewhere = thread::scope(|scope| scope.spawn(|| elsewhere(run, &serial, &domains, &guard)).join());
    let elsewhere = elsewhere.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    match elsewhere {
        Some((at, found)) => {
            Err(differs(run, Kind::KeepsState, at, &domains, &serial.evaluated[at].ending, &found))
        }
        None => Ok(serial),
    }
}

/// The failure that an event shows by coming to two things.
pub(crate) fn differs(
    run: &Run,
    kind: Kind,
    at: usize,
    domains: &DomainRegistry,
    expected: &Ending,
    found: &Ending,
) -> Failure {
    let draft = &run.sequence.entries[at].draft;
    let mut text = Teller { domains }.difference(draft, expected, found);
    if expected == found {
        text += "\n  differs  which entities it names";
    }
    run.failure(kind, at, domains, &text)
}

fn one_after_the_other(run: &Run) -> Result<Serial, Failure> {
    let domains = run.domains();
    let mut serial =
        Serial { evaluated: Vec::new(), before: Vec::new(), states: States::new(), names: BTreeSet::new() };
    for at in 0..run.sequence.entries.len() {
        let states = &serial.states;
        let once = evaluate(&domains, &run.guard, run.asked(at), |name| states.get(name));
        let twice = evaluate(&domains, &run.guard, run.asked(at), |name| states.get(name));
        if (&once.ending, &once.entities) != (&twice.ending, &twice.entities) {
            return Err(differs(run, Kind::Undetermined, at, &domains, &once.ending, &twice.ending));
        }
        contract::check(run, at, &domains, states, &once)?;
        let domain = run.sequence.entries[at].draft.domain;
        let names = || once.entities.iter().map(|id| (domain, *id));
        let before = names().filter_map(|name| Some((name, states.get(&name)?.clone())));
        serial.before.push(before.collect());
        serial.names.extend(names());
        keep(&mut serial.states, &once.ending);
        serial.evaluated.push(once);
    }
    Ok(serial)
}

/// The first event that comes to something else in another instance of the domains, on this thread, in another order,
/// with other things in memory.
fn elsewhere(run: &Run, serial: &Serial, domains: &DomainRegistry, guard: &Guard) -> Option<(usize, Ending)> {
    let mut dice = Dice::new(run.sequence.seed | 1 << 62);
    let mut junk: Vec<Vec<u8>> = Vec::new();
    let mut found = None;
    for at in (0..serial.evaluated.len()).rev() {
        junk.push(vec![0xa5; dice.below(4096) as usize]);
        if junk.len() > JUNK_PIECES {
            let _ = junk.swap_remove(dice.below(JUNK_PIECES as u64) as usize);
        }
        let before = &serial.before[at];
        let again = deeper(dice.below(DEEPER_MAX), || {
            evaluate(domains, guard, run.asked(at), |name| before.get(name))
        });
        let once = &serial.evaluated[at];
        if (&once.ending, &once.entities) != (&again.ending, &again.entities) {
            found = Some((at, again.ending));
        }
    }
    found
}

/// Calls `body` from further down the stack.
fn deeper<T>(depth: u64, body: impl FnOnce() -> T) -> T {
    let room = black_box([depth; 16]);
    let result =
        if depth == 0 { body() } else { deeper(depth - 1, Box::new(body) as Box<dyn FnOnce() -> T>) };
    black_box(room);
    result
}

const JUNK_PIECES: usize = 64;
const DEEPER_MAX: u64 = 8;
