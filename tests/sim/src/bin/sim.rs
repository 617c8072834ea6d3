//! `cargo run --release -p assize-sim -- --seeds 0..2000`: runs seeds, on every CPU, and for each that fails says what
//! it had drawn, what is broken, and the one line that shows it again. Exits with 1 if any fails.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use assize_sim::runner::{Run, STEPS, Summary};
use assize_sim::scenario::Scenario;
use assize_wire::outcome::Status;

struct Arguments {
    seeds: std::ops::Range<u64>,
    scenario: Scenario,
    steps: u64,
    threads: usize,
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
    let all = Mutex::new((Summary::default(), 0u64));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let ended = Run { scenario, seed, steps }.run();
                    let mut all = all.lock().expect("nobody panics with it");
                    match ended {
                        Ok(summary) => all.0 = all.0.and(summary),
                        Err(failure) => {
                            all.1 += 1;
                            println!("{failure}\n");
                        }
                    }
                }
            });
        }
    });
    let (summary, failed) = all.into_inner().expect("nobody panics with it");
    let seconds = began.elapsed().as_secs_f64();
    let Summary { steps, slots, events, downs, statuses } = summary;
    let seen: Vec<String> = Status::ALL
        .into_iter()
        .filter(|status| statuses >> *status as u8 & 1 == 1)
        .map(|status| status.to_string())
        .collect();
    let count = seeds.end - seeds.start;
    println!("{count} seeds of {}, {failed} failed, {seconds:.1} s", scenario.name());
    println!(
        "{steps} steps ({:.0}/s), {slots} slots, {events} events, {downs} times down",
        steps as f64 / seconds
    );
    println!("events ended as: {}", seen.join(", "));
    if failed > 0 { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut parsed = Arguments { seeds: 0..200, scenario: Scenario::Swarm, steps: STEPS, threads };
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
                let names = Scenario::ALL.map(Scenario::name).join(", ");
                parsed.scenario = Scenario::named(&value)
                    .ok_or_else(|| format!("--scenario: '{value}' is not one of {names}"))?;
            }
            "--steps" => parsed.steps = number()?,
            "--threads" => parsed.threads = number()?.max(1) as usize,
            _ => return Err(format!("{name} is not known")),
        }
    }
    Ok(parsed)
}

const USAGE: &str =
    "usage: sim [--seeds A..B | --seed N] [--scenario swarm|load|crash|stop] [--steps N] [--threads N]";
