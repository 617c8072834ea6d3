//! Endless work in a data directory that has an end: segments are recycled, and what cannot be is waited for.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{Duration, Instant};

use assize_tools::client::{Client, ClientError, Completion, NewEvent, Options, Outcome};
use assize_wire::outcome::Status;

use crate::engine::{DEADLINE, Engine, client_of};
use crate::load::{adjust, quantities_of};
use crate::site::{Settings, Site};

const MIB: u64 = 1 << 20;
/// Of each log of stripes, and of each outcome stream.
const BYTES_MAX: u64 = 8 * MIB;
/// How many times over the log of stripes is filled.
const TIMES: u64 = 5;

/// L2, L6: a load that fills the log several times over goes through, the directory stays within its
/// bound, and a start finds everything.
#[test]
fn l6_a_data_directory_stays_bounded_under_endless_load() {
    let settings = Settings { bytes_max: "8MiB", ..Settings::with_checkpoints(vec![vec![0], vec![1]]) };
    let site = Site::new(settings);
    site.format(&["--warden-ttl", "2s", "--warden-capacity", "64Ki", "--entity-capacity", "4Ki"]);
    // A log and an outcome stream a core; entities and heads, of two checkpoints, each in a segment of its own at worst
    // with one prepared ahead; keys, at most those that a Warden holds, twice, for a segment goes as a whole.
    let keys = (64 << 10) * 2 * assize_wire::checkpoint::SAVED_KEY_BYTES as u64;
    let bound = 2 * (2 * BYTES_MAX + 4 * MIB + keys.next_multiple_of(MIB) + 2 * MIB) + MIB;
    let engine = site.start();
    // So many that each checkpoint writes something.
    let items: Vec<_> = (0..4_000).map(|item| adjust(1_000 + item, 1)).collect();
    engine.client().submit(&items).expect("answers");
    let mut clients: Vec<Client> = (0..2).map(|_| engine.client()).collect();
    let (mut books, mut most) = (Books::default(), 0);
    // Only so that a log that takes no more is not waited for for ever.
    let until = Instant::now() + 4 * DEADLINE;
    while written(&site.data(), 0) < TIMES * BYTES_MAX || written(&site.data(), 4) < TIMES * BYTES_MAX {
        for client in &mut clients {
            books.submit(client, 24);
        }
        let bytes = size(&site.data());
        assert!(
            bytes <= bound,
            "{bytes} bytes, at most {bound} are to be expected: {:#?}",
            sizes(&site.data())
        );
        most = most.max(bytes);
        assert!(Instant::now() < until, "it takes no more: {:#?}\n{}", sizes(&site.data()), engine.said());
    }
    let taken = engine.said().matches("a checkpoint is active").count();
    println!("{} events, {taken} checkpoints, at most {most} of {bound} bytes", books.applied);
    // Stripes, outcomes, parts and keys of both cores: the files of their first segments are others now.
    let begins: Vec<u64> = (0..8).map(|log| *segments(&site.data(), log).start()).collect();
    assert!(begins.iter().all(|first| *first > 0), "the first segments are {begins:?}");
    engine.stop();
    let engine = site.start();
    assert!(engine.said().contains("starting from the checkpoint after this slot"), "{}", engine.said());
    books.check(&engine);
    books.submit(&mut engine.client(), 24);
    books.check(&engine);
    assert!(size(&site.data()) <= bound);
    engine.stop();
}

/// L9, W2: first responses are kept for a TTL, whatever comes. An outcome stream that is full of younger ones is
/// answered `busy`, nothing is lost, and it goes on by itself once stream time has passed their TTL.
#[test]
fn w2_an_outcome_stream_full_of_young_outcomes_says_busy_until_they_expire() {
    let settings = Settings { bytes_max: "4MiB", ..Settings::with_checkpoints(vec![vec![0]]) };
    let site = Site::new(settings);
    site.format(&["--warden-ttl", "5s", "--warden-capacity", "256Ki", "--entity-capacity", "4Ki"]);
    let engine = site.start();
    let mut books = Books::default();
    let mut client = impatient(&engine);
    let until = Instant::now() + DEADLINE;
    // What is admitted is answered; what is not finds no room for as long as this client waits.
    while books.submit(&mut client, 400) {
        assert!(Instant::now() < until, "an outcome stream of 4 MiB takes the outcomes of {books:?}");
    }
    let full = books.applied;
    let sample = books.first.clone();
    books.check(&engine);
    // The same events until they are answered, and new ones when a key's time is over.
    while !books.submit(&mut client, 1) {
        assert!(Instant::now() < until, "it does not go on: {books:?}\n{}", engine.said());
    }
    books.check(&engine);
    println!("{full} events until it was full, and {} of open fate until it went on", books.open);
    // AskAfterDeadline: the first keys are no longer live, and never evaluated again: their deadline is over, too.
    let again = engine.client().submit(&sample).expect("answers");
    assert!(again.iter().all(|answer| answer.status == Status::Expired), "{again:?}");
    books.check(&engine);
    engine.kill();
    let engine = site.start();
    books.check(&engine);
    engine.stop();
}

/// What was applied to one item, and what may have been.
#[derive(Debug, Default)]
struct Books {
    applied: u64,
    /// Events whose client gave up waiting.
    open: u64,
    /// The first events, with their keys and deadlines.
    first: Vec<NewEvent>,
    keys: u128,
}

impl Books {
    /// Submits new events; true if all of them were applied.
    fn submit(&mut self, client: &mut Client, count: u64) -> bool {
        let deadline = client.stream_time().0 + client.welcome().warden_ttl_ns / 8 * 7;
        let events: Vec<NewEvent> = (0..count)
            .map(|_| {
                self.keys += 1;
                let key = assize_wire::EventKey(self.keys);
                adjust(1, 1).with_key(key).with_deadline(assize_wire::StreamTime(deadline))
            })
            .collect();
        if self.first.is_empty() {
            self.first.clone_from(&events);
        }
        let completions: Vec<Completion> = match client.submit(&events) {
            Ok(answers) => {
                answers.iter().for_each(|answer| assert_eq!(answer.status, Status::Applied, "{answer:?}"));
                self.applied += answers.len() as u64;
                return true;
            }
            Err(
                ClientError::TimedOut { completions, .. } | ClientError::OutcomeUnknown { completions, .. },
            ) => completions,
            Err(error) => panic!("{error}"),
        };
        let mut open = count;
        for completion in completions {
            match completion.outcome {
                Outcome::Answered(answer) if answer.status == Status::Applied => {
                    self.applied += 1;
                    open -= 1;
                }
                // Said by the log, after a wait that was too long: never evaluated.
                Outcome::Answered(answer) if answer.status == Status::Expired => open -= 1,
                Outcome::Answered(answer) => panic!("{answer:?}"),
                Outcome::Unknown => {}
            }
        }
        self.open += open;
        false
    }

    fn check(&self, engine: &Engine) {
        let found = quantities_of(&mut client_of(engine.address()), &[1])[0];
        let range = self.applied..=self.applied + self.open;
        assert!(range.contains(&found), "{found} is there, {range:?} was answered");
    }
}

/// A client that does not wait long for room.
fn impatient(engine: &Engine) -> Client {
    let options = Options { call_timeout: Duration::from_secs(2), ..Options::default() };
    Client::connect(&[engine.address()], options).expect("a client")
}

/// How far a log has come: the end of its highest segment.
fn written(data: &Path, log: u16) -> u64 {
    (segments(data, log).end() + 1) * MIB
}

/// The lowest and the highest segment of a log.
fn segments(data: &Path, log: u16) -> RangeInclusive<u64> {
    let segments = fs::read_dir(data.join(format!("log-{log:05}"))).into_iter().flatten();
    let numbers: BTreeSet<u64> = segments
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            u64::from_str_radix(name.strip_prefix("segment-")?, 16).ok()
        })
        .collect();
    let ends = numbers.first().zip(numbers.last());
    let (first, last) = ends.unwrap_or_else(|| panic!("log {log} has no segment"));
    *first..=*last
}

/// Bytes of each folder of logs, and of the rest.
fn sizes(data: &Path) -> Vec<(String, u64)> {
    let bytes = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
    let mut sizes = Vec::new();
    for entry in fs::read_dir(data).expect("the data directory").map_while(Result::ok) {
        let inner = fs::read_dir(entry.path()).into_iter().flatten().map_while(Result::ok);
        let all = inner.map(|file| bytes(&file.path())).sum::<u64>();
        let own = if entry.path().is_dir() { all } else { bytes(&entry.path()) };
        sizes.push((entry.file_name().to_string_lossy().into_owned(), own));
    }
    sizes.sort();
    sizes
}

fn size(data: &Path) -> u64 {
    sizes(data).iter().map(|(_, bytes)| bytes).sum()
}
