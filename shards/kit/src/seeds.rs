//! Which seeds are run, and how a test says which one to run again.

/// The seeds that a test runs: as many as `usual`; with `ASSIZE_SEEDS=N` so many, and with `ASSIZE_SEED=N` that one
/// alone.
///
/// # Panics
/// When one of these is set and no number.
#[must_use]
pub fn seeds(usual: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().map(|value| value.parse().expect("it is a number"));
    match number("ASSIZE_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("ASSIZE_SEEDS").unwrap_or(usual)).collect(),
    }
}

/// The line that runs a seed of this test again.
#[must_use]
pub fn again(seed: u64) -> String {
    // A test runs in a thread of its name.
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main").unwrap_or_default();
    format!("to see this one again: ASSIZE_SEED={seed} cargo test {test}").trim_end().to_owned()
}
