//! `assizectl status`: all replicas in a table, as the one that was asked sees them, and what an operator was told.

use std::thread;
use std::time::{Duration, Instant};

use assize_tools::aside;
use serde_json::Value;

use super::{Cluster, alarms, shown};
use crate::cli::StatusCommand;
use crate::exit::{Ended, Exit};
use crate::print::{Printer, Table};

/// Whether all replicas are reached and ready, and take new keys, is the exit code.
pub(crate) fn status(command: &StatusCommand, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    let cluster = Cluster::at(&command.at)?;
    let mut before: Option<(Instant, u64)> = None;
    loop {
        let seen = match cluster.document("/v1/cluster") {
            Ok(seen) => seen,
            // Whoever watches wants to see it come back.
            Err(error @ Ended::Unanswered(_)) => {
                let Some(pause) = command.watch else { return Err(error) };
                aside::say(error);
                before = None;
                thread::sleep(pause);
                continue;
            }
            Err(error) => return Err(error),
        };
        let (now, events) = (Instant::now(), events_of(&seen));
        let rate = before.map(|(then, before)| rate(now - then, events.saturating_sub(before)));
        before = Some((now, events));
        printer.answer(&seen, || text(&seen, rate, cluster.answered()))?;
        printer.finish()?;
        let Some(pause) = command.watch else {
            return Ok(if is_well(&seen) { Exit::Success } else { Exit::No });
        };
        // As often as was asked for.
        thread::sleep(pause);
    }
}

fn replicas(seen: &Value) -> impl Iterator<Item = &Value> {
    seen["replicas"].as_array().into_iter().flatten()
}

fn is_well(seen: &Value) -> bool {
    replicas(seen).all(|replica| {
        let ready = replica["reached"] == true && replica["status"]["ready"] == true;
        ready && full_shards(&replica["status"]).next().is_none()
    })
}

/// Shards that refuse events with new keys, and how many keys they hold.
fn full_shards(status: &Value) -> impl Iterator<Item = (&Value, u64)> {
    let shards = status["shards"].as_array().into_iter().flatten();
    shards.filter_map(|shard| {
        let capacity = shard["keys_capacity"].as_u64()?;
        (shard["live_keys"].as_u64()? >= capacity).then_some((&shard["shard"], capacity))
    })
}

/// Events that the replica which is furthest has evaluated.
fn events_of(seen: &Value) -> u64 {
    let of = |replica: &Value| -> u64 {
        let shards = replica["status"]["shards"].as_array();
        shards.into_iter().flatten().filter_map(|shard| shard["events"].as_u64()).sum()
    };
    replicas(seen).map(of).max().unwrap_or_default()
}

fn rate(over: Duration, events: u64) -> f64 {
    events as f64 / over.as_secs_f64().max(1e-3)
}

/// `at` is where it was asked: whoever answers knows of itself only where it listens, which may be any address.
fn text(seen: &Value, rate: Option<f64>, at: &str) -> String {
    let mut table = Table::new(&[
        "replica",
        "state",
        "chosen",
        "published",
        "checkpoint",
        "keys",
        "entities",
        "connections",
        "divergences",
        "http",
    ]);
    let (mut cluster, mut notes) = (None, Vec::new());
    for replica in replicas(seen) {
        let (number, status) = (shown(&replica["replica"]), &replica["status"]);
        let reached = replica["reached"] == true;
        if status.is_object() {
            cluster.get_or_insert_with(|| heading(status));
        }
        let state = match (reached, status["ready"] == true) {
            (false, _) => "not reached".to_owned(),
            (true, true) => shown(&status["state"]),
            (true, false) => format!("{}, not ready", shown(&status["state"])),
        };
        let of = |name: &str| if reached { shown(&status["slots"][name]) } else { "-".to_owned() };
        let sum = |rows: &str, name: &str| match reached {
            true => {
                let rows = status[rows].as_array().into_iter().flatten();
                rows.filter_map(|row| row[name].as_u64()).sum::<u64>().to_string()
            }
            false => "-".to_owned(),
        };
        table.row(vec![
            number.clone(),
            state,
            of("chosen"),
            of("published"),
            of("checkpoint"),
            format!("{}/{}", sum("shards", "live_keys"), sum("shards", "keys_capacity")),
            sum("shards", "entities"),
            sum("cores", "connections"),
            if reached { shown(&status["divergences"]) } else { "-".to_owned() },
            if replica["replica"] == seen["seen_by"] { at.to_owned() } else { shown(&replica["http"]) },
        ]);
        notes.extend(notes_of(&number, replica));
    }
    let rate = rate.map_or(String::new(), |rate| format!(", {rate:.0} events/s"));
    let heading = cluster.unwrap_or_else(|| "no replica has said anything yet".to_owned());
    let mut text = format!("{heading}{rate}\n{}", table.text());
    notes.iter().for_each(|note| text.push_str(&format!("\n{note}")));
    text
}

fn heading(status: &Value) -> String {
    let leader = status["leader"]
        .as_u64()
        .map_or("nobody leads".to_owned(), |leader| format!("replica {leader} leads"));
    format!("cluster {}, copies {}, {leader}", shown(&status["cluster"]), shown(&status["copies"]))
}

/// What an operator has to know of a replica beside the numbers.
fn notes_of(number: &str, replica: &Value) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(problem) = replica["problem"].as_str() {
        notes.push(format!("replica {number} is not reached: {problem}"));
    }
    if let Some(reason) = replica["status"]["quarantine"].as_str() {
        notes.push(format!("replica {number} is QUARANTINED: {reason}"));
    }
    for (shard, keys) in full_shards(&replica["status"]).filter(|_| replica["reached"] == true) {
        notes.push(format!(
            "replica {number}: shard {shard} is FULL: {keys} keys are live, and events with new keys are refused until some \
             run out"
        ));
    }
    let told = replica["status"]["alarms"].as_array();
    for alarm in told.into_iter().flatten().rev().take(ALARMS_SHOWN) {
        notes.push(format!("replica {number} told: {}", alarms::shown(alarm)));
    }
    notes
}

/// The last ones of each replica; `--json` has all.
const ALARMS_SHOWN: usize = 3;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen() -> Value {
        let status = json!({
            "cluster": "c1", "copies": 2, "leader": 0, "state": "leading", "ready": true, "divergences": 0,
            "slots": {"chosen": 9, "published": 8, "checkpoint": 4}, "quarantine": null, "alarms": [],
            "shards": [
                {"shard": 0, "events": 5, "live_keys": 3, "keys_capacity": 8, "entities": 2},
                {"shard": 1, "events": 6, "live_keys": 1, "keys_capacity": 8, "entities": 1},
            ],
            "cores": [{"connections": 7}],
        });
        json!({"seen_by": 0, "replicas": [
            {"replica": 0, "http": "a:1", "reached": true, "problem": null, "status": status},
            {"replica": 1, "http": "b:1", "reached": false, "problem": "refused", "status": status},
        ]})
    }

    #[test]
    fn a_table_has_a_row_for_each_replica_and_no_numbers_of_one_that_is_not_reached() {
        let text = text(&seen(), Some(12.4), "a:9");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "cluster c1, copies 2, replica 0 leads, 12 events/s");
        let cells = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
        assert_eq!(cells(lines[2]), "0 leading 9 8 4 4/16 3 7 0 a:9");
        assert_eq!(cells(lines[3]), "1 not reached - - - -/- - - - b:1");
        assert_eq!(lines[4], "replica 1 is not reached: refused");
    }

    #[test]
    fn it_is_well_only_if_all_are_reached_and_ready() {
        let mut seen = seen();
        assert!(!is_well(&seen));
        seen["replicas"][1]["reached"] = json!(true);
        assert!(is_well(&seen));
        seen["replicas"][1]["status"]["ready"] = json!(false);
        assert!(!is_well(&seen));
        assert_eq!(events_of(&seen), 11);
    }

    #[test]
    fn a_shard_that_takes_no_new_key_cannot_be_overlooked() {
        let mut seen = seen();
        seen["replicas"][1]["reached"] = json!(true);
        assert!(is_well(&seen));
        seen["replicas"][0]["status"]["shards"][1]["live_keys"] = json!(8);
        assert!(!is_well(&seen));
        assert!(text(&seen, None, "a:9").contains("replica 0: shard 1 is FULL: 8 keys are live"));
    }

    #[test]
    fn a_quarantine_cannot_be_overlooked() {
        let mut seen = seen();
        seen["replicas"][0]["status"]["quarantine"] = json!("slot 7 differs");
        assert!(text(&seen, None, "a:9").contains("replica 0 is QUARANTINED: slot 7 differs"));
    }
}
