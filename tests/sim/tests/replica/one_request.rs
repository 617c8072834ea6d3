//! One request passes through, step by step as a client sees it.

use assize_wire::event::Event;
use assize_wire::outcome::Status;
use assize_wire::{Position, ShardId, Slot};

use assize_sim::bank::Op;
use assize_sim::frames::{Said, event, hello, parse_frames, read, submit};
use assize_sim::model::Model;
use assize_sim::replica::Replica;
use assize_sim::shape::{EPOCH_NS, Shape, TTL_NS};

/// EventsAdmitted, StripeSealed, SlotFormed, SlotChosen, StripePublished, ReadTold.
#[test]
fn one_request_passes_through() {
    let mut replica = Replica::serving(Shape::smallest(), 1);
    let socket = replica.connect(0);
    let deadline = EPOCH_NS + TTL_NS / 2;
    let events = [
        event(1, deadline, &Op::Deposit { account: 5, amount: 100, extra: 0 }),
        event(2, deadline, &Op::Transfer { from: 5, to: 6, amount: 30, extra: 0 }),
        event(1, deadline, &Op::Deposit { account: 5, amount: 100, extra: 0 }),
    ];
    replica.send(socket, &hello());
    replica.send(socket, &submit(7, &events));
    let mut received = Vec::new();
    let mut said = Vec::new();
    for _ in 0..500 {
        replica.step();
        received.extend(replica.receive(socket));
        said.extend(parse_frames(&mut received));
    }
    replica.send(socket, &read(8, &[5, 6, 7]));
    for _ in 0..50 {
        replica.step();
        received.extend(replica.receive(socket));
        said.extend(parse_frames(&mut received));
    }
    let mut said = said.into_iter();
    assert!(matches!(said.next(), Some(Said::Welcome)));
    let Some(Said::Answers { request: 7, answers }) = said.next() else { panic!("answers come next") };
    let at = |index| Position { slot: Slot(1), shard: ShardId(0), index };
    let statuses = answers.iter().map(|(index, ended)| (*index, ended.status, ended.position));
    assert!(statuses.eq([
        (0, Status::Applied, at(0)),
        (1, Status::Applied, at(1)),
        // W2: the position and the response of the first.
        (2, Status::Duplicate, at(0)),
    ]));
    assert_eq!(answers[0].1.response, 100u64.to_le_bytes());
    assert_eq!(answers[2].1.response, answers[0].1.response);
    let Some(Said::States { request: 8, slot: Slot(1), states }) = said.next() else { panic!("then states") };
    let state = |balance: u64| Some(balance.to_le_bytes().to_vec());
    assert_eq!(states, [(0, state(70)), (1, state(30)), (2, None)]);
    assert!(said.next().is_none());
    let log = replica.log_after_crash(1);
    assert_eq!(log.len(), 1, "one slot");
    let model = Model::run(replica.shape.agreed(), &log);
    assert_eq!(model.ended[&at(1)].key, Event::parse(&events[1]).unwrap().0.key().0);
}
