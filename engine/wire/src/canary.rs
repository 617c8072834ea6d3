//! Deliberate faults, each of which a test must find out, so that the tests are known to be able to fail.
//!
//! A build with `--cfg canaries` has them, and arms at most one at a time; any other build has none: there
//! [`armed`] is `false` at compile time, and the code behind it is gone. Each stands where it does harm:
//! `if canary::armed(Canary::...)`.

/// A fault that can be armed. The comment says which rule it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Canary {
    /// X1: a home lends to whoever claims first, not in (slot, shard) order.
    GrantOutOfOrder = 1,
    /// X1: a home grants an entity that is away.
    LendTwice = 2,
    /// X2: an event runs though an earlier one of its stripe that shares an entity has not.
    SkipUseOrder = 3,
    /// X2: an entity is returned before its last use in the stripe.
    ReturnTooEarly = 4,
    /// X2: a return says unchanged of an entity that was changed.
    LoseChange = 5,
    /// D4: what an event changed before its domain panicked is kept.
    PanicKeepsChanges = 6,
    /// D5: room for new entities is judged by how many there are now, not by how many there were a window ago.
    RoomFromNow = 7,
    /// X6: an event may reach outside of its stripe's mask.
    MaskIgnored = 8,
    /// L3: a record is durable when its write completes, flush or not.
    AnswerBeforeFlush = 32,
    /// L5: records of earlier incarnations beyond the cut are taken.
    IgnoreCut,
    /// L5: recovery does not flush before it reports.
    SkipRecoveryFlush,
    /// L5: a record's mark names a slot that is only about to be accepted.
    MarkTooHigh,
    /// W1: a key is live while its age is at most the TTL.
    TtlOffByOne,
    /// W1: a duplicate renews its key.
    RenewOnDuplicate,
    /// W1: the deadline is not looked at.
    DeadlineIgnored,
    /// W2: a key is a duplicate whatever its body.
    ConflictAsDuplicate,
    /// W2: a long first response is read one event off.
    WrongFirstResponse,
    /// W3: at capacity the oldest live key goes.
    EvictLive,
    /// C3: a shard publishes the last slot that it ran first.
    PublishOutOfOrder,
    /// C8: a read is answered before its slot is published.
    ReadBeforePublished,
    /// X5: a checkpoint takes the state that it finds, whatever slots above it have done.
    NoPreImage = 50,
    /// D5: a start takes every home to have room, whatever the checkpoint says.
    RoomNotRestored = 51,
    /// C7: memory decays between a shard's part and the record that is made of it.
    PartGarbled = 52,
    /// L6: a checkpoint becomes active while its records are on their way.
    ActivateUnflushed = 53,
    /// L6: a checkpoint becomes active while outcomes of its slots are on their way.
    OutcomesNotAwaited = 54,
    /// P8: segments are recycled that have stripes of slots above the checkpoint.
    StripesGivenUp = 55,
    /// W2: segments are recycled that have outcomes younger than the TTL.
    OutcomesGivenUp = 56,
    /// W5: segments are recycled that have live keys.
    KeysGivenUp = 57,
    /// C7: a checkpoint becomes active that no other replica reported.
    ActivateUncompared = 58,
    /// L6, R5: a start from a checkpoint evaluates with the logic that the cluster began with.
    LogicNotRestored = 59,
    /// C1: a stripe is published with one equal digest too few.
    CopyTooFew = 60,
    /// R2: a new leader admits events and reads before it has executed what it took over.
    ServeUnready = 61,
    /// C8: a read is told without asking a majority whether this replica still leads.
    ReadUnconfirmed = 62,
    /// P8: a stripe is found by its place among those that no slot names, not by its identity.
    StripeByPosition = 63,
    /// P8: stripes that no chosen slot names go when their replica gives up leading.
    StripesDroppedEarly = 64,
    /// P13: a leader forms slots with its own clock, whatever those of others say.
    OwnClock = 65,
    /// W1: keys expire by the wall clock of whoever evaluates.
    KeysByWallClock = 66,
    /// L4: a start begins in the block where the last record ends.
    TailRewritten = 67,
    /// L5: a mark tells of its slot, and not under which ballot that was accepted.
    MarkWithoutBallot = 68,
    /// L7: an update counts with the first copy, and of two copies the older one is used.
    OlderSuperblock = 69,
    /// P11: a leader counts its lease from when an answer arrives.
    LeaseFromArrival = 70,
    /// P11: a replica promises whatever lease it gave.
    LeaseBroken = 71,
    /// P11: a leader that told its successor to take over goes on reading by its lease.
    LeadsAfterHandover = 72,
    /// P1: who gave up leading, or led before its last start, prepares again under the ballot that it led under.
    BallotAgain = 80,
    /// P1: a promise is answered before it is durable.
    PromiseUnwritten,
    /// P2: an accept counts when its write begins.
    AcceptUnwritten,
    /// P3: a slot that is held is accepted again under a higher ballot without a record.
    AcceptAgainUnwritten,
    /// P4: what is held counts as accepted under a new ballot.
    AcceptAbove,
    /// P2: stripes take the room of accept records that the Docket was told of before.
    RoomToldOnce,
    /// P5: of the promised values of a slot the one with the lowest ballot is taken.
    LowestBallot,
    /// P5: a promise does not report damaged slots.
    DamageHidden,
    /// P7: a slot is taken as chosen whatever value is held there.
    ChosenWithoutHash,
    /// P5: a candidate does not look at what it accepted itself.
    VoteUncounted,
    /// P5: a candidate takes slot by slot what has the highest ballot, whether it chains or not.
    ChainIgnored,
    /// P5: what a replica lacks or cannot read is repaired from what a peer has accepted, chosen or not.
    RepairedByAccept,
    /// R3: a replica with an empty disk has its vote at once.
    VoteAfterEmptyDisk,
}

impl Canary {
    /// All of them.
    pub const ALL: &[Canary] = &[
        Canary::GrantOutOfOrder,
        Canary::LendTwice,
        Canary::SkipUseOrder,
        Canary::ReturnTooEarly,
        Canary::LoseChange,
        Canary::PanicKeepsChanges,
        Canary::RoomFromNow,
        Canary::MaskIgnored,
        Canary::AnswerBeforeFlush,
        Canary::IgnoreCut,
        Canary::SkipRecoveryFlush,
        Canary::MarkTooHigh,
        Canary::TtlOffByOne,
        Canary::RenewOnDuplicate,
        Canary::DeadlineIgnored,
        Canary::ConflictAsDuplicate,
        Canary::WrongFirstResponse,
        Canary::EvictLive,
        Canary::PublishOutOfOrder,
        Canary::ReadBeforePublished,
        Canary::NoPreImage,
        Canary::RoomNotRestored,
        Canary::PartGarbled,
        Canary::ActivateUnflushed,
        Canary::OutcomesNotAwaited,
        Canary::StripesGivenUp,
        Canary::OutcomesGivenUp,
        Canary::KeysGivenUp,
        Canary::ActivateUncompared,
        Canary::LogicNotRestored,
        Canary::CopyTooFew,
        Canary::ServeUnready,
        Canary::ReadUnconfirmed,
        Canary::StripeByPosition,
        Canary::StripesDroppedEarly,
        Canary::OwnClock,
        Canary::KeysByWallClock,
        Canary::TailRewritten,
        Canary::MarkWithoutBallot,
        Canary::OlderSuperblock,
        Canary::LeaseFromArrival,
        Canary::LeaseBroken,
        Canary::LeadsAfterHandover,
        Canary::BallotAgain,
        Canary::PromiseUnwritten,
        Canary::AcceptUnwritten,
        Canary::AcceptAgainUnwritten,
        Canary::AcceptAbove,
        Canary::RoomToldOnce,
        Canary::LowestBallot,
        Canary::DamageHidden,
        Canary::ChosenWithoutHash,
        Canary::VoteUncounted,
        Canary::ChainIgnored,
        Canary::RepairedByAccept,
        Canary::VoteAfterEmptyDisk,
    ];
}

/// Whether this fault is to be committed now.
#[cfg(not(canaries))]
#[inline(always)]
#[must_use]
pub const fn armed(_: Canary) -> bool {
    false
}

/// Whether this fault is to be committed now.
#[cfg(canaries)]
#[must_use]
pub fn armed(canary: Canary) -> bool {
    ARMED.load(core::sync::atomic::Ordering::Relaxed) == canary as u8
}

/// Arms one fault for the whole process, or none.
#[cfg(canaries)]
pub fn arm(canary: Option<Canary>) {
    let number = canary.map_or(0, |canary| canary as u8);
    ARMED.store(number, core::sync::atomic::Ordering::Relaxed);
}

#[cfg(canaries)]
static ARMED: core::sync::atomic::AtomicU8 = core::sync::atomic::AtomicU8::new(0);
