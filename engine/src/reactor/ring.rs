//! The io_uring of one thread: entries in, completions out, one system call a turn.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, squeue};

/// User data begins with one of these; the rest is what it stands for.
pub(super) const TAG_DISK: u8 = 1;
pub(super) const TAG_WAKE: u8 = 2;
pub(super) const TAG_ACCEPT: u8 = 3;
pub(super) const TAG_RECEIVE: u8 = 4;
pub(super) const TAG_SEND: u8 = 5;

/// A ring that only its own thread uses.
pub(super) struct Ring {
    ring: IoUring,
    deferred: bool,
}

impl Ring {
    /// Asks for completions to be run when this thread enters the kernel (6.1 and later), which saves the
    /// interruptions; without that it still works.
    pub(super) fn new() -> io::Result<Ring> {
        let deferred = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_cqsize(ENTRIES * 4)
            .build(ENTRIES);
        match deferred {
            Ok(ring) => Ok(Ring { ring, deferred: true }),
            Err(_) => {
                let ring = IoUring::builder().setup_cqsize(ENTRIES * 4).build(ENTRIES)?;
                Ok(Ring { ring, deferred: false })
            }
        }
    }

    /// Submits early if fewer than `entries` more fit.
    pub(super) fn make_room(&mut self, entries: usize) -> io::Result<()> {
        let queue = self.ring.submission();
        if queue.capacity() - queue.len() < entries {
            drop(queue);
            self.ring.submit()?;
        }
        Ok(())
    }

    /// Adds an entry; there must be room.
    pub(super) fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: whoever made the entry (the device, the sockets, the parker) owns the memory and the descriptor it
        // names until its completion has been taken in, and leaks them if dropped before.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        assert!(pushed.is_ok(), "an entry was pushed without room");
    }

    /// Submits what was pushed; with `sleep`, waits that long for a completion.
    pub(super) fn submit(&mut self, sleep: Option<Duration>) -> io::Result<()> {
        let submitted = match sleep {
            None => {
                let pushed = self.ring.submission().len() as u32;
                if !self.deferred {
                    self.ring.submit()
                } else {
                    let flags = EnterFlags::GETEVENTS.bits();
                    // SAFETY: no signal mask is passed, and the entries are as `push` promises.
                    unsafe { self.ring.submitter().enter::<libc::sigset_t>(pushed, 0, flags, None) }
                }
            }
            Some(sleep) => {
                let timeout = Timespec::new().sec(sleep.as_secs()).nsec(sleep.subsec_nanos());
                self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(&timeout))
            }
        };
        match submitted {
            Ok(_) => Ok(()),
            // Nothing came in time, a signal came, or completions are to be taken first: all are a turn's end.
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN)
                ) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn has_completions(&mut self) -> bool {
        !self.ring.completion().is_empty()
    }

    /// The next completion: user data, result, flags.
    pub(super) fn next_completion(&mut self) -> Option<(u64, i32, u32)> {
        let entry = self.ring.completion().next()?;
        Some((entry.user_data(), entry.result(), entry.flags()))
    }
}

impl AsRawFd for Ring {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

const ENTRIES: u32 = 1024;
