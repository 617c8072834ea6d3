//! `assizectl latency`: the stages of an event's way, from the histograms of the replica that leads: who leads measures
//! all of them.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use assize_tools::load::{NotWritable, Reserved, write_hgrm};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::{Cluster, shown};
use crate::cli::LatencyCommand;
use crate::exit::{Ended, Exit};
use crate::print::{Printer, Table};

/// A histogram: buckets by their highest time in nanoseconds, ascending, each with its events.
type Counts = Vec<(u64, u64)>;

/// Prints the percentiles of each stage, and writes the distributions where that is asked for.
pub(crate) fn latency(command: &LatencyCommand, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    let cluster = Cluster::at(&command.at)?;
    let (mut replica, mut stages) = stages_of_leader(&cluster)?;
    let _reserved = command.hgrm.as_deref().map(|folder| reserve(folder, &stages)).transpose()?;
    if let Some(over) = command.over {
        // What happens meanwhile is what is measured.
        thread::sleep(over);
        let (then, later) = stages_of_leader(&cluster)?;
        if then != replica {
            let text = format!("replica {replica} led and now replica {then} does: measure again");
            return Err(Ended::Problem { status: 503, text, document: Value::Null });
        }
        replica = then;
        stages = later
            .into_iter()
            .zip(&stages)
            .map(|(later, (_, before))| (later.0, since(&later.1, before)))
            .collect();
    }
    let rows: Vec<Value> = stages.iter().map(|(stage, counts)| row(stage, counts)).collect();
    let mut files = Vec::new();
    if let Some(folder) = &command.hgrm {
        for (stage, counts) in &stages {
            let path = path_of(folder, stage);
            write(&path, counts)?;
            files.push(path);
        }
    }
    let mut told = json!({"replica": replica, "stages": rows});
    if command.hgrm.is_some() {
        told["files"] = json!(files);
    }
    printer.answer(&told, || {
        let wrote = files.iter().map(|path| format!("\nwrote {}", path.display()));
        text(replica, &rows) + &wrote.collect::<String>()
    })?;
    Ok(Exit::Success)
}

/// Whether the distributions can be written: nobody wants to learn that only when they were measured.
fn reserve(folder: &Path, stages: &[(String, Counts)]) -> Result<Reserved, Ended> {
    fs::create_dir_all(folder).map_err(|error| Ended::Io(format!("creating {}", folder.display()), error))?;
    let paths: Vec<PathBuf> = stages.iter().map(|(stage, _)| path_of(folder, stage)).collect();
    let reserved = Reserved::new(paths.iter().map(PathBuf::as_path));
    reserved.map_err(|NotWritable { path, error }| Ended::Io(format!("writing {}", path.display()), error))
}

fn path_of(folder: &Path, stage: &str) -> PathBuf {
    folder.join(format!("{}.hgrm", stage.replace(' ', "-")))
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
        return Err(Ended::Problem { status: 503, text, document: Value::Null });
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

/// As a histogram of which everything else is known how to be told: each event at its bucket's highest time, so a
/// percentile is at most an eighth too high.
fn histogram(counts: &Counts) -> Histogram<u64> {
    let histogram = Histogram::new_with_bounds(1, HIGHEST_NS, SIGNIFICANT_DIGITS);
    let mut histogram = histogram.unwrap_or_else(|error| panic!("bounds of a histogram: {error}"));
    counts.iter().for_each(|(ns, events)| histogram.saturating_record_n(*ns, *events));
    histogram
}

fn row(stage: &str, counts: &Counts) -> Value {
    let histogram = histogram(counts);
    // Nothing that happened took no time.
    let us = |quantile| match histogram.is_empty() {
        true => Value::Null,
        false => json!((histogram.value_at_quantile(quantile) as f64 / 100.0).round() / 10.0),
    };
    json!({"stage": stage, "events": histogram.len(), "p50_us": us(0.5), "p90_us": us(0.9), "p99_us": us(0.99),
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

fn write(path: &Path, counts: &Counts) -> Result<(), Ended> {
    let written = File::create(path).and_then(|file| {
        let mut out = BufWriter::new(file);
        write_hgrm(&histogram(counts), &mut out)?;
        out.flush()
    });
    written.map_err(|error| Ended::Io(format!("writing {}", path.display()), error))
}

/// An hour: nothing is waited for so long.
const HIGHEST_NS: u64 = 3_600_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// An election takes about a second; replicas ask each other no more often than they are asked here.
const LEADS_WITHIN: Duration = Duration::from_secs(5);
const ASKED_EVERY: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_told_by_its_buckets_highest_times() {
        let counts = vec![(1_000, 50), (2_000, 49), (9_000, 1), (u64::MAX, 1)];
        let told = row("chosen", &counts);
        let of = |name: &str| told[name].as_f64().expect("a number");
        assert_eq!(
            (told["events"].as_u64(), of("p50_us"), of("p90_us"), of("p99_us")),
            (Some(101), 2.0, 2.0, 9.0)
        );
        assert!(of("max_us") >= HIGHEST_NS as f64 / 1e3, "{told}");
        assert!(row("chosen", &Vec::new())["p50_us"].is_null());
    }

    #[test]
    fn where_distributions_cannot_be_written_is_known_before_they_are_measured() {
        let folder = tempfile::tempdir().expect("a directory");
        let stages = ["group flushed", "chosen"].map(|stage| (stage.to_owned(), Counts::new()));
        assert!(reserve(&folder.path().join("of/stages"), &stages).is_ok());
        fs::create_dir(folder.path().join("chosen.hgrm")).expect("a folder");
        let refused = reserve(folder.path(), &stages).expect_err("a folder is in the way");
        assert!(refused.to_string().contains("chosen.hgrm"), "{refused}");
        assert!(!folder.path().join("group-flushed.hgrm").exists(), "an empty one was left");
    }

    #[test]
    fn what_came_in_between_is_the_difference() {
        let (before, later) = (vec![(1_000, 5), (2_000, 3)], vec![(1_000, 7), (2_000, 3), (4_000, 1)]);
        assert_eq!(since(&later, &before), [(1_000, 2), (4_000, 1)]);
    }
}
