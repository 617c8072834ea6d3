//! A format and a first start, killed and cut off at each of their disk steps: `format` again makes a replica of what
//! is left or says that there is one, and it serves.

use std::sync::Arc;

use assize_device::DurabilityMode;
use assize_wal::formatted::{Formatted, formatted};

use crate::checks::{Stripes, check};
use crate::disk::Disk;
use crate::record::{Entry, Recorder};
use crate::rng::Rng;
use crate::running::{Running, Site, load};

/// How often each step is cut off.
const CUTS: usize = 12;

/// FormatStartsOver, HalfFormatCounts, FormattedOnce (L7): after a power cut at any step.
#[test]
fn l7_a_format_is_cut_off_at_any_step() {
    let mut rng = Rng::announced("power cuts of format");
    let entries = recorded_start();
    let done = position(&entries, |entry| matches!(entry, Entry::Formatted));
    let mut disk = Disk::default();
    let (mut started_over, mut was_done) = (0, 0);
    for (at, entry) in entries.iter().enumerate().take(done + 1) {
        for _ in 0..CUTS {
            let mut image = disk.cut(&mut rng);
            let site = Site::new(1);
            image.write(&site.data());
            let recorder = Arc::new(Recorder::default());
            match formatted(&mut image).expect("it is in memory") {
                Formatted::No | Formatted::Unfinished => {
                    assert_ne!(at, done, "a format that was acknowledged is gone");
                    site.format(&recorder);
                    started_over += 1;
                }
                Formatted::Yes(_) => {
                    let again = site.try_format(&recorder).expect_err("it is formatted");
                    assert!(again.contains("holds a replica already"), "{again}");
                    was_done += 1;
                }
                Formatted::Corrupt(error) => panic!("a cut before entry {at}: {error}"),
            }
            if let Err(error) = Running::start(&site, &recorder, DurabilityMode::default()).map(Running::stop)
            {
                panic!("after a cut before entry {at} it does not serve: {error}");
            }
        }
        if let Entry::Disk(event) = entry {
            disk.apply(event);
        }
    }
    println!("{started_over} started over, {was_done} were done");
    assert!(started_over > 0 && was_done > 0);
}

/// SuperblockUpdated (L5, L7): a first start is killed at any step with its writes unflushed, and the start after it is
/// cut off at any step.
#[test]
fn l7_a_start_is_killed_and_the_next_is_cut_off_at_any_step() {
    let mut rng = Rng::announced("kills of a start");
    let entries = recorded_start();
    let formatted = position(&entries, |entry| matches!(entry, Entry::Formatted));
    let answered = position(&entries, |entry| matches!(entry, Entry::Answered(_)));
    let mut disk = Disk::default();
    for (at, entry) in entries.iter().enumerate().take(answered) {
        if at > formatted {
            let left = disk.kill(&mut rng);
            let (site, recorder) = (Site::new(1), Arc::new(Recorder::default()));
            left.visible().write(&site.data());
            serve(&site, &recorder, &mut rng);
            let (mut next, mut stripes) = (left, Stripes::default());
            for second in recorder.take() {
                for _ in 0..CUTS {
                    let found = check(&mut next.cut(&mut rng), std::iter::empty(), &mut stripes);
                    if let Err(error) = found {
                        panic!("killed before entry {at}, cut off before {second:?}: {error}");
                    }
                }
                match second {
                    Entry::Disk(event) => next.apply(&event),
                    // From here on it is like any other run.
                    Entry::Answered(_) => break,
                    Entry::Formatted => {}
                }
            }
        }
        if let Entry::Disk(event) = entry {
            disk.apply(event);
        }
    }
}

/// A format and a first start, until something was answered.
fn recorded_start() -> Vec<Entry> {
    let (site, recorder) = (Site::new(1), Arc::new(Recorder::default()));
    site.format(&recorder);
    serve(&site, &recorder, &mut Rng::announced("a first start"));
    recorder.take()
}

fn serve(site: &Site, recorder: &Arc<Recorder>, rng: &mut Rng) {
    let running = Running::start(site, recorder, DurabilityMode::default());
    let running = running.unwrap_or_else(|error| panic!("{error}"));
    load(&running.address, recorder, 1, rng);
    running.stop();
}

fn position(entries: &[Entry], wanted: impl Fn(&Entry) -> bool) -> usize {
    entries.iter().position(wanted).expect("it was recorded")
}
