//! A load from its beginning to its report: set-up, load, books.

use assize_wire::routing::Routing;

use super::error::LoadError;
use super::generator::Generator;
use super::plan::{LoadPlan, Rate, Skew};
use super::progress::{Phase, Progress};
use super::report::{LoadReport, RunKind};
use super::source::Source;
use super::threads::{connect, drive};
use super::workload::Scene;

/// Runs a load to its end and closes the books. A report whose books are not `ok` is a result, not an error.
///
/// # Errors
/// [`LoadError`] when the load could not be run, or something stayed unanswered beyond `plan.drain_limit`.
pub fn run(plan: &LoadPlan, progress: &mut dyn Progress) -> Result<LoadReport, LoadError> {
    plan.check()?;
    let mut client = connect(plan)?;
    let (seed, warehouse) = (choice(plan.seed)?, choice(plan.warehouse)? >> plan.warehouse.map_or(1, |_| 0));
    progress.phase(Phase::SetUp);
    let welcome = client.welcome().clone();
    let routing = Routing { seed: welcome.routing_seed, shards: welcome.ports.len() as u16 };
    let scene = Scene::new(plan, warehouse, welcome.ports.len());
    let begun = scene.set_up(&mut client, plan)?;
    let sources = (0..plan.client_cores).map(|thread| {
        let (drawer, told) = (scene.drawer(plan, &begun), scene.nothing_told(&begun));
        Source::Drawn(Generator::new(plan, drawer, told, routing, mix(seed, thread)))
    });
    let total = plan.warmup + plan.duration;
    let mut ran = drive(plan, &client, &welcome, sources.collect(), Some(total), progress)?;

    let mut told = begun;
    ran.sources.iter().filter_map(Source::told).for_each(|more| told.add(more));
    progress.phase(Phase::Books);
    let books = scene.close(&mut client, plan, &told, ran.contradictions)?;
    let journal = std::mem::take(&mut ran.journal);
    let seconds = (ran.sent_for_ns as f64 / 1e9 - plan.warmup.as_secs_f64()).max(0.0);
    Ok(LoadReport {
        run: ran.report(RunKind::Load, plan, &client, &welcome, seconds),
        books,
        workload: plan.workload,
        mix: plan.mix,
        duration_s: plan.duration.as_secs_f64(),
        warmup_s: plan.warmup.as_secs_f64(),
        rate_target_per_s: match plan.rate {
            Rate::PerSecond(rate) => Some(rate),
            Rate::Max => None,
        },
        duplicates_percent: plan.duplicates,
        skew: match plan.skew {
            Skew::Uniform => 0.0,
            Skew::Zipf(theta) => theta,
        },
        accounts: plan.accounts,
        stock: plan.stock,
        warehouse,
        journal,
    })
}

fn choice(given: Option<u64>) -> Result<u64, LoadError> {
    match given {
        Some(given) => Ok(given),
        None => getrandom::u64().map_err(LoadError::Random),
    }
}

/// A seed for each thread that has nothing to do with the others'.
fn mix(seed: u64, thread: usize) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(&(thread as u64).to_le_bytes(), seed)
}
