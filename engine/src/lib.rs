//! assize.
pub mod config;
