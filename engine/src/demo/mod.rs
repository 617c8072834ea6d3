//! `assize demo`: formats, serves and loads a replica in one go, checks the books and prints the latencies.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the run from its beginning to its exit code |
//! | `sizing.rs` | cores, directory and capacities for this host and this run, in numbers that are told |
//! | `child.rs` | the replica's process |

mod child;
mod sizing;

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use assize_domain::DomainRegistry;
use assize_tools::load::{
    self, LiveLine, LoadPlan, LoadReport, Phase, Progress, ProgressLine, Skew, print_report, write_hgrm,
    write_interval_log, write_svg,
};

use crate::boot;
use crate::cli::{DemoCommand, Rate};
use crate::config::{ConfigFile, FormatArgs};
use crate::exit::Exit;
use crate::reactor::StageLine;
use crate::run::complain;
use child::Child;
use sizing::Sizing;

/// Runs the demo and returns how it ended.
pub(crate) fn demo(command: &DemoCommand, domains: &DomainRegistry) -> Exit {
    if command.replicas != 1 {
        let why = "this version runs one replica; --replicas accepts 1 until replication between processes is there";
        return complain(&why, Exit::Usage);
    }
    let stop = Arc::new(AtomicBool::new(false));
    if let Err(error) = stop_on_signals(&stop) {
        return complain(&error, Exit::Host);
    }
    let sizing = match Sizing::of(command) {
        Ok(sizing) => sizing,
        Err((error, exit)) => return complain(&error, exit),
    };
    println!("{sizing}");
    let exit = match run(command, &sizing, domains, stop) {
        Ok(exit) => exit,
        Err((error, exit)) => complain(&error, exit),
    };
    if command.keep {
        println!("kept: {}", sizing.directory.display());
    } else if let Err(error) = fs::remove_dir_all(&sizing.directory) {
        eprintln!("assize: {} could not be removed: {error}", sizing.directory.display());
    }
    exit
}

type Ended = (String, Exit);

fn run(
    command: &DemoCommand,
    sizing: &Sizing,
    domains: &DomainRegistry,
    stop: Arc<AtomicBool>,
) -> Result<Exit, Ended> {
    let path = sizing.directory.join("replica-0.toml");
    let text = toml::to_string(&sizing.config).map_err(|error| (error.to_string(), Exit::Internal))?;
    fs::write(&path, &text).map_err(|error| (format!("{}: {error}", path.display()), Exit::Host))?;
    let config = ConfigFile::parse(&text, &path.display().to_string());
    let config = config.map_err(|error| (error.to_string(), Exit::Internal))?;
    let agreed = FormatArgs {
        warden_capacity: sizing.warden_capacity,
        shards: Some(sizing.config.cores.shard_count() as u16),
        ..FormatArgs::default()
    };
    boot::format(&config, &agreed, domains).map_err(|error| (error.to_string(), error.exit()))?;

    let stages_path = sizing.directory.join("stages.json");
    let mut replica = Child::start(&path, &stages_path)?;
    let live = LiveLine::new(io::stderr(), io::stderr().is_terminal());
    let plan = plan(command, sizing, replica.address().to_owned(), stop);
    let loaded = load::run(&plan, &mut MeasureWithLoad { live, replica: &mut replica });
    eprintln!();
    // A replica that failed is why the load could not be run to its end: its own word comes first.
    let stopped = replica.stop();
    let report = match (loaded, stopped) {
        (Ok(report), Ok(())) => report,
        (_, Err(error)) => return Err(error),
        (Err(error), Ok(())) => return Err((error.to_string(), Exit::Internal)),
    };
    print!("{}", print_report(&report));
    print!("{}", stages_table(&stages_path)?);
    write_reports(command, sizing, &report)?;
    if !sizing.durable {
        println!("durable: false, because the data directory is on a memory filesystem");
    }
    Ok(if report.books.ok { Exit::Success } else { Exit::Books })
}

fn plan(command: &DemoCommand, sizing: &Sizing, address: String, stop: Arc<AtomicBool>) -> LoadPlan {
    LoadPlan {
        rate: match command.rate {
            Rate::Max => load::Rate::Max,
            Rate::PerSecond(rate) => load::Rate::PerSecond(rate as f64),
        },
        batch: command.batch as usize,
        connections: command.connections as usize,
        client_cores: sizing.client_cpus.len().clamp(1, command.connections as usize),
        pin: sizing.client_cpus.clone(),
        skew: if command.skew > 0.0 { Skew::Zipf(command.skew) } else { Skew::Uniform },
        duplicates: f64::from(command.duplicates),
        duration: Duration::from_secs(command.seconds.into()),
        stop: Some(stop),
        ..LoadPlan::new(vec![address])
    }
}

/// Begins the engine's latencies when the load generator begins its own: setting up is no part of either.
struct MeasureWithLoad<'a> {
    live: LiveLine<io::Stderr>,
    replica: &'a mut Child,
}

impl Progress for MeasureWithLoad<'_> {
    fn phase(&mut self, phase: Phase) {
        if phase == Phase::Measure {
            self.replica.measure();
        }
        self.live.phase(phase);
    }

    fn line(&mut self, line: &ProgressLine) {
        self.live.line(line);
    }
}

/// The engine's own latencies, beside the client's.
fn stages_table(path: &Path) -> Result<String, Ended> {
    let read = fs::read(path).map_err(|error| error.to_string());
    let lines = read.and_then(|bytes| {
        serde_json::from_slice::<Vec<StageLine>>(&bytes).map_err(|error| error.to_string())
    });
    let lines = lines.map_err(|error| (format!("{}: {error}", path.display()), Exit::Internal))?;
    let mut text =
        String::from("\nInside the engine: time of an event from the stage before, in microseconds\n\n");
    text.push_str("  reached                      p50         p99       p99.9         max\n");
    for line in lines {
        let StageLine { stage, p50_us, p99_us, p99_9_us, max_us, .. } = line;
        text.push_str(&format!(
            "  {stage:<22} {p50_us:>9.1} {p99_us:>11.1} {p99_9_us:>11.1} {max_us:>11.1}\n"
        ));
    }
    text.push('\n');
    Ok(text)
}

fn write_reports(command: &DemoCommand, sizing: &Sizing, report: &LoadReport) -> Result<(), Ended> {
    if let Some(path) = &command.json {
        write_file(path, |out| {
            serde_json::to_writer_pretty(&mut *out, report)?;
            writeln!(out)
        })?;
    }
    if command.keep {
        let latency = &report.measured.latency_ns;
        let title = format!(
            "Assize demo: {} connections, batch {}, {:.0} events/s",
            report.connections, report.batch, report.rate_per_s
        );
        write_file(&sizing.directory.join("latency.hgrm"), |out| write_hgrm(latency, out))?;
        write_file(&sizing.directory.join("latency.svg"), |out| write_svg(latency, &title, out))?;
        write_file(&sizing.directory.join("latency.hlog"), |out| write_interval_log(&report.measured, out))?;
    }
    Ok(())
}

fn write_file(path: &PathBuf, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Ended> {
    let written = File::create(path).and_then(|file| {
        let mut out = BufWriter::new(file);
        write(&mut out)?;
        out.flush()
    });
    written.map_err(|error| (format!("{}: {error}", path.display()), Exit::Internal))
}

/// The first SIGINT or SIGTERM ends the load in good order, books and all; the second ends the process.
fn stop_on_signals(stop: &Arc<AtomicBool>) -> io::Result<()> {
    let signals = crate::signals::block()?;
    let stop = Arc::clone(stop);
    let wait = move || {
        while let Ok(name) = signals.wait() {
            if stop.swap(true, Ordering::Relaxed) {
                complain(&format!("a second {name}: ending at once"), Exit::Internal).now();
            }
            eprintln!("\n{name}: ending the load and closing the books; once more to end at once");
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}
