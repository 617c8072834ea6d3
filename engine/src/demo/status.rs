//! What the replicas say of themselves by HTTP, in `/v1/status`: how far each is, and whether it was found out.

use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::Agent;

use crate::config::Address;

/// What of a status counts here.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Status {
    pub slots: Slots,
    /// Why it is quarantined, if it is.
    pub quarantine: Option<String>,
}

/// Watermarks of a replica.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Slots {
    pub chosen: u64,
    pub published: u64,
}

/// Asks all replicas over HTTP until the slowest has published what any of them knows to be chosen, or `within` is
/// over: whoever wants their states compared sees then how far each came.
pub(super) fn wait_until_caught_up(replicas: &[Address], within: Duration) {
    let until = Instant::now() + within;
    while !caught_up(replicas) && Instant::now() < until {
        // Nobody tells when they are: whoever waits asks.
        thread::sleep(ASKED_EVERY);
    }
}

/// What each replica says, where it does.
pub(super) fn ask_all(replicas: &[Address]) -> Vec<Option<Status>> {
    let agent = Agent::config_builder().timeout_global(Some(ANSWERED_WITHIN)).build().new_agent();
    replicas.iter().map(|replica| ask(&agent, replica)).collect()
}

fn caught_up(replicas: &[Address]) -> bool {
    // One that does not answer yet is not there yet.
    let all: Option<Vec<Slots>> =
        ask_all(replicas).into_iter().map(|status| status.map(|status| status.slots)).collect();
    all.is_some_and(|all| is_level(&all))
}

fn ask(agent: &Agent, replica: &Address) -> Option<Status> {
    let mut answer = agent.get(format!("http://{replica}/v1/status")).call().ok()?;
    serde_json::from_reader(answer.body_mut().as_reader()).ok()
}

/// Whether each has published what any of them knows to be chosen.
fn is_level(all: &[Slots]) -> bool {
    let chosen = all.iter().map(|slots| slots.chosen).max();
    all.iter().all(|slots| Some(slots.published) >= chosen)
}

/// Often enough that nobody waits for it.
const ASKED_EVERY: Duration = Duration::from_millis(20);
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_level_once_the_slowest_has_published_what_any_knows_chosen() {
        let slots = |chosen, published| Slots { chosen, published };
        assert!(is_level(&[slots(7, 7), slots(5, 7)]));
        assert!(!is_level(&[slots(7, 7), slots(5, 5)]), "it does not know of it yet");
        assert!(!is_level(&[slots(7, 6)]));
    }
}
