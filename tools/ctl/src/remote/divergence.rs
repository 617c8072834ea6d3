//! `assizectl divergence show`, of a running cluster: which replicas differ from the others, and what was told of it.

use serde_json::{Value, json};

use super::{Cluster, alarms};
use crate::cli::Where;
use crate::exit::{Ended, Exit};
use crate::print::Printer;

/// One that differs ends it with [`Exit::No`]; that none does is known only of those that are reached.
pub(crate) fn divergence(at: &Where, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    let seen = Cluster::at(at)?.document("/v1/cluster")?;
    let replicas = seen["replicas"].as_array().into_iter().flatten();
    let found: Vec<Value> = replicas.map(of_replica).collect();
    printer.answer(&found, || {
        let lines = found.iter().map(text).chain(odd(&found)).chain(unknown(&found));
        lines.collect::<Vec<_>>().join("\n")
    })?;
    Ok(exit(&found))
}

fn exit(found: &[Value]) -> Exit {
    let differs =
        |replica: &Value| replica["divergences"].as_u64() > Some(0) || replica["quarantine"].is_string();
    if found.iter().any(differs) {
        Exit::No
    } else if unknown(found).is_some() {
        Exit::Unanswered
    } else {
        Exit::Success
    }
}

fn of_replica(replica: &Value) -> Value {
    let status = &replica["status"];
    json!({
        "replica": replica["replica"], "reached": replica["reached"], "divergences": status["divergences"],
        "quarantine": status["quarantine"], "alarms": status["alarms"],
    })
}

fn text(replica: &Value) -> String {
    let mut text = format!("replica {}: ", replica["replica"]);
    text.push_str(&match (replica["divergences"].as_u64(), replica["quarantine"].as_str()) {
        (_, Some(reason)) => format!("QUARANTINED: {reason}"),
        (Some(0), None) => "no result differed since its start".to_owned(),
        (Some(count), None) => format!("{count} results differed since its start, its own or another one's"),
        (None, None) => "it has not said anything yet".to_owned(),
    });
    if replica["reached"] == false {
        let has_said = replica["divergences"].is_u64() || replica["quarantine"].is_string();
        text.push_str(if has_said { " (not reached: what it said last)" } else { " (not reached)" });
    }
    for alarm in replica["alarms"].as_array().into_iter().flatten() {
        text.push_str(&format!("\n  {}", alarms::shown(alarm)));
    }
    text
}

/// Who is to be doubted: whoever is quarantined, or was named by another one as differing.
fn odd(found: &[Value]) -> Vec<String> {
    let of = |replica: &Value| -> Option<String> {
        let number = replica["replica"].as_u64()?;
        let named = [format!("replica {number} has computed "), format!("replica {number} differs from ")];
        let names = |other: &&Value| {
            let alarms = other["alarms"].as_array().into_iter().flatten();
            let mut texts = alarms.filter_map(|alarm| alarm["text"].as_str());
            other["replica"] != replica["replica"]
                && texts.any(|text| named.iter().any(|named| text.starts_with(named)))
        };
        let by: Vec<String> = found.iter().filter(names).map(|other| other["replica"].to_string()).collect();
        let why = match (replica["quarantine"].is_string(), &by[..]) {
            (false, []) => return None,
            (true, []) => "it is quarantined".to_owned(),
            (true, by) => {
                format!("it is quarantined, and differs by what {} told", tellers(by))
            }
            (false, by) => format!("it differs by what {} told", tellers(by)),
        };
        Some(format!("replica {number} is the odd one: {why}"))
    };
    found.iter().filter_map(of).collect()
}

/// Replicas by their numbers, one or more.
fn tellers(numbers: &[String]) -> String {
    match numbers {
        [one] => format!("replica {one}"),
        [first @ .., last] => format!("replicas {} and {last}", first.join(", ")),
        [] => "nobody".to_owned(),
    }
}

/// Of whom it is not known whether they differ.
fn unknown(found: &[Value]) -> Option<String> {
    let silent = found.iter().filter(|replica| replica["reached"] == false);
    let silent: Vec<String> = silent.map(|replica| replica["replica"].to_string()).collect();
    let (all, not) = (found.len(), silent.len());
    (not > 0).then(|| {
        format!(
            "{not} of {all} replicas not reached ({}): whether they differ is not known",
            silent.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_replica_says_whether_it_differs() {
        let said =
            |status: Value| text(&of_replica(&json!({"replica": 1, "reached": true, "status": status})));
        assert_eq!(
            said(json!({"divergences": 0, "quarantine": null, "alarms": []})),
            "replica 1: no result differed since its start"
        );
        let status = json!({"divergences": 2, "quarantine": "slot 7", "alarms": [{"at_ms": 1, "text": "key 3 differs"}]});
        assert_eq!(said(status), "replica 1: QUARANTINED: slot 7\n  1970-01-01T00:00:00Z  key 3 differs");
        assert_eq!(said(Value::Null), "replica 1: it has not said anything yet");
        let unreached =
            |status: Value| text(&of_replica(&json!({"replica": 1, "reached": false, "status": status})));
        assert_eq!(unreached(Value::Null), "replica 1: it has not said anything yet (not reached)");
        assert_eq!(
            unreached(json!({"divergences": 0, "quarantine": null, "alarms": []})),
            "replica 1: no result differed since its start (not reached: what it said last)"
        );
    }

    #[test]
    fn the_odd_one_is_named_and_silence_is_no_agreement() {
        let replica = |number: u8, reached: bool, divergences: u64, quarantine: Value, alarm: &str| {
            json!({"replica": number, "reached": reached, "divergences": divergences, "quarantine": quarantine,
                "alarms": [{"at_ms": 1, "text": alarm}]})
        };
        let well = |number: u8, reached: bool| replica(number, reached, 0, Value::Null, "");
        assert_eq!(exit(&[well(0, true), well(1, true)]), Exit::Success);
        let some = [well(0, true), well(1, false), well(2, false)];
        assert_eq!(exit(&some), Exit::Unanswered);
        let told = "2 of 3 replicas not reached (1, 2): whether they differ is not known";
        assert_eq!(unknown(&some).as_deref(), Some(told));
        assert!(odd(&some).is_empty());
        let named = "replica 2 has computed aa for slot 7";
        let seen = [
            replica(0, true, 1, Value::Null, named),
            replica(1, true, 1, Value::Null, named),
            replica(2, true, 1, json!("slot 7"), "replica 2 differs from replica 0 first in slot 7"),
        ];
        assert_eq!(exit(&seen), Exit::No);
        let told = "replica 2 is the odd one: it is quarantined, and differs by what replicas 0 and 1 told";
        assert_eq!(odd(&seen), [told]);
        let told = "replica 2 is the odd one: it differs by what replica 0 told";
        assert_eq!(odd(&[seen[0].clone(), replica(2, true, 1, Value::Null, "")]), [told]);
        assert_eq!(tellers(&["0", "1", "3"].map(str::to_owned)), "replicas 0, 1 and 3");
    }
}
