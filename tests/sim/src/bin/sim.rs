//! `cargo run --release -p assize-sim -- --seeds 0..2000`: runs seeds, on every CPU, and for each that fails says what
//! it had drawn, what is broken, and the one line that shows it again. Exits with 1 if any fails.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use assize_sim::cluster::runner as cluster;
use assize_sim::runner::{Run, STEPS, Summary};
use assize_sim::scenario::Scenario;
use assize_wire::outcome::Status;

struct Arguments {
    seeds: std::ops::Range<u64>,
    scenario: Kind,
    steps: Option<u64>,
    threads: usize,
}

/// Of one replica, or of a cluster.
#[derive(Clone, Copy)]
enum Kind {
    Replica(Scenario),
    Cluster(cluster::Kind),
}

/// What runs came to.
#[derive(Default)]
struct Totals {
    replica: Summary,
    cluster: cluster::Summary,
    failed: u64,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("{wrong}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let Arguments { seeds, scenario, steps, threads } = arguments;
    let began = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let all = Mutex::new(Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    run(scenario, seed, steps, &all);
                }
            });
        }
    });
    let totals = all.into_inner().expect("nobody panics with it");
    let seconds = began.elapsed().as_secs_f64();
    let (failed, count) = (totals.failed, seeds.end - seeds.start);
    println!("{count} seeds of {}, {failed} failed, {seconds:.1} s", scenario.name());
    let statuses = match scenario {
        Kind::Replica(_) => {
            let Summary { steps, slots, events, downs, statuses } = totals.replica;
            println!(
                "{steps} steps ({:.0}/s), {slots} slots, {events} events, {downs} times down",
                steps as f64 / seconds
            );
            statuses
        }
        Kind::Cluster(_) => {
            let cluster::Summary { steps, slots, events, downs, ballots, partitions, resets, .. } =
                totals.cluster;
            let cluster::Summary { lost_disks, rejoined, handed_over, kept_leading, .. } = totals.cluster;
            println!(
                "{steps} steps ({:.0}/s), {slots} slots, {events} events, {downs} times down, {ballots} ballots, \
                 {partitions} partitions, {resets} connections cut, {lost_disks} disks lost, {rejoined} times a vote came back, \
                 {handed_over} times handed over, {kept_leading} times given up",
                steps as f64 / seconds
            );
            totals.cluster.statuses
        }
    };
    let seen = Status::ALL.into_iter().filter(|status| statuses >> *status as u8 & 1 == 1);
    let seen: Vec<String> = seen.map(|status| status.to_string()).collect();
    println!("events ended as: {}", seen.join(", "));
    if failed > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

fn run(scenario: Kind, seed: u64, steps: Option<u64>, all: &Mutex<Totals>) {
    let failure = match scenario {
        Kind::Replica(scenario) => {
            let run = Run { scenario, seed, steps: steps.unwrap_or(STEPS) };
            let ended = run.run();
            ended
                .map(|summary| {
                    let mut all = all.lock().expect("nobody panics with it");
                    all.replica = all.replica.and(summary);
                })
                .map_err(|failure| failure.to_string())
        }
        Kind::Cluster(kind) => {
            let run = cluster::Run { kind, seed, steps: steps.unwrap_or(cluster::STEPS) };
            let ended = run.run();
            ended
                .map(|summary| {
                    let mut all = all.lock().expect("nobody panics with it");
                    all.cluster = all.cluster.and(summary);
                })
                .map_err(|failure| failure.to_string())
        }
    };
    if let Err(failure) = failure {
        all.lock().expect("nobody panics with it").failed += 1;
        println!("{failure}\n");
    }
}

impl Kind {
    fn all() -> impl Iterator<Item = Kind> {
        let of_one = Scenario::ALL.into_iter().map(Kind::Replica);
        of_one.chain(cluster::Kind::ALL.into_iter().map(Kind::Cluster))
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Replica(scenario) => scenario.name(),
            Kind::Cluster(kind) => kind.name(),
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let swarm = Kind::Replica(Scenario::Swarm);
    let mut parsed = Arguments { seeds: 0..200, scenario: swarm, steps: None, threads };
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name}: '{value}' is not a number"));
        match name.as_str() {
            "--seed" => parsed.seeds = number()?..number()? + 1,
            "--seeds" => {
                let ends = value
                    .split_once("..")
                    .and_then(|(from, to)| Some(from.parse::<u64>().ok()?..to.parse::<u64>().ok()?));
                parsed.seeds = ends.ok_or_else(|| format!("--seeds: '{value}' is not like 0..2000"))?;
            }
            "--scenario" => {
                let names: Vec<&str> = Kind::all().map(Kind::name).collect();
                let named = Kind::all().find(|kind| kind.name() == value);
                parsed.scenario = named
                    .ok_or_else(|| format!("--scenario: '{value}' is not one of {}", names.join(", ")))?;
            }
            "--steps" => parsed.steps = Some(number()?),
            "--threads" => parsed.threads = number()?.max(1) as usize,
            _ => return Err(format!("{name} is not known")),
        }
    }
    Ok(parsed)
}

const USAGE: &str = "usage: sim [--seeds A..B | --seed N] \
                     [--scenario swarm|load|crash|stop|cluster|cluster-load|cluster-checkpoints|cluster-wrong|\
                     cluster-rejoin|cluster-rejoin-checkpoints] \
                     [--steps N] [--threads N]";
