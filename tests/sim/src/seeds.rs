//! Many seeds of one test: the first that fails is named, with the line that runs it again. And panics that are caught
//! without a word.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Once;

use crate::runner::replay_line;

/// Runs `test` with each seed, or with the one that `ASSIZE_SEED` names.
pub fn each_seed(name: &str, seeds: std::ops::Range<u64>, mut test: impl FnMut(u64)) {
    quiet();
    let seeds = match std::env::var("ASSIZE_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("ASSIZE_SEED is a number");
            seed..seed + 1
        }
        Err(_) => seeds,
    };
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(seed))) {
            let target = test_target();
            let command = format!("ASSIZE_SEED={seed} cargo test -p assize-sim --test {target} {name}");
            eprintln!("{}", replay_line(&command));
            resume_unwind(panic);
        }
    }
}

/// The name of the test target that runs: its file's, without the hash that Cargo appends.
fn test_target() -> String {
    let file = std::env::current_exe().ok();
    let stem = file.as_ref().and_then(|file| file.file_stem()?.to_str()).unwrap_or("cluster");
    stem.rsplit_once('-').map_or(stem, |(target, _hash)| target).to_owned()
}

/// Whether all seeds run, so that what only many of them reach may be asked for.
pub fn all_seeds() -> bool {
    std::env::var("ASSIZE_SEED").is_err()
}

/// Whether `ASSIZE_TRACE` asks for a line about everything that matters.
pub(crate) fn traces() -> bool {
    static TRACES: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *TRACES.get_or_init(|| std::env::var("ASSIZE_TRACE").is_ok())
}

/// A line for whoever asked for a trace.
macro_rules! trace {
    ($($said:tt)+) => {
        if $crate::seeds::traces() {
            println!($($said)+);
        }
    };
}
pub(crate) use trace;

/// Runs what may panic without a word about it, and says whether it completed.
pub fn silently<T>(body: impl FnOnce() -> T) -> Option<T> {
    caught(body).ok()
}

/// Runs what may panic without a word about it. `Err` is what it said, and where.
pub fn caught<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    quiet();
    let before = SILENT.replace(true);
    let ended = catch_unwind(AssertUnwindSafe(body));
    SILENT.set(before);
    ended.map_err(|_| SAID.take())
}

fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if SILENT.get() {
                SAID.set(info.to_string());
            } else {
                before(info);
            }
        }));
    });
}

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
    /// What the last panic that was caught said.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}
