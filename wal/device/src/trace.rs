//! What happened to the files of a data directory, told to whoever wants to know: a test records it and builds what a
//! power cut at any moment may leave behind. In production nobody listens, and nothing is copied.
//!
//! The order in which a [`Tracer`] is called is an order in which things may have happened, for all cores and threads
//! of a replica together:
//! 1. a write, a flush or a name is told as *submitted* before the kernel hears of it;
//! 2. it is told as *completed* or *durable* after the kernel has said so.
//!
//! So whatever is told between the two may have happened before it or after it, and nothing else may.

use std::fmt;
use std::sync::Arc;

use assize_wal::OperationId;

use crate::direct::DurabilityMode;
use crate::directory::Place;

/// Hears what happens to the files. Called from every thread that touches one; returns soon.
pub trait Tracer: Send + Sync + fmt::Debug {
    /// This happened.
    fn record(&self, event: DiskEvent);
}

/// One thing that happened to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskEvent {
    /// A file that was not there is about to get its name: it is `bytes` long, and zeros that are durable.
    Named {
        /// The file.
        place: Place,
        /// Its length.
        bytes: u64,
    },
    /// A file is about to change its name: what it holds stays. Until the new name is durable a power cut may leave
    /// either.
    Renamed {
        /// Its old name.
        from: Place,
        /// Its new one.
        place: Place,
    },
    /// Its name survives a power cut.
    NameDurable {
        /// The file.
        place: Place,
    },
    /// A write is about to be handed to the kernel.
    WriteSubmitted {
        /// The operation.
        id: OperationId,
        /// The file.
        place: Place,
        /// Where in the file.
        offset: u64,
        /// All that is written.
        bytes: Vec<u8>,
    },
    /// The write has completed. One that failed never does, and any part of it may be on the disk.
    WriteCompleted {
        /// The operation.
        id: OperationId,
        /// Whether it alone made its own bytes durable ([`DurabilityMode::WriteDsync`]).
        durable: bool,
    },
    /// A flush is about to be handed to the kernel. It covers the writes of the file that had completed by now, and the
    /// write of the same operation, after which the kernel begins it.
    FlushSubmitted {
        /// The operation.
        id: OperationId,
        /// The file.
        place: Place,
    },
    /// The flush has completed: what it covers survives a power cut.
    FlushCompleted {
        /// The operation.
        id: OperationId,
    },
}

/// How the files of a data directory are written.
#[derive(Clone, Debug, Default)]
pub struct DeviceOptions {
    /// How a write is made durable.
    pub mode: DurabilityMode,
    /// Who hears of it; nobody in production.
    pub tracer: Option<Arc<dyn Tracer>>,
}

/// Tells a tracer, if there is one, what `event` gives.
pub(crate) fn tell(tracer: Option<&Arc<dyn Tracer>>, event: impl FnOnce() -> DiskEvent) {
    if let Some(tracer) = tracer {
        tracer.record(event());
    }
}
