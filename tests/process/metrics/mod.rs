//! Every metric is moved by something, and a metric that nothing moves fails by name. Who scrapes wakes no core.

mod openmetrics;
mod seen;

use std::fs;
use std::process::Command;
use std::time::Instant;

use assize_inventory::{InventoryEvent, item_id};
use assize_telemetry::{TelemetryEvent, command_id, sensor_id};
use assize_tools::client::{Client, NewEvent};
use assize_wire::outcome::Status;
use assize_wire::{EventKey, StreamTime};

use crate::cluster::{Cluster, telemetry};
use crate::engine::{DEADLINE, Engine};
use crate::faces::ask_until;
use crate::load::{WAREHOUSE, adjust, inventory};
use crate::site::{Settings, Site};
use seen::Seen;

/// Series that stay at 0 in all of this: the inventory's logic does not fail, and what it cannot read is refused before
/// it is logged, unless its logic is switched in between.
const NOT_MOVED: [&str; 2] =
    ["assize_shard_events_total status=fault", "assize_shard_events_total status=invalid"];

#[test]
fn every_metric_is_moved_by_something() {
    let mut seen = Seen::default();
    one_replica(&mut seen);
    three_replicas_of_which_one_is_killed_one_is_wrong_and_one_loses_its_disk(&mut seen);
    three_replicas_that_all_must_agree(&mut seen);
    assert_eq!(seen.unmoved(), NOT_MOVED, "never had two values");
}

/// Duplicates, conflicts, rejections, expired ones, a full Warden, loans between shards of two cores, checkpoints.
fn one_replica(seen: &mut Seen) {
    let settings = Settings { bytes_max: "512MiB", ..Settings::with_checkpoints(vec![vec![0], vec![1]]) };
    let site = Site::new(settings);
    site.format(&["--warden-capacity", "4Ki", "--entity-capacity", "2Ki"]);
    let engine = site.start();
    let before = seen.until(&engine, "it leads", |scrape| scrape.state() == "leading");
    assert_eq!(before.sum("assize_shard_events_total", &[]), 0.0);
    let mut client = engine.client();
    let hour = StreamTime(client.stream_time().0 + 3_600_000_000_000);
    let first: Vec<NewEvent> = (0..50)
        .map(|item| adjust(item, 1).with_key(EventKey(1 + u128::from(item))).with_deadline(hour))
        .collect();
    client.submit(&first).expect("answers");
    client.submit(&first[..7]).expect("duplicates");
    let conflict = NewEvent { payload: adjust(0, 9).payload, ..first[1].clone() };
    let too_much = adjust(0, -1_000);
    // W4: beyond what a key lives.
    let expired = adjust(0, 1).with_deadline(StreamTime(hour.0 * 2));
    let answers = client.submit(&[conflict, too_much, expired]).expect("answers");
    let statuses: Vec<Status> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [Status::Conflict, Status::Rejected, Status::Expired]);
    let moves: Vec<NewEvent> = (0..49).map(transfer).collect();
    client.submit(&moves).expect("answers");
    let shown = seen
        .until(&engine, "all of it is shown", |scrape| scrape.sum("assize_shard_events_total", &[]) == 109.0);
    for (status, events) in [("applied", 99.0), ("duplicate", 7.0), ("conflict", 1.0), ("rejected", 1.0)] {
        assert_eq!(shown.sum("assize_shard_events_total", &[("status", status)]), events, "{status}");
    }
    assert!(shown.sum("assize_shard_entities_borrowed_total", &[]) > 0.0);
    assert_eq!(shown.sum("assize_stage_seconds_count", &[("stage", "accepted_to_published")]), 109.0);
    assert_eq!(
        shown.sum("assize_shard_copies_matched_total", &[]) + shown.sum("assize_shard_outcomes_held", &[]),
        0.0,
        "there is nobody to compare with"
    );
    let command = command_id(1);
    let sensor = TelemetryEvent::Configure {
        sensor: sensor_id(1, 1),
        window_ns: 1,
        silence_ns: 0,
        raise_at: 1,
        clear_at: 0,
    };
    let both = [sensor, TelemetryEvent::Deliver { command }].map(|event| telemetry(&event));
    client.submit(&both).expect("answers");
    for (domain, status, events) in [
        ("inventory", "applied", 99.0),
        ("inventory", "rejected", 1.0),
        ("telemetry", "applied", 1.0),
        ("telemetry", "rejected", 1.0),
    ] {
        let labels = [("domain", domain), ("status", status)];
        seen.until(&engine, "a domain decided it", |scrape| {
            scrape.sum("assize_domain_events_total", &labels) == events
        });
    }
    // One by one, so that the log grows; until keys run out, and what is more is full.
    let until = Instant::now() + 2 * DEADLINE;
    loop {
        let answers: Vec<_> =
            (0..100).flat_map(|item| client.submit(&[adjust(item, 1)]).expect("an answer")).collect();
        let scrape = seen.scrape(&engine);
        if scrape.sum("assize_checkpoints_taken_total", &[]) > 0.0 {
            break;
        }
        assert!(answers.iter().all(|answer| answer.status == Status::Applied), "{answers:?}");
        assert!(Instant::now() < until, "no checkpoint is taken:\n{}", engine.said());
    }
    client.submit(&(0..10_000).map(|item| adjust(item % 50, 1)).collect::<Vec<_>>()).expect("answers");
    // What the system says of the process.
    let pid = engine.id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, "--nofile=777:777"]).status();
    assert!(limited.expect("running prlimit, of util-linux").success());
    seen.until(&engine, "its limit shows", |scrape| scrape.sum("process_max_fds", &[]) == 777.0);
    let connections = seen.scrape(&engine).sum("assize_connections", &[]);
    drop(client);
    seen.until(&engine, "a connection is gone", |scrape| {
        scrape.sum("assize_connections", &[]) < connections
            && scrape.sum("assize_shard_events_total", &[("status", "full")]) > 0.0
    });
    // What is written lazily may be written between two looks: they are compared where a third one shows the same.
    let read = || ask_until(&engine, "/v1/status", |answer| answer.status == 200).json();
    let until = Instant::now() + DEADLINE;
    let (status, scrape) = loop {
        let (status, scrape, again) = (read(), seen.scrape(&engine), read());
        if ["cores", "checkpoints"].iter().all(|of| status[of] == again[of]) {
            break (status, scrape);
        }
        assert!(Instant::now() < until, "it never stands still: {again}");
    };
    let of_log = |name| scrape.sum(name, &[("core", "0"), ("log", "stripes")]);
    assert_eq!(status["cores"][0]["log"]["writes"].as_f64(), Some(of_log("assize_log_writes_total")));
    assert_eq!(
        status["checkpoints"]["taken"].as_f64(),
        Some(scrape.sum("assize_checkpoints_taken_total", &[]))
    );
    assert_eq!(status["state"].as_str(), Some("leading"));
    engine.stop();
}

/// From one item to the next, which is at home anywhere.
fn transfer(item: u64) -> NewEvent {
    let [source, destination] = [item + 1, item].map(|item| item_id(WAREHOUSE, item));
    inventory(&InventoryEvent::Transfer { source, destination, quantity: 1 })
}

/// One event after the other, each of which must take effect.
fn submit(client: &mut Client, events: u64) {
    for event in 0..events {
        let answers = client.submit(&[adjust(event % 50, 1)]).expect("it is answered");
        assert!(answers[0].took_effect(), "{answers:?}");
    }
}

/// A replica that was just started and listens for HTTP, whether it serves or not.
fn listening(mut engine: Engine) -> Engine {
    engine.wait_until_said("http 127", 1);
    engine
}

fn three_replicas_of_which_one_is_killed_one_is_wrong_and_one_loses_its_disk(seen: &mut Seen) {
    let cluster = Cluster::of(&Settings { allow_faults: true, ..Settings::small() }, 16 << 10, |_| {});
    const WRONG: usize = 2;
    let start = |replica: usize| listening(cluster.sites[replica].spawn());
    let alone = start(0);
    seen.until(&alone, "it hears of nobody", |scrape| {
        scrape.state() == "recovering" && scrape.sum("assize_leader_known", &[]) == 0.0
    });
    let mut engines = Vec::from([alone, start(1), start(WRONG)]);
    let mut client = cluster.client();
    submit(&mut client, 20);
    for engine in &engines {
        seen.until(engine, "it is ready, and copies are equal", |scrape| {
            ["leading", "following"].contains(&&*scrape.state())
                && scrape.sum("assize_shard_copies_matched_total", &[]) > 0.0
        });
    }
    // Another one leads.
    let old = cluster.leader();
    engines.remove(old).kill();
    submit(&mut client, 20);
    engines.insert(old, start(old));
    // It may have been elected: it is started again with its fault, and does not lead then.
    engines.remove(WRONG).kill();
    submit(&mut client, 5);
    let mut command = cluster.sites[WRONG].command("serve");
    command.args(["--fault", "wrong-outcome@60"]);
    engines.push(listening(Engine::spawn(command)));
    let until = Instant::now() + DEADLINE;
    loop {
        submit(&mut client, 20);
        let scrape = seen.scrape(&engines[WRONG]);
        if scrape.state() == "quarantined" {
            assert!(scrape.sum("assize_divergences_total", &[]) >= 1.0);
            assert_eq!(scrape.sum("assize_ready", &[]), 0.0);
            break;
        }
        assert!(Instant::now() < until, "it is not found out:\n{}", engines[WRONG].said());
    }
    engines.into_iter().for_each(Engine::kill);
    // R3: nobody tells it anything, so it stays so.
    fs::remove_dir_all(cluster.sites[0].data()).expect("the data directory");
    cluster.format(0, &["--rejoin"]);
    let rejoining = start(0);
    seen.until(&rejoining, "it has no vote", |scrape| scrape.state() == "rejoining");
    rejoining.kill();
}

/// Three copies of three are wanted. One of them has a bit in memory that turned over, which no event meets: nothing is
/// wrong with outcomes, and no checkpoint counts. Then one is gone, and nothing is published any more.
fn three_replicas_that_all_must_agree(seen: &mut Seen) {
    let settings = Settings { allow_faults: true, ..Settings::small() };
    let cluster = Cluster::of(&settings, 16 << 10, |_| {});
    for replica in 0..3 {
        fs::remove_dir_all(cluster.sites[replica].data()).expect("the data directory");
        cluster.format(replica, &["--copies", "3"]);
    }
    let spawn = |replica: usize| match replica {
        2 => {
            let mut command = cluster.sites[replica].command("serve");
            command.args(["--fault", "flip-bit@20"]);
            listening(Engine::spawn(command))
        }
        _ => listening(cluster.sites[replica].spawn()),
    };
    let mut engines: Vec<Engine> = (0..3).map(spawn).collect();
    let mut client = cluster.client();
    // The first one of a shard is the one whose bit turns over.
    client.submit(&(1_000..1_100).map(|item| adjust(item, 1)).collect::<Vec<_>>()).expect("answers");
    let until = Instant::now() + 2 * DEADLINE;
    loop {
        submit(&mut client, 50);
        let failed = |engine: &Engine, seen: &mut Seen| {
            let scrape = seen.scrape(engine);
            let running = scrape.sum("assize_checkpoint_running", &[]) == 1.0;
            running && scrape.sum("assize_checkpoints_failed_total", &[]) > 0.0
        };
        if engines.iter().any(|engine| failed(engine, seen)) {
            break;
        }
        assert!(Instant::now() < until, "no checkpoint comes to nothing:\n{}", engines[0].said());
    }
    let leader = cluster.leader();
    let gone = (leader + 1) % 3;
    engines.remove(gone).kill();
    let at = if gone < leader { leader - 1 } else { leader };
    client.enqueue(&adjust(0, 1)).expect("an event");
    let until = Instant::now() + DEADLINE;
    loop {
        // It is sent as soon as the client is asked for answers.
        client.poll(std::time::Duration::from_millis(10)).expect("polling sockets");
        let scrape = seen.scrape(&engines[at]);
        if scrape.sum("assize_shard_outcomes_held", &[]) > 0.0
            && scrape.sum("assize_unanswered_events", &[]) > 0.0
        {
            break;
        }
        assert!(Instant::now() < until, "nothing waits:\n{}", engines[at].said());
    }
    // Somebody waits for an answer, so it does not end.
    engines[at].terminate();
    seen.until(&engines[at], "it stops", |scrape| scrape.state() == "stopping");
    engines.into_iter().for_each(Engine::kill);
}

/// How often the threads of this process' cores have gone to sleep.
fn sleeps(engine: &Engine) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", engine.id())).expect("its threads");
    let statuses = tasks.map(|task| fs::read_to_string(task.expect("a thread").path().join("status")));
    let of_cores = statuses.map(|status| status.expect("a thread's status"));
    let of_cores: Vec<String> = of_cores.filter(|status| status.starts_with("Name:\tcore-")).collect();
    assert!(!of_cores.is_empty(), "it has no core");
    let line = |status: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|count| count.trim().parse().ok()).expect("a count")
    };
    of_cores.iter().map(|status| line(status)).sum()
}

/// A core that has nothing to do sleeps for a second at most, so it wakes now and then; but not for those who look on.
#[test]
fn a_thousand_scrapes_and_polls_wake_no_core() {
    let site = Site::formatted(Settings { cores: vec![vec![0], vec![1]], ..Settings::small() });
    let engine = site.start();
    engine.client().submit(&[adjust(1, 1)]).expect("an answer");
    ask_until(&engine, "/v1/status", |answer| answer.json()["cores"][0]["connections"] == 0);
    let before = (Instant::now(), sleeps(&engine));
    for _ in 0..1_000 {
        for path in ["/metrics", "/v1/status"] {
            ask_until(&engine, path, |answer| answer.status == 200);
        }
    }
    let (woken, seconds) = (sleeps(&engine) - before.1, before.0.elapsed().as_secs_f64());
    println!("2000 questions in {seconds:.1} s, two cores woke {woken} times");
    // Each may wake for what it does once a second, and for what the event left behind; 2,000 times it was looked at.
    assert!((woken as f64) < 4.0 * seconds + 100.0, "{woken} times in {seconds} s");
    engine.stop();
}
