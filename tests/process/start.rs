//! What is refused at a start, with which exit code and words, and what a good process does at its end.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Output, Stdio};

use assize_wire::message::RefusedCode;
use assize_wire::outcome::Status;

use crate::engine::client_of;
use crate::load::{Load, adjust};
use crate::raw::Raw;
use crate::rng::Rng;
use crate::site::{Settings, Site, assize, text};

/// It ended with this code and said all of this.
pub fn refused(output: &Output, code: i32, words: &[&str]) {
    let text = text(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "it does not say {word:?}: {text}");
    }
}

#[test]
fn sigterm_under_load_answers_what_was_admitted_and_exits_0() {
    let mut rng = Rng::announced("SIGTERM under load");
    let site = Site::formatted(Settings::on_fixed_ports(vec![vec![0], vec![1]]));
    let mut engine = site.start();
    let load = Load::start(engine.address(), 3, &mut rng);
    for _ in 0..5 {
        load.wait_for_answers(1 + rng.below(800));
        engine.stop();
        engine = site.start();
        load.check_some(&mut rng);
    }
    load.finish();
    engine.stop();
}

#[test]
fn a_directory_has_one_replica_and_one_process() {
    let site = Site::new(Settings::small());
    refused(&site.run("serve", &[]), 4, &["assize format"]);
    site.format(&[]);
    refused(&site.run("format", &[]), 4, &["holds a replica already"]);
    let engine = site.start();
    refused(&site.run("serve", &[]), 4, &["in use by another process"]);
    refused(&site.run("format", &[]), 4, &["in use by another process"]);
    assert_eq!(engine.client().submit(&[adjust(1, 1)]).expect("an answer")[0].status, Status::Applied);
    engine.stop();
    site.start().stop();
}

/// SegmentPinned: not for ever, where the backup was killed and nobody takes another one.
#[test]
fn a_start_gives_up_what_an_interrupted_backup_kept() {
    let site = Site::formatted(Settings::small());
    let pinned = site.data().join("pinned/log-00000");
    fs::create_dir_all(&pinned).expect("a folder");
    fs::write(pinned.join("segment-0000000000000000"), [0; 4096]).expect("a file");
    let mut engine = site.start();
    engine.wait_until_said("segments that an interrupted backup kept are given up", 1);
    assert!(!site.data().join("pinned").exists());
    engine.stop();
}

#[test]
fn a_configuration_that_cannot_be_is_refused_with_its_line() {
    let site = Site::formatted(Settings::small());
    let good = site.config_text();
    let cases: [(&str, String, &[&str]); 7] = [
        ("an unknown key", format!("replicas = 3\n{good}"), &["replica.toml:1", "replicas"]),
        ("another type", good.replace("pin = false", "pin = 7"), &["replica.toml:4", "pin"]),
        ("no TOML", good.replace("[cores]", "[cores"), &["replica.toml:2"]),
        ("a shard with two owners", good.replace("[0] }", "[0, 0] }"), &["replica.toml:3", "one owner"]),
        (
            "a core that is not here",
            good.replace("cpu = 0", "cpu = 999").replace("false", "true"),
            &["replica.toml:3", "999"],
        ),
        ("a size without sense", good.replace("\"1GiB\"", "\"much\""), &["replica.toml:16", "bytes_max"]),
        ("an address without sense", good.replace("127.0.0.1:0", "nowhere"), &["replica.toml:6", "nowhere"]),
    ];
    for (what, text, words) in cases {
        std::fs::write(site.config(), &text).expect("writing the configuration");
        let output =
            assize().arg("serve").arg("--config").arg(site.config()).output().expect("running assize");
        println!("{what}:\n{text}");
        refused(&output, 2, words);
        refused(&output, 2, &["found:", "accepted:"]);
    }
    let output = assize().args(["serve", "--config", "there-is-none.toml"]).output().expect("running assize");
    refused(&output, 2, &["there-is-none.toml", "config --example"]);
}

#[test]
fn what_was_formatted_otherwise_is_refused_with_its_line() {
    let mut site = Site::formatted(Settings::small());
    (site.settings.segment_bytes, site.settings.checkpoint_bytes) = ("8MiB", "8MiB");
    refused(
        &site.run("serve", &[]),
        2,
        &["replica.toml:15", "log.segment_bytes", "as the data directory was formatted"],
    );
    site.settings = Settings { cores: vec![vec![0, 1]], ..Settings::small() };
    refused(&site.run("serve", &[]), 2, &["replica.toml:3", "shard 1", "as formatted"]);
    site.settings = Settings::small();
    site.start().stop();
}

#[test]
fn a_port_in_use_is_said_so() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let site = Site::formatted(Settings { port: address.port(), ..Settings::small() });
    refused(&site.run("serve", &[]), 2, &[&format!("cannot listen on {address}"), "[listen] client"]);
    let site = Site::formatted(Settings { http_port: address.port(), ..Settings::small() });
    refused(&site.run("serve", &[]), 2, &[&format!("cannot listen on {address}"), "[listen] http"]);
}

/// Files and journals are searched: an escape sequence would be in the way.
#[test]
fn what_is_logged_into_a_pipe_has_no_colours() {
    let site = Site::formatted(Settings::small());
    let mut command = site.command("serve");
    command.arg("--until-stdin-closes").stdin(Stdio::null());
    let output = command.output().expect("running assize");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains(" INFO "), "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");
}

/// The pager or collector that read its messages is gone: each further line fails with a broken pipe.
#[test]
fn nobody_needs_to_read_what_it_says() {
    let site = Site::formatted(Settings::small());
    let mut command = site.command("serve");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starting assize");
    drop(child.stderr.take());
    let mut out = BufReader::new(child.stdout.take().expect("piped")).lines();
    let address = out.find_map(|line| Some(line.ok()?.strip_prefix("serving ")?.to_owned()));
    let address = &address.expect("the line that says where it serves");
    drop(out);
    for _ in 0..3 {
        let mut raw = Raw::connect(address);
        raw.send(&[0x55; 64]);
        assert_eq!(raw.read_refusal(), RefusedCode::BadFrame);
    }
    let answers = client_of(address).submit(&[adjust(1, 1)]).expect("an answer");
    assert_eq!(answers[0].status, Status::Applied);
    assert_eq!(child.try_wait().expect("asking for its state"), None);
    child.kill().expect("killing it");
    child.wait().expect("waiting for its end");
}

#[test]
fn the_small_commands_work() {
    let version = assize().arg("--version").output().expect("running assize");
    let line = text(&version);
    let commit = line.split("commit ").nth(1).and_then(|rest| rest.split(')').next()).unwrap_or_default();
    assert!(version.status.success() && commit.len() >= 7, "{line}");
    let site = Site::formatted(Settings::small());
    let doctor = site.run("doctor", &[]);
    assert!(doctor.status.success() || doctor.status.code() == Some(3), "{}", text(&doctor));
    assert!(doctor.stdout.len() > 200, "{}", text(&doctor));
    let doctor = site.run("doctor", &["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&doctor.stdout).expect("one JSON object");
    assert!(json.is_object());
}

#[test]
fn the_example_configuration_serves_once_it_says_where() {
    let example = assize().args(["config", "--example"]).output().expect("running assize");
    assert!(example.status.success());
    let site = Site::new(Settings::small());
    let text = String::from_utf8(example.stdout).expect("text");
    let changed = text
        .replace("\"assize-data\"", &format!("{:?}", site.data()))
        .replace("localhost:7400", "localhost:0")
        .replace("pin = true", "pin = false");
    assert_ne!(text, changed);
    std::fs::write(site.config(), changed).expect("writing the configuration");
    let line = |command| {
        let mut line = assize();
        line.arg(command).arg("--config").arg(site.config());
        line
    };
    assert!(line("format").status().expect("running assize").success());
    let engine = crate::engine::Engine::start(line("serve"));
    assert_eq!(engine.client().submit(&[adjust(1, 1)]).expect("an answer")[0].status, Status::Applied);
    engine.stop();
}
