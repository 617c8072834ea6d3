//! A replica that computes wrongly, on purpose: the others name it and go on, and it stays out for good (C5).

use std::time::{Duration, Instant};

use assize_tools::client::Client;
use assize_wire::ReplicaId;

use crate::cluster::Cluster;
use crate::ctl::ctl;
use crate::engine::{DEADLINE, Engine};
use crate::faces::{Answer, ask, ask_until};
use crate::load::{adjust, item_of};
use crate::raw::Raw;
use crate::site::{Settings, Site, text};

/// So many that each shard has some of them.
const ITEMS: u64 = 50;

/// Submits one event after the other, each of which must take effect.
fn submit(client: &mut Client, events: u64) {
    for event in 0..events {
        let answers = client.submit(&[adjust(event % ITEMS, 1)]).expect("it is answered");
        assert!(answers[0].took_effect(), "{answers:?}");
    }
}

/// Who leads of those that run.
fn leader<'a>(
    client: &mut Client,
    running: impl IntoIterator<Item = &'a Engine>,
    may: impl Fn(ReplicaId) -> bool,
) -> ReplicaId {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(leader) = client.leader().filter(|leader| may(*leader)) {
            return leader;
        }
        if Instant::now() >= until {
            let said: Vec<String> = running.into_iter().map(Engine::said).collect();
            panic!("it leads: {:?}\n{}", client.leader(), said.join("\n---\n"));
        }
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
    let mut wrong = with_fault(&cluster, WRONG, "wrong-outcome@40");
    wrong.wait_until_said("going to be wrong on purpose", 1);
    // Those who are right answer all of it.
    submit(&mut client, 200);
    wrong.wait_until_said("quarantined: slot", 1);
    wrong.wait_until_said("rebuild the replica's state", 1);
    // Where they differ: the event, and what it came to on either side.
    wrong.wait_until_said("replica 2 differs from replica", 1);
    wrong.wait_until_said("reason 1", 1);
    // C5: whoever asks it is not left waiting. A core that is not told yet closes the connection when it is.
    let address = cluster.sites[WRONG].address();
    while Raw::welcomed(&address).read_locally(item_of(1)).is_none() {
        assert!(wrong.is_running(), "{}", wrong.said());
    }
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
    let old = usize::from(leader(&mut client, &engines, |_| true).0);
    assert_ne!(old, WRONG, "a quarantined replica leads");
    // What it answered the other one publishes when the copies have come, which are lost if it dies with them on their
    // way: then the one that is left may not answer, nor lead in earnest, before it is back.
    let slots = |answer: &Answer, name: &str| answer.json()["slots"][name].as_u64();
    let chosen = slots(&ask(&engines[old], "GET", "/v1/status"), "chosen");
    ask_until(&engines[1 - old], "/v1/status", |answer| slots(answer, "published") >= chosen);
    engines.remove(old).kill();
    let new = leader(&mut client, engines.iter().chain([&wrong]), |leader| usize::from(leader.0) != old);
    assert_eq!(usize::from(new.0), 1 - old, "a quarantined replica leads");
    // Two that are right are needed for an answer.
    engines.push(cluster.sites[old].spawn());
    submit(&mut client, 50);
    assert!(wrong.is_running() && !wrong.said().contains("serving 127"), "{}", wrong.said());
    // R2, C5: whoever distributes requests is told to send none here.
    ask_until(&wrong, "/readyz", |answer| answer.status == 503 && answer.body.contains("quarantined"));
    ask_until(&wrong, "/metrics", |answer| answer.body.contains("\nassize_quarantined 1\n"));
    // UnreliableRefused: nor is it backed up.
    let (backups, data) = (tempfile::tempdir().expect("a folder"), cluster.sites[WRONG].data());
    let take = [backups.path(), &data].map(|path| path.to_str().expect("a path in letters"));
    let refused = ctl(&["backup", "take", take[0], "--data", take[1]], 4);
    assert!(text(&refused).contains("take the backup of another one"), "{}", text(&refused));
    wrong.stop();
    engines.into_iter().for_each(Engine::kill);
}

/// One that a fault on purpose is about to befall, at a slot that is not reached soon.
fn with_fault(cluster: &Cluster, replica: usize, fault: &str) -> Engine {
    let mut command = cluster.sites[replica].command("serve");
    command.args(["--fault", fault]);
    Engine::spawn(command)
}

/// C4: what decays in memory shows with the next event that touches it.
#[test]
fn c5_a_bit_that_flips_in_a_follower_is_found_with_the_next_event_that_meets_it() {
    let cluster = Cluster::of(&Settings { allow_faults: true, ..Settings::small() }, 16 << 10, |_| {});
    const WRONG: usize = 1;
    let mut engines: Vec<Engine> = [0, 2].map(|at| cluster.sites[at].spawn()).into();
    let mut client = cluster.client();
    submit(&mut client, 20);
    let mut wrong = with_fault(&cluster, WRONG, "flip-bit@40");
    wrong.wait_until_said("going to be wrong on purpose", 1);
    let until = Instant::now() + DEADLINE;
    while !wrong.said().contains("quarantined: slot") {
        assert!(Instant::now() < until, "it is not found out:\n{}", wrong.said());
        submit(&mut client, ITEMS);
    }
    engines.push(wrong);
    engines.into_iter().for_each(Engine::kill);
}

/// P9: a leader whose cores stand still gives up leading, and the others answer what it could not.
#[test]
fn p9_a_leader_that_stalls_gives_up_and_the_others_go_on() {
    let cluster = Cluster::of(&Settings { allow_faults: true, ..Settings::small() }, 16 << 10, |_| {});
    const STALLS: usize = 2;
    let mut engines: Vec<Option<Engine>> = (0..STALLS).map(|at| Some(cluster.sites[at].spawn())).collect();
    engines.push(Some(with_fault(&cluster, STALLS, "stall@400")));
    let mut client = cluster.client();
    let until = Instant::now() + DEADLINE;
    loop {
        submit(&mut client, 1);
        let leads = usize::from(leader(&mut client, engines.iter().flatten(), |_| true).0);
        if leads == STALLS {
            break;
        }
        assert!(Instant::now() < until, "it never leads");
        // Another one is elected, by chance.
        engines[leads].take().expect("it runs").kill();
        submit(&mut client, 1);
        engines[leads] = Some(cluster.sites[leads].spawn());
    }
    submit(&mut client, 500);
    engines[STALLS].as_mut().expect("it runs").wait_until_said("this replica gives up leading", 1);
    leader(&mut client, engines.iter().flatten(), |leader| usize::from(leader.0) != STALLS);
    engines.into_iter().flatten().for_each(Engine::kill);
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
