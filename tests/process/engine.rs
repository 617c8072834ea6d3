//! A running `assize serve`: what it says, and how it is ended.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use assize_tools::client::{Client, Options};

/// How long anything may take before a test gives up, with what it waited for.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// One process. Killed when it goes out of scope.
pub struct Engine {
    child: Child,
    /// Lines of both outputs, as they come.
    lines: Receiver<Line>,
    /// All that was said, for messages.
    said: Arc<Mutex<String>>,
    address: String,
}

enum Line {
    Out(String),
    Error,
}

impl Engine {
    /// Starts it and waits until it serves.
    pub fn start(command: Command) -> Engine {
        let mut engine = Engine::spawn(command);
        engine.wait_until_serving();
        engine
    }

    /// Starts it.
    pub fn spawn(mut command: Command) -> Engine {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("starting assize");
        let (sender, lines) = channel();
        let said = Arc::new(Mutex::new(String::new()));
        let out = child.stdout.take().expect("piped");
        let error = child.stderr.take().expect("piped");
        let errors = sender.clone();
        follow(out, Arc::clone(&said), move |line| drop(sender.send(Line::Out(line))));
        follow(error, Arc::clone(&said), move |_| drop(errors.send(Line::Error)));
        Engine { child, lines, said, address: String::new() }
    }

    /// Waits for the line that says where clients connect, if it did not come yet.
    pub fn wait_until_serving(&mut self) {
        let until = Instant::now() + DEADLINE;
        while self.address.is_empty() {
            if self.next_line(until).is_none() {
                panic!("it does not serve; it said:\n{}", self.said());
            }
        }
    }

    /// Waits until it has said `count` lines more, or has ended.
    pub fn wait_for_lines(&mut self, count: u64) {
        let until = Instant::now() + DEADLINE;
        for _ in 0..count {
            if self.next_line(until).is_none() {
                return;
            }
        }
    }

    /// Waits until it has said `text` so many times in all.
    pub fn wait_until_said(&mut self, text: &str, times: usize) {
        let until = Instant::now() + DEADLINE;
        while self.said().matches(text).count() < times {
            if self.next_line(until).is_none() {
                panic!("it ended without saying {text:?} {times} times:\n{}", self.said());
            }
        }
    }

    /// Nothing if it has ended, and all it said was read.
    fn next_line(&mut self, until: Instant) -> Option<()> {
        match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Line::Out(line)) => {
                // Whoever waits for something else reads over it.
                if let Some(address) = line.strip_prefix("serving ") {
                    self.address = address.to_owned();
                }
                Some(())
            }
            Ok(Line::Error) => Some(()),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("nothing more came for {DEADLINE:?}; it said:\n{}", self.said())
            }
        }
    }

    /// Where clients connect.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it is asked by HTTP; one that began again from a checkpoint that it took over has said so again.
    pub fn http(&self) -> String {
        let said = self.said();
        let address = said.lines().rev().find_map(|line| line.strip_prefix("http "));
        address.unwrap_or_else(|| panic!("it says nothing of HTTP:\n{said}")).to_owned()
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        client_of(&self.address)
    }

    /// All that it has said.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// kill -9, and waits for its end.
    pub fn kill(mut self) {
        self.child.kill().expect("killing it");
        let status = self.child.wait().expect("waiting for its end");
        assert_eq!(status.code(), None, "it ended by itself before it was killed:\n{}", self.said());
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("running kill").success());
    }

    /// Waits for its end: how it ended, and all it said.
    pub fn wait(mut self) -> (ExitStatus, String) {
        self.drain();
        let status = self.child.wait().expect("waiting for its end");
        (status, self.said())
    }

    /// Stops it in good order, which must work.
    pub fn stop(self) {
        self.terminate();
        let (status, said) = self.wait();
        assert_eq!(status.code(), Some(0), "{said}");
    }

    /// Waits for its end in good order: the slot through which it executed, and what its entities come to.
    pub fn wait_for_digest(self) -> (u64, String) {
        let (status, said) = self.wait();
        assert_eq!(status.code(), Some(0), "{said}");
        let told = said.lines().filter_map(|line| line.strip_prefix("digest ")?.split_once(' ')).next_back();
        let (slot, digest) = told.unwrap_or_else(|| panic!("it tells no digest:\n{said}"));
        (slot.parse().expect("a slot"), digest.to_owned())
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("asking for its state").is_none()
    }

    /// Reads to the end of its outputs, which is its end.
    fn drain(&mut self) {
        let until = Instant::now() + DEADLINE;
        while self.next_line(until).is_some() {}
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It may have ended, and that is all that is wanted here.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            println!("the engine said:\n{}", self.said());
        }
    }
}

/// A client of the engine that listens there, or will.
pub fn client_of(address: &str) -> Client {
    let options = Options { connect_timeout: DEADLINE, call_timeout: DEADLINE, ..Options::default() };
    Client::connect(&[address], options).unwrap_or_else(|error| panic!("{address}: {error}"))
}

fn follow(
    from: impl Read + Send + 'static,
    said: Arc<Mutex<String>>,
    tell: impl Fn(String) + Send + 'static,
) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            let Ok(line) = line else { return };
            {
                let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                said.push_str(&line);
                said.push('\n');
            }
            tell(line);
        }
    });
}
