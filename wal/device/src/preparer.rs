//! The thread that makes segments: allocated, written with zeros and durable before a log is told (L2), because a write
//! into blocks that were never written costs the filesystem a journal commit each time. A segment that a log has given
//! up is recycled: it gets another name.
//!
//! Zeros at full speed would fill the disk's queue, and appends wait behind them. So after each piece the thread rests
//! for several times as long as it took, unless a log has nothing else to go on with.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{fmt, io};

use assize_wal::operation::DeviceError;
use assize_wal::{BLOCK_BYTES, Block, OperationId, SegmentId};
use zerocopy::IntoBytes;

use crate::directory::{Place, create_folder, device_error, direct_options, hold, log_path, sync_directory};
use crate::trace::{DiskEvent, Tracer, tell};

/// Wakes whoever polls the preparer's device, from the preparer's thread.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// A thread that prepares segments, one after the other.
pub struct Preparer {
    requests: Option<Sender<Request>>,
    answers: Receiver<Prepared>,
    thread: Option<JoinHandle<()>>,
}

impl Preparer {
    /// Starts the thread. It calls `wake` after each answer, and tells `tracer` of each name that it gives.
    #[must_use]
    pub fn start(root: &Path, wake: Wake, tracer: Option<Arc<dyn Tracer>>) -> Preparer {
        let (requests, inbox) = channel::<Request>();
        let (outbox, answers) = channel();
        let root = root.to_owned();
        let work = move || {
            let mut requests = Requests { inbox, queued: VecDeque::new() };
            while let Some(request) = requests.next() {
                let result = prepare(&root, &request, tracer.as_ref(), &mut requests);
                if outbox.send(Prepared { id: request.id, segment: request.segment, result }).is_err() {
                    return;
                }
                wake();
            }
        };
        let thread = std::thread::Builder::new().name("assize-prepare".into()).spawn(work);
        let thread = thread.expect("the host refuses another thread: raise the limit on threads (ulimit -u)");
        Preparer { requests: Some(requests), answers, thread: Some(thread) }
    }

    /// Asks for a segment.
    pub fn request(&self, request: Request) {
        let requests = self.requests.as_ref().expect("requests end only with the preparer");
        // The thread ends before its sender only by a panic, whose reason has been printed.
        requests.send(request).expect("the preparing thread has died");
    }

    /// The next answer, if there is one.
    pub fn poll(&self) -> Option<Prepared> {
        self.answers.try_recv().ok()
    }

    /// Waits for the next answer.
    pub fn wait(&self) -> Option<Prepared> {
        self.answers.recv().ok()
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was already printed; here it changes nothing.
            let _panic = thread.join();
        }
    }
}

impl fmt::Debug for Preparer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Preparer")
    }
}

/// What became of a request.
#[derive(Debug)]
pub struct Prepared {
    /// Its name.
    pub id: OperationId,
    /// The segment.
    pub segment: SegmentId,
    /// The segment, open.
    pub result: Result<File, DeviceError>,
}

/// As [`assize_wal::Operation::PrepareSegment`].
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Its name.
    pub id: OperationId,
    /// The segment.
    pub segment: SegmentId,
    /// Its size.
    pub bytes: u64,
    /// The segment of the same log whose file it becomes.
    pub recycled: Option<SegmentId>,
    /// Whether its log waits for it.
    pub urgent: bool,
}

/// What is to be prepared, in the order in which it was asked for.
struct Requests {
    inbox: Receiver<Request>,
    queued: VecDeque<Request>,
}

impl Requests {
    /// The next one; none when there will be no more.
    fn next(&mut self) -> Option<Request> {
        self.queued.pop_front().or_else(|| self.inbox.recv().ok())
    }

    /// After a piece that took so long: lets appends go first, unless this or a later request is urgent.
    fn rest(&mut self, of: &Request, took: Duration) {
        let until = Instant::now() + RESTS * took;
        while !of.urgent && !self.queued.iter().any(|queued| queued.urgent) {
            match self.inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(request) => self.queued.push_back(request),
                Err(_) => return,
            }
        }
    }
}

fn prepare(
    root: &Path,
    request: &Request,
    tracer: Option<&Arc<dyn Tracer>>,
    requests: &mut Requests,
) -> Result<File, DeviceError> {
    let place = Place::Segment(request.id.log, request.segment);
    let folder = log_path(root, request.id.log);
    match request.recycled {
        Some(recycled) => {
            let from = Place::Segment(request.id.log, recycled);
            if is_pinned(&from.path(root)) {
                write_zeros(root, &folder, place, tracer, request, requests)
                    .and_then(|file| forget(&folder, &from.path(root)).map(|()| file))
            } else {
                recycle(root, &folder, from, place, request.bytes, tracer)
            }
        }
        None => write_zeros(root, &folder, place, tracer, request, requests),
    }
    .map_err(|error| device_error(&error, "preparing", &place.path(root)))
}

/// The segment gets its name only when all of it is durable: a segment that is listed is whole.
fn write_zeros(
    root: &Path,
    folder: &Path,
    place: Place,
    tracer: Option<&Arc<dyn Tracer>>,
    request: &Request,
    requests: &mut Requests,
) -> io::Result<File> {
    let bytes = request.bytes;
    if !folder.exists() {
        create_folder(folder)?;
        sync_directory(root)?;
    }
    let draft = folder.join("preparing");
    let file = direct_options().create(true).truncate(true).open(&draft)?;
    if let Err(error) = fill(&file, bytes, |took| requests.rest(request, took)) {
        // What the disk gave before it was full is of use to the other logs; if it is not given back, they say so.
        let _ = std::fs::remove_file(&draft);
        return Err(error);
    }
    hold(&file)?;
    tell(tracer, || DiskEvent::Named { place, bytes });
    std::fs::rename(&draft, place.path(root))?;
    sync_directory(folder)?;
    tell(tracer, || DiskEvent::NameDurable { place });
    Ok(file)
}

/// Whether somebody keeps a segment's bytes by a name of its own: a backup, while it is taken.
fn is_pinned(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.nlink() > 1)
}

/// A segment that is no longer wanted here goes to whoever else has it.
fn forget(folder: &Path, path: &Path) -> io::Result<()> {
    std::fs::remove_file(path)?;
    sync_directory(folder)
}

/// A segment that is no longer wanted gets the name of the next one: its blocks were written before.
fn recycle(
    root: &Path,
    folder: &Path,
    from: Place,
    place: Place,
    bytes: u64,
    tracer: Option<&Arc<dyn Tracer>>,
) -> io::Result<File> {
    let file = direct_options().open(from.path(root))?;
    let found = file.metadata()?.len();
    if found != bytes {
        let says = format!("the segment has {found} bytes, all of this replica's have {bytes}");
        return Err(io::Error::other(says));
    }
    hold(&file)?;
    tell(tracer, || DiskEvent::Renamed { from, place });
    std::fs::rename(from.path(root), place.path(root))?;
    sync_directory(folder)?;
    tell(tracer, || DiskEvent::NameDurable { place });
    Ok(file)
}

fn fill(file: &File, bytes: u64, mut rest: impl FnMut(Duration)) -> io::Result<()> {
    allocate(file, bytes)?;
    let zeros = vec![Block::ZERO; ZEROS_BYTES / BLOCK_BYTES];
    let mut done = 0;
    while done < bytes {
        let count = (bytes - done).min(ZEROS_BYTES as u64);
        let began = Instant::now();
        file.write_all_at(&zeros.as_slice().as_bytes()[..count as usize], done)?;
        rest(began.elapsed());
        done += count;
    }
    file.sync_all()
}

fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    let length = libc::off_t::try_from(bytes).expect("a segment is smaller than 2^63 bytes");
    // SAFETY: `fallocate` takes a descriptor, which `file` keeps open for the call, and plain integers.
    let result = unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length) };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    // Not every filesystem can; the zeros that follow allocate just as well.
    if error.raw_os_error() == Some(libc::EOPNOTSUPP) { Ok(()) } else { Err(error) }
}

/// Of one piece.
const ZEROS_BYTES: usize = 256 << 10;

/// For how many times as long as a piece took the thread rests.
const RESTS: u32 = 3;
