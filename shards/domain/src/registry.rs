//! The domains that this engine was started with.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use assize_wire::DomainId;
use assize_wire::limits::ENTITY_STATE_BYTES_MAX;

use crate::Domain;

/// Every domain of a replica, by id ascending.
#[derive(Default)]
pub struct DomainRegistry {
    domains: Vec<Box<dyn Domain>>,
}

impl DomainRegistry {
    /// None yet.
    #[must_use]
    pub fn new() -> DomainRegistry {
        DomainRegistry::default()
    }

    /// Adds a domain.
    ///
    /// # Errors
    /// [`RegistryError`] when its id is taken or its states are too large.
    pub fn register(&mut self, domain: impl Domain) -> Result<(), RegistryError> {
        let id = domain.id();
        if domain.state_bytes_max() > ENTITY_STATE_BYTES_MAX {
            return Err(RegistryError::StateTooLarge {
                domain: domain.name(),
                bytes: domain.state_bytes_max(),
            });
        }
        match self.domains.binary_search_by_key(&id, |known| known.id()) {
            Ok(at) => Err(RegistryError::IdTaken { id, by: self.domains[at].name() }),
            Err(at) => {
                self.domains.insert(at, Box::new(domain));
                Ok(())
            }
        }
    }

    /// The domain with this id.
    #[must_use]
    pub fn get(&self, id: DomainId) -> Option<&dyn Domain> {
        // A handful of domains: a linear look is faster than a search.
        self.domains.iter().find(|domain| domain.id() == id).map(Box::as_ref)
    }

    /// All of them, by id ascending.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Domain> {
        self.domains.iter().map(Box::as_ref)
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
            RegistryError::StateTooLarge { domain, bytes } => write!(
                f,
                "domain '{domain}' asks for states of {bytes} bytes; the limit is {ENTITY_STATE_BYTES_MAX}"
            ),
        }
    }
}

impl core::error::Error for RegistryError {}
