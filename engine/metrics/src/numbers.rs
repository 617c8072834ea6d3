//! The numbers of a control role, a core and a shard: as plain values, and as the cells that one thread writes and any
//! other reads.

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
                $(self.$field.store(values.$field, Ordering::Relaxed);)*
            }

            pub(crate) fn load(&self) -> $values {
                $values { $($field: self.$field.load(Ordering::Relaxed),)* }
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
    }
}

numbers! {
    /// One core.
    CoreNumbers in CoreCells {
        /// 1 if it stands where the cluster does, so that clients may ask it (R2).
        ready,
        /// 1 if it is quarantined (C5).
        quarantined,
        /// Connections of clients.
        connections,
        /// Events of clients that wait for their answers.
        unanswered_events,
    }
}

numbers! {
    /// One shard.
    ShardNumbers in ShardCells {
        /// The last slot that it executed.
        executed,
        /// Keys in its Warden that are live.
        live_keys,
        /// Entities that exist.
        entities,
        /// Events that ran.
        events,
        /// Of those, duplicates.
        duplicates,
        /// Stripes that ran.
        stripes,
        /// Entities that it borrowed from other shards.
        entities_borrowed,
        /// Entities that it lent to other shards.
        entities_lent,
    }
}
