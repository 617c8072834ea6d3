//! `assizectl wal`: the logs record by record, and what a start would make of them.

use assize_node::LogIds;
use assize_node::boot::peers_of;
use assize_wal::recovery::{AcceptRead, GapIn, LogDecision, LogScan, RecoveryError, ScannedRecord, judge};
use assize_wal::{Entry, LogIdentity};
use assize_wire::LogId;
use serde_json::{Value, json};

use super::{Replica, known_chosen};
use crate::cli::{Wal, WalCommand};
use crate::exit::{Ended, Exit};
use crate::print::{Printer, Table};

/// Carries it out.
pub(crate) fn wal(command: &WalCommand, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    match &command.what {
        Wal::Dump { at, log } => dump(&Replica::open(&at.data)?, log.map(LogId), printer),
        Wal::Verify { at } => verify(&Replica::open(&at.data)?, printer),
    }
}

fn dump(replica: &Replica, only: Option<LogId>, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    let scans = replica.scan()?;
    let wanted = |scan: &&LogScan| only.is_none_or(|log| scan.identity.log == log);
    if let Some(log) = only.filter(|_| !scans.iter().any(|scan| wanted(&scan))) {
        let logs: Vec<String> = scans.iter().map(|scan| scan.identity.log.to_string()).collect();
        return Err(Ended::Usage(format!("there is no log {log}: accepted are {}", logs.join(", "))));
    }
    for record in scans.iter().filter(wanted).flat_map(|scan| &scan.records) {
        printer.answer(&record_json(record), || record_text(record))?;
    }
    Ok(Exit::Success)
}

fn record_json(record: &ScannedRecord) -> Value {
    let ScannedRecord { header, location, .. } = record;
    let (kind, about) = described(&header.entry);
    let mut value = json!({
        "log": location.log.0, "segment": location.segment.0, "offset": location.offset, "bytes": location.bytes,
        "kind": kind, "payload_bytes": header.payload_bytes, "incarnation": header.incarnation.0,
        "mark": {"ballot": header.mark.ballot.to_string(), "slot": header.mark.slot.0},
        "checksum": format!("{:08x}", header.checksum),
    });
    about.into_iter().for_each(|(name, of)| value[name] = of);
    value
}

fn record_text(record: &ScannedRecord) -> String {
    let ScannedRecord { header, location, .. } = record;
    let (kind, about) = described(&header.entry);
    let about: Vec<String> = about
        .iter()
        .map(|(name, value)| {
            format!("{name} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
        .collect();
    format!(
        "log {:<3} segment {:<4} offset {:<9} {:>8} bytes  {kind:<8}  {}  [incarnation {}, accepted through {}]",
        location.log,
        location.segment,
        location.offset,
        location.bytes,
        about.join(", "),
        header.incarnation,
        header.mark
    )
}

/// Its kind, and what it is about.
fn described(entry: &Entry) -> (&'static str, Vec<(&'static str, Value)>) {
    match entry {
        Entry::Stripe(id) => {
            ("stripe", vec![("shard", json!(id.shard.0)), ("stripe", json!(id.hash.to_string()))])
        }
        Entry::Accept { slot, ballot, manifest } => (
            "accept",
            vec![
                ("slot", json!(slot.0)),
                ("ballot", json!(ballot.to_string())),
                ("manifest", json!(manifest.to_string())),
            ],
        ),
        Entry::Idle => ("idle", Vec::new()),
        Entry::Outcomes { shard, first, last, time } => (
            "outcomes",
            vec![
                ("shard", json!(shard.0)),
                ("first", json!(first.0)),
                ("last", json!(last.0)),
                ("time_ns", json!(time.0)),
            ],
        ),
        Entry::Start => ("start", Vec::new()),
        Entry::Entities { slot, shard, number } => {
            ("entities", vec![("slot", json!(slot.0)), ("shard", json!(shard.0)), ("number", json!(number))])
        }
        Entry::Keys { shard, first, next } => {
            ("keys", vec![("shard", json!(shard.0)), ("first", json!(first)), ("next", json!(next))])
        }
        Entry::Part { slot, shard, records } => {
            ("part", vec![("slot", json!(slot.0)), ("shard", json!(shard.0)), ("records", json!(records))])
        }
    }
}

/// What a start makes of the end of a log, in words.
fn what_follows(decision: LogDecision) -> &'static str {
    match decision {
        LogDecision::Whole => "nothing",
        LogDecision::IgnoreVoid => "records that an earlier start made void",
        // What a recycled segment held before looks like this, too, where the log ends within one of its records.
        LogDecision::CutTornTail => "old bytes, or a write that a crash cut short: nothing that was durable",
        LogDecision::LostBelowCut => "LOST: what an earlier start has read",
        LogDecision::LostFlushed => "LOST: what was durable",
        LogDecision::LostUnreadable => "LOST: what cannot be read",
        LogDecision::GoOnBehind => "nothing; DAMAGED further up",
    }
}

fn verify(replica: &Replica, printer: &mut Printer<'_>) -> Result<Exit, Ended> {
    let scans = replica.scan()?;
    let mut table =
        Table::new(&["log", "of", "records", "segments", "end at byte", "what follows", "damaged copies"]);
    let (mut logs, mut gaps) = (Vec::new(), Vec::new());
    for scan in &scans {
        let log = scan.identity.log;
        let cells = [
            log.to_string(),
            LogIds::purpose(log).to_owned(),
            scan.records.len().to_string(),
            scan.found.len().to_string(),
            scan.end.offset.to_string(),
            what_follows(scan.decision()).to_owned(),
            scan.twins_damaged.to_string(),
        ];
        logs.push(json!({
            "log": log.0, "of": cells[1], "records": scan.records.len(), "segments": scan.found.len(),
            "end": scan.end.offset, "decision": format!("{:?}", scan.decision()), "what_follows": cells[5],
            "damaged_copies": scan.twins_damaged,
        }));
        table.row(cells.into());
        let identity = LogIdentity { log, ..replica.identity() };
        gaps.extend(scan.gaps.iter().map(|gap| GapIn(gap, identity).to_string()));
    }
    let damaged_copies: u64 = scans.iter().map(|scan| scan.twins_damaged).sum();
    let peers = peers_of(replica.agreed.replicas.into());
    let judged = judge(scans, &replica.superblock, &mut AcceptRead::parse, peers);
    let (losses, recovered) = match judged {
        Ok(recovered) => (Vec::new(), Some(recovered)),
        Err(RecoveryError::Lost { losses } | RecoveryError::Rebuild { losses }) => {
            (losses.iter().map(ToString::to_string).collect(), None)
        }
        Err(error) => return Err(error.into()),
    };
    let mut notes: Vec<String> = gaps.clone();
    notes.extend(losses.iter().map(|loss| format!("LOST: {loss}")));
    let damaged =
        recovered.as_ref().map_or(0, |recovered| recovered.damaged.len() + recovered.doubtful.len());
    if let Some(recovered) = &recovered {
        let checkpoint = recovered.checkpoint.as_ref().map_or_else(
            || "without a checkpoint".to_owned(),
            |checkpoint| format!("from the checkpoint after slot {}", checkpoint.at.slot),
        );
        notes.push(format!(
            "{checkpoint}, accepted through slot {}, known to be chosen through slot {}, {damaged} slots in doubt",
            recovered.accepted_through,
            known_chosen(recovered, &replica.agreed)
        ));
    }
    let whole = losses.is_empty() && gaps.is_empty() && damaged == 0 && damaged_copies == 0;
    let verdict = if whole { "every log is whole" } else { "NOT everything is whole" };
    let value = json!({
        "whole": whole, "logs": logs, "gaps": gaps, "losses": losses, "slots_in_doubt": damaged,
        "accepted_through": recovered.as_ref().map(|recovered| recovered.accepted_through.0),
        "chosen_through": recovered.as_ref().map(|recovered| known_chosen(recovered, &replica.agreed).0),
    });
    printer.answer(&value, || format!("{}\n{}\n{verdict}", table.text(), notes.join("\n")))?;
    Ok(if whole { Exit::Success } else { Exit::No })
}
