//! The commands of one lane: each is issued, delivered, perhaps acknowledged, and collected once it has expired, so
//! that none stays behind in an engine that runs for long.

use assize_telemetry::{Reason, TelemetryEvent};
use assize_wire::EntityId;
use assize_wire::message::Answer;
use assize_wire::outcome::Status;

use super::super::rng::Rng;

/// Those that were issued and not collected.
#[derive(Default)]
pub(super) struct Commands {
    all: Vec<Command>,
}

struct Command {
    sensor: EntityId,
    id: EntityId,
    next: Step,
    /// Its last step is not answered yet.
    under_way: bool,
    /// Nobody acknowledges it.
    lapses: bool,
}

/// What is asked of it next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Issue,
    Deliver,
    Acknowledge,
    Collect,
}

impl Commands {
    /// The next step of some command, or a new one for this sensor; nothing if all wait for answers.
    pub(super) fn draw(
        &mut self,
        rng: &mut Rng,
        sensor: EntityId,
        id: EntityId,
    ) -> Option<TelemetryEvent<'static>> {
        let due = (self.all.len() == COMMANDS_MAX || rng.next() >> 63 == 0)
            .then(|| self.all.iter_mut().find(|command| !command.under_way));
        if let Some(Some(command)) = due {
            command.under_way = true;
            let (sensor, id) = (command.sensor, command.id);
            return Some(match command.next {
                Step::Issue => unreachable!("it is not answered yet"),
                Step::Deliver => TelemetryEvent::Deliver { command: id },
                Step::Acknowledge => TelemetryEvent::Acknowledge { sensor, command: id, result: 1 },
                Step::Collect => TelemetryEvent::Collect { sensor, command: id },
            });
        }
        if self.all.len() == COMMANDS_MAX {
            return None;
        }
        let lapses = rng.below(4) == 0;
        self.all.push(Command { sensor, id, next: Step::Issue, under_way: true, lapses });
        let (instruction, time_to_live_ns) = (rng.next(), TIME_TO_LIVE_NS);
        Some(TelemetryEvent::Issue { sensor, command: id, instruction, time_to_live_ns })
    }

    /// What was decided of a command's step.
    pub(super) fn settle(&mut self, id: EntityId, answer: &Answer<'_>) {
        let Some(at) = self.all.iter().position(|command| command.id == id) else { return };
        let command = &mut self.all[at];
        command.under_way = false;
        let applied = answer.first_status == Status::Applied;
        command.next = match command.next {
            Step::Issue if !applied => {
                self.all.swap_remove(at);
                return;
            }
            Step::Issue => Step::Deliver,
            Step::Deliver if command.lapses => Step::Collect,
            Step::Deliver => Step::Acknowledge,
            Step::Acknowledge => Step::Collect,
            Step::Collect => {
                let early =
                    answer.first_status == Status::Rejected && answer.reason == Reason::NotExpired.number();
                match early || !answer.first_status.is_recorded() {
                    // Others have their turn first.
                    true => self.all[at..].rotate_left(1),
                    false => drop(self.all.swap_remove(at)),
                }
                return;
            }
        };
    }
}

/// Fewer than a sensor may have open, so that there is always room.
const COMMANDS_MAX: usize = 12;

/// Long enough for a device that is fast, short enough that some lapse while load runs.
const TIME_TO_LIVE_NS: u64 = 5_000_000;

const _: () = assert!(COMMANDS_MAX < assize_telemetry::COMMANDS_OPEN_MAX as usize);
