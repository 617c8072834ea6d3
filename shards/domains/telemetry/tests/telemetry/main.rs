//! The telemetry domain from outside: its rules, its bytes, and random histories against a model.

mod answers;
mod asks;
mod books;
mod commands;
mod determinism;
#[path = "../../../../../tests/fuzz/src/telemetry.rs"]
mod fuzzed;
mod layout;
mod model;
mod notation;
mod properties;
mod rules;
