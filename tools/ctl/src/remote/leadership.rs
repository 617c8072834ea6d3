//! `assizectl transfer-leadership`: has the replica that leads hand over to another one, whichever replica is asked.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Cluster, Failure, shown};
use crate::cli::TransferLeadershipCommand;
use crate::exit::{Ended, Exit};
use crate::print::Printer;

/// What a replica that was asked said.
enum Said {
    /// What became of it.
    Answer(Value),
    /// It does not lead, in its words.
    NotLeading(String),
    /// It was not reached, or hangs, or is no replica: it was told nothing.
    Nothing(String),
}

/// Leadership that stays where it is ends it with [`Exit::No`].
pub(crate) fn transfer_leadership(
    command: &TransferLeadershipCommand,
    printer: &mut Printer<'_>,
) -> Result<Exit, Ended> {
    let cluster = Cluster::at(&command.at)?;
    let mut asked = 1;
    let answer = loop {
        match ask_leader(&cluster, command.to)? {
            Ok(answer) => break answer,
            Err(said) if asked == ASKED_MAX => return Err(Ended::No(said)),
            // There is an election, or those who do not lead have not heard yet who does.
            Err(_) => {
                asked += 1;
                thread::sleep(ASKED_AGAIN_AFTER);
            }
        }
    };
    printer.answer(&answer, || text(&answer))?;
    Ok(Exit::Success)
}

/// Asks those that were named, and if none of them leads the one that does by what they say. In words, if that does
/// not, either.
fn ask_leader(cluster: &Cluster, to: Option<u8>) -> Result<Result<Value, String>, Ended> {
    let (mut not_leading, mut nothing) = (None, Vec::new());
    let mut ask = |address: &str| -> Result<Option<Value>, Ended> {
        match ask(cluster, address, to)? {
            Said::Answer(answer) => return Ok(Some(answer)),
            Said::NotLeading(words) => not_leading = Some(words),
            Said::Nothing(words) => nothing.push((address.to_owned(), words)),
        }
        Ok(None)
    };
    for address in &cluster.addresses {
        if let Some(answer) = ask(address)? {
            return Ok(Ok(answer));
        }
    }
    if let Ok(seen) = cluster.document("/v1/cluster")
        && let Some(address) = address_of_leader(&seen)
        && !cluster.addresses.iter().any(|asked| asked == address)
        && let Some(answer) = ask(address)?
    {
        return Ok(Ok(answer));
    }
    match not_leading {
        Some(words) => Ok(Err(words)),
        None => Err(Ended::Unanswered(nothing)),
    }
}

/// Where the leader is asked, as the replica that answers sees it.
fn address_of_leader(seen: &Value) -> Option<&str> {
    let replicas = seen["replicas"].as_array()?;
    let by = replicas.iter().find(|replica| replica["replica"] == seen["seen_by"])?;
    let leader = replicas.iter().find(|replica| replica["replica"] == by["status"]["leader"])?;
    leader["http"].as_str()
}

/// One question to one replica. That it leads already whoever is to lead is what was wanted.
fn ask(cluster: &Cluster, address: &str, to: Option<u8>) -> Result<Said, Ended> {
    let body = to.map_or(json!({}), |to| json!({"to": to})).to_string();
    let ended = match cluster.post_to(address, "/v1/leadership", body.as_bytes()) {
        Ok(answer) => return Ok(Said::Answer(answer)),
        Err(Failure::PassedOver(words)) => return Ok(Said::Nothing(words)),
        // It may be handing over: somebody else who leads then is not to hand over once more.
        Err(Failure::Final(words)) => return Err(Ended::Unanswered(vec![(address.to_owned(), words)])),
        Err(Failure::NotNow(ended) | Failure::Ended(ended)) => *ended,
    };
    let Ended::Problem { status, document, .. } = &ended else { return Err(ended) };
    let leads = to.is_some() && document["leader"].as_u64() == to.map(u64::from);
    match (status, document["title"].as_str()) {
        (409, Some("Leads already")) if leads => Ok(Said::Answer(json!({"led_before": to, "leader": to}))),
        (409, Some("Not leading")) => Ok(Said::NotLeading(ended.to_string())),
        (409 | 503 | 504, Some(_)) => Err(Ended::No(ended.to_string())),
        _ => Err(ended),
    }
}

fn text(answer: &Value) -> String {
    let (before, leader) = (shown(&answer["led_before"]), shown(&answer["leader"]));
    match before == leader {
        true => format!("replica {leader} leads already"),
        false => format!("replica {leader} leads; replica {before} did before"),
    }
}

/// So often somebody is looked for who leads.
const ASKED_MAX: u32 = 5;

/// An election takes about as long.
const ASKED_AGAIN_AFTER: Duration = Duration::from_millis(400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_is_asked_where_the_one_that_answers_sees_it() {
        let replica = |number: u8, leader: Value| json!({"replica": number, "http": format!("{number}:1"), "status": {"leader": leader}});
        let seen = |by: u8, leader: Value| json!({"seen_by": by, "replicas": [replica(0, json!(0)), replica(1, leader)]});
        assert_eq!(address_of_leader(&seen(1, json!(0))), Some("0:1"));
        assert_eq!(address_of_leader(&seen(1, Value::Null)), None, "it hears nobody");
        assert_eq!(address_of_leader(&json!({})), None);
    }

    #[test]
    fn who_leads_already_is_told_as_that() {
        assert_eq!(text(&json!({"led_before": 2, "leader": 2})), "replica 2 leads already");
        assert_eq!(text(&json!({"led_before": 0, "leader": 2})), "replica 2 leads; replica 0 did before");
    }
}
