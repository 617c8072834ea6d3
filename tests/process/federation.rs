//! Three processes that find each other: in any order of their starts, after a death, with core maps of their own; and
//! strangers that are turned away in words that an operator understands.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::cluster::{Cluster, make_secret};
use crate::engine::Engine;
use crate::faces::ask_until;
use crate::site::{Site, text};

/// A line for each peer all of whose lanes stand.
const CONNECTED: &str = "connected to a replica";

#[test]
fn lanes_are_established_in_any_order_of_starts_and_again_after_a_death() {
    let cluster = Cluster::formatted();
    for order in [[0, 1, 2], [2, 0, 1]] {
        let mut engines: Vec<(usize, Engine)> =
            order.into_iter().map(|replica| (replica, cluster.sites[replica].spawn())).collect();
        for (_, engine) in &mut engines {
            engine.wait_until_said(CONNECTED, 2);
        }
        // The first of them dies without a word.
        let (replica, first) = engines.remove(0);
        first.kill();
        for (_, engine) in &mut engines {
            engine.wait_until_said("the connection to a replica is lost", 1);
        }
        let mut again = cluster.sites[replica].spawn();
        again.wait_until_said(CONNECTED, 2);
        for (_, engine) in &mut engines {
            engine.wait_until_said(CONNECTED, 3);
        }
        again.kill();
        engines.into_iter().for_each(|(_, engine)| engine.kill());
    }
}

#[test]
fn wrong_secret_refused_with_a_line_for_both_operators() {
    let mut cluster = Cluster::formatted();
    let other = cluster.secret.with_file_name("other");
    make_secret(&other);
    if let Some(peers) = &mut cluster.sites[1].settings.peers {
        peers.secret = other;
    }
    let mut engines: Vec<Engine> = cluster.sites[..2].iter().map(Site::spawn).collect();
    for engine in &mut engines {
        engine.wait_until_said("WrongSecret", 1);
        let said = engine.said();
        assert!(said.contains("federation.secret_file must hold the same on all replicas"), "{said}");
        assert!(!said.contains(CONNECTED), "{said}");
        // Whoever looks at the status alone is told as well, and each thing once, though it is tried again and again.
        let told = ask_until(engine, "/v1/status", |answer| {
            answer.body.contains("must hold the same on all replicas")
        });
        let alarms = told.json()["alarms"].as_array().cloned().unwrap_or_default();
        let texts: BTreeSet<&str> = alarms.iter().filter_map(|alarm| alarm["text"].as_str()).collect();
        assert_eq!(texts.len(), alarms.len(), "{alarms:?}");
    }
    engines.into_iter().for_each(Engine::kill);
}

#[test]
fn other_agreed_parameters_and_swapped_addresses_are_named() {
    let mut cluster = Cluster::formatted();
    // Replica 2 was formatted alone, so that it drew seeds of its own.
    let settings = cluster.sites[2].settings.clone();
    let stranger = Site::new(settings);
    let capacity = ["--warden-capacity", "16Ki", "--entity-capacity", "4Ki"];
    let output = stranger.run("format", &[]);
    let said = text(&output);
    assert!(output.status.code() == Some(2) && said.contains("format with --replicas 3"), "{said}");
    stranger.format(&[&["--cluster", "c1", "--replicas", "3"][..], &capacity].concat());
    let mut engines = [cluster.sites[0].spawn(), stranger.spawn()];
    for engine in &mut engines {
        engine.wait_until_said("OtherAgreed", 1);
    }
    engines.into_iter().for_each(Engine::kill);
    // Replica 1 has the others' addresses in each other's places.
    let peers = cluster.sites[2].settings.peers.as_mut().expect("it has peers");
    peers.addresses.swap(0, 1);
    let mut engines = [cluster.sites[0].spawn(), cluster.sites[2].spawn()];
    for engine in &mut engines {
        engine.wait_until_said("has an address in the wrong place", 1);
    }
    engines.into_iter().for_each(Engine::kill);
}

#[test]
fn a_start_without_a_proper_secret_or_with_too_few_addresses_is_refused_with_the_line() {
    let mut cluster = Cluster::formatted();
    let secret = cluster.secret.clone();
    let refused = |cluster: &Cluster, parts: &[&str]| {
        let output = cluster.sites[1].run("serve", &[]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{parts:?} in\n{said}");
    };
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).expect("changing its mode");
    refused(&cluster, &["federation.secret_file", "others may use it (mode 644)", "chmod 600"]);
    fs::remove_file(&secret).expect("removing it");
    refused(&cluster, &["federation.secret_file", "No such file", "assize secret FILE"]);
    fs::write(&secret, "0123").expect("writing it");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("changing its mode");
    refused(&cluster, &["not 64 hexadecimal digits"]);
    if let Some(peers) = &mut cluster.sites[1].settings.peers {
        peers.addresses.pop();
    }
    refused(&cluster, &["replica.toml:", "federation.replicas", "2 addresses", "formatted for 3 replicas"]);
}
