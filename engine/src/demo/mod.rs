//! `assize demo`: formats, serves and loads a cluster in one go, checks the books and prints the latencies. With a
//! program whose domains no load generator knows it serves, and says where events can be submitted.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the run from its beginning to its exit code |
//! | `workload.rs` | whether there is a load, and which |
//! | `served.rs` | a run without one |
//! | `sizing.rs` | directory and capacities for this host and this run, in numbers that are told |
//! | `cpus.rs`, `ports.rs` | which CPUs and ports each replica has |
//! | `replicas.rs`, `child.rs` | the replicas as a cluster; one replica's process |
//! | `status.rs` | what replicas say of themselves: whether all are as far as any |
//! | `rehearsal.rs` | one of them is killed in the middle of the load, if asked for |
//! | `fault.rs` | whether one that was to do something wrong was found out |

mod child;
mod cpus;
mod fault;
mod ports;
mod rehearsal;
mod replicas;
mod served;
mod sizing;
mod status;
mod workload;

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use assize_domain::DomainRegistry;
use assize_tools::aside;
use assize_tools::load::{
    self, Gap, LiveLine, LoadPlan, LoadReport, Reserved, Skew, Workload, print_report, write_hgrm,
    write_interval_log, write_svg,
};
use assize_wire::ReplicaId;

use crate::cli::{DemoCommand, Rate};
use crate::exit::Exit;
use crate::reactor::StageLine;
use crate::run::complain;
use child::StateDigest;
use fault::tell_fault;
use rehearsal::{Killed, Rehearsal};
use replicas::Replicas;
use sizing::Sizing;
use workload::Part;

/// Runs the demo and returns how it ended.
pub(crate) fn demo(command: &DemoCommand, domains: &DomainRegistry) -> Exit {
    if command.fault.is_some() && command.replicas == 1 {
        let why = "--fault wants --replicas 3 or 5, so that others find it out";
        return complain(&why, Exit::Usage);
    }
    let part = match Part::of(command, domains) {
        Ok(part) => part,
        Err(why) => return complain(&why, Exit::Usage),
    };
    let too_short = matches!(part, Part::Load(_, seconds) if seconds < KILL_SECONDS_MIN);
    if command.kill.is_some() && (command.replicas == 1 || too_short) {
        let why = "--kill wants --replicas 3 or 5, so that others go on, and --seconds 4 or more";
        return complain(&why, Exit::Usage);
    }
    let stop = Arc::new(AtomicBool::new(false));
    if let Err(error) = stop_on_signals(&stop, part) {
        return complain(&error, Exit::Host);
    }
    let sizing = match Sizing::of(command, part) {
        Ok(sizing) => sizing,
        Err((error, exit)) => return complain(&error, exit),
    };
    println!("{sizing}");
    let ran = match part {
        Part::Load(workload, seconds) => load(command, &sizing, domains, (workload, seconds), stop),
        Part::Serve(seconds) => serve(command, &sizing, domains, seconds, &stop),
    };
    let exit = match ran {
        Ok(exit) => exit,
        Err((error, exit)) => complain(&error, exit),
    };
    if command.keep {
        println!("kept: {}", sizing.directory.display());
    } else if let Err(error) = fs::remove_dir_all(&sizing.directory) {
        aside::say(format_args!("assize: {} could not be removed: {error}", sizing.directory.display()));
    }
    exit
}

type Ended = (String, Exit);

/// Serves, and lets others submit.
fn serve(
    command: &DemoCommand,
    sizing: &Sizing,
    domains: &DomainRegistry,
    seconds: Option<u32>,
    stop: &AtomicBool,
) -> Result<Exit, Ended> {
    let mut replicas = Replicas::start(sizing, domains, command.fault)?;
    served::tell(domains, replicas.http(), seconds);
    served::wait(&mut replicas, seconds, stop)?;
    // Where nobody leads, any order to stop them in is as good.
    let leader = replicas.leader().ok();
    replicas.settle();
    let fault = command.fault.map(|fault| tell_fault(fault, &replicas.statuses()));
    let digests = replicas.stop(leader, None)?;
    print!("{}", fault.unwrap_or_default());
    Ok(tell_end(sizing, &replicas, &digests))
}

fn load(
    command: &DemoCommand,
    sizing: &Sizing,
    domains: &DomainRegistry,
    (workload, seconds): (Workload, u32),
    stop: Arc<AtomicBool>,
) -> Result<Exit, Ended> {
    let _reserved =
        Reserved::new(command.json.as_deref()).map_err(|error| (error.to_string(), Exit::Internal))?;
    let mut replicas = Replicas::start(sizing, domains, command.fault)?;
    let live = LiveLine::new(io::stderr(), io::stderr().is_terminal());
    let plan = LoadPlan {
        workload,
        duration: Duration::from_secs(seconds.into()),
        ..plan(command, sizing, replicas.addresses().to_vec(), stop)
    };
    let mut rehearsal = Rehearsal::new(live, &mut replicas, command.kill, seconds);
    let loaded = load::run(&plan, &mut rehearsal);
    aside::say("");
    let (killed, failure) = (rehearsal.killed(), rehearsal.failure.take());
    let fault = command.fault.map(|fault| tell_fault(fault, &replicas.statuses()));
    let leader = loaded.as_ref().ok().and_then(|report| report.run.leader).map(ReplicaId);
    // A replica that failed is why the load could not be run to its end: its own word comes first.
    let stopped = replicas.stop(leader, killed.map(|killed| killed.replica));
    let (report, digests) = match (loaded, stopped, failure) {
        (Ok(report), Ok(digests), None) => (report, digests),
        (_, Err(error), _) | (_, _, Some(error)) => return Err(error),
        (Err(error), Ok(_), None) => return Err((error.to_string(), Exit::Internal)),
    };
    print!("{}", print_report(&report));
    if let Some(killed) = killed {
        println!("{}", tell_kill(&killed, leader, &report.run.gaps));
    }
    let leader = leader.unwrap_or_default();
    print!("{}", stages_table(replicas.stages(leader), leader)?);
    write_reports(command, sizing, &report)?;
    print!("{}", fault.unwrap_or_default());
    let end = tell_end(sizing, &replicas, &digests);
    Ok(if report.books.ok { end } else { Exit::Books })
}

/// What the stopped replicas hold, and what that is worth.
fn tell_end(sizing: &Sizing, replicas: &Replicas, digests: &[Option<StateDigest>]) -> Exit {
    let (told, equal) = tell_digests(digests);
    println!("{told}");
    if !sizing.durable {
        println!("durable: false, because the data directory is on a memory filesystem");
    }
    if replicas.len() > 1 {
        println!("{NOT_INDEPENDENT}");
    }
    if equal { Exit::Success } else { Exit::Books }
}

/// What was rehearsed, and for how long nobody was answered after it.
fn tell_kill(killed: &Killed, leader: Option<ReplicaId>, gaps: &[Gap]) -> String {
    let Killed { replica, led, at_s, restarted_at_s } = killed;
    let part = if *led { "which led" } else { "a follower" };
    let again = restarted_at_s.map_or(String::new(), |at| format!("; started again after {at:.1} s"));
    let now = leader.map_or(String::new(), |leader| format!("; replica {leader} leads at the end"));
    let after = |gap: &&Gap| gap.began_s + gap.length_ms / 1e3 > *at_s && gap.began_s < at_s + GAP_WITHIN_S;
    let longest = gaps.iter().filter(after).max_by(|a, b| a.length_ms.total_cmp(&b.length_ms));
    let gap = match longest {
        Some(gap) => format!("nobody was answered for {:.0} ms from {:.1} s on", gap.length_ms, gap.began_s),
        None => "answers kept coming, with no gap of 100 ms".to_owned(),
    };
    format!("\nKilled: replica {replica}, {part}, after {at_s:.1} s: {gap}{again}{now}")
}

/// Whether the replicas hold the same, and a line that says so. What was not told, or executed to different slots,
/// cannot be compared and is no failure.
fn tell_digests(digests: &[Option<StateDigest>]) -> (String, bool) {
    let told: Vec<(usize, &StateDigest)> = digests
        .iter()
        .enumerate()
        .filter_map(|(replica, digest)| Some((replica, digest.as_ref()?)))
        .collect();
    let Some((_, first)) = told.first() else {
        return ("State digests: no replica told its own".to_owned(), true);
    };
    if told.iter().all(|(_, other)| other.digest == first.digest) {
        let of = match (told.len(), digests.len()) {
            (1, 1) => "one replica".to_owned(),
            (all, replicas) if all == replicas => "all replicas, equal".to_owned(),
            (some, replicas) => format!("{some} of {replicas} replicas, equal, the others told none"),
        };
        return (format!("State digest of {of}: {} through slot {}", first.digest, first.slot), true);
    }
    let row = |(replica, of): &(usize, &StateDigest)| {
        format!("\n  replica {replica}: {} through slot {}", of.digest, of.slot)
    };
    let differs = |(_, one): &(usize, &StateDigest)| {
        told.iter().any(|(_, other)| other.slot == one.slot && other.digest != one.digest)
    };
    if told.iter().any(differs) {
        return (
            told.iter().map(row).fold("State digests DIFFER:".to_owned(), |text, row| text + &row),
            false,
        );
    }
    let newest = told.iter().map(|(_, of)| *of).max_by_key(|of| of.slot).unwrap_or(first);
    let (same, behind): (Vec<_>, Vec<_>) = told.iter().partition(|(_, of)| of.digest == newest.digest);
    let equal = if same.len() > 1 { ", equal" } else { "" };
    let text = format!(
        "State digest of {} of {} replicas{equal}: {} through slot {}; behind, and not to be compared:",
        same.len(),
        digests.len(),
        newest.digest,
        newest.slot
    );
    (behind.into_iter().map(row).fold(text, |text, row| text + &row), true)
}

fn plan(command: &DemoCommand, sizing: &Sizing, addresses: Vec<String>, stop: Arc<AtomicBool>) -> LoadPlan {
    LoadPlan {
        rate: match command.rate {
            Rate::Max => load::Rate::Max,
            Rate::PerSecond(rate) => load::Rate::PerSecond(rate as f64),
        },
        batch: command.batch() as usize,
        connections: command.connections as usize,
        client_cores: sizing.client_cpus.len().clamp(1, command.connections as usize),
        pin: sizing.client_cpus.clone(),
        skew: if command.skew > 0.0 { Skew::Zipf(command.skew) } else { Skew::Uniform },
        duplicates: f64::from(command.duplicates),
        stop: Some(stop),
        ..LoadPlan::new(addresses)
    }
}

/// The engine's own latencies, those of one replica, beside the client's.
fn stages_table(path: &Path, replica: ReplicaId) -> Result<String, Ended> {
    let read = fs::read(path).map_err(|error| error.to_string());
    let lines = read.and_then(|bytes| {
        serde_json::from_slice::<Vec<StageLine>>(&bytes).map_err(|error| error.to_string())
    });
    let lines = lines.map_err(|error| (format!("{}: {error}", path.display()), Exit::Internal))?;
    let mut text = format!(
        "\nInside the engine, replica {replica}: time of an event from the stage before, in microseconds\n\n"
    );
    text.push_str("  reached                      p50         p99       p99.9         max\n");
    for line in lines {
        let StageLine { stage, p50_us, p99_us, p99_9_us, max_us, .. } = line;
        text.push_str(&format!(
            "  {stage:<22} {p50_us:>9.1} {p99_us:>11.1} {p99_9_us:>11.1} {max_us:>11.1}\n"
        ));
    }
    text.push('\n');
    Ok(text)
}

fn write_reports(command: &DemoCommand, sizing: &Sizing, report: &LoadReport) -> Result<(), Ended> {
    if let Some(path) = &command.json {
        write_file(path, |out| {
            serde_json::to_writer_pretty(&mut *out, report)?;
            writeln!(out)
        })?;
    }
    if command.keep {
        let latency = &report.run.measured.latency_ns;
        let title = format!(
            "Assize demo: {} connections, batch {}, {:.0} events/s",
            report.run.connections, report.run.batch, report.run.rate_per_s
        );
        write_file(&sizing.directory.join("latency.hgrm"), |out| write_hgrm(latency, out))?;
        write_file(&sizing.directory.join("latency.svg"), |out| write_svg(latency, &title, out))?;
        write_file(&sizing.directory.join("latency.hlog"), |out| {
            write_interval_log(&report.run.measured, out)
        })?;
    }
    Ok(())
}

fn write_file(path: &PathBuf, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Ended> {
    let written = File::create(path).and_then(|file| {
        let mut out = BufWriter::new(file);
        write(&mut out)?;
        out.flush()
    });
    written.map_err(|error| (format!("{}: {error}", path.display()), Exit::Internal))
}

/// The first SIGINT or SIGTERM ends the load in good order, books and all; the second ends the process.
fn stop_on_signals(stop: &Arc<AtomicBool>, part: Part) -> io::Result<()> {
    let doing = match part {
        Part::Load(..) => "ending the load and closing the books",
        Part::Serve(_) => "stopping the replicas",
    };
    let signals = crate::signals::block()?;
    let stop = Arc::clone(stop);
    let wait = move || {
        while let Ok(name) = signals.wait() {
            if stop.swap(true, Ordering::Relaxed) {
                complain(&format!("a second {name}: ending at once"), Exit::Internal).now();
            }
            aside::say(format_args!("\n{name}: {doing}; once more to end at once"));
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}

/// A gap that begins later has another reason.
const GAP_WITHIN_S: f64 = 0.5;

/// A shorter load has no middle in which a replica can be killed and started again.
const KILL_SECONDS_MIN: u32 = 4;

const NOT_INDEPENDENT: &str = "\
note: these replicas share one machine, one disk and one power supply. Their copies are compared like any others, and
      a killed process is survived; but they are not independent, and a lost machine would be lost with all of them.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_told_with_the_gap_that_it_made_and_not_with_a_longer_one() {
        let killed = Killed { replica: ReplicaId(2), led: true, at_s: 5.0, restarted_at_s: Some(6.1) };
        let gap = |began_s, length_ms| Gap { began_s, length_ms };
        let gaps = [gap(1.0, 900.0), gap(4.9, 310.0), gap(5.3, 120.0), gap(7.0, 500.0)];
        let told = tell_kill(&killed, Some(ReplicaId(1)), &gaps);
        assert!(told.contains("replica 2, which led, after 5.0 s: nobody was answered for 310 ms"), "{told}");
        assert!(told.contains("again after 6.1 s; replica 1 leads at the end"), "{told}");
        assert!(tell_kill(&killed, None, &gaps[..1]).contains("answers kept coming"));
    }

    #[test]
    fn equal_digests_are_told_once_and_different_ones_only_fail_at_one_slot() {
        let digest = |slot, digest: &str| Some(StateDigest { slot, digest: digest.to_owned() });
        let (told, equal) = tell_digests(&[digest(4, "aa"), digest(5, "aa"), digest(4, "aa")]);
        assert!(equal && told.contains("all replicas, equal: aa"), "{told}");
        let (told, equal) = tell_digests(&[digest(4, "aa"), digest(4, "ab")]);
        assert!(!equal && told.contains("DIFFER") && told.contains("replica 1: ab"), "{told}");
        let (told, equal) = tell_digests(&[digest(4, "aa"), digest(5, "ab")]);
        let words = "1 of 2 replicas: ab through slot 5; behind, and not to be compared:\n  replica 0: aa through slot 4";
        assert!(equal && told.ends_with(words), "{told}");
        let (told, equal) = tell_digests(&[digest(9, "aa"), digest(9, "aa"), digest(4, "ab")]);
        assert!(equal && told.contains("2 of 3 replicas, equal: aa through slot 9; behind"), "{told}");
        let (_, equal) = tell_digests(&[digest(9, "aa"), digest(4, "aa"), digest(4, "ab")]);
        assert!(!equal, "two of one slot");
        let (told, equal) = tell_digests(&[None, digest(4, "aa"), digest(4, "aa")]);
        assert!(equal && told.contains("2 of 3 replicas, equal, the others told none: aa"), "{told}");
        let (told, equal) = tell_digests(&[None, digest(4, "aa"), digest(4, "ab")]);
        assert!(!equal && told.contains("replica 2: ab"), "{told}");
    }
}
