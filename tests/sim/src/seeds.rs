//! Many seeds of one test: the first that fails is named, with the line that runs it again.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Once;

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
            eprintln!("to see it again: ASSIZE_SEED={seed} cargo test -p assize-sim --test replica {name}");
            resume_unwind(panic);
        }
    }
}

/// Whether all seeds run, so that what only many of them reach may be asked for.
pub fn all_seeds() -> bool {
    std::env::var("ASSIZE_SEED").is_err()
}

/// Runs what may panic without a word about it, and says whether it completed.
pub fn silently<T>(body: impl FnOnce() -> T) -> Option<T> {
    quiet();
    let before = SILENT.replace(true);
    let ended = catch_unwind(AssertUnwindSafe(body)).ok();
    SILENT.set(before);
    ended
}

fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !SILENT.get() {
                before(info);
            }
        }));
    });
}

thread_local! {
    static SILENT: Cell<bool> = const { Cell::new(false) };
}
