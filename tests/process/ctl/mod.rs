//! `assizectl`, run as an operator runs it.
//!
//! | file | asks |
//! |---|---|
//! | `mod.rs` | how it is run, and what it is refused |
//! | `asking.rs` | whom it asks of a running cluster, and what it says of those who do not answer |
//! | `agreed.rs` | what it tells of what a cluster agreed on |
//! | `rejoin.rs` | how it brings a replica back whose disk was lost |
//! | `running.rs` | what it tells of a running cluster |
//! | `backup.rs` | backups under load, and what they are restored to |
//! | `damaged.rs` | what it tells and refuses where slots are damaged that were chosen |
//! | `stopped.rs` | what it tells of a stopped replica, which it must leave as it is |

mod agreed;
mod asking;
mod backup;
mod damaged;
mod rejoin;
mod running;
mod stopped;

use std::process::Output;

use serde_json::Value;

use crate::site::{Settings, Site, assizectl, text};

/// Runs it to its end, which must be this exit code.
pub fn ctl(arguments: &[&str], code: i32) -> Output {
    let output = assizectl().args(arguments).output().expect("running assizectl");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
    output
}

/// What it tells programs, document by document.
pub fn ctl_json(arguments: &[&str], code: i32) -> Vec<Value> {
    let arguments: Vec<&str> = arguments.iter().chain(&["--json"]).copied().collect();
    let output = ctl(&arguments, code);
    let documents = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    documents.map(|document| document.unwrap_or_else(|error| panic!("{error}: {}", text(&output)))).collect()
}

/// Its only document.
pub fn ctl_document(arguments: &[&str], code: i32) -> Value {
    let mut documents = ctl_json(arguments, code);
    assert_eq!(documents.len(), 1, "{arguments:?}: {documents:?}");
    documents.remove(0)
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    let refused = |arguments: &[&str], code, words: &str| {
        let said = String::from_utf8(ctl(arguments, code).stderr).expect("text");
        assert!(said.contains(words), "{arguments:?}: {said}");
    };
    refused(&["status", "--http", "nowhere"], 2, "HOST:PORT");
    refused(&["status", "--http", "127.0.0.1:1"], 10, "no replica answers");
    refused(&["submit", "{"], 2, "no JSON");
    refused(&["submit", "[{}, {}]", "--key", "k"], 2, "--key is for one event");
    let nothing = tempfile::tempdir().expect("a directory");
    let nothing = nothing.path().to_str().expect("a path in letters");
    refused(&["digest", "--data", nothing], 4, "is not a replica's data directory");
    let site = Site::formatted(Settings::small());
    let data = site.data();
    let data = data.to_str().expect("a path in letters");
    let file = site.config();
    let file = file.to_str().expect("a path in letters");
    refused(&["digest", "--data", file], 4, "is a file");
    refused(&["agreed", "--data", file], 4, "is a file");
    refused(&["history", "--data", data, "item:1:1"], 2, "DOMAIN/ENTITY");
    refused(&["history", "--data", data, "stocks/item:1:1"], 2, "no domain stocks");
    refused(&["replay", "--data", data, "--to", "7"], 2, "slot 7 is not there");
    // RunningRefused: what runs changes while it is read.
    let engine = site.start();
    refused(&["wal", "verify", "--data", data], 4, "a replica runs on");
    engine.stop();
}

#[test]
fn completions_are_printed_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let output = ctl(&["completions", shell], 0);
        assert!(String::from_utf8_lossy(&output.stdout).contains("checkpoint"), "{shell}: {}", text(&output));
    }
}
