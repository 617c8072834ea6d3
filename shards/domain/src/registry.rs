//! The domains that this engine was started with.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use assize_wire::limits::{DOMAINS_MAX, ENTITY_STATE_BYTES_MAX, PEER_LOGIC_MAX};
use assize_wire::{DomainId, LogicVersion, LogicVersions};

use crate::{Domain, ENGINE_REASONS, EngineReason, Notation};

/// Every version of every domain's logic that a replica has. More than one of a domain is needed while a running
/// cluster switches from one to the other (R5).
#[derive(Default)]
pub struct DomainRegistry {
    /// By domain and version ascending.
    domains: Vec<(LogicVersion, Box<dyn Domain>)>,
}

impl DomainRegistry {
    /// None yet.
    #[must_use]
    pub fn new() -> DomainRegistry {
        DomainRegistry::default()
    }

    /// Adds a version of a domain's logic.
    ///
    /// # Errors
    /// [`RegistryError`] when it is there, its id or its name is another domain's, its name is not one, or its states
    /// are too large.
    pub fn register(&mut self, domain: impl Domain) -> Result<(), RegistryError> {
        let logic = LogicVersion { domain: domain.id(), version: domain.version() };
        if domain.state_bytes_max() > ENTITY_STATE_BYTES_MAX {
            return Err(RegistryError::StateTooLarge {
                domain: domain.name(),
                bytes: domain.state_bytes_max(),
            });
        }
        if logic.domain == DomainId(0) {
            return Err(RegistryError::NoId { domain: domain.name() });
        }
        if !is_name(domain.name()) {
            return Err(RegistryError::BadName { name: domain.name() });
        }
        let other = self.iter().find(|known| known.id() == logic.domain && known.name() != domain.name());
        if let Some(other) = other {
            return Err(RegistryError::IdTaken { id: logic.domain, by: other.name() });
        }
        if let Some(id) = self.named(domain.name()).filter(|id| *id != logic.domain) {
            return Err(RegistryError::NameTaken { name: domain.name(), by: id });
        }
        let newest = self.newest();
        let one_more = newest.get(logic.domain).is_none() && newest.iter().count() == DOMAINS_MAX;
        if one_more || self.domains.len() == PEER_LOGIC_MAX {
            return Err(RegistryError::TooMany);
        }
        match self.domains.binary_search_by_key(&logic, |(known, _)| *known) {
            Ok(_) => Err(RegistryError::VersionTwice { domain: domain.name(), version: logic.version }),
            Err(at) => {
                self.domains.insert(at, (logic, Box::new(domain)));
                Ok(())
            }
        }
    }

    /// A version of a domain's logic.
    #[must_use]
    pub fn get(&self, logic: LogicVersion) -> Option<&dyn Domain> {
        // A handful of domains: a linear look is faster than a search.
        self.domains.iter().find(|(known, _)| *known == logic).map(|(_, domain)| domain.as_ref())
    }

    /// The domain of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<DomainId> {
        self.iter().find(|known| known.name() == name).map(Domain::id)
    }

    /// The newest version of a domain's logic.
    #[must_use]
    pub fn newest_of(&self, domain: DomainId) -> Option<&dyn Domain> {
        self.iter().filter(|known| known.id() == domain).last()
    }

    /// A domain in JSON: what its newest version that has a notation writes and reads. While a cluster is moved to that
    /// version, what is in force may not read yet the events that it writes: [`DomainRegistry::get`] finds the notation
    /// of a version.
    #[must_use]
    pub fn notation(&self, domain: DomainId) -> Option<&dyn Notation> {
        self.iter().filter(|known| known.id() == domain).filter_map(Domain::notation).last()
    }

    /// A reason in words: the engine's own, or what the newest version of the domain that knows it says.
    #[must_use]
    pub fn reason(&self, domain: DomainId, reason: u16) -> Option<&'static str> {
        if reason >= ENGINE_REASONS {
            return EngineReason::from_number(reason).map(EngineReason::words);
        }
        self.iter().filter(|known| known.id() == domain).filter_map(|known| known.reason(reason)).last()
    }

    /// All of them, by domain and version ascending.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Domain> {
        self.domains.iter().map(|(_, domain)| domain.as_ref())
    }

    /// What they are.
    pub fn versions(&self) -> impl Iterator<Item = LogicVersion> + '_ {
        self.domains.iter().map(|(logic, _)| *logic)
    }

    /// The highest version of each domain: what a new cluster begins with.
    #[must_use]
    pub fn newest(&self) -> LogicVersions {
        self.versions().collect()
    }

    /// The most state bytes that any of them needs.
    #[must_use]
    pub fn state_bytes_max(&self) -> usize {
        self.iter().map(Domain::state_bytes_max).max().unwrap_or(0)
    }
}

impl fmt::Debug for DomainRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|domain| (domain.id(), domain.name(), domain.version())))
            .finish()
    }
}

/// Why a domain cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryError {
    /// Its id is 0, which stands for no domain.
    NoId {
        /// Its name.
        domain: &'static str,
    },
    /// Another domain has its id.
    IdTaken {
        /// The id.
        id: DomainId,
        /// Who has it.
        by: &'static str,
    },
    /// Another domain has its name.
    NameTaken {
        /// The name.
        name: &'static str,
        /// Who has it.
        by: DomainId,
    },
    /// Its name is not one that it can be addressed by.
    BadName {
        /// The name.
        name: &'static str,
    },
    /// This version of it is there.
    VersionTwice {
        /// Its name.
        domain: &'static str,
        /// The version.
        version: u16,
    },
    /// There are [`DOMAINS_MAX`] domains already, or [`PEER_LOGIC_MAX`] versions of them.
    TooMany,
    /// Its states are over the limit.
    StateTooLarge {
        /// Its name.
        domain: &'static str,
        /// What it asks for.
        bytes: usize,
    },
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RegistryError::NoId { domain } => {
                write!(f, "domain '{domain}' has id 0, which stands for no domain: take one from 1 to 65535")
            }
            RegistryError::IdTaken { id, by } => write!(f, "domain id {id} is taken by '{by}'"),
            RegistryError::NameTaken { name, by } => {
                write!(f, "domain name '{name}' is taken by domain {by}")
            }
            RegistryError::BadName { name } => write!(
                f,
                "'{name}' is not a domain's name; accepted are lower-case letters, digits, - and _, the first a letter"
            ),
            RegistryError::VersionTwice { domain, version } => {
                write!(f, "version {version} of domain '{domain}' is registered twice")
            }
            RegistryError::TooMany => {
                write!(f, "more than {DOMAINS_MAX} domains, or than {PEER_LOGIC_MAX} versions of them")
            }
            RegistryError::StateTooLarge { domain, bytes } => write!(
                f,
                "domain '{domain}' asks for states of {bytes} bytes; the limit is {ENTITY_STATE_BYTES_MAX}"
            ),
        }
    }
}

impl core::error::Error for RegistryError {}

/// Whether something may be named so: it may stand in a path, and is not mistaken for a number.
fn is_name(name: &str) -> bool {
    let rest = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notation::DomainName;
    use crate::{Entities, Event, InvalidEvent, Response, States, StreamTime, Verdict};
    use crate::{EntityId, NotationError, Payload};
    use alloc::string::{String, ToString};
    use serde_json::Value;

    /// A domain that does nothing. From version 2 on it has a notation, and other words.
    struct Idle(u16, &'static str, u16);

    impl Domain for Idle {
        fn id(&self) -> DomainId {
            DomainId(self.0)
        }

        fn name(&self) -> &'static str {
            self.1
        }

        fn version(&self) -> u16 {
            self.2
        }

        fn state_bytes_max(&self) -> usize {
            0
        }

        fn entities(&self, _: &Event<'_>, _: &mut Entities) -> Result<(), InvalidEvent> {
            Ok(())
        }

        fn evaluate(&self, _: &Event<'_>, _: StreamTime, _: &mut States<'_>, _: &mut Response) -> Verdict {
            Verdict::Applied
        }

        fn reason(&self, reason: u16) -> Option<&'static str> {
            match (reason, self.2) {
                (1, 1) => Some("too little"),
                (1, _) => Some("too little, again"),
                (2, 1) => Some("not any more"),
                _ => None,
            }
        }

        fn notation(&self) -> Option<&dyn Notation> {
            (self.2 == 2).then_some(self)
        }
    }

    impl Notation for Idle {
        fn event_from_json(&self, _: &Value) -> Result<Payload, NotationError> {
            Ok(Payload { version: self.2, bytes: Vec::new() })
        }

        fn event_to_json(&self, _: u16, _: &[u8]) -> Option<Value> {
            None
        }

        fn entity_from_text(&self, _: &str) -> Result<EntityId, NotationError> {
            Err(NotationError::new("there are none"))
        }

        fn entity_to_text(&self, _: EntityId) -> String {
            String::new()
        }

        fn state_to_json(&self, _: EntityId, _: &[u8]) -> Option<Value> {
            None
        }

        fn response_to_json(&self, _: Verdict, _: Option<(u16, &[u8])>, _: &[u8]) -> Option<Value> {
            None
        }
    }

    fn registry() -> DomainRegistry {
        let mut domains = DomainRegistry::new();
        for domain in [Idle(3, "idle", 1), Idle(3, "idle", 3), Idle(3, "idle", 2), Idle(4, "silent-1", 1)] {
            domains.register(domain).unwrap();
        }
        domains
    }

    #[test]
    fn a_domain_is_found_by_its_name() {
        let domains = registry();
        assert_eq!(
            (domains.named("idle"), domains.named("silent-1")),
            (Some(DomainId(3)), Some(DomainId(4)))
        );
        assert_eq!((domains.named("Idle"), domains.named("3")), (None, None));
        assert_eq!(domains.newest_of(DomainId(3)).map(Domain::version), Some(3));
        assert!(domains.newest_of(DomainId(5)).is_none());
    }

    #[test]
    fn json_names_a_domain_by_its_name_or_by_its_number() {
        let domains = registry();
        for (json, id) in [("3", 3), ("\"3\"", 3), ("\"idle\"", 3), ("\"silent-1\"", 4)] {
            let name: DomainName = serde_json::from_str(json).unwrap();
            assert_eq!(name.find(&domains), Ok(DomainId(id)), "{json}");
        }
        let unknown = DomainName::Name("Idle".into()).find(&domains).unwrap_err();
        assert_eq!(unknown.to_string(), "'Idle' is not a domain here; there are: idle (3), silent-1 (4)");
        assert!(DomainName::Number(5).find(&domains).unwrap_err().to_string().starts_with("5 is not"));
    }

    #[test]
    fn a_name_is_one_domains_and_can_stand_in_a_path() {
        let mut domains = registry();
        let taken = RegistryError::NameTaken { name: "idle", by: DomainId(3) };
        assert_eq!(domains.register(Idle(5, "idle", 1)), Err(taken));
        for name in ["", "3", "0x1", "-a", "Bank", "a b", "a/b", "a:b", "bänk"] {
            assert_eq!(domains.register(Idle(5, name, 1)), Err(RegistryError::BadName { name }));
        }
        assert_eq!(domains.register(Idle(5, "b_2", 1)), Ok(()));
        assert_eq!(domains.register(Idle(0, "c", 1)), Err(RegistryError::NoId { domain: "c" }));
    }

    #[test]
    fn the_newest_version_that_has_one_gives_the_notation_and_the_words() {
        let domains = registry();
        let event = domains.notation(DomainId(3)).unwrap().event_from_json(&Value::Null).unwrap();
        assert_eq!(event.version, 2);
        assert!(domains.notation(DomainId(4)).is_none() && domains.notation(DomainId(5)).is_none());
        assert_eq!(domains.reason(DomainId(3), 1), Some("too little, again"));
        assert_eq!(domains.reason(DomainId(3), 2), Some("not any more"));
        assert_eq!(domains.reason(DomainId(3), 7), None);
        let no_room = EngineReason::NoRoom;
        assert_eq!(domains.reason(DomainId(9), no_room as u16), Some(no_room.words()));
    }
}
