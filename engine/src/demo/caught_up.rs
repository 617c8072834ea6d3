//! Waits until a replica that was started again is as far as the others, as their `/v1/status` says.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

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
    let until = Instant::now() + within;
    while !caught_up(replicas) && Instant::now() < until {
        thread::sleep(ASKED_EVERY);
    }
}

fn caught_up(replicas: &[Address]) -> bool {
    // One that does not answer yet is not there yet.
    let Ok(all) = replicas.iter().map(ask).collect::<io::Result<Vec<Slots>>>() else { return false };
    let chosen = all.iter().map(|slots| slots.chosen).max();
    all.iter().all(|slots| Some(slots.published) >= chosen)
}

fn ask(replica: &Address) -> io::Result<Slots> {
    let mut stream = TcpStream::connect((replica.host.as_str(), replica.port))?;
    stream.set_read_timeout(Some(ANSWERED_WITHIN))?;
    stream.set_write_timeout(Some(ANSWERED_WITHIN))?;
    write!(stream, "GET /v1/status HTTP/1.1\r\nHost: {replica}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::other(format!("{replica} does not answer with a status")))
}

/// The slots in an answer of which the connection's end is the end.
fn parse(answer: &[u8]) -> Option<Slots> {
    let body = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let status: Status = serde_json::from_slice(&answer[body..]).ok()?;
    Some(status.slots)
}

/// Often enough that nobody waits for it.
const ASKED_EVERY: Duration = Duration::from_millis(20);
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_found_behind_the_head_and_nothing_else_is() {
        let answer =
            b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n{\"slots\": {\"chosen\": 7, \"published\": 5, \"formed\": 9}}";
        let slots = parse(answer).expect("a status");
        assert_eq!((slots.chosen, slots.published), (7, 5));
        assert!(parse(b"HTTP/1.1 503 Service Unavailable\r\n\r\n{}").is_none());
        assert!(parse(b"HTTP/1.1 200 OK\r\n").is_none());
    }
}
