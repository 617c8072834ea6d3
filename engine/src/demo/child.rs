//! A replica's process, as the demo runs it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use assize_shards::Rehearsal;

use super::Ended;
use crate::exit::Exit;

/// A running `assize serve`. It stops when its standard input closes, so it never outlives this process.
pub(super) struct Child {
    process: process::Child,
    /// The lines of its standard output; the channel ends with the process.
    lines: Receiver<String>,
    address: Option<String>,
    /// What it told at its end.
    digest: Option<StateDigest>,
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
    pub(super) fn spawn(config: &Path, stages: &Path, fault: Option<Rehearsal>) -> Result<Child, Ended> {
        let fail = |error: std::io::Error| (format!("the replica's process: {error}"), Exit::Host);
        let mut process = Command::new(std::env::current_exe().map_err(fail)?)
            .arg("serve")
            .arg("--config")
            .arg(config)
            .arg("--stages")
            .arg(stages)
            .arg("--until-stdin-closes")
            .args(fault.iter().flat_map(|fault| ["--fault".to_owned(), fault.to_string()]))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Of its own, so that a Ctrl-C at the terminal is for the demo, which stops the replica last.
            .process_group(0)
            .spawn()
            .map_err(fail)?;
        let Some(stdout) = process.stdout.take() else {
            return Err(("the replica's process has no standard output".to_owned(), Exit::Internal));
        };
        let (sender, lines) = channel();
        // A thread, so that one replica can be waited for without missing the end of another.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Child { process, lines, address: None, digest: None })
    }

    /// Where it serves, if it does by now, or within `wait`.
    pub(super) fn serving(&mut self, wait: Duration) -> Result<Option<&str>, Ended> {
        if self.address.is_none() {
            match self.lines.recv_timeout(wait) {
                Ok(line) => self.address = line.strip_prefix("serving ").map(str::to_owned),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.process.wait();
                    return Err(ended(
                        status
                            .map_err(|error| (format!("waiting for the replica: {error}"), Exit::Internal))?,
                    ));
                }
            }
        }
        Ok(self.address.as_deref())
    }

    /// A replica that nobody stopped runs.
    pub(super) fn check_running(&mut self) -> Result<(), Ended> {
        match self.process.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(ended(status)),
            Err(error) => Err((format!("waiting for the replica: {error}"), Exit::Internal)),
        }
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
        self.digest = self.lines.iter().filter_map(|line| parse_digest(&line)).last();
        let status = self.process.wait();
        let status = status.map_err(|error| (format!("waiting for the replica: {error}"), Exit::Internal))?;
        if status.success() { Ok(()) } else { Err(ended(status)) }
    }
}

/// What stopped replicas told of their states: nothing where one did not tell.
pub(super) fn state_digests(children: &mut [Child]) -> Vec<Option<StateDigest>> {
    children.iter().map(|child| child.digest.clone()).collect()
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
