//! What a replica is set up with, before it runs: its configuration, what all replicas agree on, and the data directory
//! that `format` makes of both. The engine uses it, and so does whoever sets up a replica for an operator.
//!
//! | file | is |
//! |---|---|
//! | `config/` | the configuration, and the options of `format` |
//! | `agreed_options.rs` | what was agreed, as the options of `format` that mean it |
//! | `agreed_file.rs` | what was agreed, as a file |
//! | `format.rs` | a data directory for both |
//! | `cpus.rs` | which CPUs there are |
//!
//! It never starts anything, and changes nothing but what it formats.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod agreed_file;
mod agreed_options;
pub mod config;
mod cpus;
mod format;

pub use agreed_file::{AgreedFile, AgreedFileError};
pub use agreed_options::format_options;
pub use cpus::{allowed_cpus, cpu_list};
pub use format::{FormatError, NewDisk, format};
