//! Cuts of recorded runs: recovered from memory many times, started on the disk a few times and cut again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use assize_device::{DiskEvent, DurabilityMode, Place};
use assize_node::LogIds;
use assize_wal::OperationId;
use assize_wire::{CoreId, Hash, LogId, Slot};

use crate::checks::{Found, Stripes, check};
use crate::disk::{Disk, Image};
use crate::record::{Answered, Entry, Recorder};
use crate::rng::Rng;
use crate::running::{Running, Site, load, resubmit};

/// Cuts of one recorded run.
const CUTS: usize = 240;
/// How many of them are started on the disk.
const STARTS: usize = 3;
/// Cuts of the run after such a start.
const SECOND_CUTS: usize = 40;
/// How often each of two clients submits.
const ROUNDS: u64 = 600;

/// TornTailCut, OldRecordsVoid, LossRefused (L3, L4, L5, L7).
#[test]
fn l3_what_was_answered_survives_power_cuts_with_one_core() {
    survive("one core", 1);
}

/// The same with two logs, whose accepts name stripes of each other (P2).
#[test]
fn l3_what_was_answered_survives_power_cuts_with_two_cores() {
    survive("two cores", 2);
}

/// RecordDurable, FlushCompleted: a device that calls writes durable without a flush is found out by these checks.
#[test]
fn l3_a_device_that_does_not_flush_is_found_out() {
    let mut rng = Rng::announced("power cuts without a flush");
    for cores in [1, 2] {
        let run = Run::record(&Site::new(cores), DurabilityMode::Unflushed, &mut rng);
        let cuts = run.cut(CUTS, &mut rng);
        let found = cuts.iter().filter(|cut| cut.recovered.is_err()).count();
        println!("{cores} cores without a flush: {found} of {CUTS} cuts lost something that was answered");
        assert!(found > CUTS / 4, "{found} of {CUTS}");
    }
}

/// L6: a superblock that names a checkpoint whose records are not durable is
/// found out. What an engine that does not wait for them would leave is what is left of this one if the flushes of the
/// logs of parts and keys had not happened.
#[test]
fn l6_a_checkpoint_that_is_active_before_its_parts_are_durable_is_found_out() {
    let mut rng = Rng::announced("power cuts without flushed parts");
    for cores in [1, 2] {
        let mut run = Run::record(&Site::new(cores), DurabilityMode::default(), &mut rng);
        run.forget_flushes(|log| {
            [LogIds::of(CoreId(0)), LogIds::of(CoreId(1))]
                .iter()
                .any(|ids| ids.parts == log || ids.keys == log)
        });
        let cuts = run.cut(CUTS, &mut rng);
        let found = cuts.iter().filter(|cut| cut.recovered.is_err()).count();
        println!(
            "{cores} cores, parts not flushed: {found} of {CUTS} cuts lost a part of an active checkpoint"
        );
        assert!(found > CUTS / 4, "{found} of {CUTS}");
    }
}

fn survive(what: &str, cores: u16) {
    let mut rng = Rng::announced(&format!("power cuts with {what}"));
    for _ in 0..runs() {
        let site = Site::new(cores);
        let run = Run::record(&site, DurabilityMode::default(), &mut rng);
        let mut cuts = run.cut(CUTS, &mut rng);
        cuts.iter().for_each(Cut::expect);
        let torn = cuts.iter().filter(|cut| cut.is_torn()).count();
        let above: BTreeSet<Slot> = cuts.iter().map(Cut::checkpoint).collect();
        let below = cuts.iter().filter_map(|cut| Some(cut.recovered.as_ref().ok()?.below)).max();
        let recycled =
            run.entries.iter().filter(|entry| matches!(entry, Entry::Disk(DiskEvent::Renamed { .. })));
        println!(
            "{what}: {} entries, {CUTS} cuts, {torn} with a torn tail, checkpoints after {above:?}, {below:?} answers \
             below one, {} segments recycled",
            run.entries.len(),
            recycled.clone().count(),
        );
        assert!(torn > STARTS, "{torn} of {CUTS} cuts tore a tail: the test shows too little");
        assert!(above.len() > 3 && below > Some(100), "few checkpoints: the test shows too little");
        assert!(recycled.count() > 2, "few segments were recycled: the test shows too little");
        // The torn ones above a checkpoint first: their starts void something.
        cuts.sort_by_key(|cut| !(cut.is_torn() && cut.checkpoint() > Slot::ZERO));
        for cut in cuts.iter().take(STARTS) {
            second_crash(cores, &run, cut, Disk::of(cut.image.clone()), &mut rng);
            second_crash(cores, &run, cut, cut.disk.kill(&mut rng), &mut rng);
        }
    }
}

/// A crash, a start that voids what it finds beyond its cut, a little work in its place, and another crash. `left` is
/// what the first crash left: all durable after a power cut, and not after a kill.
fn second_crash(cores: u16, first: &Run, cut: &Cut, left: Disk, rng: &mut Rng) {
    let (site, recorder) = (Site::new(cores), Arc::new(Recorder::default()));
    left.visible().write(&site.data());
    let running = Running::start(&site, &recorder, DurabilityMode::default())
        .unwrap_or_else(|error| panic!("after a cut at entry {}: {error}", cut.at));
    // Some of what was cut off comes again under its old keys, in other stripes; what was answered is known.
    resubmit(&running.address, &first.answered(usize::MAX), first.answered(cut.at).len());
    load(&running.address, &recorder, 6, rng);
    running.stop();
    let second =
        Run { base: left, entries: recorder.take(), earlier: first.answered(cut.at), formatted: true };
    let cuts = second.cut(SECOND_CUTS, rng);
    cuts.iter().for_each(Cut::expect);
}

/// One recorded run.
struct Run {
    /// What was there before it.
    base: Disk,
    entries: Vec<Entry>,
    /// What had been answered before it.
    earlier: Vec<Answered>,
    /// It began on a formatted directory.
    formatted: bool,
}

/// What a power cut left, and what became of it.
struct Cut {
    /// The entry before which the power failed.
    at: usize,
    /// The disk at that moment.
    disk: Disk,
    image: Image,
    /// What was found, or what is wrong.
    recovered: Result<Found, String>,
}

impl Run {
    /// Formats a directory and runs a replica on it under load.
    fn record(site: &Site, mode: DurabilityMode, rng: &mut Rng) -> Run {
        let recorder = Arc::new(Recorder::default());
        site.format(&recorder);
        let running = Running::start(site, &recorder, mode).unwrap_or_else(|error| panic!("{error}"));
        load(&running.address, &recorder, ROUNDS, rng);
        running.stop();
        Run { base: Disk::default(), entries: recorder.take(), earlier: Vec::new(), formatted: false }
    }

    /// Makes it the record of a run in which these logs were written and never flushed.
    fn forget_flushes(&mut self, of: impl Fn(LogId) -> bool) {
        let is_of = |id: &OperationId| of(id.log);
        self.entries.retain(|entry| {
            let flush = match entry {
                Entry::Disk(DiskEvent::FlushSubmitted { id, .. } | DiskEvent::FlushCompleted { id }) => id,
                _ => return true,
            };
            !is_of(flush)
        });
        for entry in &mut self.entries {
            if let Entry::Disk(DiskEvent::WriteCompleted { id, durable }) = entry {
                *durable &= !is_of(id);
            }
        }
    }

    /// What was answered in this run before entry `end`.
    fn answered(&self, end: usize) -> Vec<Answered> {
        let entries = self.entries.iter().take(end);
        entries
            .filter_map(|entry| if let Entry::Answered(known) = entry { Some(known) } else { None }.cloned())
            .collect()
    }

    /// Cuts the power at `count` moments, ascending, and recovers what it leaves. A third of the moments are those at
    /// which an answer has just arrived: what it stands on must be there. At another third a write is under way.
    fn cut(&self, count: usize, rng: &mut Rng) -> Vec<Cut> {
        let after = |wanted: fn(&Entry) -> bool| {
            let entries = self.entries.iter().enumerate().filter(move |(_, entry)| wanted(entry));
            entries.map(|(at, _)| at + 1).collect::<Vec<usize>>()
        };
        let answers = after(|entry| matches!(entry, Entry::Answered(_)));
        let writes = after(|entry| matches!(entry, Entry::Disk(DiskEvent::WriteCompleted { .. })));
        let formatted = match self.formatted {
            true => 0,
            false => {
                self.entries.iter().position(|entry| matches!(entry, Entry::Formatted)).expect("formatted")
            }
        };
        let mut moments: Vec<usize> = (0..count)
            .map(|number| match number % 3 {
                0 => answers[rng.below(answers.len() as u64) as usize],
                1 => writes[rng.below(writes.len() as u64) as usize].max(formatted),
                _ => formatted + rng.below((self.entries.len() - formatted) as u64 + 1) as usize,
            })
            .collect();
        moments.sort_unstable();
        let (mut disk, mut stripes, mut at) = (self.base.clone(), Stripes::default(), 0);
        let whole = self.whole(formatted, &mut stripes);
        let mut answered: Vec<&Answered> = self.earlier.iter().collect();
        let mut cuts = Vec::with_capacity(count);
        for moment in moments {
            for entry in &self.entries[at..moment] {
                match entry {
                    Entry::Disk(event) => disk.apply(event),
                    Entry::Answered(known) => answered.push(known),
                    Entry::Formatted => {}
                }
            }
            at = moment;
            let mut image = disk.cut(rng);
            let recovered = check(&mut image, answered.iter().copied(), &mut stripes);
            let recovered = recovered.and_then(|found| {
                let same = found.manifests.iter().all(|(slot, hash)| whole.get(slot) == Some(hash));
                if same { Ok(found) } else { Err("a slot holds what was never there".to_owned()) }
            });
            cuts.push(Cut { at, disk: disk.clone(), image, recovered });
        }
        cuts
    }

    /// Its manifests, where nothing is cut off: before each write of a superblock, which may name a checkpoint that
    /// makes them superfluous, and at the end.
    fn whole(&self, formatted: usize, stripes: &mut Stripes) -> BTreeMap<Slot, Hash> {
        let (mut disk, mut manifests) = (self.base.clone(), BTreeMap::new());
        let mut answered: Vec<&Answered> = self.earlier.iter().collect();
        let mut look = |disk: &Disk, answered: &[&Answered]| {
            let found = check(&mut disk.visible(), answered.iter().copied(), stripes);
            manifests.extend(found.unwrap_or_else(|error| panic!("without any cut: {error}")).manifests);
        };
        for (at, entry) in self.entries.iter().enumerate() {
            match entry {
                Entry::Disk(event) => {
                    let place = Place::Superblock(0);
                    let names = matches!(event, DiskEvent::WriteSubmitted { place: of, .. } if *of == place);
                    if names && at > formatted {
                        look(&disk, &answered);
                    }
                    disk.apply(event);
                }
                Entry::Answered(known) => answered.push(known),
                Entry::Formatted => {}
            }
        }
        look(&disk, &answered);
        manifests
    }
}

impl Cut {
    fn expect(&self) {
        if let Err(error) = &self.recovered {
            panic!("a cut before entry {} is not survived: {error}", self.at);
        }
    }

    fn is_torn(&self) -> bool {
        self.recovered.as_ref().is_ok_and(|found| found.torn)
    }

    fn checkpoint(&self) -> Slot {
        self.recovered.as_ref().map_or(Slot::ZERO, |found| found.checkpoint)
    }
}

fn runs() -> usize {
    match std::env::var(RUNS) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{RUNS} is {text:?}; accepted is a number")),
        Err(_) => 1,
    }
}

const RUNS: &str = "ASSIZE_POWER_RUNS";
