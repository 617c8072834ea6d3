//! `assize serve`: runs a replica until it is told to stop.

use std::io::Write;
use std::path::PathBuf;
use std::thread;

use assize_consensus::HandOverRefused;
use assize_domain::DomainRegistry;
use assize_node::boot::ReadError;
use assize_node::{CheckpointEnd, CheckpointFailure, HandOverEnd, StartAgain};
use assize_shards::StateDigest;
use assize_wal::Quarantine;
use assize_wire::{LogicVersion, Slot};
use crossbeam_channel::{Sender, select, unbounded};

use crate::boot::{self, BootError, Replica};
use crate::cli::ServeCommand;
use crate::config::{Agreed, ConfigFile};
use crate::exit::Exit;
use crate::faces;
use crate::logging;
use crate::peer_log::PeerLog;
use crate::reactor::{Failure, Notice, StageHistograms};
use crate::run::complain;

/// Runs a replica in this process until SIGTERM or SIGINT.
pub(crate) fn serve(command: &ServeCommand, domains: DomainRegistry) -> Exit {
    let file = match ConfigFile::load(&command.config) {
        Ok(file) => file,
        Err(error) => return complain(&error, Exit::Usage),
    };
    if let Err(error) = logging::start(&file.config.logging) {
        return complain(&error, Exit::Usage);
    }
    if let Some(fault) = command.fault {
        if !file.config.rehearsal.allow_faults {
            let accepted = "true, where --fault may make this replica wrong on purpose";
            let error = file.source.refuse("rehearsal.allow_faults", "false".to_owned(), accepted.to_owned());
            return complain(&error, Exit::Usage);
        }
        tracing::warn!(%fault, "this replica is going to be wrong on purpose");
    }
    logging::abort_on_panic(|| false);
    let (asked, requests) = unbounded();
    let watched = watch_signals(asked.clone());
    let watched = watched.and_then(|()| if command.until_stdin_closes { watch_stdin(asked) } else { Ok(()) });
    if let Err(error) = watched {
        return complain(&error, Exit::Host);
    }
    let started = std::time::Instant::now();
    let mut replica = match boot::start(&file, domains, command.fault) {
        Ok(replica) => replica,
        Err(error) => return complain(&error, error.exit()),
    };
    tracing::info!(
        replica = file.config.replica,
        cluster = %replica.agreed.cluster,
        shards = replica.agreed.shard_count,
        cores = replica.mailboxes.len(),
        copies = replica.agreed.copies,
        durable = replica.durable,
        replaying = replica.replay_through.0,
        "recovered"
    );
    let bulletin = faces::bulletin(&file, &replica);
    let leadership = match faces::serve(&file, &mut replica, &bulletin, started) {
        Ok(leadership) => leadership,
        Err(error) => return complain(&format!("serving HTTP: {error}"), Exit::Host),
    };
    let (mut end, mut serving, mut halted) = (Exit::Success, 0, 0);
    let mut stages = StageHistograms::default();
    let mut digests = Vec::new();
    let mut peers = PeerLog::new(&replica.agreed);
    while halted < replica.mailboxes.len() {
        select! {
            recv(requests) -> request => match request {
                Ok(Request::Measure) => replica.measure(),
                Ok(Request::Stop(signal)) => {
                    tracing::info!(signal, "stopping: no more events are admitted");
                    replica.stop();
                }
                Err(_) => return complain(&"the signal thread has ended without a word", Exit::Internal),
            },
            recv(replica.notices) -> notice => match notice.inspect(|notice| faces::post(&bulletin, notice)) {
                Ok(Notice::Serving(_)) => {
                    serving += 1;
                    if serving == replica.mailboxes.len() {
                        announce(&replica, started.elapsed());
                    }
                }
                Ok(Notice::Replayed(slot)) => replica.handle_replayed(slot),
                Ok(Notice::Checkpoint(end)) => log_checkpoint(&end),
                Ok(Notice::StartAgain(why)) => return start_again(why),
                Ok(Notice::LogicMissing(slot, logic)) => {
                    log_missing(slot, logic, &replica.agreed);
                    replica.stop();
                    end = Exit::DataDirectory;
                }
                Ok(Notice::Peer(notice)) => peers.log(&notice),
                Ok(Notice::Alarm(text)) => tracing::error!("{text}"),
                Ok(Notice::ClockContradicted(contradicted)) => log_clock(contradicted),
                Ok(Notice::Quarantined(quarantine)) => log_quarantine(&quarantine),
                Ok(Notice::Rejoin(notice)) => tracing::warn!("{notice}"),
                Ok(Notice::HandOver(ask, end)) => {
                    log_hand_over(end);
                    if let (Some(leadership), Some(ask)) = (&leadership, ask) {
                        leadership.answer(ask, faces::handed_over(end, file.config.replica));
                    }
                }
                Ok(Notice::Halted { stages: of_core, digests: of_shards }) => {
                    halted += 1;
                    stages.add(&of_core);
                    digests.extend(of_shards);
                }
                Ok(Notice::Failed(core, failure)) => return fail(core.0, &failure),
                Err(_) => return complain(&"every core's thread has ended without a word", Exit::Internal),
            }
        }
    }
    replica.join();
    tell_digest(&digests);
    tracing::info!("stopped: everything admitted is answered and durable");
    command.stages.as_ref().map_or(end, |path| write_stages(path, &stages, end))
}

/// Tells people and programs where clients connect: the line on standard output is for those that started this
/// process and gave it port 0.
fn announce(replica: &Replica, after: std::time::Duration) {
    let address = replica.addresses[0];
    tracing::info!(%address, after_ms = after.as_millis() as u64, "serving");
    // Whoever closed standard output does not need to be told.
    let _ = writeln!(std::io::stdout(), "serving {address}");
}

/// Tells what this replica's entities come to, for whoever compares replicas: `digest SLOT HEX`. Replicas that executed
/// the same slots have the same.
fn tell_digest(digests: &[StateDigest]) {
    // A quarantined replica's state is not to be compared.
    if let Some((slot, digest)) = StateDigest::of_all(digests) {
        let _ = writeln!(std::io::stdout(), "digest {slot} {digest}");
    }
}

/// A checkpoint that failed leaves the one before it active: the log grows until one succeeds.
fn log_checkpoint(end: &CheckpointEnd) {
    let slot = end.slot.0;
    match &end.result {
        Ok((entities, keys)) => tracing::info!(slot, entities, keys, "a checkpoint is active"),
        Err(reason @ CheckpointFailure::Unreported { .. }) => {
            tracing::warn!(slot, %reason, "a checkpoint came to nothing; the one before it stays active");
        }
        Err(reason) => tracing::error!(slot, %reason, "a checkpoint failed; the one before it stays active"),
    }
}

fn log_clock(contradicted: bool) {
    if contradicted {
        tracing::error!("the clocks of a majority contradict this host's: check time synchronisation");
    } else {
        tracing::warn!("this host's clock agrees with a majority again");
    }
}

/// Who asked is told, too; a replica without space for its log asks itself.
fn log_hand_over(end: HandOverEnd) {
    match end {
        HandOverEnd::Led { to, by } if to == by => tracing::info!(to = to.0, "leadership was handed over"),
        // Whoever wanted this replica to lead has what was wanted.
        HandOverEnd::Refused(HandOverRefused::LeadsAlready) => {
            tracing::info!("leadership was not handed over: the replica that was named leads already");
        }
        end => tracing::warn!(reason = %end, "leadership was not handed over as it was to be"),
    }
}

/// What an operator is to do about a quarantined replica (C5).
fn log_quarantine(quarantine: &Quarantine) {
    if quarantine.is_rebuild() {
        tracing::warn!("{quarantine}: until that has come this replica publishes nothing and answers nobody");
        return;
    }
    tracing::error!("quarantined: {quarantine}");
    tracing::error!(
        "this replica publishes nothing and answers nobody any more; it still accepts, so that the others go on. Test this \
         machine's memory, CPU and disk, replace what is broken, then rebuild the replica's state from the others"
    );
}

/// The cluster has switched to logic that this program does not have (R5).
fn log_missing(slot: Slot, logic: LogicVersion, agreed: &Agreed) {
    let name =
        agreed.domains.iter().find(|domain| domain.id == logic.domain).map(|domain| domain.name.as_str());
    tracing::error!(
        slot = slot.0,
        domain = name.unwrap_or("?"),
        version = logic.version,
        "the cluster has switched to logic that this program does not have; the replica stops there. Start a program that \
         has it: it goes on from this slot"
    );
}

/// A checkpoint of a peer was taken over, or what came of one is wrong: the process becomes a new one of the same
/// program, arguments and number, and begins from what is there now. Nothing of what it had in memory may go on, and
/// nothing under way is of use to anybody.
fn start_again(why: StartAgain) -> Exit {
    use std::os::unix::process::CommandExt;
    match why {
        StartAgain::From(Slot(slot)) => {
            tracing::warn!(slot, "starting again from the checkpoint that was taken over");
        }
        StartAgain::Rebuild => {
            tracing::error!("starting again, to be rebuilt: nothing that is stored here counts any more");
        }
    }
    let error = match std::env::current_exe() {
        Ok(program) => std::process::Command::new(program).args(std::env::args_os().skip(1)).exec(),
        Err(error) => error,
    };
    complain(
        &format!("the program could not start itself again, so start it by hand: {error}"),
        Exit::Internal,
    )
}

fn fail(core: u16, failure: &Failure) -> Exit {
    let exit = match failure {
        Failure::Read(ReadError::NoPart { .. } | ReadError::Restore { .. }) => Exit::DataDirectory,
        Failure::Log(_) | Failure::Read(_) | Failure::OutcomesFull { .. } => Exit::Device,
        Failure::Diverged { .. } => Exit::DataDirectory,
        Failure::Io(_) => Exit::Host,
    };
    tracing::error!(core, %failure, "the replica stops");
    complain(failure, exit)
}

fn write_stages(path: &PathBuf, stages: &StageHistograms, end: Exit) -> Exit {
    let json = match serde_json::to_vec_pretty(&stages.lines()) {
        Ok(json) => json,
        Err(error) => return complain(&error, Exit::Internal),
    };
    match std::fs::write(path, json) {
        Ok(()) => end,
        Err(error) => complain(&format!("{}: {error}", path.display()), Exit::Internal),
    }
}

/// What this process is asked to do.
enum Request {
    /// Forget the latencies so far.
    Measure,
    /// Stop, for this reason.
    Stop(&'static str),
}

/// Makes the end of standard input a reason to stop, and a line `measure` the begin of the latencies.
fn watch_stdin(requests: Sender<Request>) -> Result<(), BootError> {
    let wait = move || {
        // An error is an end, too.
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if line == "measure" {
                let _ = requests.send(Request::Measure);
            }
        }
        let _ = requests.send(Request::Stop("end of standard input"));
    };
    let thread = thread::Builder::new().name("stdin".to_owned()).spawn(wait);
    thread.map(drop).map_err(|error| BootError::Io("starting the thread that reads standard input", error))
}

/// Turns SIGTERM and SIGINT into messages. Called before any other thread is started, so that all inherit the mask.
fn watch_signals(requests: Sender<Request>) -> Result<(), BootError> {
    let set = crate::signals::block().map_err(|error| BootError::Io("blocking signals", error))?;
    let wait = move || {
        while let Ok(name) = set.wait() {
            if requests.send(Request::Stop(name)).is_err() {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)
        .map(drop)
        .map_err(|error| BootError::Io("starting the signal thread", error))
}
