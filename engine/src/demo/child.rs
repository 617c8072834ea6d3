//! A replica's process, as the demo runs it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, ChildStdout, Command, Stdio};

use super::Ended;
use crate::exit::Exit;

/// A running `assize serve`. It stops when its standard input closes, so it never outlives this process.
pub(super) struct Child {
    process: process::Child,
    out: BufReader<ChildStdout>,
    address: Option<String>,
    /// What it said at its end.
    last_words: String,
}

/// What a replica's entities come to, as it tells when it stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StateDigest {
    /// The slot through which it executed.
    pub slot: u64,
    /// In hexadecimal.
    pub digest: String,
}

impl Child {
    /// Starts it.
    pub(super) fn spawn(config: &Path, stages: &Path) -> Result<Child, Ended> {
        let fail = |error: std::io::Error| (format!("the replica's process: {error}"), Exit::Host);
        let mut process = Command::new(std::env::current_exe().map_err(fail)?)
            .arg("serve")
            .arg("--config")
            .arg(config)
            .arg("--stages")
            .arg(stages)
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Of its own, so that a Ctrl-C at the terminal is for the demo, which stops the replica last.
            .process_group(0)
            .spawn()
            .map_err(fail)?;
        let Some(stdout) = process.stdout.take() else {
            return Err(("the replica's process has no standard output".to_owned(), Exit::Internal));
        };
        Ok(Child { process, out: BufReader::new(stdout), address: None, last_words: String::new() })
    }

    /// Waits until it serves, and returns where.
    pub(super) fn wait_until_serving(&mut self) -> Result<&str, Ended> {
        if self.address.is_none() {
            let fail = |error: std::io::Error| (format!("the replica's process: {error}"), Exit::Host);
            let mut line = String::new();
            self.out.read_line(&mut line).map_err(fail)?;
            match line.trim().strip_prefix("serving ") {
                Some(address) => self.address = Some(address.to_owned()),
                None => return Err(ended(self.process.wait().map_err(fail)?)),
            }
        }
        Ok(self.address.as_deref().unwrap_or_default())
    }

    /// Begins its latencies anew.
    pub(super) fn measure(&mut self) {
        if let Some(stdin) = &mut self.process.stdin {
            // A replica that is gone says so when it is stopped.
            let _ = stdin.write_all(b"measure\n").and_then(|()| stdin.flush());
        }
    }

    /// kill -9, and waits for its end.
    pub(super) fn kill(&mut self) -> Result<(), Ended> {
        let killed = self.process.kill().and_then(|()| self.process.wait());
        killed.map(drop).map_err(|error| (format!("killing a replica: {error}"), Exit::Internal))
    }

    /// Stops it in good order and waits for its end.
    pub(super) fn stop(&mut self) -> Result<(), Ended> {
        drop(self.process.stdin.take());
        // The end of its output is its own; what it said is read before, or it might wait for a reader.
        let _ = self.out.read_to_string(&mut self.last_words);
        let status = self.process.wait();
        let status = status.map_err(|error| (format!("waiting for the replica: {error}"), Exit::Internal))?;
        if status.success() { Ok(()) } else { Err(ended(status)) }
    }
}

/// What stopped replicas told of their states: nothing where one did not tell.
pub(super) fn state_digests(children: &mut [Child]) -> Vec<Option<StateDigest>> {
    children.iter().map(|child| child.last_words.lines().find_map(parse_digest)).collect()
}

/// A line `digest SLOT HEX`.
fn parse_digest(line: &str) -> Option<StateDigest> {
    let mut words = line.strip_prefix("digest ")?.split_whitespace();
    let (slot, digest) = (words.next()?.parse().ok()?, words.next()?.to_owned());
    Some(StateDigest { slot, digest })
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It stops by itself; waiting keeps it from being left behind.
        let _ = self.process.wait();
    }
}

fn ended(status: process::ExitStatus) -> Ended {
    let known = Exit::ALL.into_iter().find(|exit| Some(exit.code()) == status.code());
    (format!("the replica ended with {status}; its messages above say why"), known.unwrap_or(Exit::Internal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_where_one_is_told() {
        let told = StateDigest { slot: 42, digest: "00ff".to_owned() };
        assert_eq!(parse_digest("digest 42 00ff"), Some(told));
        for other in ["serving 127.0.0.1:7400", "digest", "digest 42", "digest x 00ff"] {
            assert_eq!(parse_digest(other), None, "{other}");
        }
    }
}
