//! Reasons: numbers that are part of a protocol, each with its words; and why the engine itself turns an event down,
//! whatever its domain.

/// Reasons from here on are the engine's own: see [`EngineReason`].
pub const ENGINE_REASONS: u16 = 0xff00;

/// An enum of reasons, each with a number that never changes and its words for people: `ALL`, `from_number`, `number`,
/// `words`, and what an error has.
///
/// ```
/// assize_domain::reasons! {
///     /// Why money is not moved.
///     Reason {
///         /// Less is there than is to be moved.
///         TooLittle = 1, "less is there than the event moves";
///     }
/// }
/// assert_eq!(Reason::from_number(1).map(Reason::words), Some("less is there than the event moves"));
/// ```
#[macro_export]
macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal, $words:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum $name {
            $($(#[$variant_doc])* $variant = $number,)*
        }

        impl $name {
            /// Every one, in the order of their numbers.
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// The one with this number.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<$name> {
                match number {
                    $($number => Some($name::$variant),)*
                    _ => None,
                }
            }

            /// Its number.
            #[must_use]
            pub const fn number(self) -> u16 {
                self as u16
            }

            /// In words, for people.
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self {
                    $($name::$variant => $words,)*
                }
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.words())
            }
        }

        impl ::core::error::Error for $name {}
    };
}

crate::reasons! {
    /// Why the engine itself calls an event `invalid`, or rejects it.
    EngineReason {
        /// Its bytes in the stripe cannot be read (D4).
        Unreadable = 0xff00, "its bytes cannot be read";
        /// The cluster has no such domain, or its logic does not read events of this version.
        UnknownDomain = 0xff01, "no such domain is registered, or its logic does not read events of this version";
        /// It names no entity or one of them twice, or too many.
        BadEntities = 0xff02, "it names no entity, one of them twice, or more than 16; or it is larger than this cluster agreed";
        /// It touches a home shard that its stripe's mask does not name (X6).
        OutsideMask = 0xff03, "it touches a shard that its stripe does not name";
        /// Its home shard has no room for new entities (D5). A rejection.
        NoRoom = 0xff04, "no room for a new entity";
        /// It belongs to another shard's stripes.
        WrongShard = 0xff05, "it came to a shard that does not own its key";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_their_reasons() {
        for (at, reason) in EngineReason::ALL.iter().copied().enumerate() {
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
