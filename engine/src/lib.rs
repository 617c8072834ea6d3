//! assize.
pub mod config;
pub mod cli;
pub mod exit;
pub mod logging;
pub mod doctor;
