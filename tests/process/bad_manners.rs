//! Connections that are half open, slow, too many, or never read: bounded in time and memory, and no one else waits.

use std::io::{ErrorKind, Write};
use std::time::Instant;

use assize_inventory::INVENTORY;
use assize_wire::ClusterId;
use assize_wire::frame::FrameKind;
use assize_wire::message::RefusedCode;
use assize_wire::outcome::Status;

use crate::engine::{DEADLINE, Engine};
use crate::load::adjust;
use crate::raw::{Raw, frame, hello, is_closed, submit};
use crate::site::{Settings, Site};

fn others_are_served(engine: &Engine) {
    let answers = engine.client().submit(&[adjust(1, 5)]).expect("an answer");
    assert_eq!(answers[0].status, Status::Applied);
}

#[test]
fn half_open_connections_are_told_so_and_closed() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    let whole = submit(1, 1, &[0; 64]);
    let mut silent = Raw::connect(engine.address());
    let mut half_hello = Raw::connect(engine.address());
    half_hello.send(&hello(ClusterId(0))[..20]);
    let mut half_frame = Raw::welcomed(engine.address());
    half_frame.send(&whole[..40]);
    let mut large = Raw::welcomed(engine.address());
    large.send(&frame(FrameKind::Submit, 1, &vec![1; 4 << 20])[..100_000]);
    others_are_served(&engine);
    for (what, raw) in [
        ("nothing at all", &mut silent),
        ("half a Hello", &mut half_hello),
        ("half a frame", &mut half_frame),
        ("the beginning of a large frame", &mut large),
    ] {
        assert_eq!(raw.read_refusal(), RefusedCode::TimedOut, "{what}");
        others_are_served(&engine);
    }
    engine.stop();
}

/// The receive that waits for the whole frame ends with its part when the socket is shut down.
#[test]
fn clients_that_stop_within_a_large_frame_hold_no_place() {
    let site = Site::formatted(Settings { connections_max: 2, ..Settings::small() });
    let engine = site.start();
    let mut large: Vec<Raw> = (0..2).map(|_| Raw::welcomed(engine.address())).collect();
    for raw in &mut large {
        raw.send(&frame(FrameKind::Submit, 1, &vec![1; 4 << 20])[..100_000]);
    }
    for raw in &mut large {
        assert_eq!(raw.read_refusal(), RefusedCode::TimedOut);
    }
    for _ in 0..2 {
        large.push(welcomed_in_time(&engine));
    }
    engine.stop();
}

/// A connection, once a place is free.
fn welcomed_in_time(engine: &Engine) -> Raw {
    let until = Instant::now() + DEADLINE;
    loop {
        let mut raw = Raw::connect(engine.address());
        raw.send(&hello(ClusterId(0)));
        if raw.read().is_some_and(|frame| frame.kind == FrameKind::Welcome) {
            return raw;
        }
        assert!(Instant::now() < until, "the free place is not given again");
    }
}

#[test]
fn a_frame_that_is_cut_off_ends_its_connection_only() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    let whole = submit(1, 1, &[0; 64]);
    for length in [0, 1, 4, 31, 32, 33, whole.len() - 1] {
        let mut raw = Raw::welcomed(engine.address());
        raw.send(&whole[..length]);
        raw.end();
        assert!(raw.read().is_none(), "{length} bytes and the end");
    }
    others_are_served(&engine);
    engine.stop();
}

#[test]
fn a_writer_of_single_bytes_is_served() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    let mut raw = Raw::connect(engine.address());
    let ping = frame(FrameKind::Ping, 9, &[]);
    for byte in [hello(ClusterId(0)), ping].concat() {
        raw.send(&[byte]);
    }
    raw.read_welcome();
    let pong = raw.read().expect("a pong");
    assert_eq!((pong.kind, pong.request), (FrameKind::Pong, 9));
    engine.stop();
}

#[test]
fn one_connection_too_many_is_refused_and_a_free_place_is_taken_again() {
    let site = Site::formatted(Settings { connections_max: 4, ..Settings::small() });
    let engine = site.start();
    let mut served: Vec<Raw> = (0..4).map(|_| Raw::welcomed(engine.address())).collect();
    for _ in 0..100 {
        assert_eq!(Raw::connect(engine.address()).read_refusal(), RefusedCode::TooManyConnections);
    }
    for raw in &mut served {
        raw.send(&frame(FrameKind::Ping, 1, &[]));
        assert_eq!(raw.read().expect("a pong").kind, FrameKind::Pong);
    }
    served.pop();
    welcomed_in_time(&engine);
    engine.stop();
}

/// More clients than the host lets the process have files: those in excess are told so, and the logs lack nothing.
#[test]
fn clients_leave_the_logs_their_open_files() {
    let site = Site::formatted(Settings { connections_max: 4096, ..Settings::small() });
    let serve = site.command("serve");
    let mut limited = std::process::Command::new("sh");
    limited
        .args(["-c", "ulimit -n 300 && exec \"$0\" \"$@\""])
        .arg(serve.get_program())
        .args(serve.get_args());
    let engine = Engine::start(limited);
    let mut idle: Vec<Raw> = (0..64).map(|_| Raw::connect(engine.address())).collect();
    idle.iter_mut().for_each(|raw| raw.send(&hello(ClusterId(0))));
    let served = |raw: &mut Raw| raw.read().is_some_and(|frame| frame.kind == FrameKind::Welcome);
    let served = idle.iter_mut().map(served).filter(|served| *served).count();
    assert!((1..64).contains(&served), "{served} of 64 are served");
    drop(idle);
    welcomed_in_time(&engine);
    engine.stop();
}

#[test]
fn a_client_that_never_reads_is_closed_and_holds_no_place() {
    // The good client takes two places: where it came in, and at the shard's owner.
    let site = Site::formatted(Settings { connections_max: 3, ..Settings::small() });
    let engine = site.start();
    let mut good = engine.client();
    let mut is_served =
        || assert_eq!(good.submit(&[adjust(1, 5)]).expect("an answer")[0].status, Status::Applied);
    for _ in 0..3 {
        let mut deaf = Raw::welcomed(engine.address());
        let pings = frame(FrameKind::Ping, 1, &[]).repeat(4096);
        let until = Instant::now() + DEADLINE;
        let end = loop {
            match deaf.stream.write(&pings) {
                Ok(_) => assert!(Instant::now() < until, "answers pile up without bound"),
                Err(error) => break error.kind(),
            }
            is_served();
        };
        assert!(is_closed(end) && end != ErrorKind::WouldBlock, "it is neither read nor closed: {end}");
        is_served();
    }
    engine.stop();
}

#[test]
fn a_refused_client_that_never_reads_is_closed_all_the_same() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    let mut deaf = Raw::welcomed(engine.address());
    // More pongs than sockets buffer, so that the refusal after them cannot be sent.
    deaf.send(&frame(FrameKind::Ping, 1, &[]).repeat(400_000));
    deaf.send(&frame(FrameKind::Pong, 1, &[]));
    let until = Instant::now() + DEADLINE;
    while !deaf.is_reset() {
        assert!(Instant::now() < until, "it holds its place for ever");
        others_are_served(&engine);
    }
    engine.stop();
}

#[test]
fn a_deaf_client_does_not_keep_the_engine_from_stopping() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    let mut client = engine.client();
    let items = [assize_inventory::item_id(1, 1)];
    client.read(INVENTORY, &items).expect("a state");
    let mut deaf = Raw::welcomed(engine.address());
    deaf.send(&frame(FrameKind::Ping, 1, &[]).repeat(200_000));
    engine.stop();
}
