//! SIGTERM and SIGINT as values: blocked in every thread, waited for in one.

use std::io;
use std::mem::MaybeUninit;

/// The signals that stop a replica, blocked.
#[derive(Clone, Copy)]
pub(crate) struct StopSignals {
    set: libc::sigset_t,
}

/// Blocks the signals in this thread and in those it starts from now on.
pub(crate) fn block() -> io::Result<StopSignals> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initializes the set, which the later calls only read or add to; no other pointer is kept.
    let (set, result) = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
        libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
        let set = set.assume_init();
        (set, libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()))
    };
    if result == 0 { Ok(StopSignals { set }) } else { Err(io::Error::from_raw_os_error(result)) }
}

impl StopSignals {
    /// Waits for the next of them and names it.
    pub(crate) fn wait(&self) -> io::Result<&'static str> {
        let mut signal = 0;
        // SAFETY: the set is initialized and `signal` outlives the call.
        let result = unsafe { libc::sigwait(&raw const self.set, &raw mut signal) };
        match (result, signal) {
            (0, libc::SIGTERM) => Ok("SIGTERM"),
            (0, _) => Ok("SIGINT"),
            (error, _) => Err(io::Error::from_raw_os_error(error)),
        }
    }
}
