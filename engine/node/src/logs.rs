//! The logs of one core, and which core a log belongs to.
//!
//! | log | holds | is written |
//! |---|---|---|
//! | stripes | stripes, and on the control core accept records | each group commit is flushed |
//! | outcomes | what was published (L9) | lazily |
//! | parts | checkpoints: entities and heads | while one is taken |
//! | keys | checkpoints: the Wardens' keys, each written once (W5) | while one is taken |
//!
//! Entities are written anew by every checkpoint and keys are not, so each has a log that can be recycled from its
//! beginning.

use assize_wal::log::{FlushPolicy, LogConfig};
use assize_wal::{Log, LogIdentity, OperationId, Recovered};
use assize_wire::{CoreId, LogId};

use crate::layout::Layout;

/// The ids of a core's logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogIds {
    /// Stripes and accept records.
    pub stripes: LogId,
    /// The outcome stream.
    pub outcomes: LogId,
    /// Entities and heads of checkpoints.
    pub parts: LogId,
    /// Keys of checkpoints.
    pub keys: LogId,
}

impl LogIds {
    /// Of a core.
    #[must_use]
    pub fn of(core: CoreId) -> LogIds {
        let id = |log| LogId(LOGS_PER_CORE * core.0 + log);
        LogIds { stripes: id(0), outcomes: id(1), parts: id(2), keys: id(3) }
    }

    /// All four, ascending.
    #[must_use]
    pub fn all(self) -> [LogId; 4] {
        [self.stripes, self.outcomes, self.parts, self.keys]
    }

    /// Whether a log is one of stripes and accepts.
    #[must_use]
    pub fn are_stripes(log: LogId) -> bool {
        log.0.is_multiple_of(LOGS_PER_CORE)
    }

    /// What a log holds, in a word: whichever core's it is.
    #[must_use]
    pub fn purpose(log: LogId) -> &'static str {
        let purposes: [&str; LOGS_PER_CORE as usize] = ["stripes", "outcomes", "parts", "keys"];
        purposes[usize::from(log.0 % LOGS_PER_CORE)]
    }

    /// The core that asked for an operation: the owner of its log, or for the superblock the control core.
    #[must_use]
    pub fn owner(operation: OperationId, layout: &Layout) -> CoreId {
        match operation.log {
            OperationId::SUPERBLOCK => layout.control,
            log => CoreId(log.0 / LOGS_PER_CORE),
        }
    }
}

/// One core's logs as recovery left them.
pub struct CoreLogs {
    /// Stripes and accept records.
    pub stripes: Log,
    /// The outcome stream.
    pub outcomes: Log,
    /// Entities and heads of checkpoints.
    pub parts: Log,
    /// Keys of checkpoints.
    pub keys: Log,
}

impl CoreLogs {
    /// Opens the logs of a core. `identity` is that of any log of the replica; `tuning` is for the first two, of which
    /// the outcome stream is written lazily. The others take what space the device has.
    #[must_use]
    pub fn open(core: CoreId, identity: LogIdentity, tuning: LogConfig, recovered: &Recovered) -> CoreLogs {
        let open = |log: LogId, config: LogConfig| {
            Log::new(LogIdentity { log, ..identity }, config, recovered.start(log))
        };
        let ids = LogIds::of(core);
        let lazily = LogConfig { flush: FlushPolicy::OnRequest, ..tuning };
        let seldom = LogConfig {
            prepare_ahead: 0,
            on_demand: true,
            segments_max: u32::MAX.into(),
            reserve_bytes: 0,
            ..lazily
        };
        CoreLogs {
            stripes: open(ids.stripes, LogConfig { flush: FlushPolicy::EachGroup, ..tuning }),
            outcomes: open(ids.outcomes, lazily),
            parts: open(ids.parts, seldom),
            keys: open(ids.keys, seldom),
        }
    }
}

/// Each core's logs have the ids from this many times its number on.
const LOGS_PER_CORE: u16 = 4;
