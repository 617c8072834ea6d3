//! A demo without a load: its replicas serve, and it says where.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use assize_domain::DomainRegistry;

use super::Ended;
use super::replicas::Replicas;
use super::workload::names;
use crate::config::Address;

/// Says where events can be submitted.
pub(super) fn tell(domains: &DomainRegistry, http: &[Address], seconds: Option<u32>) {
    let Some(first) = http.first() else { return };
    let until = match seconds {
        Some(seconds) => format!("for {seconds} seconds"),
        None => "until Ctrl-C".to_owned(),
    };
    let names = names(domains);
    let domain = names.split(", ").next().unwrap_or_default();
    println!("Serving {names} {until}. Any replica takes events, under a key of your own:\n");
    println!("  curl -s http://{first}/v1/events -H 'Content-Type: application/json' \\");
    println!("    -H 'Idempotency-Key: \"KEY\"' -d '{{\"domain\": \"{domain}\", \"event\": EVENT}}'");
    println!("  curl -s http://{first}/v1/entities/{domain}/ENTITY\n");
}

/// Waits until somebody sets `stop`, the time is over, or a replica ends by itself, which is an error.
pub(super) fn wait(replicas: &mut Replicas, seconds: Option<u32>, stop: &AtomicBool) -> Result<(), Ended> {
    let began = Instant::now();
    let over = |seconds: u32| began.elapsed() >= Duration::from_secs(seconds.into());
    while !stop.load(Ordering::Relaxed) && !seconds.is_some_and(over) {
        replicas.check_running()?;
        // A process may end at any moment, and so may the wish to serve.
        thread::sleep(LOOKED_EVERY);
    }
    Ok(())
}

/// Soon enough for a person at a terminal.
const LOOKED_EVERY: Duration = Duration::from_millis(50);
