//! What the engine says on standard error: structured messages with levels, repeated ones rate limited, and the
//! last words of a thread whose assertion failed.
//!
//! It never decides anything and never blocks a core on more than one write to standard error; the rate limiter is
//! pure, with time as an argument.

use crate::config::{Level, LogFormat, Logging};
use crate::exit::Exit;
use std::cell::Cell;
use std::fmt;
use std::io::IsTerminal;
use std::marker::PhantomData;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Overrides the configured level; may name modules: `info,assize::reactor=debug`.
pub const LEVEL_VARIABLE: &str = "ASSIZE_LOG";

/// Messages cannot be set up.
#[derive(Debug)]
pub enum LoggingError {
    /// The environment variable does not hold directives.
    Variable {
        /// What it holds.
        found: String,
        /// Why it is none.
        error: ParseError,
    },
    /// Set up before.
    Twice(TryInitError),
}

impl fmt::Display for LoggingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoggingError::Variable { found, error } => write!(
                f,
                "{LEVEL_VARIABLE}: found \"{found}\" ({error}), accepted are levels such as \
                 \"info,assize::reactor=debug\""
            ),
            LoggingError::Twice(error) => write!(f, "messages are set up already: {error}"),
        }
    }
}

impl std::error::Error for LoggingError {}

/// Starts writing messages to standard error, for the whole process.
///
/// # Errors
/// `ASSIZE_LOG` holds no directives, or this was called before.
pub fn start(logging: &Logging) -> Result<(), LoggingError> {
    let filter = filter(logging.level, std::env::var(LEVEL_VARIABLE).ok())?;
    // Files and journals are searched, and an escape sequence is in the way of every pattern.
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = std::io::stderr().is_terminal() && !unwanted;
    let lines = tracing_subscriber::fmt()
        .with_ansi(colours)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A line that cannot be written is lost; to say so on the same stream would panic.
        .log_internal_errors(false)
        .with_thread_names(true);
    match logging.format {
        LogFormat::Text => lines.finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    }
    .map_err(LoggingError::Twice)
}

fn filter(level: Level, variable: Option<String>) -> Result<EnvFilter, LoggingError> {
    match variable.filter(|text| !text.trim().is_empty()) {
        Some(found) => EnvFilter::try_new(&found).map_err(|error| LoggingError::Variable { found, error }),
        None => Ok(EnvFilter::new(match level {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        })),
    }
}

/// Lets at most so many messages of one call site through in a second, and counts the others. Pure.
///
/// ```
/// # use assize::logging::RateLimited;
/// # let now_ns = 0;
/// let mut slow_disk = RateLimited::per_second(1);
/// if let Some(suppressed) = slow_disk.admit(now_ns) {
///     tracing::warn!(suppressed, "the log device is slow");
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimited {
    per_second: u32,
    /// Start of the current second; `None` before the first message.
    since_ns: Option<u64>,
    /// Let through since then, `<= per_second`.
    admitted: u32,
    /// Held back since the last message or summary.
    suppressed: u64,
}

impl RateLimited {
    const SECOND_NS: u64 = 1_000_000_000;

    /// At most `per_second` messages a second.
    #[must_use]
    pub const fn per_second(per_second: u32) -> RateLimited {
        RateLimited { per_second, since_ns: None, admitted: 0, suppressed: 0 }
    }

    /// Whether a message at `now_ns` (of any clock that does not move back) may be written: if so, how many were
    /// held back since the last.
    #[must_use]
    pub fn admit(&mut self, now_ns: u64) -> Option<u64> {
        if self.second_over(now_ns) {
            self.since_ns = Some(now_ns);
            self.admitted = 0;
        }
        if self.admitted < self.per_second {
            self.admitted += 1;
            Some(std::mem::take(&mut self.suppressed))
        } else {
            self.suppressed += 1;
            None
        }
    }

    /// For a timer: how many messages were held back by a burst that is over, once. Without it their number comes
    /// only with the next message.
    #[must_use]
    pub fn summary(&mut self, now_ns: u64) -> Option<u64> {
        if self.suppressed == 0 || !self.second_over(now_ns) {
            return None;
        }
        Some(std::mem::take(&mut self.suppressed))
    }

    fn second_over(&self, now_ns: u64) -> bool {
        self.since_ns.is_none_or(|since| now_ns.saturating_sub(since) >= RateLimited::SECOND_NS)
    }
}

thread_local! {
    /// How many `DomainGuard`s live on this thread.
    static IN_DOMAIN: Cell<u32> = const { Cell::new(0) };
}

/// While one lives, a panic on this thread belongs to a domain: whoever holds it catches the panic and turns it
/// into the outcome `fault` (D4), so the hook of [`abort_on_panic`] lets it unwind, silently.
///
/// The pure crates cannot see this type; the shell wraps their evaluation in one, together with `catch_unwind`.
#[must_use = "it guards as long as it lives"]
#[derive(Debug)]
pub struct DomainGuard {
    /// Counted on one thread, so it must die there.
    not_send: PhantomData<*const ()>,
}

impl DomainGuard {
    /// From now on, panics on this thread are the domain's.
    pub fn enter() -> DomainGuard {
        IN_DOMAIN.with(|depth| depth.set(depth.get() + 1));
        DomainGuard { not_send: PhantomData }
    }

    /// Whether one lives on this thread. False while the thread ends.
    #[must_use]
    pub fn entered() -> bool {
        IN_DOMAIN.try_with(|depth| depth.get() > 0).unwrap_or(false)
    }
}

impl Drop for DomainGuard {
    fn drop(&mut self) {
        IN_DOMAIN.with(|depth| depth.set(depth.get() - 1));
    }
}

/// Makes a failed assertion on any thread end the process: it prints thread, place and reason, and exits with
/// [`Exit::Assertion`]. A panic for which `caught` says true unwinds instead; besides [`DomainGuard::entered`],
/// which is always asked, that is how a lower crate says that it evaluates a domain.
///
/// Nothing is flushed or finished: what is not durable was not promised to anyone.
pub fn abort_on_panic(caught: fn() -> bool) {
    std::panic::set_hook(Box::new(move |panic| {
        if DomainGuard::entered() || caught() {
            return;
        }
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name");
        let words = last_words(name, panic.location().map(ToString::to_string), panic.payload_as_str());
        assize_tools::aside::say(words);
        Exit::Assertion.now()
    }));
}

fn last_words(thread: &str, location: Option<String>, reason: Option<&str>) -> String {
    let location = location.unwrap_or_else(|| "an unknown place".to_owned());
    let reason = reason.unwrap_or("a panic without a message");
    format!("assize: an assertion failed on thread {thread} at {location}: {reason}; the process ends")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn so_many_pass_each_second_and_the_rest_is_counted() {
        let mut limited = RateLimited::per_second(2);
        assert_eq!(limited.admit(7), Some(0));
        assert_eq!(limited.admit(8), Some(0));
        for now in 9..109 {
            assert_eq!(limited.admit(now), None);
        }
        assert_eq!(limited.summary(SECOND), None, "the second that began at 7 is not over");
        assert_eq!(limited.admit(SECOND + 7), Some(100));
        assert_eq!(limited.admit(SECOND + 7), Some(0));
        assert_eq!(limited.admit(SECOND + 7), None);
    }

    #[test]
    fn a_burst_that_ended_is_summed_up_once() {
        let mut limited = RateLimited::per_second(1);
        assert_eq!(limited.summary(0), None);
        assert_eq!((limited.admit(0), limited.admit(1), limited.admit(2)), (Some(0), None, None));
        assert_eq!(limited.summary(SECOND), Some(2));
        assert_eq!(limited.summary(SECOND), None);
        assert_eq!(limited.admit(SECOND), Some(0));
    }

    #[test]
    fn a_clock_that_moves_back_holds_messages_but_loses_none() {
        let mut limited = RateLimited::per_second(1);
        assert_eq!(limited.admit(5 * SECOND), Some(0));
        assert_eq!(limited.admit(SECOND), None);
        assert_eq!(limited.admit(6 * SECOND), Some(1));
    }

    #[test]
    fn guards_nest_and_survive_unwinding() {
        assert!(!DomainGuard::entered());
        let outer = DomainGuard::enter();
        let caught = std::panic::catch_unwind(|| {
            let _inner = DomainGuard::enter();
            std::panic::resume_unwind(Box::new("a domain's panic"));
        });
        assert!(caught.is_err() && DomainGuard::entered());
        drop(outer);
        assert!(!DomainGuard::entered());
    }

    #[test]
    fn last_words_name_thread_place_and_reason() {
        let words = last_words("core-1", Some("a.rs:3:1".to_owned()), Some("slot 4 < 5"));
        assert!(["core-1", "a.rs:3:1", "slot 4 < 5"].iter().all(|part| words.contains(part)), "{words}");
    }

    /// Runs this test binary again, as a process that has the hook and fails.
    #[test]
    fn a_failed_assertion_ends_the_process_but_a_domain_panic_does_not() {
        const CHILD: &str = "ASSIZE_TEST_PANIC_CHILD";
        if std::env::var_os(CHILD).is_some() {
            abort_on_panic(|| false);
            let domain = std::panic::catch_unwind(|| {
                let _guard = DomainGuard::enter();
                panic!("in the domain");
            });
            assert!(domain.is_err());
            let _ = std::thread::Builder::new()
                .name("core-9".to_owned())
                .spawn(|| panic!("the engine's own"))
                .map(std::thread::JoinHandle::join);
            Exit::Success.now();
        }
        let name = "logging::tests::a_failed_assertion_ends_the_process_but_a_domain_panic_does_not";
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stderr);
        assert_eq!(child.status.code(), Some(Exit::Assertion.code()), "{said}");
        assert!(said.contains("core-9") && said.contains("the engine's own"), "{said}");
        assert!(!said.contains("in the domain"), "{said}");
    }

    #[test]
    fn the_variable_overrides_the_level_and_is_checked() {
        assert_eq!(filter(Level::Warn, None).unwrap().to_string(), "warn");
        assert_eq!(filter(Level::Warn, Some(" ".to_owned())).unwrap().to_string(), "warn");
        assert_eq!(filter(Level::Warn, Some("trace".to_owned())).unwrap().to_string(), "trace");
        let error = filter(Level::Warn, Some("assize=loud".to_owned())).unwrap_err();
        assert!(error.to_string().contains("ASSIZE_LOG"), "{error}");
    }
}
