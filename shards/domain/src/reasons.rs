//! Why the engine itself turns an event down, whatever its domain.

use core::fmt;

/// Reasons from here on are the engine's own: see [`EngineReason`].
pub const ENGINE_REASONS: u16 = 0xff00;

/// Why the engine itself calls an event `invalid`, or rejects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum EngineReason {
    /// Its bytes in the stripe cannot be read (D4).
    Unreadable = 0xff00,
    /// The cluster has no such domain, or its logic does not read events of this version.
    UnknownDomain = 0xff01,
    /// It names no entity or one of them twice, or too many.
    BadEntities = 0xff02,
    /// It touches a home shard that its stripe's mask does not name (X6).
    OutsideMask = 0xff03,
    /// Its home shard has no room for new entities (D5). A rejection.
    NoRoom = 0xff04,
    /// It belongs to another shard's stripes.
    WrongShard = 0xff05,
}

impl EngineReason {
    /// Every one, in the order of their numbers.
    pub const ALL: [EngineReason; 6] = [
        EngineReason::Unreadable,
        EngineReason::UnknownDomain,
        EngineReason::BadEntities,
        EngineReason::OutsideMask,
        EngineReason::NoRoom,
        EngineReason::WrongShard,
    ];

    /// The one with this number.
    #[must_use]
    pub fn from_number(number: u16) -> Option<EngineReason> {
        EngineReason::ALL.into_iter().find(|reason| *reason as u16 == number)
    }

    /// In words, for people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            EngineReason::Unreadable => "its bytes cannot be read",
            EngineReason::UnknownDomain => {
                "no such domain is registered, or its logic does not read events of this version"
            }
            EngineReason::BadEntities => {
                "it names no entity, one of them twice, or more than 16; or it is larger than this cluster agreed"
            }
            EngineReason::OutsideMask => "it touches a shard that its stripe does not name",
            EngineReason::NoRoom => "no room for a new entity",
            EngineReason::WrongShard => "it came to a shard that does not own its key",
        }
    }
}

impl fmt::Display for EngineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_their_reasons() {
        for (at, reason) in EngineReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as u16, ENGINE_REASONS + at as u16);
            assert_eq!(EngineReason::from_number(reason as u16), Some(reason));
        }
        assert_eq!(EngineReason::from_number(ENGINE_REASONS + EngineReason::ALL.len() as u16), None);
        assert_eq!(EngineReason::from_number(1), None);
    }

    #[test]
    fn the_words_say_the_limit_that_there_is() {
        let limit = alloc::format!("more than {}", crate::EVENT_ENTITIES_MAX);
        assert!(EngineReason::BadEntities.words().contains(&limit));
    }
}
