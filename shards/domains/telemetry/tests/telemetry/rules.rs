//! One test for each rule of `telemetry.allium` that is about sensors, with the cases that a rule names. Those about
//! commands are in `commands.rs`.

use assize_domain::{EntityId, StreamTime, Verdict};
use assize_telemetry::{
    Alarm, Effect, Latest, Line, NO_SILENCE_LIMIT, Reason, SensorState, Tally, TelemetryEvent, Windows,
    command_id, sensor_id,
};

use crate::answers::{Said, said};
use crate::books::Books;

const A: EntityId = sensor_id(1, 10);
const B: EntityId = sensor_id(2, 10);
const C: EntityId = sensor_id(3, 10);

/// An effect on a sensor whose alarm is clear, in the window that it was in.
const QUIET: Effect =
    Effect { alarm_raised: false, alarm_changed: false, silence_ended: false, window_began: false };
const NEW_WINDOW: Effect = Effect { window_began: true, ..QUIET };

const EMPTY: Tally = Tally { count: 0, sum: 0, min: 0, max: 0 };

/// Runs an event; what it says if it is applied, or why it is rejected.
fn run(books: &mut Books, now: u64, event: &TelemetryEvent<'_>) -> Result<Said, u16> {
    let (verdict, response) = books.run(now, event);
    match verdict {
        Verdict::Applied => Ok(said(&response).expect("an applied event answers")),
        Verdict::Rejected(reason) => Err(reason),
    }
}

fn report(books: &mut Books, now: u64, sequence: u64, reading: i32) -> Result<Effect, Reason> {
    let lines = [Line::new(A, sequence, reading)];
    let (verdict, response) = books.run(now, &TelemetryEvent::Report { lines: &lines });
    let Some(Said::Lines(lines)) = said(&response) else { panic!("no lines: {response:?}") };
    let expected = lines[0].map_or_else(|reason| Verdict::Rejected(reason.number()), |_| Verdict::Applied);
    assert_eq!(verdict, expected);
    lines[0]
}

/// Windows of 10, silent after 30, an alarm from 100 to 50.
fn configure(sensor: EntityId) -> TelemetryEvent<'static> {
    TelemetryEvent::Configure { sensor, window_ns: 10, silence_ns: 30, raise_at: 100, clear_at: 50 }
}

/// A, configured so at this time.
fn configured(now: u64) -> Books {
    let mut books = Books::default();
    assert_eq!(run(&mut books, now, &configure(A)), Ok(Said::Configured(NEW_WINDOW)));
    books
}

fn sensor(books: &Books) -> SensorState {
    books.sensor(A).expect("A was configured")
}

fn tally(readings: &[i32]) -> Tally {
    readings.iter().fold(Tally::EMPTY, |tally, reading| tally.with(*reading).unwrap())
}

/// Rule: ConfigureNewSensor. Invariant: ThresholdsAreApart.
#[test]
fn configure_new_sensor() {
    let books = configured(25);
    let state = sensor(&books);
    assert_eq!((state.settings.window_ns.get(), state.settings.silence_ns.unwrap().get()), (10, 30));
    assert_eq!((state.settings.thresholds.raise_at(), state.settings.thresholds.clear_at()), (100, 50));
    assert_eq!((state.latest, state.heard_at, state.silent), (None, StreamTime(25), false));
    assert_eq!((state.windows, state.alarm, state.commands_open), (Windows::BEGIN, Alarm::CLEAR, 0));

    let mut books = Books::default();
    let asked = |window_ns, raise_at, clear_at| TelemetryEvent::Configure {
        sensor: A,
        window_ns,
        silence_ns: NO_SILENCE_LIMIT,
        raise_at,
        clear_at,
    };
    assert_eq!(run(&mut books, 1, &asked(0, 5, 5)), Err(Reason::ZeroWindow.number()));
    assert_eq!(run(&mut books, 1, &asked(1, 5, 5)), Err(Reason::ThresholdsMeet.number()));
    assert_eq!(run(&mut books, 1, &asked(1, 4, 5)), Err(Reason::ThresholdsMeet.number()));
    assert_eq!(books.len(), 0);
    assert!(run(&mut books, 1, &asked(u64::MAX, i32::MIN + 1, i32::MIN)).is_ok());
    assert_eq!(sensor(&books).settings.silence_ns, None);
}

/// Rule: ChangeSettings.
#[test]
fn change_settings_and_judge_the_latest_reading_by_them() {
    let mut books = configured(0);
    report(&mut books, 1, 1, 70).unwrap();
    let asked = |raise_at, clear_at| TelemetryEvent::Configure {
        sensor: A,
        window_ns: 10,
        silence_ns: 5,
        raise_at,
        clear_at,
    };
    let raised = Effect { alarm_raised: true, alarm_changed: true, ..QUIET };
    assert_eq!(run(&mut books, 4, &asked(70, 60)), Ok(Said::Configured(raised)));
    assert_eq!(sensor(&books).alarm, Alarm { raised: true, raises: 1, changed_at: StreamTime(4) });
    let kept = Effect { alarm_raised: true, ..NEW_WINDOW };
    assert_eq!(run(&mut books, 12, &asked(90, 69)), Ok(Said::Configured(kept)));
    assert_eq!(sensor(&books).windows, Windows { current: EMPTY, last: tally(&[70]), empty: 0 });
    let cleared = Effect { alarm_changed: true, ..QUIET };
    assert_eq!(run(&mut books, 13, &asked(90, 70)), Ok(Said::Configured(cleared)));
    assert_eq!(sensor(&books).alarm, Alarm { raised: false, raises: 1, changed_at: StreamTime(13) });

    // Silence counts from here, whatever was found before.
    run(&mut books, 18, &TelemetryEvent::CheckSilence { sensor: A }).unwrap();
    let heard = Effect { silence_ended: true, ..QUIET };
    assert_eq!(run(&mut books, 18, &asked(90, 70)), Ok(Said::Configured(heard)));
    let check = TelemetryEvent::CheckSilence { sensor: A };
    assert_eq!(run(&mut books, 22, &check), Err(Reason::NotSilent.number()));
    assert_eq!(sensor(&books).latest, Some(Latest { sequence: 1, reading: 70 }));
}

/// Rule: BeginWindowsAnew.
#[test]
fn begin_windows_anew_with_another_length() {
    let mut books = configured(0);
    report(&mut books, 1, 1, 70).unwrap();
    report(&mut books, 35, 2, 110).unwrap();
    assert_eq!(sensor(&books).windows, Windows { current: tally(&[110]), last: EMPTY, empty: 2 });
    let asked =
        TelemetryEvent::Configure { sensor: A, window_ns: 11, silence_ns: 0, raise_at: 100, clear_at: 50 };
    let began = Effect { alarm_raised: true, ..NEW_WINDOW };
    assert_eq!(run(&mut books, 36, &asked), Ok(Said::Configured(began)));
    let state = sensor(&books);
    assert_eq!(state.windows, Windows::BEGIN);
    assert_eq!(state.latest, Some(Latest { sequence: 2, reading: 110 }));
    assert_eq!(state.alarm, Alarm { raised: true, raises: 1, changed_at: StreamTime(35) });
    // The same window by its number, and yet another: 36 / 11 is 3 as 36 / 10 was.
    assert_eq!(state.window_number(), 3);
}

/// Rule: TakeReading.
#[test]
fn take_reading_in_order() {
    let mut books = configured(5);
    assert_eq!(report(&mut books, 5, 0, 7), Err(Reason::OutOfOrder));
    assert_eq!(sensor(&books).latest, None);
    assert_eq!(report(&mut books, 5, 3, 7), Ok(QUIET));
    let before = books.clone();
    for late in [3, 2, 0] {
        assert_eq!(report(&mut books, 6, late, 8), Err(Reason::OutOfOrder));
    }
    assert_eq!(books, before, "a refused reading leaves no trace");
    assert_eq!(report(&mut books, 6, u64::MAX, 8), Ok(QUIET));
    let state = sensor(&books);
    assert_eq!(state.latest, Some(Latest { sequence: u64::MAX, reading: 8 }));
    assert_eq!((state.heard_at, state.windows.current), (StreamTime(6), tally(&[7, 8])));
    assert_eq!(report(&mut books, 7, u64::MAX, 8), Err(Reason::OutOfOrder), "there is no number after it");
}

/// Rule: ReportLines. Guarantee: LinesStandAlone.
#[test]
fn report_lines_each_by_itself() {
    let mut books = configured(0);
    run(&mut books, 0, &configure(B)).unwrap();
    report(&mut books, 1, 5, 60).unwrap();
    let lines = [Line::new(A, 5, 61), Line::new(B, 1, 120), Line::new(C, 1, 1)];
    let raised = Effect { alarm_raised: true, alarm_changed: true, ..QUIET };
    let answers = vec![Err(Reason::OutOfOrder), Ok(raised), Err(Reason::UnknownSensor)];
    assert_eq!(run(&mut books, 2, &TelemetryEvent::Report { lines: &lines }), Ok(Said::Lines(answers)));
    assert_eq!(sensor(&books).latest, Some(Latest { sequence: 5, reading: 60 }));
    assert_eq!(books.sensor(B).unwrap().latest, Some(Latest { sequence: 1, reading: 120 }));
    assert_eq!(books.sensor(C), None, "only a configuration creates a sensor");

    // None of them taken: rejected for the first line's reason, and the answer still says which for what.
    let refused = vec![Err(Reason::UnknownSensor), Err(Reason::OutOfOrder)];
    let (verdict, response) = books.run(3, &TelemetryEvent::Report { lines: &[lines[2], lines[0]] });
    assert_eq!(verdict, Verdict::Rejected(Reason::UnknownSensor.number()));
    assert_eq!(said(&response), Some(Said::Lines(refused)));

    let all: Vec<_> = (0..16).map(|channel| Line::new(sensor_id(9, channel), 1, 1)).collect();
    for line in &all {
        run(&mut books, 4, &configure(line.sensor())).unwrap();
    }
    let taken = Ok(Said::Lines(vec![Ok(QUIET); 16]));
    assert_eq!(run(&mut books, 4, &TelemetryEvent::Report { lines: &all }), taken);
}

/// Rules: BeginNextWindow, SkipEmptyWindows.
#[test]
fn begin_next_window_or_skip_empty_windows() {
    let mut books = configured(25);
    report(&mut books, 29, 1, 7).unwrap();
    assert_eq!(report(&mut books, 30, 2, 9), Ok(NEW_WINDOW), "a window begins with its first nanosecond");
    assert_eq!(sensor(&books).windows, Windows { current: tally(&[9]), last: tally(&[7]), empty: 0 });
    assert_eq!(report(&mut books, 39, 3, 1), Ok(QUIET), "and ends with its last");
    assert_eq!(report(&mut books, 50, 4, 2), Ok(NEW_WINDOW));
    assert_eq!(sensor(&books).windows, Windows { current: tally(&[2]), last: EMPTY, empty: 1 });
    // To the end of time, in one step: windows 6 to the last but one.
    assert_eq!(report(&mut books, u64::MAX, 5, 3), Ok(NEW_WINDOW));
    let empty = 1 + u64::MAX / 10 - 5 - 1;
    assert_eq!(sensor(&books).windows, Windows { current: tally(&[3]), last: EMPTY, empty });

    // A window in which it was only configured has no reading, either.
    let mut books = configured(25);
    assert_eq!(report(&mut books, 30, 1, 7), Ok(NEW_WINDOW));
    assert_eq!(sensor(&books).windows, Windows { current: tally(&[7]), last: EMPTY, empty: 1 });
    let mut books = configured(25);
    report(&mut books, 40, 1, 7).unwrap();
    assert_eq!(sensor(&books).windows, Windows { current: tally(&[7]), last: EMPTY, empty: 2 });
}

/// Rule: CountReading.
#[test]
fn count_reading_into_sum_and_bounds() {
    let mut books = configured(0);
    for (sequence, reading) in [(1, 30), (2, -4), (3, 45), (4, -4)] {
        report(&mut books, 3, sequence, reading).unwrap();
    }
    assert_eq!(sensor(&books).windows.current, Tally { count: 4, sum: 67, min: -4, max: 45 });
    let mut books = configured(0);
    for sequence in 1..4 {
        report(&mut books, 3, sequence, i32::MIN).unwrap();
    }
    let sum = 3 * i64::from(i32::MIN);
    assert_eq!(sensor(&books).windows.current, Tally { count: 3, sum, min: i32::MIN, max: i32::MIN });
}

/// Rules: CountReading, TakeReading.
#[test]
fn a_reading_beyond_what_a_window_counts_waits_for_the_next() {
    let mut books = configured(0);
    report(&mut books, 3, 1, 7).unwrap();
    let mut full = sensor(&books);
    full.windows.current = Tally { count: u32::MAX, sum: 7 * i64::from(u32::MAX), min: 7, max: 7 };
    books.put(A, &full.encode());
    assert_eq!(report(&mut books, 9, 2, 200), Err(Reason::WindowFull));
    assert_eq!(sensor(&books), full, "neither its number nor its alarm is taken");
    assert!(report(&mut books, 10, 2, 200).is_ok());
    assert_eq!(
        sensor(&books).windows,
        Windows { current: tally(&[200]), last: full.windows.current, empty: 0 }
    );
}

/// Rules: RaiseAlarm, ClearAlarm. Invariant: AlarmFollowsReading.
#[test]
fn raise_alarm_and_clear_alarm_with_hysteresis() {
    let mut books = configured(0);
    let raised = Effect { alarm_raised: true, ..QUIET };
    let changed = |effect| Effect { alarm_changed: true, ..effect };
    for (at, reading, expected) in [
        (1, 99, QUIET),
        (2, 100, changed(raised)),
        (3, 99, raised),
        (4, 120, raised),
        (5, 51, raised),
        (6, 50, changed(QUIET)),
        (7, 51, QUIET),
        (8, 99, QUIET),
        (9, 101, changed(raised)),
    ] {
        assert_eq!(report(&mut books, at, at, reading), Ok(expected), "{reading}");
    }
    assert_eq!(sensor(&books).alarm, Alarm { raised: true, raises: 2, changed_at: StreamTime(9) });
}

/// Rule: FindSilent. Invariant: OnlyLimitedSensorsFallSilent.
#[test]
fn find_silent_when_stream_time_says_so() {
    let mut books = configured(5);
    let check = TelemetryEvent::CheckSilence { sensor: A };
    assert_eq!(run(&mut books, 34, &check), Err(Reason::NotSilent.number()));
    assert_eq!(run(&mut books, 35, &check), Ok(Said::Silence(30)), "before its first reading, too");
    assert!(sensor(&books).silent);
    assert_eq!(run(&mut books, 99, &check), Err(Reason::AlreadySilent.number()));
    let heard = Effect { silence_ended: true, ..NEW_WINDOW };
    assert_eq!(report(&mut books, 100, 1, 7), Ok(heard));
    assert_eq!(report(&mut books, 101, 2, 7), Ok(QUIET));
    assert_eq!(run(&mut books, 130, &check), Err(Reason::NotSilent.number()));
    assert_eq!(run(&mut books, u64::MAX, &check), Ok(Said::Silence(u64::MAX - 101)));
    assert_eq!(sensor(&books).heard_at, StreamTime(101), "being found silent is not being heard");

    let other = TelemetryEvent::CheckSilence { sensor: B };
    assert_eq!(run(&mut books, u64::MAX, &other), Err(Reason::UnknownSensor.number()));
    let patient = TelemetryEvent::Configure {
        sensor: B,
        window_ns: 10,
        silence_ns: NO_SILENCE_LIMIT,
        raise_at: 1,
        clear_at: 0,
    };
    run(&mut books, 0, &patient).unwrap();
    assert_eq!(run(&mut books, u64::MAX, &other), Err(Reason::NoSilenceLimit.number()));
}

/// Rules: InspectSensor, InspectAbsent.
#[test]
fn inspect_sensor_and_what_is_absent() {
    let mut books = configured(5);
    report(&mut books, 6, 1, 7).unwrap();
    let before = books.clone();
    let state = before.state(A).map(<[u8]>::to_vec);
    assert_eq!(run(&mut books, 99, &TelemetryEvent::Inspect { entity: A }), Ok(Said::State(state)));
    for entity in [B, command_id(1)] {
        assert_eq!(run(&mut books, 99, &TelemetryEvent::Inspect { entity }), Ok(Said::State(None)));
    }
    assert_eq!(books, before, "nothing changed, and what was absent stays absent");
}
