//! kill -9 where a checkpoint follows the other: while one is taken, while a start restores one and replays what is
//! above it; and starts on other cores, whose checkpoints lie in the logs of cores that are gone.

use std::fs;
use std::thread;
use std::time::Instant;

use assize_wire::Slot;

use crate::crash::kill_in_recovery;
use crate::engine::{DEADLINE, Engine, client_of};
use crate::load::{Load, adjust};
use crate::rng::Rng;
use crate::site::{Settings, Site};

/// Kills under load in each layout, every second of them once a checkpoint has begun, with one or more in recovery
/// after every third.
const KILLS: u64 = 12;
/// At most this many answers between a restart and the next kill.
const ANSWERS_MAX: u64 = 3_000;
/// Items that nobody moves: so many that a checkpoint takes a while.
const STILL_ITEMS: u64 = 12_000;

#[test]
fn l6_two_shards_on_one_core_survive_kills_in_checkpoints() {
    survive("checkpoints, one core", &[Settings::with_checkpoints(vec![vec![0, 1]])]);
}

#[test]
fn l6_two_cores_survive_kills_in_checkpoints() {
    survive("checkpoints, two cores", &[Settings::with_checkpoints(vec![vec![0], vec![1]])]);
}

#[test]
fn l6_a_control_thread_of_its_own_survives_kills_in_checkpoints() {
    let apart = Settings { control_apart: true, ..Settings::with_checkpoints(vec![vec![0], vec![1]]) };
    survive("checkpoints, control apart", &[apart]);
}

/// L1: each start on another core map. Stripes, outcomes and parts lie in the logs of cores that are gone, and come
/// back.
#[test]
fn l1_any_core_map_starts_from_the_checkpoints_of_another() {
    survive("checkpoints, other cores", &Settings::on_each_core_map());
}

fn survive(what: &str, maps: &[Settings]) {
    let mut rng = Rng::announced(what);
    let mut site = Site::formatted(maps[0].clone());
    let mut engine = site.start();
    let address = engine.address().to_owned();
    let still: Vec<_> = (0..STILL_ITEMS).map(|item| adjust(1_000_000 + item, 1)).collect();
    client_of(&address).submit(&still).expect("answers");
    let load = Load::start(&address, 3, &mut rng);
    let (mut taken, mut cut_off, mut from, mut checked) = (0, 0, 0, [0, 0]);
    for kill in 0..KILLS {
        load.wait_for_answers(1 + rng.below(ANSWERS_MAX));
        if kill % 2 == 0 {
            let active = wait_for_checkpoint(&site, &engine);
            (0..rng.below(3_000)).for_each(|_| thread::yield_now());
            cut_off += u64::from(active_in(&engine) == active);
        }
        taken += active_in(&engine);
        engine.kill();
        site.settings = maps[(kill + 1) as usize % maps.len()].clone();
        if kill % 3 == 2 {
            (0..1 + rng.below(3)).for_each(|_| kill_in_recovery(&site, &mut rng));
        }
        engine = site.start();
        if let Some(slot) = started_after(&engine) {
            from += 1;
            let found = load.check_through(slot, &mut rng);
            checked = [checked[0].max(found[0]), checked[1].max(found[1])];
        }
        load.check_some(&mut rng);
    }
    let ledger = load.finish();
    println!(
        "{what}: {KILLS} kills, {} keys, {taken} checkpoints, {cut_off} more cut off, {from} starts from one, with \
         {checked:?} keys below it",
        ledger.journal.len(),
    );
    assert!(from > KILLS / 2 && taken > 0, "{from} of {KILLS} starts began at one of {taken} checkpoints");
    assert!(cut_off > 0, "no kill hit a checkpoint: the test shows too little");
    assert!(checked.iter().all(|keys| *keys > 0), "short and long responses below a checkpoint: {checked:?}");
    // What holds after the last kill holds after a stop in good order.
    engine.stop();
    let engine = site.start();
    assert!(started_after(&engine).is_some(), "{}", engine.said());
    crate::load::check_journal(&mut client_of(&address), &ledger.journal);
    engine.stop();
}

/// Waits until something is written to the first core's log of parts. Checkpoints that were active before.
fn wait_for_checkpoint(site: &Site, engine: &Engine) -> u64 {
    let written = || {
        let segments = fs::read_dir(site.data().join("log-00002")).into_iter().flatten();
        segments.filter_map(|entry| entry.ok()?.metadata().ok()?.modified().ok()).max()
    };
    let (before, until) = (written(), Instant::now() + DEADLINE);
    loop {
        let active = active_in(engine);
        if written() > before {
            return active;
        }
        assert!(Instant::now() < until, "no checkpoint is taken:\n{}", engine.said());
        thread::yield_now();
    }
}

fn active_in(engine: &Engine) -> u64 {
    engine.said().matches("a checkpoint is active").count() as u64
}

/// The slot of the checkpoint that it started from.
fn started_after(engine: &Engine) -> Option<Slot> {
    let said = engine.said();
    let line = said.lines().find(|line| line.contains("starting from the checkpoint after this slot"))?;
    let number = line.split("slot=").nth(1).and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).map(Slot).or_else(|| panic!("no slot in {line:?}"))
}
