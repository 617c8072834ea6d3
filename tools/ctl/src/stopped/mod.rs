//! Commands that look into a stopped replica's directory. Nothing there is written: logs are read as a start would read
//! them, and slots are evaluated again in memory.
//!
//! | file | is |
//! |---|---|
//! | `mod.rs` | the replica as a start would find it |
//! | `wal.rs` | `wal dump`, `wal verify` |
//! | `checkpoint.rs` | `checkpoint list`, `checkpoint verify` |
//! | `replay.rs` | `replay`, `digest` |
//! | `history.rs` | `history` |
//! | `divergence.rs` | `divergence show` |
//! | `entity.rs` | an entity as the command line names it, and its state in words |

mod checkpoint;
mod divergence;
mod entity;
mod history;
mod replay;
mod wal;

use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use assize_device::ReadOnlyDirectory;
use assize_device::directory::BACKUP_FILE;
use assize_domain::DomainRegistry;
use assize_node::agreed::Agreed;
use assize_node::boot::{SlotReader, peers_of};
use assize_node::retrace::Retrace;
use assize_shards::{PanicGuard, Published};
use assize_wal::formatted::{Formatted, formatted};
use assize_wal::recovery::{
    AcceptRead, DamagedSlot, LogScan, Recovered, RecoveryError, flush_logs, judge, scan_log,
};
use assize_wal::{LogIdentity, Superblock};
use assize_wire::stripe::Stripe;
use assize_wire::{LogId, ShardId, Slot};

pub(crate) use checkpoint::checkpoint;
pub(crate) use divergence::divergence;
pub(crate) use history::history;
pub(crate) use replay::{digest, replay};
pub(crate) use wal::wal;

use crate::backup::BackupError;
use crate::exit::{Ended, Exit};
use crate::superblock::find_directory;

/// A replica that does not run.
pub(crate) struct Replica {
    pub(crate) directory: ReadOnlyDirectory,
    pub(crate) superblock: Superblock,
    pub(crate) agreed: Agreed,
}

impl Replica {
    pub(crate) fn open(path: &Path) -> Result<Replica, Ended> {
        find_directory(path)?;
        let mut directory = ReadOnlyDirectory::stopped(path)?;
        let superblock = match formatted(&mut directory)? {
            Formatted::Yes(found) => found.superblock,
            Formatted::No | Formatted::Unfinished => return Err(Ended::NotFormatted(path.to_owned())),
            Formatted::Corrupt(error) => return Err(Ended::Superblock(path.to_owned(), error)),
        };
        let agreed = Agreed::decode(&superblock.parameters)?;
        Ok(Replica { directory, superblock, agreed })
    }

    /// All logs, read to their ends.
    fn scan(&self) -> Result<Vec<LogScan>, Ended> {
        let mut directory = self.directory.clone();
        let peers = peers_of(self.agreed.replicas.into());
        let logs = flush_logs(&mut directory, &self.superblock)?;
        let scans = logs.into_iter().map(|log| scan_log(&mut directory, &self.superblock, log, peers));
        Ok(scans.collect::<Result<_, _>>()?)
    }

    /// What a start would rely on.
    pub(crate) fn recover(&self) -> Result<Recovered, Ended> {
        let peers = peers_of(self.agreed.replicas.into());
        let recovered = judge(self.scan()?, &self.superblock, &mut AcceptRead::parse, peers);
        recovered.map_err(|error| match error {
            // What a replica is told to do about it does not mend a backup.
            RecoveryError::Lost { losses } | RecoveryError::Rebuild { losses } if self.is_backup() => {
                BackupError::Decayed { backup: self.directory.root().to_owned(), losses }.into()
            }
            error => error.into(),
        })
    }

    /// Nobody starts on it, so nothing of it is ever repaired.
    fn is_backup(&self) -> bool {
        self.directory.root().join(BACKUP_FILE).exists()
    }

    /// Of any of its logs, but for the number.
    pub(crate) fn identity(&self) -> LogIdentity {
        let Superblock { cluster, record_key, replica, segment_bytes, .. } = self.superblock;
        LogIdentity { cluster, record_key, replica, log: LogId(0), segment_bytes }
    }

    /// Its states as the checkpoint has them.
    pub(crate) fn restore(
        &self,
        recovered: &Recovered,
        domains: Arc<DomainRegistry>,
    ) -> Result<Retrace, Ended> {
        silence_domains();
        let guard: Arc<dyn PanicGuard> = Arc::new(CatchUnwind);
        let mut directory = self.directory.clone();
        Ok(Retrace::restore(&mut directory, self.identity(), &self.agreed, recovered, domains, &guard)?)
    }

    /// Evaluates the slots above the checkpoint again, through `to` or the last that is known to be chosen. `tell` is
    /// given each stripe in order: its bytes, and what came of it.
    pub(crate) fn retrace(
        &self,
        recovered: &Recovered,
        states: &mut Retrace,
        to: Option<u64>,
        mut tell: impl FnMut(&Stripe<'_>, &Published) -> Result<(), Ended>,
    ) -> Result<(), Ended> {
        let (first, last) = (states.slot(), known_chosen(recovered, &self.agreed));
        let to = to.map_or(last, Slot);
        if to < first || to > last {
            return Err(Ended::SlotNotKept { asked: to, first, last });
        }
        let mut directory = self.directory.clone();
        let mut reader = SlotReader::new(self.identity(), recovered.outcomes.clone());
        for slot in recovered.accepted.iter().take_while(|slot| slot.slot <= to) {
            let slot = reader.slot(&mut directory, slot)?;
            let stripes = slot.stripes.clone();
            for published in states.evaluate(slot)? {
                let bytes =
                    stripes.iter().find(|(shard, _)| *shard == published.shard).map(|(_, bytes)| bytes);
                let bytes = bytes
                    .unwrap_or_else(|| panic!("shard {} published what it did not get", published.shard));
                let stripe = Stripe::parse((**bytes).as_ref());
                // What is no stripe has no events, and so nothing came of it.
                stripe.map_or(Ok(()), |stripe| tell(&stripe, &published))?;
            }
        }
        Ok(())
    }
}

/// The last slot that is known to be chosen and can be evaluated: what was published was chosen, whether or not a later
/// record says so.
pub(crate) fn known_chosen(recovered: &Recovered, agreed: &Agreed) -> Slot {
    recovered.chosen.max(published(recovered, agreed)).min(recovered.accepted_through)
}

/// The last slot that the directory's own outcome stream has.
fn published(recovered: &Recovered, agreed: &Agreed) -> Slot {
    let last = (0..agreed.shard_count).filter_map(|shard| recovered.outcomes.last(ShardId(shard))).max();
    last.unwrap_or_default()
}

/// Slots that are known to be chosen and cannot be evaluated, because something of them is damaged here (L5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lacking {
    /// The first of them.
    pub(crate) first: Slot,
    /// The last one that the directory itself knows of.
    pub(crate) last: Slot,
}

impl Lacking {
    /// None where all is well. That more was accepted than is known to be chosen is well, and so is damage above that:
    /// a crash leaves it. Outcomes may be ahead of the slots where a peer's were taken over, so they alone say nothing.
    pub(crate) fn of(recovered: &Recovered, agreed: &Agreed) -> Option<Lacking> {
        let unsure = recovered.damaged.iter().chain(&recovered.doubtful);
        let first = recovered.accepted_through.next();
        let last_unsure = unsure.clone().map(|slot| slot.slot).max()?;
        let is_chosen =
            |slot: &&DamagedSlot| slot.found.as_ref().is_some_and(|found| found.chosen && slot.slot >= first);
        let told = unsure.filter(is_chosen).map(|slot| slot.slot).max().unwrap_or_default();
        let last = published(recovered, agreed).max(told);
        (first <= last && first <= last_unsure).then_some(Lacking { first, last })
    }
}

/// How a command ends that was to go as far as can be: in words and with [`crate::exit::Exit::No`] where more is known
/// to be chosen.
fn ended(replica: &Replica, lacking: Option<Lacking>, to: Option<u64>) -> Result<Exit, Ended> {
    let Some(Lacking { first, last }) = lacking.filter(|_| to.is_none()) else { return Ok(Exit::Success) };
    let whole = Slot(first.0 - 1);
    let root = replica.directory.root().display();
    let advice = match replica.is_backup() {
        true => "this backup is damaged: use another",
        false => "start the replica, which repairs them from its peers, or ask another one's directory",
    };
    Err(Ended::No(format!(
        "that is not all: slots {first} to {last} are known to be chosen and are damaged in {root}, so what came of them \
         is not told; {advice}. Through slot {whole} it is whole (--to {whole})"
    )))
}

/// Catches the panics of domains, which are outcomes (D4).
struct CatchUnwind;

impl PanicGuard for CatchUnwind {
    fn run(&self, body: &mut dyn FnMut()) -> bool {
        GUARDED.with(|guarded| guarded.set(true));
        let ended = catch_unwind(AssertUnwindSafe(body)).is_ok();
        GUARDED.with(|guarded| guarded.set(false));
        ended
    }
}

thread_local! {
    static GUARDED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// A domain's panic was told when it happened first; again it would only be in the way of the answer.
fn silence_domains() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |why| {
        if !GUARDED.with(std::cell::Cell::get) {
            usual(why);
        }
    }));
}
