//! `assizectl`: what an operator asks a running cluster and a stopped replica's directory, and how a replica whose disk
//! was lost is brought back. [`run`] is all that a
//! domain author's own `main` has to call.
//!
//! | module | is |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`exit`] | how it ends: errors and exit codes |
//! | `agreed` | what a cluster agreed on, from any replica's directory |
//! | `print` | the same answer for people and for programs |
//! | `rejoin` | an empty disk for a replica whose disk was lost |
//! | `remote` | commands that ask a running cluster, by HTTP |
//! | `backup` | copies of a replica's directory, and the cluster that one of them becomes |
//! | `superblock` | what a directory's superblock says while a replica may be writing it |
//! | `stopped` | commands that look into a stopped replica's directory, which they never write to |
//!
//! It never links the engine: what runs there is the composition that the engine and the simulator run, too.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod agreed;
mod backup;
pub mod cli;
pub mod exit;
mod print;
mod rejoin;
mod remote;
mod stopped;
mod superblock;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use assize_domain::DomainRegistry;
use assize_tools::aside;
use clap::{CommandFactory, Parser};

use cli::{Cli, Command};
use exit::{Ended, Exit};
use print::Printer;

/// Runs `assizectl` with these domains: reads the command line, does what it says, returns the exit code.
#[must_use]
pub fn run(domains: DomainRegistry) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // What cannot be read cannot say that programs ask; whoever wrote the word is one.
            if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
                let told = error.to_string();
                tell_programs(
                    &Ended::Usage(told.trim_end().to_owned()),
                    &mut Printer::new(io::stdout(), true),
                );
            }
            // Help and version are not errors; either way a closed pipe is no reason to complain.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Success.into() };
        }
    };
    let mut printer = Printer::new(io::stdout().lock(), cli.json);
    let ended = carry_out(cli.command, Arc::new(domains), &mut printer);
    match ended.and_then(|exit| printer.finish().map(|()| exit)) {
        Ok(exit) => exit.into(),
        // Whoever reads has seen enough.
        Err(Ended::NobodyReads) => Exit::Success.into(),
        Err(error) => {
            if cli.json {
                tell_programs(&error, &mut printer);
            }
            aside::say(format_args!("assizectl: {error}"));
            error.exit().into()
        }
    }
}

/// The last document of a command that failed. Whoever closed the output knows by the exit code alone.
fn tell_programs(error: &Ended, printer: &mut Printer<'_>) {
    let _ = printer.answer(&error.document(), String::new).and_then(|()| printer.finish());
}

fn carry_out(
    command: Command,
    domains: Arc<DomainRegistry>,
    printer: &mut Printer<'_>,
) -> Result<Exit, Ended> {
    match command {
        Command::Status(command) => remote::status(&command, printer),
        Command::Submit(command) => remote::submit(&command, printer),
        Command::Get(command) => remote::get(&command, printer),
        Command::Tail(command) => remote::tail(&command, printer),
        Command::TransferLeadership(command) => remote::transfer_leadership(&command, printer),
        Command::Latency(command) => remote::latency(&command, printer),
        Command::Wal(command) => stopped::wal(&command, printer),
        Command::Checkpoint(command) => stopped::checkpoint(&command, domains, printer),
        Command::Replay(command) => stopped::replay(&command, domains, printer),
        Command::History(command) => stopped::history(&command, domains, printer),
        Command::Digest(command) => stopped::digest(&command, domains, printer),
        Command::Agreed(command) => agreed::agreed(&command, printer),
        Command::Rejoin(command) => rejoin::rejoin(&command, printer),
        Command::Divergence(command) => {
            let cli::Divergence::Show { at, data } = &command.what;
            match data {
                Some(data) => stopped::divergence(data, printer),
                None => remote::divergence(at, printer),
            }
        }
        Command::Backup(command) => match command.what {
            cli::Backup::Take(command) => backup::take(&command, domains, printer),
            cli::Backup::List(command) => backup::list(&command, printer),
        },
        Command::Restore(command) => backup::restore(&command, domains, printer),
        Command::Completions(command) => {
            clap_complete::generate(command.shell, &mut Cli::command(), "assizectl", &mut io::stdout());
            Ok(Exit::Success)
        }
    }
}
