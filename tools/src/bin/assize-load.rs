//! `assize-load`: runs a load against an engine and reports what it found. Everything is in `assize_tools::load`.
//!
//! Exit codes, those of `assize` where they mean the same: 0 the books balance, 5 they do not, 2 bad flags, 1 the load
//! could not be run to its end.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use assize_tools::load::{
    LiveLine, LoadFlags, LoadReport, print_report, run, write_hgrm, write_interval_log, write_svg,
};
use clap::Parser;

/// Drives an Assize engine with events of its bundled domains, measures, and checks the books
#[derive(Parser, Debug)]
#[command(name = "assize-load", version, after_help = EXIT_CODES)]
struct Command {
    /// Where the replicas of a cluster listen, host:port, one or more; the leader is found among them
    #[arg(default_value = "localhost:7400", value_name = "ADDRESS,...", value_delimiter = ',', value_parser = address)]
    addresses: Vec<String>,
    #[command(flatten)]
    load: LoadFlags,
    /// Write the JSON object here; `-` is the standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the percentile distribution here, as HdrHistogram's tools read it
    #[arg(long, value_name = "FILE")]
    hgrm: Option<PathBuf>,
    /// Write the HdrHistogram interval log here
    #[arg(long, value_name = "FILE")]
    interval_log: Option<PathBuf>,
    /// Write the latency plot here, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

fn address(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(_)) => Ok(text.to_owned()),
        _ => Err("accepted is HOST:PORT, such as localhost:7400".to_owned()),
    }
}

const EXIT_CODES: &str = "\
Exit codes:
  0  every answered event is there, once
  1  the load could not be run to its end; the message says why
  2  command line wrong; the message says what is accepted
  5  books not balanced: an answered event is missing or counted twice";

fn main() -> ExitCode {
    let command = Command::parse();
    let plan = match command.load.plan(command.addresses.clone()) {
        Ok(plan) => plan,
        Err(error) => return fail(&error, 2),
    };
    let mut progress = LiveLine::new(io::stderr(), io::stderr().is_terminal());
    let report = match run(&plan, &mut progress) {
        Ok(report) => report,
        Err(error) => {
            // Below the live line.
            eprintln!();
            return fail(&error, 1);
        }
    };
    eprintln!();
    if command.json.as_deref() != Some(Path::new("-")) {
        print!("{}", print_report(&report));
    }
    if let Err(error) = write_files(&command, &report) {
        return fail(&error, 1);
    }
    if report.books.ok { ExitCode::SUCCESS } else { ExitCode::from(5) }
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("assize-load: {error}");
    ExitCode::from(code)
}

fn write_files(command: &Command, report: &LoadReport) -> Result<(), String> {
    let latency_ns = &report.run.measured.latency_ns;
    write_file(command.json.as_deref(), |out| {
        serde_json::to_writer_pretty(&mut *out, report)?;
        writeln!(out)
    })?;
    write_file(command.hgrm.as_deref(), |out| write_hgrm(latency_ns, out))?;
    write_file(command.interval_log.as_deref(), |out| write_interval_log(&report.run.measured, out))?;
    let title = format!(
        "Assize: {} connections, batch {}, {:.0} events/s",
        report.run.connections, report.run.batch, report.run.rate_per_s
    );
    write_file(command.svg.as_deref(), |out| write_svg(latency_ns, &title, out))
}

fn write_file(
    path: Option<&Path>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), String> {
    let Some(path) = path else { return Ok(()) };
    let written = if path == Path::new("-") {
        write(&mut io::stdout().lock())
    } else {
        File::create(path).and_then(|file| {
            let mut out = BufWriter::new(file);
            write(&mut out)?;
            out.flush()
        })
    };
    written.map_err(|error| format!("{} cannot be written: {error}", path.display()))
}
