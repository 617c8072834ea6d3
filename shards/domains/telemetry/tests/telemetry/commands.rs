//! One test for each rule of `telemetry.allium` that is about commands, with the cases that a rule names.

use assize_domain::{EntityId, StreamTime, Verdict};
use assize_telemetry::{
    COMMANDS_OPEN_MAX, CommandState, NO_SILENCE_LIMIT, Reason, Status, TelemetryEvent, command_id, sensor_id,
};

use crate::answers::{Said, said};
use crate::books::Books;

const A: EntityId = sensor_id(1, 10);
const B: EntityId = sensor_id(2, 10);
const C: EntityId = command_id(77);

/// Runs an event: what it says, or why it is rejected without a word.
fn run(books: &mut Books, now: u64, event: &TelemetryEvent<'_>) -> Result<Said, Reason> {
    let (verdict, response) = books.run(now, event);
    match verdict {
        Verdict::Applied => Ok(said(&response).expect("an applied event answers")),
        Verdict::Rejected(number) => {
            assert_eq!(said(&response), None);
            Err(Reason::from_number(number).expect("a reason of the domain"))
        }
    }
}

/// A and B, and no commands.
fn two_sensors() -> Books {
    let mut books = Books::default();
    for sensor in [A, B] {
        let (silence_ns, raise_at, clear_at) = (NO_SILENCE_LIMIT, 100, 50);
        let event = TelemetryEvent::Configure { sensor, window_ns: 10, silence_ns, raise_at, clear_at };
        run(&mut books, 0, &event).unwrap();
    }
    books
}

/// And C for A, which lives from 20 to 29.
fn issued() -> Books {
    let mut books = two_sensors();
    assert_eq!(run(&mut books, 20, &issue(C, 10)), Ok(Said::Expiry(30)));
    books
}

fn issue(command: EntityId, time_to_live_ns: u64) -> TelemetryEvent<'static> {
    TelemetryEvent::Issue { sensor: A, command, instruction: 5, time_to_live_ns }
}

fn acknowledge(sensor: EntityId, result: u16) -> TelemetryEvent<'static> {
    TelemetryEvent::Acknowledge { sensor, command: C, result }
}

fn collect(sensor: EntityId) -> TelemetryEvent<'static> {
    TelemetryEvent::Collect { sensor, command: C }
}

const DELIVER: TelemetryEvent<'static> = TelemetryEvent::Deliver { command: C };

fn open(books: &Books) -> u8 {
    books.sensor(A).expect("A was configured").commands_open
}

/// Rule: IssueCommand. Invariant: CommandsChangeBeforeTheyExpire.
#[test]
fn issue_command() {
    let mut books = issued();
    let pending = CommandState {
        sensor: A,
        instruction: 5,
        issued_at: StreamTime(20),
        expires_at: StreamTime(30),
        changed_at: StreamTime(20),
        status: Status::Pending,
        result: 0,
    };
    assert_eq!((books.command(C), open(&books)), (Some(pending), 1));
    let before = books.clone();
    assert_eq!(run(&mut books, 21, &issue(command_id(1), 0)), Err(Reason::ZeroTimeToLive));
    let unknown = TelemetryEvent::Issue {
        sensor: sensor_id(9, 9),
        command: command_id(1),
        instruction: 5,
        time_to_live_ns: 1,
    };
    assert_eq!(run(&mut books, 21, &unknown), Err(Reason::UnknownSensor));
    assert_eq!(run(&mut books, 40, &issue(C, 10)), Err(Reason::CommandExists), "expired, not collected");
    assert_eq!(run(&mut books, 40, &issue(command_id(1), u64::MAX - 39)), Err(Reason::ExpiryTooFar));
    assert_eq!(books, before);
    assert_eq!(run(&mut books, 40, &issue(command_id(1), u64::MAX - 40)), Ok(Said::Expiry(u64::MAX)));
}

/// Rule: IssueCommand. Invariant: OpenCommandsAreBounded. Guarantee: OpenCommandsAreCounted.
#[test]
fn a_sensor_has_no_more_open_commands_than_it_may() {
    let mut books = issued();
    for number in 1..u128::from(COMMANDS_OPEN_MAX) {
        run(&mut books, 20, &issue(command_id(number), 10)).unwrap();
    }
    assert_eq!(open(&books), COMMANDS_OPEN_MAX);
    let further = issue(command_id(99), 10);
    assert_eq!(run(&mut books, 20, &further), Err(Reason::TooManyCommands));
    assert_eq!(run(&mut books, 30, &further), Err(Reason::TooManyCommands), "expired is not collected");
    assert_eq!(run(&mut books, 30, &collect(A)), Ok(Said::Collected(Status::Pending, 15)));
    assert_eq!(run(&mut books, 30, &further), Ok(Said::Expiry(40)));
    let answered = TelemetryEvent::Acknowledge { sensor: A, command: command_id(99), result: 0 };
    assert_eq!(run(&mut books, 31, &answered), Ok(Said::Open(15)), "an acknowledged command is not open");
    assert_eq!(run(&mut books, 31, &issue(command_id(100), 10)), Ok(Said::Expiry(41)));
}

/// Rule: DeliverCommand.
#[test]
fn deliver_command_before_its_expiry() {
    let mut books = issued();
    assert_eq!(run(&mut books, 30, &DELIVER), Err(Reason::CommandExpired));
    assert_eq!(run(&mut books, 29, &DELIVER), Ok(Said::Instruction(5)));
    let command = books.command(C).unwrap();
    assert_eq!((command.status, command.changed_at), (Status::Delivered, StreamTime(29)));
    assert_eq!(open(&books), 1, "a delivered command is still open");
    assert_eq!(run(&mut books, 29, &DELIVER), Err(Reason::AlreadyDelivered));
    assert_eq!(run(&mut books, 99, &DELIVER), Err(Reason::AlreadyDelivered));
    let other = TelemetryEvent::Deliver { command: command_id(1) };
    assert_eq!(run(&mut books, 29, &other), Err(Reason::UnknownCommand));
}

/// Rule: AcknowledgeCommand.
#[test]
fn acknowledge_command_before_its_expiry() {
    let mut books = issued();
    let mut late = books.clone();
    assert_eq!(run(&mut late, 30, &acknowledge(A, 3)), Err(Reason::CommandExpired));
    assert_eq!(late, books);
    assert_eq!(run(&mut books, 29, &acknowledge(B, 3)), Err(Reason::OtherSensor));
    assert_eq!(
        run(&mut books, 29, &acknowledge(A, 3)),
        Ok(Said::Open(0)),
        "a device need not fetch it before"
    );
    let command = books.command(C).unwrap();
    assert_eq!((command.status, command.result), (Status::Acknowledged, 3));
    assert_eq!((command.changed_at, open(&books)), (StreamTime(29), 0));
    for now in [29, 99] {
        assert_eq!(run(&mut books, now, &acknowledge(A, 4)), Err(Reason::AlreadyAcknowledged));
        assert_eq!(run(&mut books, now, &DELIVER), Err(Reason::AlreadyAcknowledged));
    }
    assert_eq!(books.command(C).unwrap().result, 3);
    let unknown = TelemetryEvent::Acknowledge { sensor: A, command: command_id(1), result: 0 };
    assert_eq!(run(&mut books, 29, &unknown), Err(Reason::UnknownCommand));

    let mut books = issued();
    run(&mut books, 21, &DELIVER).unwrap();
    let mut late = books.clone();
    assert_eq!(run(&mut late, 30, &acknowledge(A, 0)), Err(Reason::CommandExpired));
    assert_eq!(run(&mut books, 29, &acknowledge(A, 0)), Ok(Said::Open(0)));
}

/// Rule: CollectOpenCommand.
#[test]
fn collect_open_command_from_its_expiry_on() {
    let mut books = issued();
    assert_eq!(run(&mut books, 29, &collect(A)), Err(Reason::NotExpired));
    assert_eq!(run(&mut books, 30, &collect(B)), Err(Reason::OtherSensor));
    let mut delivered = books.clone();
    assert_eq!(run(&mut books, 30, &collect(A)), Ok(Said::Collected(Status::Pending, 0)));
    assert_eq!((books.command(C), open(&books)), (None, 0));
    assert_eq!(run(&mut books, 30, &collect(A)), Err(Reason::UnknownCommand));
    assert_eq!(run(&mut books, 30, &issue(C, 5)), Ok(Said::Expiry(35)), "its number may be used again");

    run(&mut delivered, 25, &DELIVER).unwrap();
    assert_eq!(run(&mut delivered, 30, &collect(A)), Ok(Said::Collected(Status::Delivered, 0)));
    assert_eq!(delivered, two_sensors());
}

/// Rule: CollectAcknowledgedCommand.
#[test]
fn collect_acknowledged_command_and_count_it_once() {
    let mut books = issued();
    run(&mut books, 20, &issue(command_id(1), 100)).unwrap();
    run(&mut books, 25, &acknowledge(A, 0)).unwrap();
    assert_eq!(run(&mut books, 29, &collect(A)), Err(Reason::NotExpired));
    assert_eq!(run(&mut books, 30, &collect(A)), Ok(Said::Collected(Status::Acknowledged, 1)));
    assert_eq!((books.command(C), open(&books)), (None, 1));
}

/// Rule: InspectCommand.
#[test]
fn inspect_command() {
    let mut books = issued();
    let before = books.clone();
    let state = before.state(C).map(<[u8]>::to_vec);
    assert!(state.is_some());
    // Expired or not: it is there until it is collected.
    for now in [21, 30] {
        assert_eq!(
            run(&mut books, now, &TelemetryEvent::Inspect { entity: C }),
            Ok(Said::State(state.clone()))
        );
    }
    assert_eq!(books, before);
}
