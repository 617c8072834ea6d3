//! What a client is told when there is no room, no time, or another body: and that nothing is lost by it.

use std::time::{Duration, Instant};

use assize_inventory::{INVENTORY, Inspected, InventoryEvent, item_id};
use assize_tools::client::{Client, ClientError, Completion, NewEvent, Options, Outcome};
use assize_wire::frame::FrameKind;
use assize_wire::message::RefusedCode;
use assize_wire::outcome::Status;
use assize_wire::{EventKey, StreamTime};

use crate::engine::{DEADLINE, Engine};
use crate::load::{WAREHOUSE, adjust, inventory, quantities_of};
use crate::raw::{Brief, Raw, frame, hello};
use crate::site::{Settings, Site};

/// A client that does not wait long for room.
fn impatient(engine: &Engine) -> Client {
    let options = Options { call_timeout: Duration::from_secs(2), ..Options::default() };
    Client::connect(&[engine.address()], options).expect("a client")
}

fn batch(from: u128, count: u128, deadline: StreamTime) -> Vec<NewEvent> {
    let event = |key| adjust(1, 1).with_key(EventKey(key)).with_deadline(deadline);
    (from..from + count).map(event).collect()
}

#[test]
fn a_full_log_says_busy_and_loses_nothing() {
    let settings = Settings { bytes_max: "16MiB", ..Settings::small() };
    let mut site = Site::formatted(settings);
    let engine = site.start();
    let mut client = impatient(&engine);
    let deadline = StreamTime(client.stream_time().0 + 3_600_000_000_000);
    let mut submitted: Vec<NewEvent> = Vec::new();
    let mut done: Vec<Completion> = Vec::new();
    let (mut unanswered, mut probes) = (0, 0);
    let until = Instant::now() + DEADLINE;
    let busy = loop {
        assert!(Instant::now() < until, "a log of 16 MiB takes {} events", submitted.len());
        let events = batch(submitted.len() as u128 + 1, 2_000, deadline);
        submitted.extend_from_slice(&events);
        match client.submit(&events) {
            Ok(_) => continue,
            Err(ClientError::TimedOut { completions, unanswered: open, .. }) => {
                done.extend(completions);
                unanswered += open;
            }
            Err(error) => panic!("{error}"),
        }
        // What looked full may have been a checkpoint that took its time: then there is room again.
        let answer = probe(&engine, probes, deadline);
        if answer.status != Status::Applied {
            break answer;
        }
        probes += 1;
    };
    assert!(done.iter().all(|done| matches!(&done.outcome, Outcome::Answered(_))));
    assert!(busy.status == Status::Busy && busy.retry_after_us > 0, "{busy:?}");
    let answered = (submitted.len() - unanswered) as u64 + probes;
    let found = quantities_of(&mut client, &[1])[0];
    assert!(found >= answered, "reads are served, and show what was answered: {found} of {answered}");
    engine.stop();

    site.settings.bytes_max = "128MiB";
    let engine = site.start();
    let mut client = engine.client();
    for (at, events) in submitted.chunks(2_000).enumerate() {
        let answers = client.submit(events).expect("there is room now");
        for (event, answer) in events.iter().zip(&answers) {
            assert_eq!(answer.first_status, Status::Applied, "{event:?} of batch {at}: {answer:?}");
        }
    }
    assert_eq!(quantities_of(&mut client, &[1]), [submitted.len() as u64 + probes], "each exactly once");
    engine.stop();
}

/// What a client is told that comes with one event.
fn probe(engine: &Engine, number: u64, deadline: StreamTime) -> Brief {
    let key = (1 << 90) + u128::from(number);
    let event = &batch(key, 1, deadline)[0];
    let mut bytes = Vec::new();
    let (domain, version) = (event.domain, event.version);
    assize_wire::event::encode_event(&mut bytes, EventKey(key), deadline, domain, version, &event.payload)
        .expect("it fits");
    Raw::welcomed(engine.address()).submit(1, &[bytes])[0]
}

#[test]
fn a_full_log_stays_readable_after_kills() {
    let site = Site::formatted(Settings { bytes_max: "16MiB", ..Settings::small() });
    let mut applied = 0;
    for round in 0..3u128 {
        let engine = site.start();
        let mut client = impatient(&engine);
        let deadline = StreamTime(client.stream_time().0 + 3_600_000_000_000);
        let mut next = (round + 1) << 64;
        while let Ok(answers) = client.submit(&batch(next, 2_000, deadline)) {
            applied += answers.len() as u64;
            next += 2_000;
            assert!(applied < 1_000_000, "it is never full");
        }
        let found = quantities_of(&mut client, &[1])[0];
        assert!(found >= applied, "{found} of {applied}");
        applied = found;
        engine.kill();
    }
}

#[test]
fn more_unanswered_events_than_the_credit_are_refused_and_not_admitted() {
    let site = Site::formatted(Settings { credit_events: 4, ..Settings::small() });
    let engine = site.start();
    let mut raw = Raw::connect(engine.address());
    raw.send(&hello(assize_wire::ClusterId(0)));
    assert_eq!(raw.read_welcome().credit_events, 4);
    raw.send(&crate::raw::submit(8, 5, &[0; 64].repeat(5)));
    let refused = raw.read().expect("a refusal");
    assert_eq!((refused.kind, refused.request), (FrameKind::Refused, 8));
    let refused = assize_wire::message::Refused::parse(&refused.payload).expect("a refusal");
    assert!(refused.code == RefusedCode::Busy && refused.retry_after_us > 0, "{refused:?}");
    raw.send(&frame(FrameKind::Ping, 9, &[]));
    assert_eq!(raw.read().expect("a pong").kind, FrameKind::Pong);
    // The client library stays within it by itself.
    let answers = engine.client().submit(&vec![adjust(1, 1); 100]).expect("answers");
    assert!(answers.iter().all(|answer| answer.status == Status::Applied));
    engine.stop();
}

#[test]
fn a_full_warden_says_full_and_keeps_what_it_knows() {
    let site = Site::new(Settings::small());
    site.format(&["--warden-capacity", "64", "--entity-capacity", "64"]);
    let engine = site.start();
    let mut client = engine.client();
    let deadline = StreamTime(client.stream_time().0 + 3_600_000_000_000);
    let events = batch(1, 300, deadline);
    let first = client.submit(&events).expect("answers");
    let applied = first.iter().filter(|answer| answer.status == Status::Applied).count();
    assert!((1..=64).contains(&applied), "{applied} of 300 were applied under a capacity of 64");
    assert!(first.iter().all(|answer| matches!(answer.status, Status::Applied | Status::Full)));
    let again = client.submit(&events).expect("answers");
    for (first, again) in first.iter().zip(&again) {
        let expected = if first.status == Status::Applied { Status::Duplicate } else { Status::Full };
        assert_eq!(again.status, expected);
        assert!(
            expected == Status::Full
                || (again.position, &again.response) == (first.position, &first.response)
        );
    }
    assert_eq!(quantities_of(&mut client, &[1]), [applied as u64]);
    engine.stop();
}

#[test]
fn each_key_gets_the_answer_that_is_its_own() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    let mut client = engine.client();
    let now = client.stream_time().0;
    let hour = 3_600_000_000_000;
    let adjust =
        |key, delta, deadline| adjust(1, delta).with_key(EventKey(key)).with_deadline(StreamTime(deadline));
    let first = client.submit(&[adjust(1, 10, now + hour)]).expect("an answer").remove(0);
    assert_eq!((first.status, first.response.as_slice()), (Status::Applied, &10u64.to_le_bytes()[..]));
    let rejected = client.submit(&[adjust(2, -11, now + hour)]).expect("an answer").remove(0);
    assert!(rejected.status == Status::Rejected && rejected.reason == 1, "{rejected:?}");
    let again = |client: &mut Client| {
        let events = [
            adjust(1, 10, now + hour),
            adjust(2, -11, now + hour),
            adjust(1, 11, now + hour),
            // Judged by the engine at stream time: far beyond what it remembers.
            adjust(4, 1, now + 100 * 24 * hour),
        ];
        let answers = client.submit(&events).expect("answers");
        let expected = [Status::Duplicate, Status::Duplicate, Status::Conflict, Status::Expired];
        assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), expected);
        assert_eq!((answers[0].first_status, answers[0].position), (Status::Applied, first.position));
        assert_eq!(answers[0].response, first.response);
        assert_eq!((answers[1].first_status, answers[1].reason), (Status::Rejected, rejected.reason));
        assert_eq!(quantities_of(client, &[1]), [10], "what was answered is read, and nothing else");
    };
    again(&mut client);
    engine.kill();
    let engine = site.start();
    again(&mut engine.client());
    let mut raw = Raw::welcomed(engine.address());
    let mut bytes = Vec::new();
    let late = adjust(5, 1, 1);
    assize_wire::event::encode_event(
        &mut bytes,
        EventKey(5),
        StreamTime(1),
        late.domain,
        late.version,
        &late.payload,
    )
    .expect("it fits");
    assert_eq!(raw.submit_admitted(1, &[bytes])[0].status, Status::Expired, "its deadline is long past");
    engine.stop();
}

/// C8, verified; W2: its answer is longer than what the table of keys holds.
#[test]
fn an_event_that_reads_returns_the_state_at_its_place_in_the_log_and_does_so_again() {
    let site = Site::formatted(Settings { cores: vec![vec![0], vec![1]], ..Settings::small() });
    let engine = site.start();
    let mut client = engine.client();
    let deadline = StreamTime(client.stream_time().0 + 3_600_000_000_000);
    let id = |sku| item_id(WAREHOUSE, sku);
    let changes: Vec<_> = (1..=20).map(|sku| adjust(sku, 100 + sku.cast_signed())).collect();
    client.submit(&changes).expect("answers");
    // One more than there are: the last does not exist.
    let inspections: Vec<_> = (1..=21u64)
        .map(|sku| {
            let event = inventory(&InventoryEvent::Inspect { entity: id(sku) });
            event.with_key(EventKey(sku.into())).with_deadline(deadline)
        })
        .collect();
    let ids: Vec<_> = (1..=21).map(id).collect();
    let states = client.read(INVENTORY, &ids).expect("states");
    let inspected = |client: &mut Client, status: Status| {
        let answers = client.submit(&inspections).expect("answers");
        for (answer, state) in answers.iter().zip(&states) {
            assert_eq!((answer.status, answer.first_status), (status, Status::Applied));
            let inspected = Inspected::parse(&answer.response).expect("an inspection's response");
            assert_eq!(inspected.state(), state.as_deref());
        }
    };
    inspected(&mut client, Status::Applied);
    assert_eq!(client.read(INVENTORY, &ids).expect("states"), states, "it changed nothing");
    // What they said stays said, whatever comes after.
    client.submit(&changes).expect("answers");
    inspected(&mut client, Status::Duplicate);
    engine.kill();
    let engine = site.start();
    inspected(&mut engine.client(), Status::Duplicate);
    engine.stop();
}
