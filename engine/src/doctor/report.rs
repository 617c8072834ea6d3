//! The report of `assize doctor`: a table for people, an object for machines.

use super::facts::HostFacts;
use super::judge::{Finding, Needs, Verdict, judge};
use super::suggest::{cores_section, suggest_cores};
use super::{collect, facts::CpuFacts};
use crate::cli::DoctorCommand;
use crate::config::{Config, ConfigError, ConfigFile};
use crate::exit::Exit;
use assize_tools::aside;
use serde_json::json;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;

/// Runs `assize doctor` and prints its report: [`Exit::Host`] if this host cannot serve, [`Exit::Usage`] if the
/// configuration given is refused, otherwise [`Exit::Success`], warnings or not.
///
/// # Errors
/// The report cannot be written.
pub fn run(command: &DoctorCommand, out: &mut dyn Write) -> io::Result<Exit> {
    let (file, directory) = match target(command) {
        Ok(target) => target,
        Err(error) => {
            aside::say(error);
            return Ok(Exit::Usage);
        }
    };
    let facts = collect(&directory, true);
    // What was agreed is known to `serve` alone, which checks the rest against it.
    let refused = file.as_ref().and_then(|file| file.validate(&facts.cpus.allowed, None).err());
    let config = file.map(|file| file.config);
    // Without a configuration the host is judged for the one suggested.
    let config = config.unwrap_or_else(|| Config {
        cores: suggest_cores(&facts.cpus, None),
        data_directory: directory,
        ..Config::default()
    });
    let findings = judge(&facts, &Needs::of(&config));
    if command.json {
        writeln!(out, "{}", json(&facts, &findings))?;
    } else {
        write!(out, "{}\n{}", table(&findings), suggestion(&facts.cpus))?;
    }
    if let Some(refused) = &refused {
        aside::say(refused);
    }
    let fatal = findings.iter().any(|finding| finding.verdict == Verdict::Fatal);
    Ok(match (fatal, refused) {
        (true, _) => Exit::Host,
        (false, Some(_)) => Exit::Usage,
        (false, None) => Exit::Success,
    })
}

/// The findings as a table, each that is not good with what is wrong and what mends it, and a closing line.
#[must_use]
pub fn table(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Good => '✓',
            Verdict::Warning => '!',
            Verdict::Fatal => '✗',
        };
        let _ = writeln!(text, "{mark} {:width$}  {}", finding.check, finding.found);
        if finding.verdict != Verdict::Good {
            let _ = writeln!(text, "  {:width$}    wrong: {}", "", finding.wrong);
            let _ = writeln!(text, "  {:width$}    mend:  {}", "", finding.mend);
        }
    }
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let _ = match (count(Verdict::Fatal), count(Verdict::Warning)) {
        (0, 0) => writeln!(text, "\nA replica can serve here."),
        (0, warnings) => writeln!(text, "\nA replica can serve here, with {warnings} warning(s)."),
        (fatal, _) => writeln!(text, "\nA replica cannot serve here: {fatal} finding(s) marked ✗."),
    };
    text
}

/// Facts, findings and the suggestion as one JSON object.
#[must_use]
pub fn json(facts: &HostFacts, findings: &[Finding]) -> serde_json::Value {
    let fatal = findings.iter().any(|finding| finding.verdict == Verdict::Fatal);
    json!({
        "can_serve": !fatal,
        "durable": !facts.disk.filesystem.is_memory,
        "findings": findings,
        "facts": facts,
        "suggested_cores": suggest_cores(&facts.cpus, None),
    })
}

fn suggestion(cpus: &CpuFacts) -> String {
    let cores = suggest_cores(cpus, None);
    let left = cpus.allowed.len().saturating_sub(cores.assignments.len());
    format!(
        "A [cores] section for this host, which leaves {left} of its CPUs to clients and the system:\n\n{}",
        cores_section(&cores)
    )
}

fn target(command: &DoctorCommand) -> Result<(Option<ConfigFile>, PathBuf), ConfigError> {
    match (&command.config, &command.dir) {
        (Some(path), _) => {
            let file = ConfigFile::load(path)?;
            let directory = file.config.data_directory.clone();
            Ok((Some(file), directory))
        }
        (None, Some(directory)) => Ok((None, directory.clone())),
        (None, None) => Ok((None, PathBuf::from("."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(verdict: Verdict) -> Finding {
        let text = |text: &str| {
            if verdict == Verdict::Good { String::new() } else { text.to_owned() }
        };
        Finding {
            check: "memlock",
            verdict,
            found: "8MiB".to_owned(),
            wrong: text("low"),
            mend: text("ulimit"),
        }
    }

    #[test]
    fn the_table_says_what_is_wrong_and_what_mends_it() {
        let good = table(&[finding(Verdict::Good)]);
        assert_eq!(good, "✓ memlock  8MiB\n\nA replica can serve here.\n");
        let bad = table(&[finding(Verdict::Fatal), finding(Verdict::Warning)]);
        assert!(bad.contains("✗ memlock") && bad.contains("wrong: low") && bad.contains("mend:  ulimit"));
        assert!(bad.contains("cannot serve here: 1 finding"), "{bad}");
    }

    #[test]
    fn this_host_is_reported_for_people_and_machines() {
        let directory = tempfile::tempdir().unwrap();
        let command = |json| DoctorCommand { config: None, dir: Some(directory.path().to_owned()), json };
        let mut text = Vec::new();
        run(&command(false), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("fdatasync") && text.contains("[cores]"), "{text}");
        let mut object = Vec::new();
        run(&command(true), &mut object).unwrap();
        let object: serde_json::Value = serde_json::from_slice(&object).unwrap();
        assert!(object["findings"].as_array().is_some_and(|findings| findings.len() > 10));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_configuration_that_is_refused_is_a_usage_error() {
        let command = DoctorCommand { config: Some("/nonexistent.toml".into()), dir: None, json: false };
        assert_eq!(run(&command, &mut Vec::new()).unwrap(), Exit::Usage);

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("r0.toml");
        let shards = "[cores]\npin = false\nassignments = [{ cpu = 0, shards = [1] }]";
        std::fs::write(&path, format!("data_directory = {:?}\n{shards}", directory.path())).unwrap();
        let command = DoctorCommand { config: Some(path), dir: None, json: false };
        // Where the host is fit, what remains is the shard without an owner.
        assert_ne!(run(&command, &mut Vec::new()).unwrap(), Exit::Success);
    }
}
