//! Random histories against a model written apart from the domain: same verdicts, same answers, same states.

use std::collections::BTreeSet;

use assize_domain::Verdict;
use assize_telemetry::{Effect, Line, Reason, TelemetryEvent, command_id, sensor_id};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::answers::{Said, said};
use crate::asks::{Ask, Parts, ask, ask_of, history};
use crate::books::Books;
use crate::fuzzed;
use crate::model::Model;

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    /// Invariants: CurrentTallyIsPossible, LastTallyIsPossible, EmptyWindowsWereThere, ThresholdsAreApart,
    /// AlarmFollowsReading, OnlyLimitedSensorsFallSilent, OpenCommandsAreBounded, CommandsChangeBeforeTheyExpire.
    /// Guarantees: InspectionsChangeNothing, OpenCommandsAreCounted.
    #[test]
    fn a_history_is_what_the_model_makes_of_it(history in history(ask(), 1..80)) {
        let (mut books, mut model) = (Books::default(), Model::default());
        for (now, ask) in &history {
            let (event, before) = (ask.event(), books.clone());
            let (verdict, response) = books.run(*now, &event);
            if let TelemetryEvent::Inspect { entity } = event {
                prop_assert_eq!(verdict, Verdict::Applied);
                prop_assert_eq!(before.state(entity).is_some(), model.exists(entity));
                let state = before.state(entity).map(<[u8]>::to_vec);
                prop_assert_eq!(said(&response), Some(Said::State(state)));
                prop_assert_eq!(&books, &before, "an inspection changes nothing");
                continue;
            }
            let expected = model.run(*now, &event);
            prop_assert_eq!(verdict, verdict_of(&expected), "{:?} at {}", event, now);
            prop_assert_eq!(said(&response), expected.ok(), "{:?} at {}", event, now);
            if verdict != Verdict::Applied {
                prop_assert_eq!(&books, &before, "a rejected event changes nothing");
            }
            model.check(&books);
        }
    }

    /// One sensor and more commands than it may have open. Invariant: OpenCommandsAreBounded.
    #[test]
    fn open_commands_are_bounded(history in history(many_commands(), 60..120)) {
        let (mut books, mut model) = (Books::default(), Model::default());
        let configure = TelemetryEvent::Configure {
            sensor: sensor_id(1, 1), window_ns: 10, silence_ns: 0, raise_at: 5, clear_at: 3,
        };
        let start = history.first().map_or(0, |(now, _)| *now);
        books.run(start, &configure);
        model.run(start, &configure).unwrap();
        for (now, ask) in &history {
            let event = ask.event();
            let (verdict, _) = books.run(*now, &event);
            prop_assert_eq!(verdict, verdict_of(&model.run(*now, &event)), "{:?} at {}", event, now);
            model.check(&books);
        }
    }

    /// Guarantee: LinesStandAlone.
    #[test]
    fn a_report_does_what_its_lines_do_one_by_one_in_any_order(
        history in history(ask(), 1..30),
        lines in prop::collection::vec((0u64..30, -6i32..=6), 4),
        later in 0u64..40,
        turn in 0usize..4,
    ) {
        let mut books = Books::default();
        for (now, ask) in &history {
            books.run(*now, &ask.event());
        }
        let now = history.last().map_or(0, |(now, _)| now.saturating_add(later));
        let sensors = [sensor_id(0, 0), sensor_id(0, 1), sensor_id(1, 0), sensor_id(1, 1)];
        let lines: Vec<Line> = sensors.iter().zip(&lines)
            .map(|(sensor, (sequence, reading))| Line::new(*sensor, *sequence, *reading))
            .collect();
        let mut together = books.clone();
        let Some(Said::Lines(answers)) = said(&together.run(now, &TelemetryEvent::Report { lines: &lines }).1)
        else { panic!("a report answers with lines") };
        prop_assert_eq!(answers.len(), 4);
        for at in (0..4).map(|at| (at + turn) % 4) {
            let (verdict, response) = books.run(now, &TelemetryEvent::Report { lines: &lines[at..=at] });
            prop_assert_eq!(said(&response), Some(Said::Lines(vec![answers[at]])));
            prop_assert_eq!(verdict, verdict_of(&Ok(Said::Lines(vec![answers[at]]))));
        }
        prop_assert_eq!(books, together);
    }

    /// D1: what is evaluated elsewhere in between, by the same domain, cannot be seen.
    #[test]
    fn the_same_history_gives_the_same_bytes_whatever_runs_beside_it(
        one in history(ask(), 1..40),
        other in history(ask(), 1..40),
    ) {
        let run = |history: &[(u64, Ask)], beside: &[(u64, Ask)]| {
            let (mut books, mut elsewhere) = (Books::default(), Books::default());
            let mut beside = beside.iter();
            let answers: Vec<_> = history.iter().map(|(now, ask)| {
                if let Some((now, ask)) = beside.next() {
                    elsewhere.run(*now, &ask.event());
                }
                books.run(*now, &ask.event())
            }).collect();
            (answers, books)
        };
        prop_assert_eq!(run(&one, &[]), run(&one, &other));
    }

    #[test]
    fn any_payload_is_an_event_or_is_refused(
        mut payload in prop::collection::vec(any::<u8>(), 0..240),
        kind in 0u8..10,
        count in 0u8..8,
        now: u64,
    ) {
        fuzzed::telemetry(&payload);
        // Now with a beginning that reaches further into the parser, and lines or ids that are of sensors.
        if payload.len() > 16 {
            payload[..16].fill(0);
            payload[0] = kind;
            payload[2] = if kind == 2 { count } else { 0 };
            payload.truncate(16 + (payload.len() - 16) / 16 * 16);
            for byte in payload.iter_mut().skip(31).step_by(32) {
                *byte &= 0x7f;
            }
        }
        fuzzed::telemetry(&payload);
        let _ = Books::default().run_payload(now, &payload);
    }
}

/// What the histories above are worth: whatever may be said of an event is said in some of them.
#[test]
fn histories_meet_every_reason_and_every_effect() {
    let mut runner = TestRunner::deterministic();
    let (mut reasons, mut effects) = (BTreeSet::new(), BTreeSet::new());
    let many = history(many_commands(), 60..120).boxed();
    for histories in [history(ask(), 1..80).boxed(), many] {
        for _ in 0..2000 {
            let mut model = Model::default();
            for (now, ask) in histories.new_tree(&mut runner).expect("a history").current() {
                let event = ask.event();
                if matches!(event, TelemetryEvent::Inspect { .. }) {
                    continue;
                }
                let lines = match model.run(now, &event) {
                    Ok(Said::Lines(lines)) => lines,
                    Ok(Said::Configured(effect)) => vec![Ok(effect)],
                    Ok(_) => vec![],
                    Err(reason) => vec![Err(reason)],
                };
                for line in lines {
                    match line {
                        Ok(Effect { alarm_raised, alarm_changed, silence_ended, window_began }) => {
                            effects.insert([alarm_raised, alarm_changed, silence_ended, window_began]);
                        }
                        Err(reason) => {
                            reasons.insert(reason);
                        }
                    }
                }
            }
        }
    }
    // A window is full after four billion readings.
    let all = Reason::ALL.iter().copied().filter(|reason| *reason != Reason::WindowFull);
    assert_eq!(reasons, all.collect());
    assert_eq!(effects.len(), 16);
}

/// The verdict on an event that the model answers so: a report is rejected if each of its lines is refused, for the
/// reason of the first.
fn verdict_of(expected: &Result<Said, Reason>) -> Verdict {
    match expected {
        Err(reason) => Verdict::Rejected(reason.number()),
        Ok(Said::Lines(lines)) if lines.iter().all(Result::is_err) => {
            Verdict::Rejected(lines[0].expect_err("they all are refused").number())
        }
        Ok(_) => Verdict::Applied,
    }
}

/// Commands for one sensor: many are issued, some acknowledged, few collected.
fn many_commands() -> impl Strategy<Value = Ask> {
    let parts = Parts {
        sensor: Just(sensor_id(1, 1)).boxed(),
        command: (0u128..40).prop_map(command_id).boxed(),
        length_ns: (200u64..4000).boxed(),
        reading: (-6i32..=6).boxed(),
        sequence: (0u64..30).boxed(),
        lines_max: 1,
    };
    ask_of(&parts)
        .prop_filter("no inspections", |ask| !matches!(ask, Ask::Other(TelemetryEvent::Inspect { .. })))
}
