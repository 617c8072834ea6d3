//! Many seeds of one property: the first that fails is named, with the line that runs it again.
//!
//! `ASSIZE_SEEDS=N` runs N seeds for each number of shards instead of a few hundred, two schedules each; in a release
//! build thousands take seconds: `ASSIZE_SEEDS=5000 cargo test --release -p assize-shards --test shard serial`.
//! `ASSIZE_SEED=N` runs that seed alone.

use std::panic::{catch_unwind, resume_unwind};

use assize_kit::drive::quiet;
use assize_kit::seeds;

/// Runs `body` for each number of shards and each seed, and says how to see again what failed.
pub fn for_each_seed(test: &str, body: impl Fn(u16, u64) + std::panic::RefUnwindSafe) {
    quiet();
    for shards in [1, 2, 3, 4, 8] {
        for seed in seeds(300) {
            catch_unwind(|| body(shards, seed)).unwrap_or_else(|panic| {
                eprintln!("to see this one again: ASSIZE_SEED={seed} cargo test -p assize-shards {test} (with {shards} shards)");
                resume_unwind(panic)
            });
        }
    }
}
