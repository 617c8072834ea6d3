//! The numbers of a control role, a core, a log, a shard and a domain: as plain values, and as the cells that one
//! thread writes and any other reads.
//!
//! Whoever sees a number sees all that its core wrote before it: [`crate::Board::outcomes`] relies on that. On most
//! machines such a store is a plain one.

use std::sync::atomic::{AtomicU64, Ordering};

/// Declares the values and their cells, on cache lines of their own.
macro_rules! numbers {
    ($(#[$doc:meta])* $values:ident in $cells:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $values {
            $($(#[$field_doc])* pub $field: u64,)*
        }

        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub(crate) struct $cells {
            $($field: AtomicU64,)*
        }

        impl $cells {
            pub(crate) fn store(&self, values: &$values) {
                $(self.$field.store(values.$field, Ordering::Release);)*
            }

            pub(crate) fn load(&self) -> $values {
                $values { $($field: self.$field.load(Ordering::Acquire),)* }
            }
        }
    };
}

numbers! {
    /// What the control role knows of the replica.
    ControlNumbers in ControlCells {
        /// 1 if it leads and admits events.
        leads,
        /// The leader's number, from 1; 0 if none is known.
        leader,
        /// The replicas that it is connected to: bit n is that of replica n.
        connected,
        /// Round of the highest ballot that it promised.
        ballot_round,
        /// Up to which slot it heard a value.
        formed,
        /// Up to which slot it accepted.
        accepted,
        /// Up to which slot it knows everything chosen.
        chosen,
        /// Up to which slot it published.
        published,
        /// The slot of the active checkpoint.
        checkpoint,
        /// 1 if it rejoins with an empty disk and has no vote yet (R3).
        rejoins,
        /// 1 while a checkpoint is taken, compared, written or taken over.
        checkpoint_runs,
        /// Checkpoints that became active since this start.
        checkpoints_taken,
        /// Checkpoints that came to nothing since this start.
        checkpoints_failed,
    }
}

numbers! {
    /// One core.
    CoreNumbers in CoreCells {
        /// 1 if it stands where the cluster does, so that clients may ask it (R2).
        ready,
        /// 1 if it is quarantined (C5).
        quarantined,
        /// 1 if it was told to stop.
        stopping,
        /// Connections of clients.
        connections,
        /// Events of clients that wait for their answers.
        unanswered_events,
        /// Below which logical offset its log of the outcome stream is durable.
        outcomes_durable,
        /// The highest published stream time that it knows.
        stream_time_ns,
        /// Results found to differ that ought to be the same, of this replica or of another, since this start (C5).
        divergences,
    }
}

numbers! {
    /// One log of one core.
    LogNumbers in LogCells {
        /// Bytes of group commits since this start, headers and padding included.
        bytes_written,
        /// Group commits since this start.
        writes,
        /// Flushes since this start.
        flushes,
        /// Bytes between the begin of the first kept segment and the end of what was appended.
        bytes_used,
        /// What that may come to by the configuration; 0 where that does not say.
        bytes_max,
    }
}

numbers! {
    /// One shard.
    ShardNumbers in ShardCells {
        /// The last slot that it executed.
        executed,
        /// The last slot such that all that it published there and below is durable in the outcome stream.
        outcomes_written,
        /// Keys in its Warden that are live.
        live_keys,
        /// As many as may be.
        keys_capacity,
        /// Entities that exist.
        entities,
        /// At so many it takes no new ones (D5).
        entities_capacity,
        /// Events that its domains applied, since this start; the next ones likewise.
        applied,
        /// Events that its domains refused.
        rejected,
        /// Events on which a domain's logic failed.
        faults,
        /// Events whose key was seen before with the same body.
        duplicates,
        /// Events whose key is live with another body.
        conflicts,
        /// Events for whose keys the Warden had no room.
        full,
        /// Events whose deadline had passed, or lay too far ahead.
        expired,
        /// Events that their domains could not read.
        invalid,
        /// Stripes that ran.
        stripes,
        /// Entities that it borrowed from other shards.
        entities_borrowed,
        /// Entities that it lent to other shards.
        entities_lent,
        /// Stripes that were released because enough replicas had computed the same (C3).
        copies_matched,
        /// Stripes that have run and wait for equal copies.
        outcomes_held,
    }
}

numbers! {
    /// One domain in one shard.
    DomainNumbers in DomainCells {
        /// The version of its logic that is in force there.
        version,
        /// Events that it applied, since this start.
        applied,
        /// Events that it refused.
        rejected,
    }
}

impl DomainNumbers {
    /// Of several shards: the newest version, and all events.
    pub(crate) fn add(&mut self, other: &DomainNumbers) {
        self.version = self.version.max(other.version);
        self.applied += other.applied;
        self.rejected += other.rejected;
    }
}

impl ShardNumbers {
    /// Events that ran, by how they ended.
    #[must_use]
    pub fn endings(&self) -> [(&'static str, u64); 8] {
        [
            ("applied", self.applied),
            ("rejected", self.rejected),
            ("fault", self.faults),
            ("duplicate", self.duplicates),
            ("conflict", self.conflicts),
            ("full", self.full),
            ("expired", self.expired),
            ("invalid", self.invalid),
        ]
    }

    /// All of them.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.endings().iter().map(|(_, events)| events).sum()
    }
}
