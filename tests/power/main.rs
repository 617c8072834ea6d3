//! Power cuts on the real device: a replica runs under load, everything that it writes and flushes is recorded, and
//! for many moments of the record what a power cut may leave of its files is built and recovered.
//!
//! What a completed flush covers is there. Of every other write there is nothing, all, or any subset of its sectors;
//! a name that was not made durable is there or not. `kill -9` cannot show this: the kernel keeps what was written.
//! The last test proves that a device which does not flush is found out by the same checks.
//!
//! | file | is |
//! |---|---|
//! | `cuts.rs` | the tests: cut, recover, start, cut again |
//! | `beginnings.rs` | the tests of a format and a first start, cut off at each step |
//! | `record.rs` | what the device did and what clients were answered, in one order |
//! | `disk.rs` | the files as they are at a moment of the record, and as a cut leaves them |
//! | `checks.rs` | what a recovered image must hold |
//! | `running.rs` | a replica in this process on a real data directory, and its clients |
//!
//! `ASSIZE_POWER_RUNS=100` makes a long run: so many recorded runs of each layout, each with its cuts (default 1).
//! `ASSIZE_PROCESS_SEED` makes the same choices again; what the disk completes first is not in its power.

mod beginnings;
mod checks;
mod cuts;
mod disk;
mod record;
#[path = "../process/rng.rs"]
mod rng;
mod running;
