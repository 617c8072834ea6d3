//! Which domain is meant, where JSON names one.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::Deserialize;

use super::NotationError;
use crate::{DomainId, DomainRegistry};

/// A domain, by its number or by its name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum DomainName {
    /// Its number.
    Number(u16),
    /// Its name, or its number in decimal digits.
    Name(String),
}

impl DomainName {
    /// The domain of this program that is meant.
    ///
    /// # Errors
    /// [`NotationError`] when there is none: it says which there are.
    pub fn find(&self, domains: &DomainRegistry) -> Result<DomainId, NotationError> {
        let found = match self {
            DomainName::Number(number) => Some(DomainId(*number)),
            DomainName::Name(name) => domains.named(name).or_else(|| name.parse().ok().map(DomainId)),
        };
        found.filter(|found| domains.newest_of(*found).is_some()).ok_or_else(|| {
            let mut known: Vec<String> =
                domains.iter().map(|known| format!("{} ({})", known.name(), known.id().0)).collect();
            // Of a domain in several versions.
            known.dedup();
            NotationError::new(format!("{self} is not a domain here; there are: {}", known.join(", ")))
        })
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DomainName::Number(number) => write!(f, "{number}"),
            DomainName::Name(name) => write!(f, "'{name}'"),
        }
    }
}
