//! The same events come to the same through any shards, in any order of their messages, and after any start (D1).

use assize_domain::{DomainRegistry, StreamTime};
use assize_kit::{Dice, Draft, Kit};
use assize_telemetry::{
    Line, NO_SILENCE_LIMIT, Reason, TELEMETRY, TelemetryDomain, TelemetryEvent, command_id, sensor_id,
};

fn domains() -> DomainRegistry {
    let mut domains = DomainRegistry::new();
    domains.register(TelemetryDomain).unwrap();
    domains
}

/// An event over few sensors and commands, so that events meet, with times from nothing to hours.
fn draw(dice: &mut Dice, _now: StreamTime) -> Draft {
    let sensor = sensor_id(dice.below(2), 0);
    let command = command_id(dice.below(40).into());
    let second = 1_000_000_000;
    let length = |dice: &mut Dice| *dice.one_of(&[0, 1, second, 60 * second, 3600 * second, u64::MAX]);
    let channels = 1 + dice.below(4);
    let lines: Vec<Line> = (0..channels)
        .map(|channel| {
            Line::new(sensor_id(dice.below(2), channel / 2), dice.below(60), dice.below(13) as i32 - 6)
        })
        .collect();
    let event = match dice.below(20) {
        0..3 => TelemetryEvent::Configure {
            sensor,
            window_ns: length(dice),
            silence_ns: if dice.once_in(3) { NO_SILENCE_LIMIT } else { length(dice) },
            raise_at: dice.below(4) as i32,
            clear_at: 1 - dice.below(4) as i32,
        },
        3..6 => TelemetryEvent::Report { lines: &lines[..1] },
        6 => TelemetryEvent::Report { lines: &lines },
        7..14 => TelemetryEvent::Issue { sensor, command, instruction: 9, time_to_live_ns: length(dice) },
        14 => TelemetryEvent::Deliver { command },
        15 => TelemetryEvent::Acknowledge { sensor, command, result: 3 },
        16 => TelemetryEvent::Collect { sensor, command },
        17 | 18 => TelemetryEvent::CheckSilence { sensor },
        _ => TelemetryEvent::Inspect { entity: if dice.once_in(2) { sensor } else { command } },
    };
    let mut payload = Vec::new();
    event.encode_payload(&mut payload);
    Draft::new(&TelemetryDomain, payload)
}

#[test]
fn d1_the_same_events_come_to_the_same_everywhere() {
    let report = Kit::new(domains).check(draw).unwrap();
    // A window counts four billion readings before it is full.
    for reason in Reason::ALL.iter().filter(|reason| **reason != Reason::WindowFull) {
        assert!(
            report.rejected(TELEMETRY, reason.number()) > 0,
            "nothing was rejected because {reason}: {report}"
        );
    }
}
