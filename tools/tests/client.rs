//! The client library end to end against a model of an engine that misbehaves.

mod support;

use std::time::Duration;

use assize_inventory::{INVENTORY, InventoryEvent, ItemState, VERSION, item_id};
use assize_tools::client::{Client, ClientError, NewEvent, Options, Outcome};
use assize_wire::event::EventError;
use assize_wire::outcome::Status;
use assize_wire::{ClusterId, EventKey};
use support::{Faults, Model, within_a_minute};

fn adjust(sku: u64, delta: i64) -> NewEvent {
    let event = InventoryEvent::Adjust { item: item_id(1, sku), delta, reason: 0 };
    let mut payload = Vec::new();
    event.encode_payload(&mut payload);
    NewEvent::new(INVENTORY, VERSION, payload)
}

fn quick() -> Options {
    Options {
        connect_timeout: Duration::from_millis(400),
        call_timeout: Duration::from_millis(400),
        silence_timeout: Duration::from_millis(150),
        ..Options::default()
    }
}

fn submit_all(shards: usize, faults: Faults, events: u64) {
    within_a_minute(move || {
        let model = Model::start(shards, faults);
        let mut client = Client::connect(&[model.address()], Options::default()).unwrap();
        let batch: Vec<NewEvent> = (0..events).map(|sku| adjust(sku, sku as i64 + 1)).collect();
        let answers = client.submit(&batch).unwrap();
        assert_eq!(answers.len(), batch.len());
        for (sku, answer) in answers.iter().enumerate() {
            assert!(answer.took_effect(), "{answer:?}");
            assert_eq!(answer.response, (sku as u64 + 1).to_le_bytes());
        }
        let ids: Vec<_> = (0..events + 1).map(|sku| item_id(1, sku)).collect();
        let states = client.read(INVENTORY, &ids).unwrap();
        for (sku, state) in states[..events as usize].iter().enumerate() {
            let item = ItemState::parse(state.as_ref().unwrap()).unwrap();
            assert_eq!(item.quantity, sku as u64 + 1);
        }
        assert_eq!(states[events as usize], None);
        assert_eq!(model.keys(), events as usize, "each key is evaluated once");
    });
}

#[test]
fn a_batch_is_split_by_owner_and_answered_in_its_own_order() {
    submit_all(3, Faults::default(), 20_000);
}

/// SendWithinCredit, OpenConnection, TakeTheDecision
#[test]
fn a_small_credit_is_kept_and_everything_gets_through() {
    submit_all(2, Faults { credit: Some(3), split: Some(2), ..Faults::default() }, 200);
}

/// ComeBackLater
#[test]
fn busy_and_refused_are_tried_again_under_the_same_keys() {
    submit_all(
        2,
        Faults { busy_every: Some(3), refuse_every: Some(4), credit: Some(50), ..Faults::default() },
        500,
    );
}

/// ResubmitAfterLoss, Connect, GiveUpGreeting
#[test]
fn a_lost_connection_is_made_anew_and_unanswered_events_go_again() {
    submit_all(2, Faults { drop_after: Some(2), credit: Some(20), ..Faults::default() }, 200);
}

#[test]
fn a_key_is_a_duplicate_with_the_first_answer_and_a_conflict_with_another_body() {
    within_a_minute(|| {
        let model = Model::start(1, Faults::default());
        let mut client = Client::connect(&[model.address()], Options::default()).unwrap();
        let event = adjust(1, 5).with_key(EventKey(99));
        let first = client.submit(std::slice::from_ref(&event)).unwrap().remove(0);
        let again = client.submit(&[event]).unwrap().remove(0);
        assert_eq!((first.status, again.status), (Status::Applied, Status::Duplicate));
        assert_eq!((first.position, first.response), (again.position, again.response));
        let other = client.submit(&[adjust(1, 6).with_key(EventKey(99))]).unwrap().remove(0);
        assert_eq!(other.status, Status::Conflict);
    });
}

#[test]
fn events_are_pipelined_and_completed_by_ticket() {
    within_a_minute(|| {
        let model = Model::start(2, Faults::default());
        let mut client = Client::connect(&[model.address()], Options::default()).unwrap();
        let early = client.enqueue(&adjust(1, 1)).unwrap();
        // A blocking call in between keeps the completion for `poll`.
        client.submit(&[adjust(2, 1)]).unwrap();
        let late = client.enqueue(&adjust(3, 1)).unwrap();
        let mut tickets = Vec::new();
        while client.unanswered() > 0 || tickets.len() < 2 {
            for done in client.poll(Duration::from_secs(10)).unwrap() {
                assert!(matches!(done.outcome, Outcome::Answered(_)));
                tickets.push(done.ticket);
            }
        }
        // They may belong to different shards, which answer when they can.
        tickets.sort_unstable();
        assert_eq!(tickets, [early, late]);
        assert_eq!(client.poll(Duration::from_millis(1)).unwrap(), []);
    });
}

#[test]
fn no_answer_is_a_timeout_with_what_is_missing() {
    within_a_minute(|| {
        let model = Model::start(1, Faults { mute: true, ..Faults::default() });
        let mut client = Client::connect(&[model.address()], quick()).unwrap();
        let error = client.submit(&[adjust(1, 1), adjust(2, 1)]).unwrap_err();
        assert!(matches!(error, ClientError::TimedOut { unanswered: 2, .. }), "{error}");
        assert_eq!(client.unanswered(), 0);
        // The silence made it connect again, and the same keys were not evaluated twice.
        assert!(error.to_string().contains("silent"), "{error}");
        assert_eq!(model.keys(), 2);
    });
}

/// OutcomeUnknownAtDeadline, DeadlineIsSetOnce
#[test]
fn a_deadline_that_passes_without_an_answer_is_outcome_unknown() {
    within_a_minute(|| {
        let model = Model::start(1, Faults { mute: true, ..Faults::default() });
        let options = Options { key_lifetime: Duration::from_millis(100), ..Options::default() };
        let mut client = Client::connect(&[model.address()], options).unwrap();
        match client.submit(&[adjust(1, 1)]).unwrap_err() {
            ClientError::OutcomeUnknown { unknown: 1, completions } => {
                assert_eq!(completions[0].outcome, Outcome::Unknown);
                assert!(completions[0].deadline <= client.stream_time());
            }
            error => panic!("{error}"),
        }
        assert_eq!(client.unanswered(), 0);
    });
}

#[test]
fn what_is_no_engine_is_an_error_and_never_a_wait_without_end() {
    within_a_minute(|| {
        let garbage = Faults { garbage: Some(b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()), ..Faults::default() };
        for faults in [Faults { deaf: true, ..Faults::default() }, garbage] {
            let model = Model::start(1, faults);
            let error = Client::connect(&[model.address()], quick()).unwrap_err();
            assert!(matches!(error, ClientError::NotConnected { .. }), "{error}");
        }
        let nobody = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            format!("127.0.0.1:{}", listener.local_addr().unwrap().port())
        };
        let error = Client::connect(&[nobody.as_str()], quick()).unwrap_err();
        assert!(matches!(error, ClientError::NotConnected { .. }), "{error}");
        for address in ["", "no port", "localhost:99999"] {
            let error = Client::connect(&[address], quick()).unwrap_err();
            assert!(matches!(error, ClientError::Address { .. }), "{error}");
        }
        // The second address serves.
        let model = Model::start(1, Faults::default());
        let addresses = [nobody, model.address()];
        let mut client = Client::connect(&addresses, Options::default()).unwrap();
        client.submit(&[adjust(1, 1)]).unwrap();
    });
}

#[test]
fn another_cluster_is_refused_at_once() {
    within_a_minute(|| {
        let model = Model::start(1, Faults::default());
        let options = Options { cluster: ClusterId(1), ..Options::default() };
        let error = Client::connect(&[model.address()], options).unwrap_err();
        assert!(matches!(error, ClientError::Refused(_)), "{error}");
    });
}

#[test]
fn an_event_that_is_too_long_is_refused_before_anything_is_sent() {
    within_a_minute(|| {
        let model = Model::start(1, Faults::default());
        let mut client = Client::connect(&[model.address()], Options::default()).unwrap();
        let long = NewEvent::new(INVENTORY, VERSION, vec![0; 5000]);
        let error = client.submit(&[adjust(1, 1), long]).unwrap_err();
        assert!(matches!(error, ClientError::Event(EventError::PayloadTooLong { bytes: 5000 })));
        assert_eq!((model.keys(), client.unanswered()), (0, 0));
    });
}
