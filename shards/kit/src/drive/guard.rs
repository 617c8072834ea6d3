//! A domain's panics: caught, as the engine catches them, and not worth a line of output.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use assize_shards::PanicGuard;

/// Catches the panics of a domain, and counts how often one was called.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// How often a domain was called and came back.
    pub calls: Arc<AtomicU64>,
}

impl Guard {
    /// Calls a domain; if it panics, what it said.
    ///
    /// # Errors
    /// The panic's text.
    pub fn call<T>(&self, body: impl FnOnce() -> T) -> Result<T, String> {
        let called = quietly(body);
        self.calls.fetch_add(1, Ordering::Relaxed);
        called
    }
}

impl PanicGuard for Guard {
    fn run(&self, body: &mut dyn FnMut()) -> bool {
        self.call(body).is_ok()
    }
}

/// Calls `body`; if it panics, what it said, which is not printed.
///
/// # Errors
/// The panic's text.
pub fn quietly<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    quiet();
    let before = IN_DOMAIN.replace(true);
    let ran = catch_unwind(AssertUnwindSafe(body));
    IN_DOMAIN.set(before);
    ran.map_err(|_| SAID.take())
}

/// From now on a domain's panic prints nothing in this process: it is an outcome.
pub fn quiet() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match IN_DOMAIN.get() {
            true => SAID.set(info.payload_as_str().unwrap_or("something that is no text").to_owned()),
            false => before(info),
        }));
    });
}

thread_local! {
    static IN_DOMAIN: Cell<bool> = const { Cell::new(false) };
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}
