//! Two terminals: one in which commands are run one after the other, one in which a demo runs until Ctrl-C.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Runs commands, and returns what they print.
pub fn run(script: &str, folder: &Path) -> String {
    let output = shell(script, folder).output().expect("running bash");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}{}: {printed}{complained}", output.status);
    printed
}

fn shell(script: &str, folder: &Path) -> Command {
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", script]).current_dir(folder).env("CARGO_NET_OFFLINE", "true");
    // Of the test's own build, as its dependencies.
    for inherited in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_TARGET_DIR"] {
        shell.env_remove(inherited);
    }
    shell
}

/// A demo that runs.
pub struct Demo {
    process: Child,
    lines: Receiver<String>,
    said: String,
}

impl Demo {
    /// Starts it, and waits until it says that it serves.
    pub fn start(script: &str, folder: &Path) -> Demo {
        let mut process =
            shell(script, folder).stdout(Stdio::piped()).process_group(0).spawn().expect("running the demo");
        let stdout = process.stdout.take().expect("its standard output");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut demo = Demo { process, lines, said: String::new() };
        while !demo.said.contains("\nServing ") {
            demo.hear();
        }
        demo
    }

    /// Ctrl-C, and all that it said.
    pub fn interrupt(mut self) -> String {
        self.signal("-INT");
        while self.hear() {}
        let status = self.process.wait().expect("waiting for the demo");
        assert!(status.success(), "{status}: {}", self.said);
        std::mem::take(&mut self.said)
    }

    /// Takes in a line, if one comes before it ends.
    fn hear(&mut self) -> bool {
        match self.lines.recv_timeout(HEARD_WITHIN) {
            Ok(line) => self.said.push_str(&(line + "\n")),
            Err(RecvTimeoutError::Timeout) => panic!("the demo says nothing any more: {}", self.said),
            Err(RecvTimeoutError::Disconnected) => {
                let serves = self.said.contains("\nServing ");
                assert!(serves, "the demo ended before it served: {}", self.said);
                return false;
            }
        }
        true
    }

    /// To everything that was started in its terminal.
    fn signal(&self, signal: &str) {
        let group = format!("-{}", self.process.id());
        let sent = Command::new("kill").args([signal, "--", &group]).status().expect("running kill");
        assert!(sent.success(), "{signal} to the demo: {sent}");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // After a failure it still runs; else there is nothing to kill.
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// It may have to be built.
const HEARD_WITHIN: Duration = Duration::from_secs(900);
