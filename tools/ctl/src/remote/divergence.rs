//! `assizectl divergence show`, of a running cluster: which replicas differ from the others, and what was told of it.

use serde_json::{Value, json};

use super::{Cluster, shown};
use crate::cli::Where;
use crate::exit::{Ended, Exit};
use crate::print::Printer;

/// One that differs ends it with [`Exit::No`].
pub(crate) fn divergence(at: &Where, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    let seen = Cluster::at(at)?.document("/v1/cluster")?;
    let replicas = seen["replicas"].as_array().into_iter().flatten();
    let found: Vec<Value> = replicas.map(of_replica).collect();
    let differs =
        |replica: &Value| replica["divergences"].as_u64() > Some(0) || replica["quarantine"].is_string();
    printer.answer(&found, || found.iter().map(text).collect::<Vec<_>>().join("\n"))?;
    Ok(if found.iter().any(differs) { Exit::No } else { Exit::Success })
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
        (Some(count), None) => format!("{count} results differed since its start"),
        (None, None) => "it has not said anything yet".to_owned(),
    });
    if replica["reached"] == false {
        text.push_str(" (not reached: what it said last)");
    }
    for alarm in replica["alarms"].as_array().into_iter().flatten() {
        text.push_str(&format!("\n  {}", shown(&alarm["text"])));
    }
    text
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
        assert_eq!(said(status), "replica 1: QUARANTINED: slot 7\n  key 3 differs");
        assert_eq!(said(Value::Null), "replica 1: it has not said anything yet");
    }
}
