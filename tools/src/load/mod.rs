//! The load generator: drives an engine with events of the bundled domains, measures, and closes the books.
//!
//! [`run`] creates items and sensors, keeps a [`LoadPlan`]'s load up through restarts and changes of leader, resubmits
//! what is unanswered under the same keys until it is answered, reads all of them back and compares them with what the
//! engine's *answers* say must be there. It never trusts its own intentions: an event counts when an answer says so.

mod batch;
mod books;
pub mod cli;
mod compare;
mod connection;
mod day;
mod encoded;
mod error;
mod files;
mod flags;
mod generator;
mod hgrm;
mod interval_log;
mod journal;
mod pace;
mod plan;
mod plot;
mod progress;
pub mod replay;
mod report;
mod rng;
mod run;
mod saved;
mod scouts;
mod setup;
mod source;
mod stats;
mod threads;
mod timer;
mod worker;
mod workload;
mod zipf;

pub use books::Books;
pub use compare::{print_comparison, write_comparison_svg};
pub use day::{DAY_EVENTS_MAX, write_day};
pub use error::{LoadError, PlanError};
pub use files::{NotWritable, Reserved};
pub use flags::{LoadFlags, MixFlag, WorkloadFlag};
pub use hgrm::write_hgrm;
pub use interval_log::write_interval_log;
pub use journal::{JournalCheck, JournalEntry, JournalMismatch, verify_journal};
pub use plan::{LoadPlan, Mix, Rate, Skew};
pub use plot::write_svg;
pub use progress::{LiveLine, Phase, Progress, ProgressLine, Quiet};
pub use report::{
    Counts, Gap, LatencyUs, LoadReport, RunKind, RunReport, SCHEMA, SCHEMA_VERSION, print_report,
};
pub use run::run;
pub use saved::{NoReport, SavedReport, SavedReportError};
pub use stats::{Interval, Measured};
pub use workload::{SensorBooks, Workload};
pub use zipf::Ranks;
