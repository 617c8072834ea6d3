//! Waits until a replica that was started again is as far as the others, as their `/v1/status` says.

use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::Agent;

use crate::config::Address;

/// What of a status counts here.
#[derive(Debug, Deserialize)]
struct Status {
    slots: Slots,
}

#[derive(Debug, Deserialize)]
struct Slots {
    chosen: u64,
    published: u64,
}

/// Asks all replicas over HTTP until the slowest has published what any of them knows to be chosen, or `within` is
/// over: whoever wants their states compared sees then how far each came.
pub(super) fn wait_until_caught_up(replicas: &[Address], within: Duration) {
    let agent = Agent::config_builder().timeout_global(Some(ANSWERED_WITHIN)).build().new_agent();
    let until = Instant::now() + within;
    while !caught_up(&agent, replicas) && Instant::now() < until {
        thread::sleep(ASKED_EVERY);
    }
}

fn caught_up(agent: &Agent, replicas: &[Address]) -> bool {
    // One that does not answer yet is not there yet.
    let Some(all) = replicas.iter().map(|replica| ask(agent, replica)).collect::<Option<Vec<Slots>>>() else {
        return false;
    };
    is_level(&all)
}

fn ask(agent: &Agent, replica: &Address) -> Option<Slots> {
    let mut answer = agent.get(format!("http://{replica}/v1/status")).call().ok()?;
    let status: Status = serde_json::from_reader(answer.body_mut().as_reader()).ok()?;
    Some(status.slots)
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
