//! The O_DIRECT device runs the suite that the memory device runs, with both ways of making a write durable.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use assize_device::{DataDirectory, DirectoryError, DurabilityMode, Place, RingDevice};
use assize_wal::conformance::{Harness, run};
use assize_wal::operation::{Operation, OperationId};
use assize_wal::{Block, Device, DeviceError, SegmentId, SegmentReader};
use assize_wire::LogId;
use tempfile::TempDir;

struct Direct {
    folder: TempDir,
    mode: DurabilityMode,
    directory: Option<DataDirectory>,
    device: Option<RingDevice>,
}

impl Direct {
    fn fresh(mode: DurabilityMode) -> Direct {
        // Beside the build, which is on a disk; the system's temporary folder may be in memory.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
        let mut direct = Direct { folder, mode, directory: None, device: None };
        direct.reopen();
        direct
    }
}

impl Harness for Direct {
    fn device(&mut self) -> &mut dyn Device {
        self.device.as_mut().expect("opened")
    }

    fn reader(&mut self) -> &mut dyn SegmentReader {
        self.directory.as_mut().expect("opened")
    }

    fn write_superblock(&mut self, copy: u8, blocks: &[Block]) -> Result<(), DeviceError> {
        self.directory.as_mut().expect("opened").write_superblock(copy, blocks)
    }

    fn reopen(&mut self) {
        self.device = None;
        self.directory = None;
        let root: &Path = self.folder.path();
        self.directory = Some(DataDirectory::open(root, true).expect("the directory is free"));
        self.device = Some(RingDevice::new(root, self.mode).expect("the host has io_uring"));
    }
}

#[test]
fn direct_device_conforms_with_linked_fdatasync() {
    run(|| Direct::fresh(DurabilityMode::LinkedFdatasync));
}

#[test]
fn direct_device_conforms_with_dsync_writes() {
    run(|| Direct::fresh(DurabilityMode::WriteDsync));
}

#[test]
fn a_directory_in_use_is_refused() {
    let direct = Direct::fresh(DurabilityMode::LinkedFdatasync);
    let second = DataDirectory::open(direct.folder.path(), false);
    assert!(matches!(second, Err(DirectoryError::InUse { .. })));
}

/// Operations of a killed process outlive its lock of the directory; they hold their files as this device does.
#[test]
fn a_flush_at_boot_waits_for_writes_of_a_process_that_was_killed() {
    let mut direct = Direct::fresh(DurabilityMode::LinkedFdatasync);
    let id = OperationId { log: LogId(3), number: 1 };
    direct.device().submit(Operation::PrepareSegment {
        id,
        segment: SegmentId(0),
        bytes: 1 << 20,
        recycled: None,
        urgent: true,
    });
    direct.device().wait();
    assert!(direct.device().poll().expect("it is prepared").result.is_ok());
    let mut directory = direct.directory.take().expect("opened");
    let (started, is_started) = mpsc::channel();
    let released = Arc::new(AtomicBool::new(false));
    let boot = thread::spawn({
        let released = Arc::clone(&released);
        move || {
            started.send(()).expect("the test waits for it");
            let flushed = directory.flush(LogId(3));
            (flushed, released.load(Ordering::SeqCst))
        }
    });
    is_started.recv().expect("the thread starts");
    // Turns for the other thread to get ahead, if it could.
    (0..1000).for_each(|_| thread::yield_now());
    released.store(true, Ordering::SeqCst);
    direct.device = None;
    let (flushed, after_release) = boot.join().expect("no panic");
    assert_eq!((flushed, after_release), (Ok(()), true), "it did not wait");
}

/// Prepares a segment of log 3.
fn prepare(device: &mut dyn Device, segment: u64, recycled: Option<u64>) {
    device.submit(Operation::PrepareSegment {
        id: OperationId { log: LogId(3), number: segment + 1 },
        segment: SegmentId(segment),
        bytes: 1 << 20,
        recycled: recycled.map(SegmentId),
        urgent: true,
    });
    device.wait();
    assert!(device.poll().expect("it is prepared").result.is_ok());
}

/// SegmentPinned: somebody copies it. What it held is there under the other name when its log has gone on.
#[test]
fn a_segment_with_a_second_name_is_not_overwritten() {
    let mut direct = Direct::fresh(DurabilityMode::LinkedFdatasync);
    let path = |segment| Place::Segment(LogId(3), SegmentId(segment)).path(direct.folder.path());
    let (first, second, third) = (path(0), path(1), path(2));
    let pin = direct.folder.path().join("pinned");
    let mut prepare = |segment, recycled| prepare(direct.device(), segment, recycled);
    prepare(0, None);
    fs::write(&first, vec![7; 1 << 20]).expect("writing to it");
    fs::hard_link(&first, &pin).expect("a second name");
    prepare(1, Some(0));
    assert!(!first.exists(), "it was given up");
    assert!(fs::read(&second).expect("the next one").iter().all(|byte| *byte == 0));
    assert!(fs::read(&pin).expect("the pinned one").iter().all(|byte| *byte == 7), "it was overwritten");
    // Without one it is the next one's file.
    fs::write(&second, vec![8; 1 << 20]).expect("writing to it");
    prepare(2, Some(1));
    assert!(!second.exists() && fs::read(&third).expect("the last one").iter().all(|byte| *byte == 8));
}

#[test]
fn what_is_made_is_for_its_owner_alone() {
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
    let root = folder.path().join("above/data");
    let directory = DataDirectory::open(&root, true).expect("creating it");
    directory.write_superblock(0, &[Block::ZERO]).expect("writing a superblock");
    let mut device = RingDevice::new(&root, DurabilityMode::LinkedFdatasync).expect("the host has io_uring");
    prepare(&mut device, 0, None);
    let mut found = vec![folder.path().join("above")];
    while let Some(path) = found.pop() {
        let mode = path.metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        if path.is_dir() {
            found.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        }
    }
}
