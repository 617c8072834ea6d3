//! The pages that people look things up in say what the program does, and leave nothing out: each table is compared
//! with the code, both ways.

use std::collections::BTreeSet;
use std::fs;

use assize::cli::{Cli, Command};
use assize::config::{self, ConfigFile, EXAMPLE, Entropy, FormatArgs};
use assize_domain::EngineReason;
use assize_http::ROUTES;
use assize_metrics::{Kind, METRICS, STAGES, State};
use clap::{Args, CommandFactory, Parser};
use toml::Table;

use crate::{report, tree};

const CONFIGURATION: &str = "engine/CONFIGURATION.md";
const METRICS_PAGE: &str = "engine/metrics/README.md";
const HTTP_PAGE: &str = "engine/http/README.md";
const WIRE_PAGE: &str = "engine/wire/README.md";
const CTL_PAGE: &str = "tools/ctl/README.md";
const LOAD_PAGE: &str = "tools/README.md";

#[test]
fn every_key_is_on_its_page_with_its_default() {
    let text = page(CONFIGURATION);
    let mut described = Table::new();
    let mut findings = Vec::new();
    for (section, rows) in sections(&text, "key") {
        let section = section.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let table = match section {
            None if rows.is_empty() => continue,
            None => &mut described,
            Some(name) => {
                let of_section = described.entry(name).or_insert_with(|| Table::new().into());
                of_section.as_table_mut().expect("a section is a table")
            }
        };
        for row in rows {
            let line = format!("{} = {}", ticked(row[0]), ticked(row[1]));
            match line.parse::<Table>() {
                Ok(row) => table.extend(row),
                Err(error) => findings.push(format!("{CONFIGURATION}: {line}: {error}")),
            }
        }
    }
    let keys = |table: &Table| -> BTreeSet<String> {
        let of = |(name, value): (&String, &toml::Value)| match value.as_table() {
            Some(section) if section.is_empty() => vec![format!("[{name}]")],
            Some(section) => section.iter().map(|(key, value)| format!("{name}.{key} = {value}")).collect(),
            None => vec![format!("{name} = {value}")],
        };
        table.iter().flat_map(of).collect()
    };
    let example: Table = EXAMPLE.parse().expect("the example is TOML");
    findings.extend(differences(CONFIGURATION, &keys(&described), &keys(&example)));
    report(findings);
}

/// Whatever the page calls out of bounds is refused, and for these bounds.
#[test]
fn the_bounds_of_keys_are_those_that_are_enforced() {
    let text = page(CONFIGURATION);
    let mut findings = Vec::new();
    let mut checked = 0;
    for (section, rows) in sections(&text, "key") {
        for row in rows {
            let Some(bounds) = bounds(row[2]) else { continue };
            for beyond in bounds.beyond() {
                checked += 1;
                let key = ticked(row[0]);
                let is_section = section.starts_with('[');
                let heading = if is_section { section } else { "" };
                let (dot, name) = match is_section {
                    true => (".", section.trim_matches(['[', ']'])),
                    false => ("", ""),
                };
                let file = ConfigFile::parse(&format!("{heading}\n{key} = {beyond}\n"), "page.toml");
                let host = [config::Cpu(0)].into();
                match file.and_then(|file| file.validate(&host, None)) {
                    Err(error)
                        if error.key == format!("{name}{dot}{key}") && bounds.are_in(&error.accepted) => {}
                    other => findings.push(format!("{CONFIGURATION}: {key} = {beyond}: {other:?}")),
                }
            }
        }
    }
    report(findings);
    assert!(checked >= 30, "only {checked} bounds were found on the page");
}

#[test]
fn every_agreed_parameter_is_on_its_page_with_default_and_bounds() {
    let text = page(CONFIGURATION);
    let of_rows: Vec<Vec<&str>> = sections(&text, "option").into_iter().flat_map(|(_, rows)| rows).collect();
    let shown = |name: &str, default: Option<String>| match default {
        Some(default) => format!("{name} {default}"),
        None => name.to_owned(),
    };
    let described = of_rows.iter().map(|row| {
        let default = row[1].starts_with('`').then(|| ticked(row[1]).to_owned());
        shown(ticked(row[0]), default)
    });
    let options = FormatArgs::augment_args(clap::Command::new("format"));
    let there = options.get_arguments().filter_map(|option| {
        let default = option.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
        Some(shown(&format!("--{}", option.get_long()?), default))
    });
    let mut findings = differences(CONFIGURATION, &described.collect(), &there.collect());
    let mut checked = 0;
    for row in &of_rows {
        let (Some(bounds), option) = (bounds(row[2]), ticked(row[0])) else { continue };
        for beyond in bounds.beyond() {
            checked += 1;
            let refusal = format_refusal(option, beyond.trim_matches('"'));
            if !refusal.as_ref().is_some_and(|refusal| bounds.are_in(refusal)) {
                findings.push(format!("{CONFIGURATION}: {option} {beyond}: {refusal:?}"));
            }
        }
    }
    report(findings);
    assert!(checked >= 15, "only {checked} bounds were found on the page");
}

/// What `assize format` says to this option; nothing if it takes it.
fn format_refusal(option: &str, value: &str) -> Option<String> {
    let line = ["assize", "format", "--config", "a.toml", option, value];
    let command = match Cli::try_parse_from(line) {
        Ok(cli) => cli.command,
        Err(error) => return Some(error.to_string()),
    };
    let Command::Format(format) = command else { panic!("{line:?} is no format") };
    let entropy =
        Entropy { cluster: assize_wire::ClusterId(1), routing_seed: 2, body_seed: 3, record_key: 4 };
    format.agreed.agreed(1, Vec::new(), &entropy).err().map(|error| error.to_string())
}

#[test]
fn every_metric_is_on_its_page() {
    let text = page(METRICS_PAGE);
    let described = rows(&text, "metric").into_iter().map(|row| {
        let labels: Vec<&str> = row[3].split('`').skip(1).step_by(2).collect();
        format!("{} {} {} {labels:?}", ticked(row[0]), row[1], row[2])
    });
    let there = METRICS.iter().map(|metric| {
        let kind = match metric.kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
            Kind::Info => "info",
        };
        let unit = if metric.unit.is_empty() { "–" } else { metric.unit };
        format!("{} {kind} {unit} {:?}", metric.name, metric.labels)
    });
    let mut findings = differences(METRICS_PAGE, &described.collect(), &there.collect());
    let first = |heading| rows(&text, heading).into_iter().map(|row| ticked(row[0]).to_owned()).collect();
    let states = State::ALL.map(|state| state.name().to_owned());
    findings.extend(differences(METRICS_PAGE, &first("state"), &states.into()));
    findings.extend(differences(METRICS_PAGE, &first("stage"), &STAGES.map(str::to_owned).into()));
    report(findings);
}

#[test]
fn every_route_is_on_its_page() {
    let text = page(HTTP_PAGE);
    let described: BTreeSet<String> = rows(&text, "method")
        .into_iter()
        .map(|row| format!("{} {}", ticked(row[0]), ticked(row[1])))
        .collect();
    let there = ROUTES
        .iter()
        .flat_map(|(path, methods)| methods.split([',', ' ']).map(move |method| format!("{method} {path}")));
    let there: BTreeSet<String> = there.filter(|route| !route.starts_with(' ')).collect();
    let mut findings = differences(HTTP_PAGE, &described, &there);
    let headings: BTreeSet<String> =
        sections(&text, "").into_iter().map(|(heading, _)| heading.to_owned()).collect();
    for route in there.iter().filter(|route| !headings.contains(&format!("`{route}`"))) {
        findings
            .push(format!("{HTTP_PAGE}: describe it in a section of its own with the heading ## `{route}`"));
    }
    report(findings);
}

/// The engine's own reasons, with the words that it has for them.
#[test]
fn every_reason_of_the_engine_is_on_the_page_of_the_protocol() {
    let text = page(WIRE_PAGE);
    let described = rows(&text, "reason").into_iter().map(|row| format!("{} {}", row[0], row[2]));
    let there = EngineReason::ALL.iter().map(|reason| format!("{} {}", reason.number(), reason.words()));
    report(differences(WIRE_PAGE, &described.collect(), &there.collect()));
}

/// Commands with what they are about, and exit codes with the words of `assizectl --help`.
#[test]
fn every_command_of_assizectl_is_on_its_page() {
    let text = page(CTL_PAGE);
    let first = |column| rows(&text, column).into_iter().map(|row| ticked(row[0]).to_owned()).collect();
    let cli = assize_ctl::cli::Cli::command();
    let commands = cli.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    let mut findings = differences(CTL_PAGE, &first("command"), &commands);
    let below = cli.get_subcommands().flat_map(|command| command.get_subcommands());
    let unnamed = below.filter(|command| !text.contains(&format!("`{}`", command.get_name())));
    findings.extend(unnamed.map(|command| format!("{CTL_PAGE}: it lacks: {}", command.get_name())));
    let described = rows(&text, "code").into_iter().map(|row| format!("{}  {}", row[0], row[1])).collect();
    let codes = assize_ctl::exit::TABLE.lines().skip(1).map(|line| line.trim().to_owned()).collect();
    findings.extend(differences(CTL_PAGE, &described, &codes));
    report(findings);
}

/// Each command with its options and their defaults, what a line of a file may say, and exit codes with their words.
#[test]
fn every_command_and_option_of_assize_load_is_on_its_page() {
    let text = page(LOAD_PAGE);
    let cli = assize_tools::load::cli::Cli::command();
    let commands: BTreeSet<String> =
        rows(&text, "command").into_iter().map(|row| ticked(row[0]).to_owned()).collect();
    let there = cli.get_subcommands().map(|command| command.get_name().to_owned());
    let mut findings = differences(LOAD_PAGE, &commands, &there.chain(["(none)".to_owned()]).collect());
    let shown = |name: &str, default: Option<&str>| match default {
        Some(default) => format!("{name} {default}"),
        None => name.to_owned(),
    };
    let of_page = sections(&text, "option");
    for command in std::iter::once(&cli).chain(cli.get_subcommands()) {
        let heading = match command.get_name() {
            "assize-load" => "`assize-load`".to_owned(),
            name => format!("`assize-load {name}`"),
        };
        let Some((_, rows)) = of_page.iter().find(|(known, _)| *known == heading) else {
            findings.push(format!("{LOAD_PAGE}: describe it in a section with the heading ## {heading}"));
            continue;
        };
        let described = rows.iter().map(|row| {
            let default = row[1].starts_with('`').then(|| ticked(row[1]));
            format!("{heading} {}", shown(ticked(row[0]), default))
        });
        let there = command.get_arguments().filter_map(|option| {
            let is_switch = !option.get_action().takes_values();
            let default = option.get_default_values().first().filter(|_| !is_switch);
            let default = default.map(|value| value.to_string_lossy().into_owned());
            Some(format!("{heading} {}", shown(&format!("--{}", option.get_long()?), default.as_deref())))
        });
        findings.extend(differences(LOAD_PAGE, &described.collect(), &there.collect()));
    }
    let replay =
        text.split("\n## ").find(|part| part.starts_with("`assize-load replay`")).unwrap_or_default();
    let members = rows(replay, "member").into_iter().map(|row| ticked(row[0]).to_owned()).collect();
    let there = assize_tools::load::replay::LINE_MEMBERS.map(str::to_owned).into();
    findings.extend(differences(LOAD_PAGE, &members, &there));
    let described = rows(&text, "code").into_iter().map(|row| format!("{}  {}", row[0], row[1])).collect();
    let codes = assize_tools::load::cli::EXIT_CODES.lines().skip(1).map(|line| line.trim().to_owned());
    findings.extend(differences(LOAD_PAGE, &described, &codes.collect()));
    report(findings);
}

/// Pages that link to others, and the files that they name, are there.
#[test]
fn the_pages_name_files_that_are_there() {
    let mut findings = Vec::new();
    for name in [CONFIGURATION, METRICS_PAGE, HTTP_PAGE, CTL_PAGE, LOAD_PAGE, "engine/OPERATING.md"] {
        let text = page(name);
        let ticked = text.split('`').skip(1).step_by(2);
        let files = ticked.filter(|word| {
            let is_file = [".rs", ".md", ".allium"].iter().any(|ending| word.ends_with(ending));
            is_file && word.contains('/') && !word.contains([' ', '*', '\n'])
        });
        let missing = files.filter(|file| !tree::top().join(file).exists());
        findings.extend(missing.map(|file| format!("{name}: '{file}' is not there")));
    }
    report(findings);
}

fn page(path: &str) -> String {
    fs::read_to_string(tree::top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What the page lacks, and what it has too much.
fn differences(page: &str, described: &BTreeSet<String>, there: &BTreeSet<String>) -> Vec<String> {
    let lacks = there.difference(described).map(|one| format!("{page}: it lacks: {one}"));
    let invents =
        described.difference(there).map(|one| format!("{page}: the program has no such thing: {one}"));
    lacks.chain(invents).collect()
}

/// By heading of the second level: the rows of the tables below it whose first column is headed so.
fn sections<'a>(text: &'a str, column: &str) -> Vec<(&'a str, Vec<Vec<&'a str>>)> {
    let headed = |part: &'a str| {
        let heading = part.lines().next().unwrap_or_default();
        (heading, rows(part, column))
    };
    text.split("\n## ").skip(1).map(headed).collect()
}

/// The rows, cell by cell, of the tables whose first column is headed so.
fn rows<'a>(text: &'a str, column: &str) -> Vec<Vec<&'a str>> {
    let (mut found, mut inside, mut before) = (Vec::new(), false, "");
    for line in text.lines() {
        let cells = || line.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<&str>>();
        if !line.starts_with('|') {
            inside = false;
        } else if line.starts_with("|---") {
            inside = before.trim_matches('|').split('|').next().unwrap_or_default().trim() == column;
        } else if inside {
            found.push(cells());
        }
        before = line;
    }
    found
}

/// What stands in backticks.
fn ticked(cell: &str) -> &str {
    cell.split('`').nth(1).unwrap_or(cell)
}

/// Bounds as a page has them, `1KiB to 1GiB`, in bytes, nanoseconds or what is counted.
struct Bounds {
    least: u64,
    most: u64,
    is_duration: bool,
}

fn bounds(cell: &str) -> Option<Bounds> {
    let (least, rest) = cell.split_once(" to ")?;
    let most = rest.split([' ', ',', ';']).next()?;
    let durations = config::duration_ns(least).ok().zip(config::duration_ns(most).ok());
    let (least, most) = durations.or_else(|| config::bytes(least).ok().zip(config::bytes(most).ok()))?;
    Some(Bounds { least, most, is_duration: durations.is_some() })
}

impl Bounds {
    /// The nearest values that are not accepted.
    fn beyond(&self) -> Vec<String> {
        let values = self.least.checked_sub(1).into_iter().chain([self.most + 1]);
        values
            .map(|value| if self.is_duration { format!("\"{value}ns\"") } else { value.to_string() })
            .collect()
    }

    /// Whether a refusal names them, in numbers or as it shows durations.
    fn are_in(&self, refusal: &str) -> bool {
        let Bounds { least, most, .. } = *self;
        let shown = config::show_duration_ns;
        refusal.contains(&format!("{least} to {most}"))
            || refusal.contains(&format!("{} to {}", shown(least), shown(most)))
    }
}

#[test]
fn tables_and_bounds_are_read() {
    let text = "# t\n\n## a\n\n| key | b |\n|---|---|\n| `x` | 1KiB to 2KiB, or so |\n\n## c\n\n| d |\n|---|\n| e |\n";
    let read = sections(text, "key");
    assert_eq!(read, [("a", vec![vec!["`x`", "1KiB to 2KiB, or so"]]), ("c", vec![])]);
    let bounds = bounds(read[0].1[0][1]).expect("bounds");
    assert_eq!((bounds.least, bounds.most, bounds.beyond().len()), (1024, 2048, 2));
    assert!(bounds.are_in("accepted is 1024 to 2048 bytes") && !bounds.are_in("1024 to 2047"));
}
