//! The replica's process, as the demo runs it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command, Stdio};

use crate::exit::Exit;

/// A running `assize serve`. It stops when its standard input closes, so it never outlives this process.
pub(super) struct Child {
    process: process::Child,
    address: String,
}

impl Child {
    /// Starts it and waits until it serves.
    pub(super) fn start(config: &Path, stages: &Path) -> Result<Child, (String, Exit)> {
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
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(fail)?;
        match line.trim().strip_prefix("serving ") {
            Some(address) => Ok(Child { address: address.to_owned(), process }),
            None => {
                let status = process.wait().map_err(fail)?;
                Err(ended(status))
            }
        }
    }

    /// Where it serves.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Begins its latencies anew.
    pub(super) fn measure(&mut self) {
        if let Some(stdin) = &mut self.process.stdin {
            // A replica that is gone says so when it is stopped.
            let _ = stdin.write_all(b"measure\n").and_then(|()| stdin.flush());
        }
    }

    /// Stops it in good order and waits for its end.
    pub(super) fn stop(&mut self) -> Result<(), (String, Exit)> {
        drop(self.process.stdin.take());
        let status = self.process.wait();
        let status = status.map_err(|error| (format!("waiting for the replica: {error}"), Exit::Internal))?;
        if status.success() { Ok(()) } else { Err(ended(status)) }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It stops by itself; waiting keeps it from being left behind.
        let _ = self.process.wait();
    }
}

fn ended(status: process::ExitStatus) -> (String, Exit) {
    let known = Exit::ALL.into_iter().find(|exit| Some(exit.code()) == status.code());
    (format!("the replica ended with {status}; its messages above say why"), known.unwrap_or(Exit::Internal))
}
