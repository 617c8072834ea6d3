//! Both bundled domains in one cluster under load at once, over the wire protocol and by HTTP, while a replica dies and
//! checkpoints are taken. Each keeps its books, and all replicas hold the same of either.

use assize_telemetry::{SensorState, TELEMETRY, sensor_id};
use serde_json::{Value, json};

use super::devices::Devices;
use super::replicas::{Cluster, REPLICAS, Running};
use super::steady::{Steady, check_all, events};
use crate::engine::Engine;
use crate::faces::{ask, ask_until, post};
use crate::rng::Rng;
use crate::site::Settings;

/// Of each shard: the load goes on for as long as a scenario takes.
const KEYS: u64 = 512 << 10;
/// Checkpoints that are taken of both domains before a replica dies, and after.
const CHECKPOINTS: usize = 2;
const SENSOR: &str = "sensor:900:1";

#[test]
fn two_domains_keep_their_books_while_a_replica_dies() {
    let mut rng = Rng::announced("two domains");
    let events = events(40_000);
    let cluster = Cluster::of(&Settings::small(), KEYS, |_| {});
    let mut running = Running::start(&cluster);
    let load = Steady::start(&cluster, events);
    let devices = Devices::start(&cluster, &mut rng);
    let leader = cluster.leader();
    let others = [(leader + 1) % REPLICAS, (leader + 2) % REPLICAS];
    wait_for_checkpoints(running.engine(others[0]));
    let [asked, other] =
        [others[0], leader].map(|replica| running.engines[replica].as_ref().expect("it runs"));
    alarm_with_hysteresis(asked, other);
    let open = issue(running.engine(leader), 1, HOUR_NS);
    assert_eq!(open["status"], "applied", "{open}");
    load.wait_for(20, &mut rng);
    running.kill(leader);
    // Those that are left take over: what was there before is there, of either domain.
    let rest = running.engine(others[1]);
    expires_and_is_collected(rest);
    load.wait_for(30, &mut rng);
    running.spawn(leader);
    running.wait_until_serving();
    wait_for_checkpoints(running.engine(leader));
    let report = load.finish();
    devices.finish(&mut cluster.client());
    let both = ask_until(running.engine(others[0]), "/v1/status", |answer| {
        let domains = &answer.json()["domains"];
        [0, 1].iter().all(|at| domains[at]["applied"].as_u64() > Some(0) && domains[at]["version"] == 1)
    });
    let names = [0, 1].map(|at| both.json()["domains"][at]["name"].clone());
    assert_eq!(names, ["inventory", "telemetry"]);
    let state = cluster.client().read(TELEMETRY, &[sensor_id(900, 1)]).expect("a state").remove(0);
    let state = SensorState::parse(&state.expect("it exists")).expect("a sensor");
    assert_eq!((state.alarm.raised, state.alarm.raises, state.commands_open), (true, 2, 1));
    // Digests are of all states: whoever came back has those of both domains, by whichever way they came.
    check_all(running, &report);
}

/// A reading of the upper threshold raises it, between the two it stays as it is, and the lower one clears it.
fn alarm_with_hysteresis(asked: &Engine, other: &Engine) {
    let configure = json!({ "configure": {
        "sensor": SENSOR, "window_ns": 60_000_000_000_u64, "silence_ns": null, "raise_at": 100, "clear_at": 50,
    } });
    let first = event(asked, &configure);
    assert_eq!(first["response"]["configured"]["window_began"], true, "{first}");
    let readings = [(99, false), (100, true), (51, true), (50, false), (99, false), (120, true)];
    let mut was_raised = false;
    for (sequence, (reading, raised)) in (1..).zip(readings) {
        let answer = report(asked, sequence, reading);
        let line = &answer["response"]["lines"][0];
        assert_eq!(
            (&line["alarm_raised"], &line["alarm_changed"]),
            (&json!(raised), &json!(raised != was_raised))
        );
        was_raised = raised;
        for consistency in ["linearizable", "verified"] {
            let path = format!("/v1/entities/telemetry/{SENSOR}?consistency={consistency}");
            let read = ask(other, "GET", &path);
            assert_eq!(read.status, 200, "{}", read.body);
            assert_eq!(read.json()["state"]["alarm"]["raised"], raised, "{}", read.body);
        }
        // C8: of a slot that was published there; it comes to what was answered.
        let slot = answer["slot"].as_u64();
        let read = ask_until(other, &local(SENSOR), |read| {
            read.status == 200 && read.json()["slot"].as_u64() >= slot
        });
        assert_eq!(read.json()["state"]["latest"]["sequence"], sequence, "{}", read.body);
    }
    let late = report(asked, 3, 0);
    assert_eq!((&late["status"], &late["reason"]), (&json!("rejected"), &json!(2)), "{late}");
}

/// What expires does so by stream time: until then nobody may collect it, and from then on nobody may carry it out.
fn expires_and_is_collected(engine: &Engine) {
    let issued = issue(engine, 2, 1_000_000);
    assert_eq!(issued["status"], "applied", "{issued}");
    let collect = |number: u64| {
        let collect = json!({ "collect": { "sensor": SENSOR, "command": format!("command:{number}") } });
        event(engine, &collect)
    };
    // The other one may live for an hour, and that is not over.
    let early = collect(1);
    assert_eq!((&early["status"], &early["reason"]), (&json!("rejected"), &json!(15)), "{early}");
    // Stream time comes with the slots, and each of these takes one.
    let collected = loop {
        let answer = collect(2);
        if answer["status"] == "applied" {
            break answer;
        }
        assert_eq!(answer["reason"], 15, "{answer}");
    };
    assert_eq!(collected["response"], json!({ "ended": "pending", "commands_open": 1 }));
    let late = event(engine, &json!({ "deliver": { "command": "command:2" } }));
    assert_eq!((&late["status"], &late["reason"]), (&json!("rejected"), &json!(6)), "{late}");
    let read = ask(engine, "GET", "/v1/entities/telemetry/command:2");
    assert_eq!(read.status, 404, "{}", read.body);
}

fn issue(engine: &Engine, number: u64, time_to_live_ns: u64) -> Value {
    let command = format!("command:{number}");
    let issue = json!({
        "sensor": SENSOR, "command": command, "instruction": number, "time_to_live_ns": time_to_live_ns,
    });
    event(engine, &json!({ "issue": issue }))
}

fn report(engine: &Engine, sequence: u64, reading: i32) -> Value {
    let line = json!({ "sensor": SENSOR, "sequence": sequence, "reading": reading });
    event(engine, &json!({ "report": { "lines": [line] } }))
}

/// Submits an event in the domain's words.
fn event(engine: &Engine, event: &Value) -> Value {
    let answer = post(engine, None, &json!({ "domain": "telemetry", "event": event }));
    assert_eq!(answer.status, 200, "{event}: {}", answer.body);
    answer.json()
}

fn local(entity: &str) -> String {
    format!("/v1/entities/telemetry/{entity}?consistency=local")
}

/// Waits until some checkpoints more are active.
fn wait_for_checkpoints(engine: &mut Engine) {
    let before = engine.said().matches(ACTIVE).count();
    engine.wait_until_said(ACTIVE, before + CHECKPOINTS);
}

const ACTIVE: &str = "a checkpoint is active";
const HOUR_NS: u64 = 3_600_000_000_000;
