//! The Assize engine: [`run`] is all that a domain author's own `main` has to call.
//!
//! ```no_run
//! use assize_domain::DomainRegistry;
//!
//! fn main() -> std::process::ExitCode {
//!     let mut domains = DomainRegistry::new();
//!     domains.register(assize_inventory::InventoryDomain).expect("its id is free");
//!     assize::run(domains)
//! }
//! ```
//!
//! This crate is the shell: threads, sockets, files, signals. It holds no decision about an event; those
//! are in the pure crates below it, composed by `assize-node`.
#![warn(missing_docs)]

pub mod boot;
pub mod cli;
mod demo;
pub mod doctor;
pub mod exit;
mod faces;
mod huge_pages;
pub mod logging;
mod peer_log;
pub mod reactor;
mod run;
mod serve;
mod signals;

pub use assize_setup::config;
pub use run::run;
