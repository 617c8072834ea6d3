//! `assizectl latency`: the stages of an event's way, from the histograms of the replica that leads: who leads measures
//! all of them.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{ANSWERED_WITHIN, Cluster, shown};
use crate::cli::LatencyCommand;
use crate::exit::{Ended, Exit};
use crate::print::{Printer, Table};

/// A histogram: buckets by their highest time in nanoseconds, ascending, each with its events.
type Counts = Vec<(u64, u64)>;

/// Prints the percentiles of each stage, and writes the distributions where that is asked for.
pub(crate) fn latency(command: &LatencyCommand, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    let cluster = Cluster::at(&command.at, Some(ANSWERED_WITHIN))?;
    let (mut replica, mut stages) = stages_of_leader(&cluster)?;
    if let Some(over) = command.over {
        // What happens meanwhile is what is measured.
        thread::sleep(over);
        let (then, later) = stages_of_leader(&cluster)?;
        if then != replica {
            let text = format!("replica {replica} led and now replica {then} does: measure again");
            return Err(Ended::Problem { status: 503, text });
        }
        replica = then;
        stages = later
            .into_iter()
            .zip(&stages)
            .map(|(later, (_, before))| (later.0, since(&later.1, before)))
            .collect();
    }
    let rows: Vec<Value> = stages.iter().map(|(stage, counts)| row(stage, counts)).collect();
    printer.answer(&json!({"replica": replica, "stages": rows}), || text(replica, &rows))?;
    if let Some(folder) = &command.hgrm {
        fs::create_dir_all(folder)
            .map_err(|error| Ended::Io(format!("creating {}", folder.display()), error))?;
        for (stage, counts) in &stages {
            write_hgrm(&folder.join(format!("{}.hgrm", stage.replace(' ', "-"))), counts)?;
        }
    }
    Ok(Exit::Success)
}

fn stages_of_leader(cluster: &Cluster) -> Result<(u64, Vec<(String, Counts)>), Ended> {
    let until = Instant::now() + LEADS_WITHIN;
    let leader = loop {
        let seen = cluster.document("/v1/cluster")?;
        let mut replicas = seen["replicas"].as_array().into_iter().flatten();
        let leads = |replica: &&Value| replica["reached"] == true && replica["status"]["leads"] == true;
        match replicas.find(leads) {
            // One is being elected.
            None if Instant::now() < until => thread::sleep(ASKED_EVERY),
            leader => break leader.cloned(),
        }
    };
    let Some(leader) = leader else {
        let text = "no replica that is reached by HTTP leads: only who leads measures all stages".to_owned();
        return Err(Ended::Problem { status: 503, text });
    };
    let counts = |stage: &Value| -> Counts {
        let counts = stage["counts"].as_array().into_iter().flatten();
        counts.filter_map(|pair| Some((pair[0].as_u64()?, pair[1].as_u64()?))).collect()
    };
    let stages = leader["status"]["stages"].as_array().into_iter().flatten();
    let stages = stages.map(|stage| (shown(&stage["stage"]), counts(stage))).collect();
    Ok((leader["replica"].as_u64().unwrap_or_default(), stages))
}

/// What came between two readings of one histogram.
fn since(later: &Counts, before: &Counts) -> Counts {
    let of = |bucket: u64| before.iter().find(|(known, _)| *known == bucket).map_or(0, |(_, events)| *events);
    let differences = later.iter().map(|(bucket, events)| (*bucket, events.saturating_sub(of(*bucket))));
    differences.filter(|(_, events)| *events > 0).collect()
}

/// The highest time of the bucket in which this share of events is reached: at most an eighth too high.
fn quantile_us(counts: &Counts, quantile: f64) -> f64 {
    let all: u64 = counts.iter().map(|(_, events)| events).sum();
    let wanted = ((all as f64 * quantile).ceil() as u64).max(1);
    let mut below = 0;
    let found = counts.iter().find(|(_, events)| {
        below += events;
        below >= wanted
    });
    found.map_or(0.0, |(ns, _)| *ns as f64 / 1e3)
}

fn row(stage: &str, counts: &Counts) -> Value {
    let events: u64 = counts.iter().map(|(_, events)| events).sum();
    let us = |quantile| (quantile_us(counts, quantile) * 10.0).round() / 10.0;
    json!({"stage": stage, "events": events, "p50_us": us(0.5), "p90_us": us(0.9), "p99_us": us(0.99),
        "p999_us": us(0.999), "max_us": us(1.0)})
}

fn text(replica: u64, rows: &[Value]) -> String {
    let columns = ["stage", "events", "p50_us", "p90_us", "p99_us", "p999_us", "max_us"];
    let mut table = Table::new(&columns);
    rows.iter().for_each(|row| table.row(columns.iter().map(|column| shown(&row[*column])).collect()));
    format!(
        "measured by replica {replica}, which leads; a time is at most an eighth too high\n{}",
        table.text()
    )
}

/// As `AbstractHistogram.outputPercentileDistribution` writes it, a line for each bucket, in microseconds.
fn write_hgrm(path: &Path, counts: &Counts) -> Result<(), Ended> {
    let write = || {
        let mut out = BufWriter::new(File::create(path)?);
        let all: u64 = counts.iter().map(|(_, events)| events).sum();
        writeln!(
            out,
            "{:>12} {:>14} {:>10} {:>14}\n",
            "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
        )?;
        let mut below = 0;
        for (ns, events) in counts {
            below += events;
            let (value, percentile) = (*ns as f64 / 1e3, below as f64 / all as f64);
            if below < all {
                let inverse = 1.0 / (1.0 - percentile);
                writeln!(out, "{value:>12.3} {percentile:>2.12} {below:>10} {inverse:>14.2}")?;
            } else {
                writeln!(out, "{value:>12.3} {percentile:>2.12} {below:>10}")?;
            }
        }
        out.flush()
    };
    write().map_err(|error| Ended::Io(format!("writing {}", path.display()), error))
}

/// An election takes about a second; replicas ask each other no more often than they are asked here.
const LEADS_WITHIN: Duration = Duration::from_secs(5);
const ASKED_EVERY: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_its_buckets_highest_time() {
        let counts = vec![(1_000, 50), (2_000, 49), (9_000, 1)];
        assert_eq!(quantile_us(&counts, 0.5).to_string(), "1");
        assert_eq!(quantile_us(&counts, 0.51).to_string(), "2");
        assert_eq!(quantile_us(&counts, 1.0).to_string(), "9");
        assert_eq!(quantile_us(&Vec::new(), 0.5).to_string(), "0");
    }

    #[test]
    fn what_came_in_between_is_the_difference() {
        let (before, later) = (vec![(1_000, 5), (2_000, 3)], vec![(1_000, 7), (2_000, 3), (4_000, 1)]);
        assert_eq!(since(&later, &before), [(1_000, 2), (4_000, 1)]);
    }
}
