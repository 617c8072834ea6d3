//! A replica that computes wrongly, on purpose: the others name it and go on, and it stays out for good (C5).

use std::time::{Duration, Instant};

use assize_tools::client::Client;
use assize_wire::ReplicaId;

use crate::cluster::Cluster;
use crate::engine::{DEADLINE, Engine};
use crate::load::adjust;
use crate::site::{Settings, Site, text};

/// Submits one event after the other, each of which must take effect.
fn submit(client: &mut Client, events: u64) {
    for event in 0..events {
        let answers = client.submit(&[adjust(event % 7, 1)]).expect("it is answered");
        assert!(answers[0].took_effect(), "{answers:?}");
    }
}

/// Who leads.
fn leader(client: &mut Client, may: impl Fn(ReplicaId) -> bool) -> ReplicaId {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(leader) = client.leader().filter(|leader| may(*leader)) {
            return leader;
        }
        assert!(Instant::now() < until, "it leads: {:?}", client.leader());
        client.poll(Duration::from_millis(20)).expect("polling sockets");
    }
}

#[test]
fn c5_a_follower_that_computes_wrongly_is_named_and_quarantined_and_the_others_go_on() {
    let cluster = Cluster::of(&Settings { allow_faults: true, ..Settings::small() }, 16 << 10, |_| {});
    const WRONG: usize = 2;
    let mut engines: Vec<Engine> = cluster.sites.iter().map(Site::spawn).collect();
    let mut client = cluster.client();
    submit(&mut client, 20);
    // It may have been elected: it is started again with its fault, and does not lead then.
    engines.remove(WRONG).kill();
    submit(&mut client, 5);
    let mut command = cluster.sites[WRONG].command("serve");
    command.args(["--fault", "wrong-outcome@40"]);
    let mut wrong = Engine::spawn(command);
    wrong.wait_until_said("going to be wrong on purpose", 1);
    // Those who are right answer all of it.
    submit(&mut client, 200);
    wrong.wait_until_said("quarantined: slot", 1);
    wrong.wait_until_said("rebuild the replica's state", 1);
    // Where they differ: the event, and what it came to on either side.
    wrong.wait_until_said("replica 2 differs from replica", 1);
    wrong.wait_until_said("reason 1", 1);
    let named = |engine: &Engine| engine.said().contains("replica 2 has computed");
    let until = Instant::now() + DEADLINE;
    while !engines.iter().any(named) {
        assert!(Instant::now() < until, "nobody named it:\n{}", engines[0].said());
        submit(&mut client, 1);
    }
    // It stays out when it starts again, without any fault.
    wrong.kill();
    let mut wrong = cluster.sites[WRONG].spawn();
    wrong.wait_until_said("quarantined: slot", 1);
    submit(&mut client, 50);
    // The leader dies: of the two that are left the quarantined one accepts, and the other one leads.
    let old = usize::from(leader(&mut client, |_| true).0);
    assert_ne!(old, WRONG, "a quarantined replica leads");
    engines.remove(old).kill();
    let new = leader(&mut client, |leader| usize::from(leader.0) != old);
    assert_eq!(usize::from(new.0), 1 - old, "a quarantined replica leads");
    // Two that are right are needed for an answer.
    engines.push(cluster.sites[old].spawn());
    submit(&mut client, 50);
    assert!(wrong.is_running() && !wrong.said().contains("serving 127"), "{}", wrong.said());
    wrong.stop();
    engines.into_iter().for_each(Engine::kill);
}

#[test]
fn a_fault_on_purpose_is_refused_where_the_configuration_does_not_allow_it() {
    let site = Site::formatted(Settings::small());
    let output = site.run("serve", &["--fault", "stall@1"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("rehearsal.allow_faults") && said.contains("true, where --fault"), "{said}");
    let output = site.run("serve", &["--fault", "fire@1"]);
    assert!(
        output.status.code() == Some(2) && text(&output).contains("wrong-outcome@SLOT"),
        "{}",
        text(&output)
    );
}
