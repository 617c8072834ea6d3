//! assize.
pub mod cli;
pub mod config;
pub mod doctor;
pub mod exit;
pub mod logging;
