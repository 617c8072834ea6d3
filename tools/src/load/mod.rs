//! The load generator: drives an engine with inventory events, measures, and closes the books.
//!
//! [`run`] creates the items, keeps a [`LoadPlan`]'s load up through restarts and changes of leader, resubmits what is
//! unanswered under the same keys until it is answered, reads every item back and compares it with what the engine's
//! *answers* say must be there. It never trusts its own intentions: an event counts when an answer says so.

mod batch;
mod books;
mod connection;
mod error;
mod flags;
mod generator;
mod hgrm;
mod interval_log;
mod journal;
mod pace;
mod plan;
mod plot;
mod progress;
mod report;
mod rng;
mod run;
mod scouts;
mod setup;
mod stats;
mod timer;
mod worker;
mod zipf;

pub use books::Books;
pub use error::{LoadError, PlanError};
pub use flags::{LoadFlags, MixFlag};
pub use hgrm::write_hgrm;
pub use interval_log::write_interval_log;
pub use journal::{JournalCheck, JournalEntry, JournalMismatch, verify_journal};
pub use plan::{LoadPlan, Mix, Rate, Skew};
pub use plot::write_svg;
pub use progress::{LiveLine, Phase, Progress, ProgressLine, Quiet};
pub use report::{Counts, Gap, LatencyUs, LoadReport, print_report};
pub use run::run;
pub use stats::{Interval, Measured};
pub use zipf::Ranks;
