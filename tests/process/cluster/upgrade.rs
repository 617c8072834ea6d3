//! A running cluster is brought to the next version of its domain's logic (R5), as an operator does it: one replica
//! after the other is started again with a program that has it.

use std::time::Instant;

use assize_tools::client::Client;
use assize_wire::outcome::Status;

use super::replicas::{Cluster, REPLICAS, Running};
use super::steady::{Steady, check_all, events};
use crate::engine::DEADLINE;
use crate::load::adjust;
use crate::rng::Rng;
use crate::site::program_with_next_logic;

/// SwitchOrdered, SwitchChosen, LackingStops.
#[test]
fn r5_an_upgrade_under_load_fails_no_call_and_a_program_that_lacks_it_stops() {
    let mut rng = Rng::announced("upgrade");
    let events = events(30_000);
    program_with_next_logic();
    let cluster = Cluster::for_events(events);
    let mut running = Running::start(&cluster);
    let load = Steady::start(&cluster, events);
    for replica in 0..REPLICAS {
        load.wait_for(10, &mut rng);
        let (status, _) = adjust_by_two_million(&mut cluster.client());
        assert_eq!(status, Status::Applied, "replica {replica} lacks the next version");
        cluster.sites[replica].next_logic.set(true);
        running.restart(replica);
    }
    let until = Instant::now() + DEADLINE;
    let mut client = cluster.client();
    while adjust_by_two_million(&mut client) != (Status::Rejected, 900) {
        assert!(Instant::now() < until, "it is not switched");
    }
    let report = load.finish();
    let old = (cluster.leader() + 1) % REPLICAS;
    running.kill(old);
    cluster.sites[old].next_logic.set(false);
    running.spawn(old);
    let (status, said) = running.engines[old].take().expect("it runs").wait();
    assert_eq!(status.code(), Some(4), "{said}");
    assert!(said.contains("the cluster has switched to logic that this program does not have"), "{said}");
    cluster.sites[old].next_logic.set(true);
    running.spawn(old);
    running.wait_until_serving();
    check_all(running, &report);
}

/// Which only the first version of the logic takes.
fn adjust_by_two_million(client: &mut Client) -> (Status, u16) {
    let answers = client.submit(&[adjust(1, 2_000_000)]).expect("somebody leads");
    (answers[0].first_status, answers[0].reason)
}
