//! The domains that this engine was started with.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use assize_wire::limits::{DOMAINS_MAX, ENTITY_STATE_BYTES_MAX, PEER_LOGIC_MAX};
use assize_wire::{DomainId, LogicVersion, LogicVersions};

use crate::Domain;

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
    /// [`RegistryError`] when it is there, its id is taken by a domain of another name, or its states are too large.
    pub fn register(&mut self, domain: impl Domain) -> Result<(), RegistryError> {
        let logic = LogicVersion { domain: domain.id(), version: domain.version() };
        if domain.state_bytes_max() > ENTITY_STATE_BYTES_MAX {
            return Err(RegistryError::StateTooLarge {
                domain: domain.name(),
                bytes: domain.state_bytes_max(),
            });
        }
        let other = self.iter().find(|known| known.id() == logic.domain && known.name() != domain.name());
        if let Some(other) = other {
            return Err(RegistryError::IdTaken { id: logic.domain, by: other.name() });
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
    /// Another domain has its id.
    IdTaken {
        /// The id.
        id: DomainId,
        /// Who has it.
        by: &'static str,
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
            RegistryError::IdTaken { id, by } => write!(f, "domain id {id} is taken by '{by}'"),
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
