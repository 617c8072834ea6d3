//! What a demo does with its replicas: load them with a bundled domain's events, or serve and leave that to others.

use assize_domain::{DomainId, DomainRegistry};
use assize_inventory::INVENTORY;
use assize_telemetry::TELEMETRY;
use assize_tools::load::Workload;
use clap::Parser;

use crate::cli::{Cli, Command, DemoCommand, DemoWorkload};

/// What a demo does, once the program's domains are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Loads for so many seconds.
    Load(Workload, u32),
    /// Serves, for so many seconds or until it is stopped.
    Serve(Option<u32>),
}

impl Part {
    /// As it was asked for. A program without the inventory has nothing to be loaded with: it serves.
    pub(super) fn of(command: &DemoCommand, domains: &DomainRegistry) -> Result<Part, String> {
        let has = |domain| domains.newest_of(domain).is_some();
        let workload = match command.workload {
            None if has(INVENTORY) => DemoWorkload::Inventory,
            asked => asked.unwrap_or(DemoWorkload::None),
        };
        let (workload, wanted): (_, &[DomainId]) = match workload {
            DemoWorkload::Inventory => (Workload::Inventory, &[INVENTORY]),
            DemoWorkload::Telemetry => (Workload::Telemetry, &[TELEMETRY]),
            DemoWorkload::Both => (Workload::Both, &[INVENTORY, TELEMETRY]),
            DemoWorkload::None => {
                no_load_options(command)?;
                return Ok(Part::Serve(command.seconds));
            }
        };
        if wanted.iter().all(|domain| has(*domain)) {
            return Ok(Part::Load(workload, command.seconds.unwrap_or(SECONDS)));
        }
        let names = names(domains);
        Err(format!(
            "this program has no such domain to be loaded; it has {names}. --workload none serves them"
        ))
    }
}

/// The domains' names.
pub(super) fn names(domains: &DomainRegistry) -> String {
    let mut names: Vec<&str> = domains.iter().map(assize_domain::Domain::name).collect();
    names.dedup();
    names.join(", ")
}

/// Where there is no load, nothing that shapes or reports one was asked for.
fn no_load_options(command: &DemoCommand) -> Result<(), String> {
    let Ok(Cli { command: Command::Demo(plain) }) = Cli::try_parse_from(["assize", "demo"]) else {
        panic!("a demo without options is a command");
    };
    let asked = [
        ("--kill", command.kill != plain.kill),
        ("--rate", command.rate != plain.rate),
        ("--batch", command.batch != plain.batch),
        ("--connections", command.connections != plain.connections),
        ("--skew", command.skew != plain.skew),
        ("--duplicates", command.duplicates != plain.duplicates),
        ("--json", command.json != plain.json),
    ];
    match asked.iter().find(|(_, asked)| *asked) {
        Some((option, _)) => {
            Err(format!("{option} wants a load, and without a workload there is none: leave it out"))
        }
        None => Ok(()),
    }
}

/// How long a load lasts unless somebody says so.
const SECONDS: u32 = 10;

#[cfg(test)]
mod tests {
    use assize_inventory::InventoryDomain;

    use super::*;

    fn part(line: &str, domains: &DomainRegistry) -> Result<Part, String> {
        match Cli::try_parse_from(format!("assize demo {line}").split_whitespace()).map(|cli| cli.command) {
            Ok(Command::Demo(command)) => Part::of(&command, domains),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_program_is_loaded_with_what_it_has_and_serves_else() {
        let (none, mut inventory) = (DomainRegistry::new(), DomainRegistry::new());
        inventory.register(InventoryDomain).unwrap();
        assert_eq!(part("", &inventory), Ok(Part::Load(Workload::Inventory, 10)));
        assert_eq!(part("--workload none", &inventory), Ok(Part::Serve(None)));
        assert_eq!(part("--seconds 7", &none), Ok(Part::Serve(Some(7))));
        let refused = part("--workload both", &inventory).unwrap_err();
        assert!(refused.contains("it has inventory. --workload none"), "{refused}");
    }

    #[test]
    fn what_shapes_a_load_is_refused_where_there_is_none() {
        let none = DomainRegistry::new();
        for option in ["--kill leader", "--rate 5", "--batch 1", "--connections 2", "--skew 1", "--json a"] {
            let refused = part(option, &none).unwrap_err();
            assert!(refused.starts_with(option.split(' ').next().unwrap()), "{option}: {refused}");
        }
    }
}
