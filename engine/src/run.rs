//! The command line, carried out.

use std::io::{self, Write};
use std::process::ExitCode;

use assize_domain::DomainRegistry;
use assize_tools::aside;
use clap::Parser;

use crate::boot::{self, NewDisk};
use crate::cli::{Cli, Command, FormatCommand, RebuildCommand};
use crate::config::{self, Agreed, ConfigFile};
use crate::demo;
use crate::doctor;
use crate::exit::Exit;
use crate::serve;

/// Runs `assize` with these domains: reads the command line, does what it says, returns the exit code.
#[must_use]
pub fn run(domains: DomainRegistry) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are not errors; either way a closed pipe is no reason to complain.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Success.into() };
        }
    };
    let exit = match cli.command {
        Command::Format(command) => format(&command, &domains),
        Command::Rebuild(command) => rebuild(&command),
        Command::Serve(command) => serve::serve(&command, domains),
        Command::Demo(command) => demo::demo(&command, &domains),
        Command::Doctor(command) => match doctor::run(&command, &mut io::stdout().lock()) {
            Ok(exit) => exit,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
            Err(error) => complain(&error, Exit::Internal),
        },
        Command::Config(_) => print(config::EXAMPLE),
        Command::Secret(command) => match config::create_secret(&command.file) {
            Ok(()) => Exit::Success,
            Err(error) => complain(&format!("{}: {error}", command.file.display()), Exit::Usage),
        },
    };
    exit.into()
}

/// Says on standard error why a command ends, and hands its exit code through.
pub(crate) fn complain(error: &dyn std::fmt::Display, exit: Exit) -> Exit {
    // The exit code says it, too, if nobody reads standard error.
    aside::say(format_args!("assize: {error}"));
    exit
}

fn print(text: &str) -> Exit {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => Exit::Success,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Success,
        Err(error) => complain(&error, Exit::Internal),
    }
}

fn format(command: &FormatCommand, domains: &DomainRegistry) -> Exit {
    let formatted = ConfigFile::load(&command.config)
        .map_err(boot::BootError::Config)
        .and_then(|config| Ok((boot::format(&config, &command.agreed, new_disk(command), domains)?, config)));
    match formatted {
        Ok((formatted, config)) => {
            for warning in &formatted.warnings {
                aside::say(format_args!("assize: warning: {warning}"));
            }
            let agreed = &formatted.agreed;
            let formatted = format!(
                "formatted {}: cluster {}, replica {} of {}, {} shards, copies {}\n",
                config.config.data_directory.display(),
                agreed.cluster,
                config.config.replica,
                agreed.replicas,
                agreed.shard_count,
                agreed.copies
            );
            let then = match new_disk(command) {
                NewDisk::First => for_the_others(agreed),
                NewDisk::Rejoins => REJOINS.to_owned(),
            };
            print(&(formatted + &then))
        }
        Err(error) => complain(&error, error.exit()),
    }
}

fn new_disk(command: &FormatCommand) -> NewDisk {
    if command.rejoin { NewDisk::Rejoins } else { NewDisk::First }
}

fn rebuild(command: &RebuildCommand) -> Exit {
    let marked = ConfigFile::load(&command.config).map_err(boot::BootError::Config);
    match marked.and_then(|file| boot::rebuild(&file)) {
        Ok(reason) => {
            let reason = reason.map_or(String::new(), |reason| format!("it was quarantined: {reason}\n"));
            print(
                &(reason
                    + "from its next start on this replica's state is replaced by a checkpoint of the others; what it promised \
                   and accepted stays. Start it with `assize serve`\n"),
            )
        }
        Err(error) => complain(&error, error.exit()),
    }
}

/// What the other replicas of the cluster must be formatted with beside the options of this one.
fn for_the_others(agreed: &Agreed) -> String {
    if agreed.replicas == 1 {
        return String::new();
    }
    format!(
        "the other replicas, each with its own configuration, with the same options and\n  \
         --cluster {} --routing-seed {:016x} --body-seed {:016x}\n",
        agreed.cluster, agreed.routing_seed, agreed.body_seed
    )
}

/// What comes of a disk that replaces a lost one.
const REJOINS: &str = "started with `assize serve`, it has no vote until a majority of the cluster, all of them other \
     replicas that have one, have told it what it may have promised and accepted. The disk that it replaces must never be \
     used again\n";
