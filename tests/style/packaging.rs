//! Packages start what is in the tree: the unit that the guide shows is the one that is installed, and the
//! configurations and command lines of the containers are accepted.

use std::fs;

use assize::cli::{Cli, Command};
use assize::config::{Agreed, ConfigFile, Cpu, Entropy};
use assize_node::agreed::DomainVersion;
use assize_wire::DomainId;
use clap::Parser;
use toml::Table;

use crate::{report, tree};

const FOLDER: &str = "engine/packaging";

#[test]
fn the_guide_shows_the_unit_that_is_installed() {
    let guide = read("engine/OPERATING.md");
    let shown = guide.split("```ini\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a unit");
    let unit = read(&format!("{FOLDER}/assize.service"));
    // The first line says where it is explained.
    let installed = unit.split_once('\n').expect("lines").1;
    assert_eq!(shown, installed);
}

#[test]
fn what_is_packed_is_there() {
    let manifest: Table = read("engine/Cargo.toml").parse().expect("TOML");
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().expect("a list");
    let mut findings = Vec::new();
    for asset in assets {
        let source = asset[0].as_str().expect("a path");
        match source.strip_prefix("target/release/") {
            Some(program) if ["assize", "assizectl", "assize-load"].contains(&program) => {}
            Some(program) => findings.push(format!("engine/Cargo.toml: no program {program}")),
            None if tree::top().join("engine").join(source).exists() => {}
            None => findings.push(format!("engine/Cargo.toml: {source} is not there")),
        }
    }
    report(findings);
}

/// The three differ in their numbers alone, and what the containers run at their first start goes with them.
#[test]
fn the_containers_are_a_cluster() {
    let configs = (0..3).map(|replica| read(&format!("{FOLDER}/compose/replica-{replica}.toml")));
    let configs: Vec<String> = configs.collect();
    for (replica, text) in configs.iter().enumerate() {
        let neutral = |text: &str, replica: usize| {
            let names = [format!("Replica {replica}"), format!("replica = {replica}")];
            let names = names
                .into_iter()
                .chain([format!("container-{replica}"), format!("\"replica-{replica}:7400")]);
            let names = names.chain([format!("federation = \"replica-{replica}")]);
            names.fold(text.to_owned(), |text, name| text.replace(&name, "its own"))
        };
        assert_eq!(neutral(text, replica), neutral(&configs[0], 0), "replica {replica}");
        let config = ConfigFile::parse(text, "replica").unwrap_or_else(|error| panic!("{replica}: {error}"));
        let agreed = agreed(config.config.cores.shard_count() as u16);
        config.validate(&[Cpu(0)].into(), Some(&agreed)).unwrap_or_else(|error| panic!("{replica}: {error}"));
    }
}

/// What `start.sh` formats with.
fn agreed(shards: u16) -> Agreed {
    let script = read(&format!("{FOLDER}/compose/start.sh")).replace("\\\n", " ");
    let line = script.lines().find(|line| line.trim().starts_with("assize format")).expect("it formats");
    let hex =
        |line: String, name: &str, digits: usize| line.replace(&format!("\"${name}\""), &"c".repeat(digits));
    let line = hex(line.to_owned(), "ASSIZE_CLUSTER", 32);
    let line = hex(hex(line, "ASSIZE_ROUTING_SEED", 16), "ASSIZE_BODY_SEED", 16);
    let Command::Format(command) = Cli::parse_from(line.split_whitespace()).command else {
        panic!("{line}");
    };
    let (id, version, name) = (DomainId(1), 1, "inventory".to_owned());
    let domains = vec![DomainVersion { id, version, name }];
    let entropy = Entropy::draw().expect("random bytes");
    let agreed = command.agreed.agreed(shards, domains, &entropy).expect("accepted");
    assert_eq!(agreed.replicas, 3);
    agreed
}

fn read(path: &str) -> String {
    fs::read_to_string(tree::top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
