//! Recovery of all logs, each read in a thread of its own: one log is read as another one's checksums are computed.

use std::panic::resume_unwind;
use std::thread;

use assize_device::DataDirectory;
use assize_wal::Superblock;
use assize_wal::recovery::{AcceptRead, Peers, Recovered, RecoveryError, flush_logs, judge, scan_log};

/// What a start may rely on.
///
/// # Errors
/// [`RecoveryError`]: nothing was changed.
pub(super) fn recover(
    directory: &DataDirectory,
    superblock: &Superblock,
    peers: Peers,
) -> Result<Recovered, RecoveryError> {
    let logs = flush_logs(&mut directory.clone(), superblock)?;
    let scans = thread::scope(|scope| {
        let scan = |log| move || scan_log(&mut directory.clone(), superblock, log, peers);
        let threads: Vec<_> = logs.into_iter().map(|log| scope.spawn(scan(log))).collect();
        let scans =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        scans.collect::<Result<_, _>>()
    })?;
    judge(scans, superblock, &mut AcceptRead::parse, peers)
}
