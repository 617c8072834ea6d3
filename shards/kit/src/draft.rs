//! An event before it has a key, a deadline and a place.

use assize_domain::{Domain, DomainId, NotationError, Payload};
use serde_json::Value;

/// An event's own part: whose it is, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Whose event it is.
    pub domain: DomainId,
    /// The version of its layout.
    pub version: u16,
    /// Its bytes.
    pub payload: Vec<u8>,
}

impl Draft {
    /// An event of this version of a domain.
    #[must_use]
    pub fn new(domain: &dyn Domain, payload: impl Into<Vec<u8>>) -> Draft {
        Draft { domain: domain.id(), version: domain.version(), payload: payload.into() }
    }

    /// An event in the domain's notation.
    ///
    /// # Errors
    /// [`NotationError`] when it is not one, or the domain has no notation.
    pub fn from_json(domain: &dyn Domain, json: &Value) -> Result<Draft, NotationError> {
        let notation = domain.notation();
        let notation = notation.ok_or_else(|| NotationError::new("the domain has no notation"))?;
        let Payload { version, bytes } = notation.event_from_json(json)?;
        Ok(Draft { domain: domain.id(), version, payload: bytes })
    }
}
