//! The client against a cluster that changes its leader, without sockets and in virtual time: whatever dies, hangs,
//! or tells tales of who leads, each event is decided once and the client learns it, or says that it does not know.

mod fake;
mod swarm;

use std::time::Duration;

use assize_tools::client::{EntityRead, Options, Outcome};
use assize_wire::Slot;
use assize_wire::outcome::Status;
use fake::{Cluster, Does};

/// FollowTheLeader
#[test]
fn the_leader_is_found_whichever_address_comes_first() {
    for leader in 0..3 {
        let mut cluster = Cluster::led_by(leader, 3);
        cluster.enqueue(10);
        cluster.run_for(1);
        assert_eq!(cluster.answered(), 10);
        assert_eq!(cluster.replicas[usize::from(leader)].evaluated, 10);
        let counts = cluster.core.finder_counts();
        assert_eq!((counts.redirects, counts.leader_changes), (2, 0), "both others name the leader");
    }
}

/// FollowTheLeader, AskWhoLeads
#[test]
fn not_leader_moves_everything_to_the_one_that_leads_in_order() {
    let mut cluster = Cluster::led_by(0, 3);
    cluster.enqueue(3);
    cluster.run_for(1);
    cluster.elect(Some(2));
    cluster.enqueue(40);
    cluster.run_for(1);
    assert_eq!((cluster.answered(), cluster.replicas[2].evaluated), (43, 40));
    cluster.check_order();
    assert_eq!(cluster.core.finder_counts().leader_changes, 1);
}

/// ResubmitAfterLoss
#[test]
fn a_leader_that_dies_in_the_middle_of_a_batch_is_replaced_and_nothing_is_lost_doubled_or_out_of_order() {
    for answered in [0, 1, 7, 19] {
        let mut cluster = Cluster::led_by(0, 3);
        cluster.run_for(1);
        cluster.replicas[0].answers_left = Some(answered);
        cluster.enqueue(20);
        cluster.run_for(5);
        assert_eq!(cluster.answered(), answered);
        cluster.kill(0);
        cluster.elect(None);
        cluster.run_for(250);
        assert_eq!(cluster.answered(), answered);
        cluster.elect(Some(1));
        // The pauses are a small part of the time without a leader.
        cluster.run_for(20);
        assert_eq!(cluster.answered(), 20, "{answered} were answered before");
        cluster.check_order();
        // What the first evaluated and did not answer, the second answers as it was decided then.
        let (applied, duplicates) =
            (cluster.with_status(Status::Applied), cluster.with_status(Status::Duplicate));
        let first = cluster.replicas[0].evaluated;
        assert!(first > answered && first + cluster.replicas[1].evaluated == 20);
        assert_eq!((applied, duplicates), (20 - (first - answered), first - answered));
    }
}

/// AskAtSilence
#[test]
fn a_hung_leader_is_left_after_the_request_timeout_and_not_before() {
    let mut cluster = Cluster::led_by(0, 3);
    cluster.run_for(1);
    cluster.replicas[0].does = Does::Hang;
    cluster.enqueue(5);
    cluster.run_for(300);
    cluster.elect(Some(1));
    cluster.run_for(600);
    assert_eq!(cluster.answered(), 0);
    cluster.run_for(200);
    assert_eq!((cluster.answered(), cluster.replicas[1].evaluated), (5, 5));
    // It wakes up, answers what it is owed, and is not believed to lead.
    cluster.replicas[0].does = Does::Serve;
    cluster.replicas[0].says = Some(0);
    cluster.run_for(10_000);
    cluster.enqueue(5);
    cluster.run_for(10);
    assert_eq!((cluster.answered(), cluster.replicas[1].evaluated), (10, 10));
}

/// AskAtSilence, OneIsFollowed
#[test]
fn of_two_that_claim_to_lead_the_one_that_answers_is_followed() {
    let mut cluster = Cluster::led_by(1, 3);
    // Cut off from the others, it has not noticed: it takes events in and never answers.
    cluster.replicas[0].says = Some(0);
    cluster.replicas[0].does = Does::Swallow;
    cluster.enqueue(5);
    cluster.run_for(900);
    let early = cluster.answered();
    cluster.run_for(200);
    assert_eq!((cluster.answered(), cluster.replicas[1].evaluated), (5, 5), "{early} early");
    // While answers come, the other's claim changes nothing, whatever happens to a connection.
    let changes = cluster.core.finder_counts().leader_changes;
    for _ in 0..20 {
        cluster.enqueue(2);
        cluster.break_connections(1);
        cluster.run_for(30);
    }
    assert_eq!((cluster.answered(), cluster.replicas[1].evaluated), (45, 45));
    assert_eq!(cluster.core.finder_counts().leader_changes, changes);
}

/// LateAnswersCount, TakeTheDecision
#[test]
fn a_late_answer_of_the_old_leader_is_taken_and_that_of_the_new_one_changes_nothing() {
    let mut cluster = Cluster::led_by(0, 3);
    cluster.run_for(1);
    cluster.replicas[0].holds = true;
    cluster.enqueue(4);
    cluster.run_for(1);
    // It evaluated them; then another one came to lead, which the next request learns.
    cluster.elect(Some(1));
    cluster.replicas[1].holds = true;
    cluster.replicas[0].holds = false;
    cluster.replicas[0].held_back = true;
    cluster.enqueue(1);
    cluster.run_for(10);
    assert_eq!((cluster.answered(), cluster.replicas[1].evaluated), (0, 1));
    cluster.replicas[0].held_back = false;
    cluster.run_for(10);
    assert_eq!((cluster.answered(), cluster.with_status(Status::Applied)), (4, 4));
    cluster.replicas[1].holds = false;
    cluster.run_for(10);
    assert_eq!((cluster.answered(), cluster.with_status(Status::Applied)), (5, 5));
}

/// AskWhoLeads
#[test]
fn redirects_in_a_circle_are_paced_and_left_when_somebody_leads() {
    let mut cluster = Cluster::led_by(0, 3);
    cluster.elect(None);
    cluster.replicas[0].says = Some(1);
    cluster.replicas[1].says = Some(0);
    cluster.replicas[2].says = Some(1);
    cluster.run_for(1);
    cluster.enqueue(3);
    cluster.run_for(999);
    let asked = cluster.connects;
    assert!((60..=300).contains(&asked), "{asked} questions to three addresses in a second");
    cluster.elect(Some(2));
    cluster.run_for(1000 / 16 + 10);
    assert_eq!((cluster.answered(), cluster.replicas[2].evaluated), (3, 3));
    let asked = cluster.connects;
    cluster.run_for(60_000);
    assert_eq!(cluster.connects, asked, "who answers is not asked again");
}

/// A replica that says in its welcome that it leads and refuses what it is sent: not at full speed.
#[test]
fn one_that_contradicts_itself_is_asked_at_a_pace_too() {
    let mut cluster = Cluster::led_by(0, 1);
    cluster.replicas[0].does = Does::Refuse;
    cluster.run_for(1);
    cluster.enqueue(3);
    cluster.run_for(1000);
    assert!(cluster.replicas[0].refused <= 200, "{} refusals in a second", cluster.replicas[0].refused);
    cluster.replicas[0].does = Does::Serve;
    cluster.run_for(200);
    assert_eq!(cluster.answered(), 3);
}

/// OutcomeUnknownAtDeadline
#[test]
fn with_all_replicas_down_an_event_is_given_up_at_its_deadline_and_never_sent_again() {
    let options = Options { key_lifetime: Duration::from_secs(3), ..Options::default() };
    let mut cluster = Cluster::with(0, 3, options);
    cluster.run_for(1);
    (0..3).for_each(|replica| cluster.kill(replica));
    cluster.enqueue(4);
    cluster.run_for(2_999);
    assert_eq!(cluster.completions.len(), 0);
    cluster.run_for(2);
    assert_eq!(cluster.completions.len(), 4);
    assert!(cluster.completions.values().all(|outcome| *outcome == Outcome::Unknown));
    (0..3).for_each(|replica| cluster.start(replica));
    cluster.run_for(5_000);
    assert_eq!(cluster.log.len(), 0, "a key is not sent after its deadline");
    cluster.enqueue(2);
    cluster.run_for(10);
    assert_eq!(cluster.answered(), 2);
}

#[test]
fn one_address_is_enough_where_its_replica_leads_again() {
    let mut cluster = Cluster::led_by(0, 1);
    cluster.run_for(1);
    cluster.replicas[0].answers_left = Some(2);
    cluster.enqueue(9);
    cluster.run_for(1);
    cluster.kill(0);
    cluster.run_for(3_000);
    cluster.start(0);
    cluster.elect(Some(0));
    cluster.run_for(3_000 / 16 + 10);
    assert_eq!(cluster.answered(), 9);
    cluster.check_order();
    // Another one leads, whose address nobody told: all that is left is to ask.
    cluster.replicas[0].says = Some(2);
    cluster.enqueue(1);
    cluster.run_for(1000);
    assert_eq!(cluster.answered(), 9);
    cluster.elect(Some(0));
    cluster.run_for(200);
    assert_eq!(cluster.answered(), 10);
}

/// AskWhoLeads
#[test]
fn one_that_stops_hands_over_and_its_clients_follow() {
    let mut cluster = Cluster::led_by(0, 3);
    cluster.run_for(1);
    cluster.replicas[0].does = Does::Stop;
    cluster.replicas[0].says = None;
    cluster.enqueue(6);
    cluster.run_for(10);
    assert_eq!(cluster.answered(), 0);
    cluster.elect(Some(1));
    cluster.run_for(20);
    assert_eq!((cluster.answered(), cluster.replicas[1].evaluated), (6, 6));
}

/// RenewConnection. What the leader owed when it ceased to lead it is sent again when it leads again.
#[test]
fn one_that_leads_again_at_once_is_sent_again_what_it_owes() {
    let mut cluster = Cluster::led_by(0, 3);
    cluster.run_for(1);
    cluster.replicas[0].holds = true;
    cluster.enqueue(8);
    cluster.run_for(1);
    // The next request is told that it does not lead; what is under way it never answers.
    cluster.replicas[0].holds = false;
    cluster.replicas[0].held_back = true;
    cluster.elect(None);
    cluster.enqueue(4);
    cluster.run_for(30);
    assert_eq!(cluster.answered(), 0);
    cluster.elect(Some(0));
    cluster.run_for(20);
    assert_eq!(cluster.missing(), []);
    assert_eq!((cluster.with_status(Status::Duplicate), cluster.with_status(Status::Applied)), (8, 4));
}

/// AskAboutALostConnection, LeaderIsConfirmed
#[test]
fn a_connection_that_breaks_while_the_leader_is_slow_is_made_again_though_another_one_answers() {
    for lost in 0..2 {
        let mut cluster = Cluster::led_by(0, 3);
        cluster.run_for(1);
        cluster.replicas[0].holds = true;
        cluster.enqueue(10);
        // The leader owes answers, and is asked whether it leads.
        cluster.run_for(1_010);
        assert!(cluster.break_connection(0, lost));
        // It has answered elsewhere before it could be asked again.
        cluster.replicas[0].holds = false;
        cluster.run_for(1);
        assert!((1..10).contains(&cluster.answered()), "{:?}", cluster.missing());
        cluster.run_for(100);
        assert_eq!(cluster.missing(), [], "connection {lost} was lost");
    }
}

/// Reads see what was answered: they go to the leader, too, and begin anew where it dies.
#[test]
fn a_read_survives_the_leader() {
    let mut cluster = Cluster::led_by(0, 3);
    cluster.run_for(1);
    cluster.replicas[0].does = Does::Swallow;
    let read = cluster.read(5);
    cluster.run_for(5);
    assert_eq!(cluster.core.poll_read(), None);
    cluster.kill(0);
    cluster.elect(Some(1));
    cluster.run_for(5);
    assert_eq!(cluster.core.poll_read(), Some((read, vec![EntityRead { slot: Slot(1), state: None }; 5])));
}
