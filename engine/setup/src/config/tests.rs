//! Refusals of a configuration, each with its line, what was found and what is accepted.

use super::*;
use assize_wire::{ClusterId, limits};
use std::collections::BTreeSet;

fn host(cpus: u32) -> BTreeSet<Cpu> {
    (0..cpus).map(Cpu).collect()
}

fn agreed(shard_count: u16) -> Agreed {
    let entropy = Entropy { cluster: ClusterId(1), routing_seed: 2, body_seed: 3, record_key: 4 };
    FormatArgs::default().agreed(shard_count, Vec::new(), &entropy).unwrap()
}

/// The refusal of `text` on a host with two CPUs, against parameters formatted for two shards.
fn refusal(text: &str) -> ConfigError {
    let checked = ConfigFile::parse(text, "r0.toml")
        .and_then(|file| file.validate(&host(2), Some(&agreed(2))).map(|()| file));
    match checked {
        Err(error) => error,
        Ok(_) => panic!("accepted: {text}"),
    }
}

const TWO_SHARDS: &str = "[cores]\nassignments = [{ cpu = 0, shards = [0, 1] }]\n";

#[test]
fn the_example_holds_the_defaults() {
    let example = ConfigFile::parse(EXAMPLE, "example.toml").unwrap();
    assert_eq!(example.config, Config::default());
    assert_eq!(example.validate(&host(1), Some(&agreed(1))), Ok(()));
    assert_eq!(ConfigFile::parse("", "empty.toml").unwrap().config, Config::default());
}

#[test]
fn the_example_names_every_key() {
    let defaults = toml::Table::try_from(Config::default()).unwrap();
    let example: toml::Table = EXAMPLE.parse().unwrap();
    let keys = |table: &toml::Table| -> BTreeSet<String> {
        let inner = |name: &String, value: &toml::Value| match value.as_table() {
            Some(section) => section.keys().map(|key| format!("{name}.{key}")).collect(),
            None => vec![name.clone()],
        };
        table.iter().flat_map(|(name, value)| inner(name, value)).collect()
    };
    assert_eq!(keys(&example), keys(&defaults));
}

#[test]
fn a_written_configuration_reads_back() {
    let mut config = Config::default();
    config.cores.assignments.push(Assignment { cpu: Cpu(3), shards: vec![ShardId(1), ShardId(2)] });
    config.listen.client = "[::1]:9".parse().unwrap();
    config.logging = Logging { level: Level::Debug, format: LogFormat::Json };
    let text = toml::to_string(&config).unwrap();
    assert_eq!(ConfigFile::parse(&text, "x").unwrap().config, config);
}

#[test]
fn a_wrong_key_is_refused_with_its_line_and_the_keys_there_are() {
    let error = refusal("replica = 0\n[limits]\nwindow = 4\nwidow = 4\n");
    assert_eq!((error.line, &*error.text), (Some(4), "widow = 4"));
    assert_eq!(error.found, "unknown field `widow`");
    assert!(error.accepted.contains("`window`"), "{}", error.accepted);
    assert!(error.to_string().starts_with("r0.toml:4\n     4 | widow = 4\n  found:"), "{error}");
}

#[test]
fn a_wrong_type_is_refused_in_plain_words() {
    let error = refusal("[limits]\nwindow = \"many\"");
    assert_eq!((error.line, error.accepted.as_str()), (Some(2), "a whole number from 0 to 4294967295"));
    let error = refusal("replica = 300");
    assert_eq!(error.accepted, "a whole number from 0 to 255");
    let error = refusal("[cores]\nidle = \"nap\"");
    assert_eq!(error.accepted, "`park` or `spin`");
    let error = refusal("[log]\n\nsegment_bytes = \"64 parsecs\"");
    assert_eq!((error.line, error.accepted.contains("MiB")), (Some(3), true), "{error}");
    let error = refusal("[listen]\nclient = \"localhost\"");
    assert!(error.line == Some(2) && error.accepted.contains("host:port"), "{error}");
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    let error = refusal("replica = 0\nreplica = 1\n");
    assert_eq!((error.line, error.found.as_str()), (Some(2), "duplicate key"));
    let error = refusal("replica = 0\n[cores\n");
    assert_eq!(error.line, Some(2), "{error}");
}

#[test]
fn a_cpu_that_does_not_exist_is_refused_at_its_line() {
    let text = "[cores]\nassignments = [\n  { cpu = 0, shards = [0] },\n  { cpu = 9, shards = [1] },\n]\n";
    let error = refusal(text);
    assert_eq!((error.line, error.key.as_str()), (Some(4), "cores.assignments[1].cpu"));
    assert_eq!(&*error.text, "  { cpu = 9, shards = [1] },");
    assert!(error.accepted.contains("0-1"), "{error}");
    let labels = ConfigFile::parse(&format!("{text}pin = false\n"), "r0.toml").unwrap();
    assert_eq!(labels.validate(&host(2), Some(&agreed(2))), Ok(()), "unpinned CPUs are labels");
    let error = refusal(&format!("{TWO_SHARDS}control = 2\n"));
    assert_eq!((error.line, error.key.as_str()), (Some(3), "cores.control"));
}

#[test]
fn tables_are_located_like_inline_tables() {
    let text = "[[cores.assignments]]\ncpu = 0\nshards = [0]\n[[cores.assignments]]\ncpu = 7\nshards = [1]\n";
    assert_eq!(refusal(text).line, Some(5));
}

#[test]
fn a_shard_with_two_owners_or_none_is_refused() {
    let two = refusal("[cores]\nassignments = [{ cpu = 0, shards = [0, 1] },\n{ cpu = 1, shards = [1] }]");
    assert_eq!(two.line, Some(3));
    assert_eq!(two.found, "shard 1, which CPU 0 owns already");
    let none = refusal("[cores]\nassignments = [{ cpu = 1, shards = [1] }]");
    assert_eq!((none.line, none.found.as_str()), (Some(2), "no owner for shard 0"));
    let default = refusal("replica = 0");
    assert!(default.found.contains("no owner for shard 1 (not in the file: the default)"), "{default}");
    let beyond = refusal("[cores]\nassignments = [{ cpu = 1, shards = [0, 1, 2] }]");
    assert_eq!(beyond.accepted, "shards 0 to 1, as formatted");
    let empty = refusal("[cores]\nassignments = [{ cpu = 0, shards = [0, 1] }, { cpu = 1, shards = [] }]");
    assert_eq!(empty.found, "no shard");
    let nothing = refusal("[cores]\nassignments = []");
    assert_eq!(nothing.found, "no assignment");
    let twice = refusal("[cores]\nassignments = [{ cpu = 0, shards = [0] }, { cpu = 0, shards = [1] }]");
    assert_eq!(twice.key, "cores.assignments[1].cpu");
}

#[test]
fn a_value_that_contradicts_the_formatted_one_is_refused() {
    let error = refusal(&format!("{TWO_SHARDS}[limits]\nwindow = 9"));
    assert_eq!((error.line, error.found.as_str(), error.accepted.as_str()), (Some(4), "9", "1 to 8"));
    let error = refusal(&format!("{TWO_SHARDS}[limits]\nstripe_bytes = \"3MiB\""));
    assert_eq!(error.accepted, "1120 to 2097152 bytes");
    let error = refusal(&format!("replica = 1\n{TWO_SHARDS}"));
    assert_eq!((error.line, error.key.as_str()), (Some(1), "replica"));
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    for (text, key) in [
        ("[log]\nsegment_bytes = 1048577", "log.segment_bytes"),
        ("[log]\nsegment_bytes = \"1MiB\"", "log.segment_bytes"),
        ("[log]\nbytes_max = \"64MiB\"", "log.bytes_max"),
        ("[log]\ncheckpoint_bytes = \"9GiB\"", "log.checkpoint_bytes"),
        ("[log]\ncheckpoint_bytes = \"2049MiB\"", "log.checkpoint_bytes"),
        ("[log]\nwrites_in_flight = 0", "log.writes_in_flight"),
        ("[limits]\nconnections_max = 0", "limits.connections_max"),
    ] {
        assert_eq!(refusal(&format!("{TWO_SHARDS}{text}")).key, key);
    }
    let text = "[cores]\nassignments = [{cpu = 0, shards = [0]}, {cpu = 1, shards = [1]}]\n\
                [listen]\nclient = \"h:65535\"";
    assert_eq!(refusal(text).key, "listen.client");
    assert_eq!(refusal(&format!("data_directory = \"\"\n{TWO_SHARDS}")).key, "data_directory");
    assert_eq!(refusal(&format!("failure_domain = \" \"\n{TWO_SHARDS}")).key, "failure_domain");
}

/// A core has a port of its own: the second one's may be HTTP's.
#[test]
fn a_port_that_is_listened_on_twice_is_refused() {
    let two = "[cores]\nassignments = [{cpu = 0, shards = [0]}, {cpu = 1, shards = [1]}]\n[listen]\n";
    for (client, http) in [("h:7400", "h:7400"), ("h:7400", "h:7401"), ("h:7400", "0.0.0.0:7401")] {
        let error = refusal(&format!("{two}client = \"{client}\"\nhttp = \"{http}\""));
        assert_eq!(error.key, "listen.http", "{error}");
        assert!(error.to_string().contains("listen.client has 7400 to 7401"), "{error}");
    }
    for (client, http) in [("h:7400", "h:7402"), ("h:7400", "i:7400"), ("h:0", "h:0"), ("h:7401", "h:7400")] {
        let text = format!("{two}client = \"{client}\"\nhttp = \"{http}\"");
        let file = ConfigFile::parse(&text, "r0.toml").expect("it is TOML");
        assert_eq!(file.validate(&host(2), Some(&agreed(2))), Ok(()), "{client} {http}");
    }
}

/// What a core may promise must fit what is prepared, or it would answer `busy` for ever.
#[test]
fn logs_too_small_for_what_is_promised_are_refused() {
    let log = "[log]\nsegment_bytes = \"4MiB\"\nsegments_ahead = 1\nbytes_max = \"1GiB\"\ncheckpoint_bytes = \"8MiB\"";
    let few = refusal(&format!("{TWO_SHARDS}[limits]\nstripe_events = 4096\n{log}"));
    assert_eq!((few.line, few.key.as_str(), few.found.as_str()), (Some(7), "log.segments_ahead", "1"));
    let least: u32 = few.accepted.split(' ').next().unwrap().parse().unwrap();
    let with = |ahead: u32| log.replace("ahead = 1", &format!("ahead = {ahead}"));
    let fewer = refusal(&format!("{TWO_SHARDS}[limits]\nstripe_events = 4096\n{}", with(least - 1)));
    assert_eq!(fewer.key, "log.segments_ahead");
    let text = format!("{TWO_SHARDS}[limits]\nstripe_events = 4096\n{}", with(least));
    assert_eq!(ConfigFile::parse(&text, "x").unwrap().validate(&host(2), Some(&agreed(2))), Ok(()));
    // The outcomes of a stripe fill a segment: no number of them is enough.
    let small = log.replace("4MiB", "2MiB");
    let small = refusal(&format!("{TWO_SHARDS}[limits]\nstripe_bytes = \"256KiB\"\n{small}"));
    assert_eq!((small.line, small.key.as_str()), (Some(6), "log.segment_bytes"));
    assert!(small.accepted.starts_with("for example 8MiB"), "{small}");
}

#[test]
fn without_agreed_parameters_the_shards_must_be_contiguous() {
    let validate = |text: &str| ConfigFile::parse(text, "x").unwrap().validate(&host(2), None);
    assert_eq!(validate(TWO_SHARDS), Ok(()));
    assert!(validate("[cores]\nassignments = [{ cpu = 0, shards = [0, 2] }]").is_err());
    let many: Vec<String> = (0..=limits::SHARDS_MAX).map(|shard| shard.to_string()).collect();
    let text = format!("[cores]\nassignments = [{{ cpu = 0, shards = [{}] }}]", many.join(","));
    assert!(validate(&text).unwrap_err().accepted.contains("0 to 63"));
}

#[test]
fn a_missing_file_is_refused_with_what_to_do() {
    let error = ConfigFile::load(Path::new("/nonexistent/r0.toml")).unwrap_err();
    assert_eq!(error.line, None);
    assert!(error.to_string().contains("assize config --example"), "{error}");
}

#[test]
fn owners_and_control_are_found_by_core() {
    let cores = Cores {
        assignments: vec![
            Assignment { cpu: Cpu(2), shards: vec![ShardId(1)] },
            Assignment { cpu: Cpu(3), shards: vec![ShardId(0), ShardId(2)] },
        ],
        control: Cpu(3),
        ..Cores::default()
    };
    assert_eq!((cores.owner(ShardId(2)), cores.owner(ShardId(9))), (Some(CoreId(1)), None));
    assert_eq!(cores.control_core(), Some(CoreId(1)));
    assert_eq!(Cores { control: Cpu(0), ..cores }.control_core(), None);
}
