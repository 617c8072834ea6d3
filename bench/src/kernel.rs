//! The system calls of the benchmarks: limits, pinning and epoll.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;
use std::{io, mem};

/// Lets this process lock as much memory as it likes, where it may; else says whether the limit that stands is enough
/// for glommio's rings. Root may not everywhere: a container can lack the capability.
///
/// # Errors
/// The limit on locked memory is too low and may not be raised.
pub fn raise_memlock() -> io::Result<()> {
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the pointer is to a local of the type that the call reads.
    let Err(error) = check(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &unlimited) }) else {
        return Ok(());
    };
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a local of the type that the call fills.
    check(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) })?;
    if limit.rlim_cur >= MEMLOCK_BYTES_MIN {
        return Ok(());
    }
    let kib = limit.rlim_cur >> 10;
    let why = format!("{kib} KiB of locked memory are too few and {error}: ulimit -l unlimited");
    Err(io::Error::new(error.kind(), why))
}

/// Keeps this thread, and those that it starts, on one CPU.
///
/// # Errors
/// There is no such CPU, or it is not allowed.
pub fn pin(cpu: usize) -> io::Result<()> {
    // SAFETY: an all-zero CPU set is valid, CPU_SET checks its index, and the call reads the local.
    let result = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    check(result).map(drop)
}

/// What this thread has used of a CPU. Others that ran in between do not count.
///
/// # Errors
/// The kernel has no such clock.
pub fn thread_cpu_time() -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local of the type that the call fills.
    check(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) })?;
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// An epoll set, level-triggered, for reading.
#[derive(Debug)]
pub struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    /// An empty set.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: no pointer is passed; a non-negative result is a descriptor that nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Epoll { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_AT_ONCE] })
    }

    /// Watches a descriptor for reading, as `token`.
    ///
    /// # Errors
    /// The descriptor cannot be watched.
    pub fn add(&self, fd: RawFd, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        // SAFETY: the pointer is to a local that the call reads.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) }).map(drop)
    }

    /// Waits until something can be read and returns what, none after `timeout_ms` (-1: never).
    ///
    /// # Errors
    /// The call fails.
    pub fn wait(&mut self, timeout_ms: i32) -> io::Result<impl Iterator<Item = u64>> {
        let room = self.events.len() as i32;
        // SAFETY: the pointer is to `room` events that `self` owns.
        let waited =
            unsafe { libc::epoll_wait(self.fd.as_raw_fd(), self.events.as_mut_ptr(), room, timeout_ms) };
        let count = match check(waited) {
            Ok(count) => count as usize,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        Ok(self.events[..count].iter().map(|event| event.u64))
    }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

const EVENTS_AT_ONCE: usize = 256;

/// The least at which glommio starts.
const MEMLOCK_BYTES_MIN: u64 = 512 << 10;
