//! `assize-load`: runs a load against an engine and reports what it found. Everything is in `assize_tools::load`.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use assize_domain::DomainRegistry;
use assize_inventory::InventoryDomain;
use assize_telemetry::TelemetryDomain;
use assize_tools::aside;
use assize_tools::load::cli::{Cli, Command, CompareCommand, LoadCommand, OutputFlags, ReplayCommand};
use assize_tools::load::replay::{self, Script, print_replay};
use assize_tools::load::{
    LiveLine, Progress, Reserved, RunReport, SavedReport, print_comparison, print_report, run,
    write_comparison_svg, write_day, write_hgrm, write_interval_log, write_svg,
};
use clap::Parser;
use serde::Serialize;
use signal_hook::consts::SIGINT;
use signal_hook::flag;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = match cli.command {
        None => load(&cli.load),
        Some(Command::Compare(command)) => compare(&command),
        Some(Command::Replay(command)) => replay(&command),
        Some(Command::SampleDay(command)) => {
            write_file(Some(Path::new("-")), |out| write_day(command.events, command.seed, out))
                .map(|()| ExitCode::SUCCESS)
        }
    };
    ended.unwrap_or_else(|Failed(words, code)| {
        aside::say(format_args!("assize-load: {words}"));
        ExitCode::from(code)
    })
}

/// In words, and the exit code.
struct Failed(String, u8);

impl Failed {
    fn usage(error: impl std::fmt::Display) -> Failed {
        Failed(error.to_string(), 2)
    }

    fn internal(error: impl std::fmt::Display) -> Failed {
        Failed(error.to_string(), 1)
    }
}

fn load(command: &LoadCommand) -> Result<ExitCode, Failed> {
    let mut plan = command.load.plan(command.cluster.addresses.clone()).map_err(Failed::usage)?;
    let _reserved = reserve(&command.output)?;
    plan.stop = Some(ends_by_ctrl_c().map_err(Failed::internal)?);
    let report = below_the_live_line(|live| run(&plan, live)).map_err(Failed::internal)?;
    print_and_write(&command.output, &report, &report.run, || print_report(&report))?;
    Ok(if report.books.ok { ExitCode::SUCCESS } else { ExitCode::from(5) })
}

/// What the first Ctrl-C sets: the load ends, its books are closed and its report is written. The second one ends the
/// process where it is.
fn ends_by_ctrl_c() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    flag::register_conditional_default(SIGINT, Arc::clone(&stop))?;
    flag::register(SIGINT, Arc::clone(&stop))?;
    Ok(stop)
}

fn replay(command: &ReplayCommand) -> Result<ExitCode, Failed> {
    let (plan, domains) = (command.plan().map_err(Failed::usage)?, bundled_domains());
    let script = Script::read(&command.file, &domains).map_err(Failed::usage)?;
    let _reserved = reserve(&command.output)?;
    let report = below_the_live_line(|live| replay::replay(script, &plan, &domains, live));
    let report = report.map_err(Failed::internal)?;
    print_and_write(&command.output, &report, &report.run, || print_replay(&report))?;
    Ok(if report.unexpected == 0 { ExitCode::SUCCESS } else { ExitCode::from(11) })
}

/// Those whose events a file may have.
fn bundled_domains() -> DomainRegistry {
    let mut domains = DomainRegistry::new();
    domains.register(InventoryDomain).expect("the first of its name");
    domains.register(TelemetryDomain).expect("the first of its name");
    domains
}

fn compare(command: &CompareCommand) -> Result<ExitCode, Failed> {
    let a = SavedReport::read(&command.a).map_err(Failed::usage)?;
    let b = SavedReport::read(&command.b).map_err(Failed::usage)?;
    if !is_standard_output(&command.svg) {
        print(&print_comparison(&a, &b))?;
    }
    write_file(command.svg.as_deref(), |out| write_comparison_svg(&a, &b, out))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs something that tells of its progress; what is said next stands on a line of its own.
fn below_the_live_line<T>(run: impl FnOnce(&mut dyn Progress) -> T) -> T {
    let ran = run(&mut LiveLine::new(io::stderr(), io::stderr().is_terminal()));
    aside::say("");
    ran
}

/// Nobody wants to learn only after the load that its report cannot be written.
fn reserve(output: &OutputFlags) -> Result<Reserved, Failed> {
    let paths = files(output).into_iter().flatten().map(PathBuf::as_path);
    Reserved::new(paths.filter(|path| *path != Path::new("-"))).map_err(Failed::internal)
}

fn files(output: &OutputFlags) -> [Option<&PathBuf>; 4] {
    [&output.json, &output.hgrm, &output.interval_log, &output.svg].map(Option::as_ref)
}

/// The report for people, unless the standard output is for programs, and the files that were asked for.
fn print_and_write(
    output: &OutputFlags,
    report: &impl Serialize,
    run: &RunReport,
    text: impl FnOnce() -> String,
) -> Result<(), Failed> {
    if !files(output).iter().any(is_standard_output) {
        print(&text())?;
    }
    let latency_ns = &run.measured.latency_ns;
    write_file(output.json.as_deref(), |out| {
        serde_json::to_writer_pretty(&mut *out, report)?;
        writeln!(out)
    })?;
    write_file(output.hgrm.as_deref(), |out| write_hgrm(latency_ns, out))?;
    write_file(output.interval_log.as_deref(), |out| write_interval_log(&run.measured, out))?;
    let title = format!(
        "Assize: {} connections, batch {}, {:.0} events/s",
        run.connections, run.batch, run.rate_per_s
    );
    write_file(output.svg.as_deref(), |out| write_svg(latency_ns, &title, out))
}

fn print(text: &str) -> Result<(), Failed> {
    write_file(Some(Path::new("-")), |out| out.write_all(text.as_bytes()))
}

fn is_standard_output(path: &Option<impl AsRef<Path>>) -> bool {
    path.as_ref().is_some_and(|path| path.as_ref() == Path::new("-"))
}

fn write_file(
    path: Option<&Path>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failed> {
    let Some(path) = path else { return Ok(()) };
    let written = if path == Path::new("-") {
        let mut out = BufWriter::new(io::stdout().lock());
        write(&mut out).and_then(|()| out.flush())
    } else {
        File::create(path).and_then(|file| {
            let mut out = BufWriter::new(file);
            write(&mut out)?;
            out.flush()
        })
    };
    match written {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failed::internal(format!("{} cannot be written: {error}", path.display()))),
        Ok(()) => Ok(()),
    }
}
