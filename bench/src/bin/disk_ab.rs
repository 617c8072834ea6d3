//! `disk_ab`: the ways of making an append durable, side by side in one run.
//!
//! Rounds are interleaved: each way once, then each again, so that a disturbance meets all of them. Compare ratios,
//! not microseconds of different runs.

use std::path::PathBuf;
use std::process::ExitCode;

use assize_bench::durable::{Way, ways};
use assize_bench::summary::{median, median_ratio, quantile};
use assize_bench::{host, kernel};
use clap::Parser;
use serde_json::{Value, json};

/// Compares ways of appending durably into blocks that were written before.
#[derive(Parser)]
struct Arguments {
    /// Where to put the segments; it must be on the disk to be measured
    #[arg(long, default_value = "/var/tmp")]
    dir: PathBuf,

    /// Rounds of each way, interleaved
    #[arg(long, default_value_t = 40)]
    rounds: usize,

    /// Appends of 4 KiB in one round; larger ones are fewer
    #[arg(long, default_value_t = 100)]
    appends: usize,

    /// Keep to one CPU
    #[arg(long)]
    cpu: Option<usize>,

    /// Append the record of this run to a file, one JSON object a line
    #[arg(long)]
    record: Option<PathBuf>,
}

/// Bytes of an append, and the divisor of their number.
const SIZES: [(usize, usize); 3] = [(4 << 10, 1), (64 << 10, 2), (1 << 20, 8)];
const DEPTHS: [usize; 2] = [1, 4];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let directory = arguments.dir.join(format!("assize-disk-ab-{}", std::process::id()));
    let result =
        std::fs::create_dir_all(&directory).map_err(Into::into).and_then(|()| run(&arguments, &directory));
    let removed = std::fs::remove_dir_all(&directory);
    match result.and_then(|()| removed.map_err(Into::into)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("disk_ab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, directory: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    kernel::raise_memlock()?;
    if let Some(cpu) = arguments.cpu {
        kernel::pin(cpu)?;
    }
    let mut record = host::describe(Some(directory));
    record.insert("bench".into(), json!("disk_ab"));
    record.insert("rounds".into(), json!(arguments.rounds));
    let mut ways = ways(directory)?;
    let mut results = Vec::new();
    for (bytes, fewer) in SIZES {
        for depth in DEPTHS {
            let count = (arguments.appends / fewer).max(depth * 4);
            println!("\n{} KiB, {depth} at a time, {} rounds of {count}\n", bytes >> 10, arguments.rounds);
            results.extend(measure(&mut ways, bytes, depth, count, arguments.rounds));
        }
    }
    record.insert("load_average_end".into(), json!(host::load_average()));
    println!("\nload average {} -> {}", record["load_average"], record["load_average_end"]);
    record.insert("results".into(), Value::Array(results));
    if let Some(path) = &arguments.record {
        host::append(path, &record)?;
    }
    Ok(())
}

/// All ways at one size and depth, as a table and as records.
fn measure(ways: &mut [Box<dyn Way>], bytes: usize, depth: usize, count: usize, rounds: usize) -> Vec<Value> {
    let mut medians = vec![Vec::new(); ways.len()];
    let mut rates = vec![Vec::new(); ways.len()];
    let mut all = vec![Vec::new(); ways.len()];
    // The first round warms up and is not counted.
    for round in 0..=rounds {
        for (at, way) in ways.iter_mut().enumerate() {
            let taken = way.run(bytes, depth, count);
            if round > 0 {
                medians[at].push(median(&taken.latencies_ns) / 1000.0);
                rates[at].push(taken.latencies_ns.len() as f64 / taken.seconds);
                all[at].extend(taken.latencies_ns);
            }
        }
    }
    println!("  way                             p50 us     p99 us   p50 ratio    appends/s  rate ratio");
    let mut results = Vec::new();
    for (at, way) in ways.iter().enumerate() {
        let (p50, rate) = (median(&medians[at]), median(&rates[at]));
        let p99 = quantile(&mut all[at], 0.99) / 1000.0;
        let p50_ratio = median_ratio(&medians[at], &medians[0]);
        let rate_ratio = median_ratio(&rates[at], &rates[0]);
        let name = way.name();
        println!("  {name:<28} {p50:>9.1} {p99:>10.1} {p50_ratio:>11.2} {rate:>12.0} {rate_ratio:>11.2}");
        let rounded = |value: f64| (value * 100.0).round() / 100.0;
        results.push(json!({
            "bytes": bytes, "in_flight": depth, "way": name, "p50_us": rounded(p50), "p99_us": rounded(p99),
            "p50_ratio": rounded(p50_ratio), "per_s": rate.round(), "rate_ratio": rounded(rate_ratio),
        }));
    }
    results
}
