//! A leader whose process stands still for longer than an election takes, and then goes on as if nothing had been: what
//! it was asked meanwhile it must not answer out of a past of its own.

use assize_inventory::{INVENTORY, ItemState, item_id};
use assize_wire::EventKey;
use assize_wire::StreamTime;
use assize_wire::event::encode_event;
use assize_wire::frame::FrameKind;
use assize_wire::message::{Answers, Consistency, EntityRef, Read, States};
use assize_wire::outcome::Status;

use super::replicas::{Cluster, Running};
use super::steady::{Steady, check_all, events};
use crate::load::{adjust, quantities_of};
use crate::raw::{Raw, frame, submit};
use crate::rng::Rng;

/// P10, P11, C8
#[test]
fn a_leader_that_stood_still_answers_nothing_that_is_no_longer_so() {
    let mut rng = Rng::announced("a leader that stands still");
    let events = events(40_000);
    let cluster = Cluster::for_events(events);
    let mut running = Running::start(&cluster);
    let load = Steady::start(&cluster, events);
    let mut client = cluster.client();
    let mut held = 0;
    for round in 0..3_u8 {
        load.wait_for(10, &mut rng);
        let answers = client.submit(&[adjust(ITEM, 1)]).expect("an answer");
        assert_eq!(answers[0].status, Status::Applied);
        held += 1;
        let leader = cluster.leader();
        let mut raw = Raw::connect(&cluster.sites[leader].address());
        raw.send(&crate::raw::hello(assize_wire::ClusterId(0)));
        let welcome = raw.read_welcome();
        let deadline = StreamTime(welcome.stream_time.0 + welcome.warden_ttl_ns / 2);
        running.engine(leader).signal("STOP");
        // Meanwhile the others elect a leader, who answers.
        let answers = client.submit(&[adjust(ITEM, 10)]).expect("an answer");
        assert_eq!(answers[0].status, Status::Applied);
        held += 10;
        // These wait where the stopped process will find them.
        let late = adjust(ITEM, 1000);
        let key = EventKey(0x517e_0000 + u128::from(round));
        let mut bytes = Vec::new();
        encode_event(&mut bytes, key, deadline, late.domain, late.version, &late.payload).expect("it fits");
        raw.send(&read_of(ITEM, READ));
        raw.send(&submit(SUBMISSION, 1, &bytes));
        raw.send(&read_of(ITEM, READ + 1));
        load.wait_for(10, &mut rng);
        running.engine(leader).signal("CONT");
        let told = told(&mut raw);
        let again = client
            .submit(&[late.with_key(key).with_deadline(deadline)])
            .expect("an answer to what was sent to the stopped one");
        held += 1000;
        assert_eq!(again[0].first_status, Status::Applied);
        match told.submission {
            Some(Status::Applied) => assert_eq!(again[0].status, Status::Duplicate, "applied twice"),
            None | Some(Status::NotLeader | Status::Busy) => {}
            Some(other) => panic!("the stopped one answered {other:?}"),
        }
        for quantity in told.quantities {
            assert!([held - 1000, held].contains(&quantity), "{quantity} was read, and long past: {held}");
        }
        assert_eq!(quantities_of_item(&mut client), held);
    }
    drop(client);
    let report = load.finish();
    check_all(running, &report);
}

/// What the stopped one made of what it was asked.
#[derive(Debug, Default)]
struct Told {
    submission: Option<Status>,
    quantities: Vec<u64>,
}

/// Reads until all three were answered or refused, or the connection was closed.
fn told(raw: &mut Raw) -> Told {
    let (mut told, mut open) = (Told::default(), vec![READ, READ + 1, SUBMISSION]);
    while !open.is_empty() {
        let Some(frame) = raw.read() else { break };
        match frame.kind {
            FrameKind::States => {
                for state in States::parse(&frame.payload).expect("states") {
                    let state = state.expect("a state").state.expect("the item exists");
                    told.quantities.push(ItemState::parse(state).expect("an item").quantity);
                }
            }
            FrameKind::Answers => {
                for answer in Answers::parse(&frame.payload).expect("answers") {
                    told.submission = Some(answer.expect("an answer").status);
                }
            }
            FrameKind::Refused => {}
            other => panic!("a frame of the kind {other:?}"),
        }
        open.retain(|request| *request != frame.request);
    }
    println!("the stopped leader told {told:?}, and nothing of {open:?}");
    told
}

fn read_of(item: u64, request: u64) -> Vec<u8> {
    let entities = [EntityRef::new(INVENTORY, item_id(crate::load::WAREHOUSE, item))];
    let mut payload = Vec::new();
    Read { consistency: Consistency::Linearizable, entities: &entities }.encode(&mut payload);
    frame(FrameKind::Read, request, &payload)
}

fn quantities_of_item(client: &mut assize_tools::client::Client) -> u64 {
    quantities_of(client, &[ITEM])[0]
}

/// An item that nobody else moves.
const ITEM: u64 = 77_777;
const READ: u64 = 7;
const SUBMISSION: u64 = 9;
