//! What was found, in words.

use std::fmt;

/// What a domain does that it may not.
pub struct Failure {
    /// Which promise is broken.
    pub kind: Kind,
    /// Of this seed.
    pub seed: u64,
    /// At this event of it, counted from 0.
    pub event: Option<usize>,
    pub(crate) text: String,
    /// The line that runs it again.
    pub(crate) again: String,
}

/// The promise that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// An event that is evaluated twice in a row, on the same states at the same stream time, comes to two things.
    Undetermined,
    /// It comes to something else in another instance of the domain, on another thread, after other events.
    KeepsState,
    /// It comes to something else in a replica's shards.
    Sharded,
    /// It comes to something else after a start from a checkpoint.
    Restarted,
    /// It is a fault: a panic, a call without end, a state that is too long, a reason that is not a domain's.
    Fault,
    /// It has not come back.
    Unbounded,
    /// A rejection or an invalid event has no words.
    NoWords,
    /// What the notation says does not lead back, or it has no words for something.
    Notation,
    /// The inspection is not one.
    Inspection,
    /// No event was ever applied, so that nothing was shown.
    NothingApplied,
}

impl Kind {
    /// What is wrong, and what to look for.
    fn words(self) -> &'static str {
        match self {
            Kind::Undetermined => {
                "evaluated twice in a row, on the same states at the same stream time, it came to two things: the domain \
                 sees more than its arguments, such as a clock, randomness, the order of an unordered map, or what it \
                 counts itself"
            }
            Kind::KeepsState => {
                "evaluated again on the same states at the same stream time, in another instance of the domain, on another \
                 thread, after other events, it came to something else: the domain keeps something outside of the \
                 entities' states, or sees more than its arguments"
            }
            Kind::Sharded => {
                "in a replica's shards it came to something else than one event after the other: the domain keeps something \
                 outside of the entities' states, or sees more than its arguments"
            }
            Kind::Restarted => {
                "after a start from a checkpoint it came to something else: the domain keeps something outside of the \
                 entities' states"
            }
            Kind::Fault => "its outcome is a fault; nothing changes, and the client learns no more than that",
            Kind::Unbounded => "it has not come back: bound every loop by the event's bytes",
            Kind::NoWords => "`Domain::reason` has no words for it",
            Kind::Notation => "the notation does not lead back",
            Kind::Inspection => "the notation's inspection is not what it promises",
            Kind::NothingApplied => "no event was ever applied: nothing is shown by that. Draw other ones",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(event) = self.event {
            write!(f, "event {event} of seed {}: ", self.seed)?;
        }
        write!(f, "{}\n{}\n{}", self.kind.words(), self.text, self.again)
    }
}

/// As it is displayed, so that `unwrap` shows it to people.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failure {}
