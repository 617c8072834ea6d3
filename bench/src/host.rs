//! What a record says of the machine and the moment, so that two records can be told apart.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

/// Commit, time, CPU, kernel and load; with a `directory`, its disk, too.
#[must_use]
pub fn describe(directory: Option<&Path>) -> Map<String, Value> {
    let mut record = Map::new();
    let mut put = |name: &str, value: Value| drop(record.insert(name.to_owned(), value));
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    put("unix_time", json!(seconds));
    put("commit", json!(commit()));
    put("cpu", json!(cpu_model()));
    put("cpus", json!(std::thread::available_parallelism().map_or(0, usize::from)));
    put("kernel", json!(line("/proc/sys/kernel/osrelease")));
    put("load_average", json!(load_average()));
    if let Some(mount) = directory.and_then(mount_of) {
        put("filesystem", json!(mount.filesystem));
        put("device", json!(mount.source));
        put("write_cache", json!(line(&format!("/sys/dev/block/{}/queue/write_cache", mount.device))));
    }
    record
}

/// What is measured. Records that are being written do not make it another.
fn commit() -> String {
    let changes = ["diff", "--quiet", "HEAD", "--", ":(top)", ":(top,exclude)bench/results"];
    let clean = Command::new("git").args(changes).status().is_ok_and(|status| status.success());
    let head = command("git", &["rev-parse", "--short=12", "HEAD"]);
    if clean { head } else { format!("{head}-dirty") }
}

/// The load average of the last minute: how much else ran.
#[must_use]
pub fn load_average() -> f64 {
    line("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

/// Appends a record as one line.
///
/// # Errors
/// The file cannot be written.
pub fn append(path: &Path, record: &Map<String, Value>) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "{}", Value::Object(record.clone()))
}

struct Mount {
    device: String,
    filesystem: String,
    source: String,
}

/// The mount with the longest path that `directory` lies below.
fn mount_of(directory: &Path) -> Option<Mount> {
    let directory = directory.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let parse = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        let (device, point) = (*left.get(2)?, *left.get(4)?);
        let [filesystem, source, ..] = right[..] else { return None };
        let mount =
            Mount { device: device.to_owned(), filesystem: filesystem.to_owned(), source: source.to_owned() };
        directory.starts_with(point).then_some((point.len(), mount))
    };
    mounts.lines().filter_map(parse).max_by_key(|(length, _)| *length).map(|(_, mount)| mount)
}

fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| "unknown".to_owned(), |(_, model)| model.to_owned())
}

fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn command(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok().filter(|text| !text.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}
