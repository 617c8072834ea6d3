//! Slots that were chosen and are damaged in one replica's directory: nothing there may pass for all that there was.

use std::path::Path;

use serde_json::Value;

use super::backup::folder;
use super::stopped::flip;
use super::{ctl, ctl_document, ctl_json};
use crate::cluster::{Cluster, Running};
use crate::load::adjust;

/// DamagedRefused, TracingCutShort: a replica with peers starts with such a slot and repairs it, so its logs alone are
/// no loss. No backup of it is kept, and whoever is asked for everything says that this is not all; below the slot
/// everything is as it was.
#[test]
fn what_is_damaged_below_what_was_published_is_never_passed_over() {
    let cluster = Cluster::formatted();
    let running = Running::start(&cluster);
    let mut client = cluster.client();
    for _ in 0..40 {
        client.submit(&[adjust(1, 1)]).expect("an answer");
    }
    drop(client);
    let (slot, digest) = running.settle();
    let data = cluster.sites[1].data();
    let data = path(&data);
    let records = ctl_json(&["wal", "dump", "--data", data], 0);
    let of_kind = |kind: &str| {
        let kind = kind.to_owned();
        records.iter().filter(move |record| record["kind"] == kind.as_str()).collect::<Vec<_>>()
    };
    let stripes = of_kind("stripe");
    // In the middle of all: below what outcomes say was published, and below accepts that are whole.
    let stripe = stripes[stripes.len() / 2];
    let segment = format!("log-{:05}/segment-{:016x}", number(stripe, "log"), number(stripe, "segment"));
    flip(&Path::new(data).join(segment), number(stripe, "offset") + 200);

    let verdict = ctl_document(&["wal", "verify", "--data", data], 11);
    let whole = number(&verdict, "accepted_through");
    assert!(whole > 0 && whole < slot && number(&verdict, "slots_in_doubt") > 0, "{verdict}");
    let said = format!("slots {} to {slot} are known to be chosen and are damaged", whole + 1);
    let refused = |arguments: &[&str], code, words: &str| {
        let told = String::from_utf8(ctl(arguments, code).stderr).expect("text");
        assert!(told.contains(words), "{arguments:?}: {told}");
    };
    for command in ["digest", "replay"] {
        refused(&[command, "--data", data], 11, &said);
        // The answer, and as of every command that fails the reason.
        let documents = ctl_json(&[command, "--data", data], 11);
        let [told, why] = documents.as_slice() else { panic!("{documents:?}") };
        assert!(why.to_string().contains(&said), "{why}");
        assert_eq!((number(told, "slot"), number(told, "damaged_from")), (whole, whole + 1), "{told}");
    }
    refused(&["history", "inventory/item:1:1", "--data", data], 11, &said);
    let backups = folder();
    let take = ["backup", "take", path(backups.path()), "--data", data];
    refused(
        &take,
        4,
        &format!("is damaged from slot {} on, and slots through {slot} were chosen", whole + 1),
    );
    refused(&["backup", "list", path(backups.path())], 4, "has no backup");

    let to = whole.to_string();
    let healthy = cluster.sites[0].data();
    let below = |data: &str| ctl_document(&["digest", "--data", data, "--to", &to], 0)["digest"].clone();
    assert_eq!(below(data), below(path(&healthy)));
    ctl(&["history", "inventory/item:1:1", "--data", data, "--to", &to], 0);
    refused(&["replay", "--data", data, "--to", &slot.to_string()], 2, "is not there");

    // Of the same folder another replica's is taken; and nobody is told to rebuild what decayed of a backup.
    let take = ["backup", "take", path(backups.path()), "--data", path(&healthy)];
    let taken = ctl_json(&take, 0).pop().expect("a document");
    assert_eq!(taken["digest"], digest.as_str());
}

fn number(document: &Value, name: &str) -> u64 {
    document[name].as_u64().unwrap_or_else(|| panic!("no {name} in {document}"))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in letters")
}
