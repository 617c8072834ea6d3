//! What an answer says, apart from the bytes that it was read from; and bytes that are no answer.

use assize_domain::{Response, StreamTime};
use assize_telemetry::{
    CommandState, Effect, Inspected, Reason, SensorState, Settings, Status, TelemetryAnswer, command_id,
    sensor_id,
};

/// The contents of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Configured(Effect),
    Lines(Vec<Result<Effect, Reason>>),
    Expiry(u64),
    Instruction(u64),
    Open(u8),
    Collected(Status, u8),
    Silence(u64),
    State(Option<Vec<u8>>),
}

/// Reads an answer. Nothing if there is none.
pub fn said(response: &[u8]) -> Option<Said> {
    if response.is_empty() {
        return None;
    }
    let answer = TelemetryAnswer::parse(response).unwrap_or_else(|| panic!("no answer: {response:?}"));
    Some(match answer {
        TelemetryAnswer::Configured(effect) => Said::Configured(effect),
        TelemetryAnswer::Reported(lines) => Said::Lines(lines.iter().collect()),
        TelemetryAnswer::Issued { expires_at } => Said::Expiry(expires_at.0),
        TelemetryAnswer::Delivered { instruction } => Said::Instruction(instruction),
        TelemetryAnswer::Acknowledged { commands_open } => Said::Open(commands_open),
        TelemetryAnswer::Collected { ended, commands_open } => Said::Collected(ended, commands_open),
        TelemetryAnswer::Silent { silence_ns } => Said::Silence(silence_ns),
        TelemetryAnswer::Inspected(inspected) => Said::State(inspected.state().map(<[u8]>::to_vec)),
    })
}

/// The bytes of an answer.
pub fn bytes(answer: &TelemetryAnswer<'_>) -> Vec<u8> {
    let mut response = Response::new();
    answer.push(&mut response);
    response.as_slice().to_vec()
}

pub fn a_sensor() -> SensorState {
    SensorState::new(Settings::new(10, 0, 5, 3).unwrap(), StreamTime(7))
}

pub fn a_command() -> CommandState {
    CommandState::issued(sensor_id(1, 2), 3, 4, StreamTime(5)).unwrap()
}

#[test]
fn every_answer_reads_back_and_is_told_from_every_other() {
    let effect =
        Effect { alarm_raised: true, alarm_changed: false, silence_ended: true, window_began: false };
    let (sensor, command) = (a_sensor().encode(), a_command().encode());
    let answers = [
        TelemetryAnswer::Configured(effect),
        TelemetryAnswer::Issued { expires_at: StreamTime(u64::MAX) },
        TelemetryAnswer::Delivered { instruction: 1 << 63 },
        TelemetryAnswer::Acknowledged { commands_open: 16 },
        TelemetryAnswer::Collected { ended: Status::Delivered, commands_open: 15 },
        TelemetryAnswer::Silent { silence_ns: 9 },
        TelemetryAnswer::Inspected(Inspected::Absent),
        TelemetryAnswer::Inspected(Inspected::of(sensor_id(1, 2), Some(&sensor))),
        TelemetryAnswer::Inspected(Inspected::of(command_id(1), Some(&command))),
    ];
    for answer in answers {
        let bytes = bytes(&answer);
        assert_eq!(TelemetryAnswer::parse(&bytes), Some(answer));
        for length in 0..bytes.len() {
            assert_eq!(TelemetryAnswer::parse(&bytes[..length]), None, "{answer:?} {length}");
        }
        assert_eq!(TelemetryAnswer::parse(&[&bytes[..], &[0]].concat()), None, "{answer:?} and a byte");
    }
}

#[test]
fn what_is_no_answer_is_not_read_as_one() {
    let taken = [0, 0, 1, 4];
    let (sensor, command) = (a_sensor().encode(), a_command().encode());
    assert!(TelemetryAnswer::parse(&[&[2, 1, 0, 0], &taken[..]].concat()).is_some());
    for (response, what) in [
        (vec![0, 0, 0, 0], "no kind"),
        (vec![9, 0, 0, 0], "a kind beyond the last"),
        ([&[1, 0, 0, 1], &taken[..]].concat(), "a reserved byte"),
        ([&[1, 1, 0, 0], &taken[..]].concat(), "a first number where there is none"),
        ([&[2, 1, 1, 0], &taken[..]].concat(), "a second number where there is none"),
        ([&[2, 2, 0, 0], &taken[..]].concat(), "another count than there are lines"),
        (vec![2, 0, 0, 0], "a report without lines"),
        ([&[2, 17, 0, 0], &taken.repeat(17)[..]].concat(), "more lines than a report has"),
        ([&[2, 1, 0, 0], &[0, 0, 1, 8][..]].concat(), "an unknown flag"),
        ([&[2, 1, 0, 0], &[0, 0, 0, 0][..]].concat(), "an effect without an alarm"),
        ([&[2, 1, 0, 0], &[99, 0, 1, 0][..]].concat(), "an unknown reason"),
        ([&[2, 1, 0, 0], &[2, 0, 1, 0][..]].concat(), "a refusal with an alarm"),
        ([&[1, 0, 0, 0], &[2, 0, 0, 0][..]].concat(), "a configuration that was refused"),
        (vec![5, 17, 0, 0], "more open commands than a sensor has"),
        (vec![6, 0, 0, 0], "a command that ended in no status"),
        ([&[8, 1, 0, 0], &command[..]].concat(), "a command's state as a sensor's"),
        ([&[8, 2, 0, 0], &sensor[..]].concat(), "a sensor's state as a command's"),
        ([&[8, 0, 0, 0], &command[..]].concat(), "a state of what is absent"),
        ([&[8, 3, 0, 0], &command[..]].concat(), "a state of neither"),
    ] {
        assert_eq!(TelemetryAnswer::parse(&response), None, "{what}");
    }
}
