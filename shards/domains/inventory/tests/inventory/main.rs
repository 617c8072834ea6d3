//! The inventory domain from outside: its rules, its bytes, and random histories against a model.

mod books;
mod determinism;
#[path = "../../../../../tests/fuzz/src/inventory.rs"]
mod fuzzed;
mod layout;
mod model;
mod notation;
mod properties;
mod protocol;
mod rules;
