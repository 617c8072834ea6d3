//! The Docket's limits, and how they depend on each other.

/// The most voting replicas.
pub use assize_wire::limits::REPLICAS_MAX;
/// Slots below the published one that stay in memory for peers that fetch them; older ones are read from the log.
pub const RETAINED_SLOTS: u64 = 4096;
/// The most slots above the published one that a replica takes: what it cannot execute it does not pile up.
pub const AHEAD_MAX: u64 = 65_536;
/// The most chosen slots that a promise brings; an asker that lacks more fetches them first.
pub const PROMISE_SLOTS_MAX: u64 = 256;
/// The most slots in one answer to a fetch.
pub const FETCH_SLOTS_MAX: u64 = 256;
/// The most accepts that a follower keeps while it lacks a slot below them.
pub const EARLY_SLOTS_MAX: usize = 4096;
/// Election timeouts for which a replica that lacks room, or lags, lets others stand.
pub const PASSED_BY_MAX: u8 = 4;
/// A replica lags that has more than so many windows of slots left to execute.
pub const LAG_WINDOWS: u64 = 2;
/// Nobody is handed over to who lacks more than so many windows of slots: it would hardly have them in time.
pub const HEIR_WINDOWS: u64 = 4;
/// Heartbeats that tell nothing new after which a fetch that brought nothing is sent again.
pub const FETCH_HEARTBEATS_MAX: u8 = 3;

// What a promise may have to bring is still in memory, if it was when the asker's log ended there.
const _: () = assert!(PROMISE_SLOTS_MAX <= RETAINED_SLOTS);
const _: () = assert!(FETCH_SLOTS_MAX <= RETAINED_SLOTS);
// A follower that catches up goes further than what it keeps of what comes meanwhile.
const _: () = assert!((EARLY_SLOTS_MAX as u64) < AHEAD_MAX);
// One message holds them, and as many that are not known chosen.
const _: () = assert!(2 * PROMISE_SLOTS_MAX <= assize_wire::limits::PEER_SLOTS_MAX as u64);
const _: () = assert!(2 * FETCH_SLOTS_MAX <= assize_wire::limits::PEER_SLOTS_MAX as u64);
