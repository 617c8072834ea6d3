//! The second bundled domain: devices report readings, which are counted in windows of stream time and raise alarms
//! with hysteresis; devices take commands, which expire in stream time.
//!
//! It keeps no state, reads no clock and allocates nothing while it evaluates. All numbers are whole: a reading is an
//! `i32` in its sensor's smallest unit. The byte layouts are in the crate's `README.md`; the rules, in words, in
//! `telemetry.allium`.
//!
//! | module | is |
//! |---|---|
//! | [`ids`] | ids of sensors and commands, which cannot collide |
//! | [`event`] | what is asked: [`TelemetryEvent`], encoded and parsed |
//! | [`mod@line`] | one reading in a report |
//! | [`sensor`] | the state of a sensor, and what may become of it |
//! | [`settings`] | what an operator sets for a sensor |
//! | [`tally`] | count, sum and bounds of a window's readings |
//! | [`windows`] | the current window, the last one, and those without readings |
//! | [`alarm`] | thresholds, and the alarm that follows them |
//! | [`command`] | the state of a command, and when it is over |
//! | [`answer`] | what an event returns: [`TelemetryAnswer`] |
//! | [`effect`] | in an answer: what an event did to a sensor |
//! | [`inspected`] | in an answer: a state, or that there is none |
//! | [`reason`] | why an event is rejected or malformed |
//! | `notation` | events, states and answers in JSON |
//! | [`evaluate`] | the domain itself |
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

pub mod alarm;
pub mod answer;
pub mod command;
pub mod effect;
pub mod evaluate;
pub mod event;
pub mod ids;
pub mod inspected;
pub mod line;
mod notation;
pub mod reason;
pub mod sensor;
pub mod settings;
pub mod tally;
pub mod windows;

pub use alarm::{Alarm, Thresholds};
pub use answer::{Lines, TelemetryAnswer};
pub use command::{CommandState, Status};
pub use effect::Effect;
pub use evaluate::{TELEMETRY, TelemetryDomain, VERSION};
pub use event::{LINES_MAX, TelemetryEvent};
pub use ids::{command_id, sensor_id};
pub use inspected::Inspected;
pub use line::Line;
pub use reason::{Malformed, Reason};
pub use sensor::{COMMANDS_OPEN_MAX, Latest, SensorState};
pub use settings::{NO_SILENCE_LIMIT, Settings};
pub use tally::Tally;
pub use windows::Windows;
