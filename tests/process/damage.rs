//! A disk that changes its mind, and a format that is killed: a clear refusal that changes nothing, or a start.

use std::fs;
use std::path::PathBuf;
use std::thread;

use assize_wire::EventKey;
use assize_wire::outcome::Status;

use crate::load::{adjust, quantities_of};
use crate::rng::Rng;
use crate::site::{Settings, Site};
use crate::start::refused;

/// Turns one bit of a file.
pub fn flip(path: &PathBuf, at: usize) {
    let mut bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("writing it back");
}

#[test]
fn a_changed_byte_in_an_acknowledged_record_is_named_and_nothing_is_changed() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    let mut client = engine.client();
    let key = 0xfeed_0123_4567_89ab_cdef_0042_u128;
    for number in 0..40 {
        client.submit(&[adjust(1, 1).with_key(EventKey(key + number))]).expect("an answer");
    }
    engine.stop();
    let segment = site.data().join("log-00000").join(format!("segment-{:016x}", 0));
    let bytes = fs::read(&segment).expect("the first segment");
    let wanted = (key + 20).to_le_bytes();
    let at = bytes.windows(16).position(|window| window == wanted).expect("the event's key in the log");
    flip(&segment, at);
    let damaged = fs::read(&segment).expect("the first segment");
    for _ in 0..2 {
        refused(&site.run("serve", &[]), 4, &["acknowledged data is lost", "log 0", "segment 0", "offset"]);
    }
    assert!(fs::read(&segment).expect("the first segment") == damaged, "a refused start changed the log");
    flip(&segment, at);
    let engine = site.start();
    let mut client = engine.client();
    assert_eq!(quantities_of(&mut client, &[1]), [40], "mended, everything is there");
    engine.stop();
}

#[test]
fn one_bad_superblock_is_mended_and_two_are_refused() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    engine.client().submit(&[adjust(1, 7)]).expect("an answer");
    engine.stop();
    let copies = [0, 1].map(|copy| site.data().join(format!("superblock.{copy}")));
    for copy in &copies {
        flip(copy, 100);
        let engine = site.start();
        assert_eq!(quantities_of(&mut engine.client(), &[1]), [7]);
        engine.stop();
    }
    copies.iter().for_each(|copy| flip(copy, 100));
    refused(&site.run("serve", &[]), 4, &["superblock"]);
    refused(&site.run("format", &[]), 4, &["holds a replica already"]);
}

/// FormatStartsOver, HalfFormatCounts, FormattedOnce (L7): wherever a format is killed, another one makes a replica of
/// the directory or says that there is one, and it serves.
#[test]
fn l7_a_killed_format_is_done_again_or_done() {
    let mut rng = Rng::announced("kills of format");
    let (mut formatted_again, mut was_done) = (0, 0);
    for _ in 0..25 {
        let site = Site::new(Settings::small());
        let mut child =
            site.command("format").stdout(std::process::Stdio::null()).spawn().expect("running assize");
        for _ in 0..rng.below(6_000) {
            thread::yield_now();
        }
        // It may be done already.
        let _ = child.kill();
        child.wait().expect("its end");
        let output = site.run("format", &[]);
        if output.status.success() {
            formatted_again += 1;
        } else {
            refused(&output, 4, &["holds a replica already"]);
            was_done += 1;
        }
        let engine = site.start();
        let answers = engine.client().submit(&[adjust(1, 1)]).expect("an answer");
        assert_eq!(answers[0].status, Status::Applied);
        engine.stop();
        refused(&site.run("format", &[]), 4, &["holds a replica already"]);
    }
    println!("{formatted_again} formatted again, {was_done} were done");
}

#[test]
fn l7_an_unfinished_format_is_said_so_and_starts_over() {
    for torn in [vec![], vec![0x55; 512], vec![0x55; 16 << 10]] {
        let site = Site::new(Settings::small());
        fs::create_dir_all(site.data()).expect("a directory");
        fs::write(site.data().join("superblock.0"), torn).expect("half of a first copy");
        refused(&site.run("serve", &[]), 4, &["not formatted", "assize format"]);
        site.format(&[]);
        site.start().stop();
    }
}

#[test]
fn l7_what_was_a_replica_is_never_formatted_over() {
    let site = Site::formatted(Settings::small());
    let engine = site.start();
    engine.client().submit(&[adjust(1, 7)]).expect("an answer");
    engine.stop();
    fs::remove_file(site.data().join("superblock.1")).expect("it is there");
    let first = site.data().join("superblock.0");
    fs::write(&first, []).expect("emptying it");
    let refuse = || {
        refused(&site.run("serve", &[]), 4, &["the superblock cannot be trusted"]);
        refused(&site.run("format", &[]), 4, &["holds a replica already"]);
    };
    refuse();
    fs::remove_file(&first).expect("it is there");
    refuse();
}
