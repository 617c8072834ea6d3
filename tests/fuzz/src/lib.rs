//! What is fuzzed: one function a parser. The same functions run, bounded and repeatable, in `cargo test`.

pub mod inventory;
pub mod telemetry;
pub mod wire;
