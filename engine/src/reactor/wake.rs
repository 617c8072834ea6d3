//! How threads reach a core: a channel, and one write to an eventfd if its thread sleeps.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{io, ptr};

use assize_node::{CoreMessage, Now};
use crossbeam_channel::{Receiver, Sender, unbounded};
use io_uring::{opcode, squeue, types};

/// The sending side of a core's channel. Never blocks and never waits for room (X3): what a core may have under way is
/// bounded by its window.
#[derive(Clone)]
pub struct Mailbox {
    sender: Sender<CoreMessage>,
    wake: Arc<Wake>,
}

impl Mailbox {
    /// Puts a message into the channel; [`Mailbox::wake`] must follow, once for any number of messages.
    pub fn post(&self, message: CoreMessage) {
        // A core that is gone has failed, and the process is ending with its reason.
        let _ = self.sender.send(message);
    }

    /// Wakes the core if it sleeps.
    pub fn wake(&self) {
        self.wake.wake();
    }

    /// A callback that wakes the core, for other threads that have something ready for it.
    #[must_use]
    pub fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let wake = Arc::clone(&self.wake);
        Arc::new(move || wake.wake())
    }
}

struct Wake {
    /// Whether the core's thread sleeps, or is about to.
    parked: AtomicBool,
    event: OwnedFd,
}

impl Wake {
    fn wake(&self) {
        // Sequentially consistent on both sides: either the sender sees the flag, or the sleeper sees the message.
        if self.parked.swap(false, Ordering::SeqCst) {
            let one = 1u64;
            // SAFETY: the descriptor is open as long as `self` lives, and eight bytes of `one` are read.
            let written = unsafe { libc::write(self.event.as_raw_fd(), ptr::from_ref(&one).cast(), 8) };
            assert_eq!(written, 8, "an eventfd does not take a wake: {}", io::Error::last_os_error());
        }
    }
}

/// The receiving side of the wakes. Belongs to one thread.
pub struct Parker {
    wake: Arc<Wake>,
    /// Where the ring reads the eventfd's counter. Boxed: the kernel holds its address.
    counter: Box<u64>,
}

impl Parker {
    /// From here on senders wake this thread. The inbox must be looked at once more before sleeping.
    pub fn prepare(&self) {
        self.wake.parked.store(true, Ordering::SeqCst);
    }

    /// This thread is awake.
    pub fn cancel(&self) {
        self.wake.parked.store(false, Ordering::SeqCst);
    }

    /// The ring's entry that completes at the next wake.
    pub(super) fn read_entry(&mut self, user_data: u64) -> squeue::Entry {
        let buffer = ptr::from_mut(&mut *self.counter).cast();
        opcode::Read::new(types::Fd(self.wake.event.as_raw_fd()), buffer, 8).build().user_data(user_data)
    }
}

impl Drop for Parker {
    fn drop(&mut self) {
        // The ring may still hold a read into the counter.
        Box::leak(std::mem::take(&mut self.counter));
    }
}

/// A core's channel and its wake.
///
/// # Errors
/// The host has no descriptor left.
pub fn mailbox() -> io::Result<(Mailbox, Receiver<CoreMessage>, Parker)> {
    // SAFETY: no pointer is passed; a non-negative result is a descriptor that nobody else owns.
    let event = unsafe {
        let fd = libc::eventfd(0, libc::EFD_CLOEXEC);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    let (sender, receiver) = unbounded();
    let wake = Arc::new(Wake { parked: AtomicBool::new(false), event });
    let parker = Parker { wake: Arc::clone(&wake), counter: Box::new(0) };
    Ok((Mailbox { sender, wake }, receiver, parker))
}

/// The clocks that a core is told of.
#[derive(Debug)]
pub struct Clock {
    start_ns: u64,
}

impl Clock {
    /// A clock whose monotonic side begins a little above zero.
    #[must_use]
    pub fn new() -> Clock {
        Clock { start_ns: boottime_ns() }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { monotonic_ns: boottime_ns() - self.start_ns + 1, wall_ns: wall.as_nanos() as u64 }
    }
}

/// A clock that never moves back and runs on while the machine is suspended, as a lease must (P11):
/// `std::time::Instant` stands still then.
fn boottime_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec that lives through the call.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    assert_eq!(failed, 0, "CLOCK_BOOTTIME: {}", io::Error::last_os_error());
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::*;

    /// Wakes that were written since the last look, at least one of them.
    fn written(wake: &Wake) -> u64 {
        let mut file = File::from(wake.event.try_clone().unwrap());
        let mut counter = [0; 8];
        file.read_exact(&mut counter).unwrap();
        u64::from_le_bytes(counter)
    }

    #[test]
    fn x3_a_batch_wakes_a_sleeping_core_once_and_a_core_that_is_awake_not_at_all() {
        let (mailbox, inbox, parker) = mailbox().unwrap();
        for _ in 0..100 {
            mailbox.post(CoreMessage::Measure);
            mailbox.wake();
        }
        parker.prepare();
        for _ in 0..100 {
            mailbox.post(CoreMessage::Measure);
            mailbox.wake();
        }
        assert_eq!((written(&mailbox.wake), inbox.len()), (1, 200));
        parker.prepare();
        parker.cancel();
        mailbox.wake();
        parker.prepare();
        mailbox.wake();
        assert_eq!(written(&mailbox.wake), 1, "it was awake at one of the two");
    }
}
