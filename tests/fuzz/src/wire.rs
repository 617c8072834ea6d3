//! What every parser of the byte layouts promises on any bytes: it returns, it never panics, and what it accepts is
//! written back as the same bytes where the layout has only one way to write it.

use assize_wire::accept::Accept;
use assize_wire::event::Event;
use assize_wire::frame::{Frame, Parsed};
use assize_wire::manifest::Manifest;
use assize_wire::message::{Answers, Hello, Read, Refused, States, Submit, Welcome};
use assize_wire::outcome::Outcome;
use assize_wire::published::PublishedStripe;
use assize_wire::stripe::{STRIPE_HEADER_BYTES, Stripe};

/// What one parser is put through.
pub type Target = fn(&[u8]);

/// Every parser, by name.
pub const TARGETS: [(&str, Target); 8] = [
    ("frame", frame),
    ("message", message),
    ("event", event),
    ("stripe", stripe),
    ("manifest", manifest),
    ("accept", accept),
    ("outcome", outcome),
    ("published", published),
];

/// A stream of frames, as a connection reads it.
pub fn frame(mut data: &[u8]) {
    while let Ok(Parsed::Whole { frame, bytes }) = Frame::parse(data) {
        assert!(bytes <= data.len());
        message(frame.payload);
        data = &data[bytes..];
    }
}

/// The payload of a frame, as each kind of message.
pub fn message(data: &[u8]) {
    let _ = Hello::parse(data);
    let _ = Welcome::parse(data);
    if let Ok(submit) = Submit::parse(data) {
        let mut rest = submit.events;
        for _ in 0..submit.count {
            let Ok((_, after)) = Event::parse(rest) else { break };
            rest = after;
        }
    }
    if let Ok(answers) = Answers::parse(data) {
        let read: Vec<_> = answers.map_while(Result::ok).collect();
        for answer in read {
            let mut again = Vec::new();
            answer.encode(&mut again);
        }
    }
    if let Ok(read) = Read::parse(data) {
        let mut again = Vec::new();
        read.encode(&mut again);
    }
    if let Ok(states) = States::parse(data) {
        let _ = states.map_while(Result::ok).count();
    }
    if let Ok(refused) = Refused::parse(data) {
        let mut again = Vec::new();
        refused.encode(&mut again);
        assert!(Refused::parse(&again).is_ok());
    }
}

/// One event after the other.
pub fn event(mut data: &[u8]) {
    while let Ok((event, rest)) = Event::parse(data) {
        assert_eq!(event.bytes().len() + rest.len(), data.len());
        assert!(event.payload().len() <= event.body().len());
        data = rest;
    }
}

/// A stripe with its events.
pub fn stripe(data: &[u8]) {
    if let Ok(stripe) = Stripe::parse(data) {
        assert_eq!(stripe.head.encode(), data[..STRIPE_HEADER_BYTES]);
        assert_eq!(stripe.events().count(), stripe.head.events as usize);
    }
}

/// A slot's value: another writing of it would be another hash of the same slot.
pub fn manifest(data: &[u8]) {
    if let Ok(manifest) = Manifest::parse(data) {
        assert_eq!(manifest.encode(), data);
    }
}

/// An accept record's payload.
pub fn accept(data: &[u8]) {
    if let Ok(accept) = Accept::parse(data) {
        let again = Accept::encode(accept.ballot, accept.fresh, accept.chosen, &accept.manifest.encode());
        assert_eq!(again, data);
    }
}

/// Outcomes, which digests are taken over: there must be one way to write each.
pub fn outcome(mut data: &[u8]) {
    while let Ok((outcome, rest)) = Outcome::parse(data) {
        let mut again = Vec::new();
        outcome.encode(&mut again);
        assert_eq!(again, data[..data.len() - rest.len()]);
        data = rest;
    }
}

/// An outcome-stream record's payload.
pub fn published(mut data: &[u8]) {
    while let Ok((stripe, rest)) = PublishedStripe::parse(data) {
        for index in 0..stripe.events.min(64) {
            let _ = stripe.outcome(index);
        }
        assert!(rest.len() < data.len());
        data = rest;
    }
}
