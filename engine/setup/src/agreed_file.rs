//! What a cluster agreed on, as a file that is kept where no replica's disk is.
//!
//! It has everything that replicas compare when they connect, the domains included, and the hash by which they do: what
//! was changed by hand, or cut off, is found when it is read.

use std::fmt;

use assize_node::agreed::{Agreed, AgreedError, DomainVersion};
use assize_wire::{ClusterId, DomainId};
use serde::{Deserialize, Serialize};

/// The members of the file, a JSON object. Ids, seeds and the hash are in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgreedFile {
    cluster: String,
    replicas: u8,
    copies: u8,
    shards: u16,
    warden_ttl_ns: u64,
    warden_capacity: u64,
    entity_capacity: u64,
    event_payload_bytes_max: u32,
    event_entities_max: u32,
    stripe_bytes_max: u64,
    stripe_events_max: u32,
    window_max: u32,
    capacity_window: u32,
    clock_skew_ns: u64,
    clock_rate_error_ppm: u32,
    routing_seed: String,
    body_seed: String,
    domains: Vec<DomainInFile>,
    /// Of all the others, as replicas compare it.
    hash: String,
}

/// A domain, and the version of its logic that the cluster began with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DomainInFile {
    id: u16,
    name: String,
    version: u16,
}

/// Why a file does not say what a cluster agreed on.
#[derive(Debug)]
pub enum AgreedFileError {
    /// It is not what `assizectl agreed --json` writes.
    Json(serde_json::Error),
    /// A member that is not in hexadecimal.
    Hex {
        /// The member.
        member: &'static str,
        /// What it says.
        found: String,
    },
    /// A value that cannot be.
    Agreed(AgreedError),
    /// Its members are not those that it was written with.
    Changed {
        /// The hash that it has.
        written: String,
        /// The hash that its members come to.
        found: String,
    },
}

impl AgreedFile {
    /// What is written.
    #[must_use]
    pub fn of(agreed: &Agreed) -> AgreedFile {
        let domains = agreed.domains.iter().map(|domain| DomainInFile {
            id: domain.id.0,
            name: domain.name.clone(),
            version: domain.version,
        });
        AgreedFile {
            cluster: agreed.cluster.to_string(),
            replicas: agreed.replicas,
            copies: agreed.copies,
            shards: agreed.shard_count,
            warden_ttl_ns: agreed.warden_ttl_ns,
            warden_capacity: agreed.warden_capacity,
            entity_capacity: agreed.entity_capacity,
            event_payload_bytes_max: agreed.event_payload_bytes_max,
            event_entities_max: agreed.event_entities_max,
            stripe_bytes_max: agreed.stripe_bytes_max,
            stripe_events_max: agreed.stripe_events_max,
            window_max: agreed.window_max,
            capacity_window: agreed.capacity_window,
            clock_skew_ns: agreed.clock_skew_ns_max,
            clock_rate_error_ppm: agreed.clock_rate_error_ppm_max,
            routing_seed: format!("{:016x}", agreed.routing_seed),
            body_seed: format!("{:016x}", agreed.body_seed),
            domains: domains.collect(),
            hash: agreed.hash().to_string(),
        }
    }

    /// Reads a file back.
    ///
    /// # Errors
    /// [`AgreedFileError`]
    pub fn parse(text: &str) -> Result<Agreed, AgreedFileError> {
        let file: AgreedFile = serde_json::from_str(text).map_err(AgreedFileError::Json)?;
        let domains = file.domains.into_iter().map(|domain| DomainVersion {
            id: DomainId(domain.id),
            version: domain.version,
            name: domain.name,
        });
        let seed = |member, text: String| match u64::from_str_radix(&text, 16) {
            Ok(seed) => Ok(seed),
            Err(_) => Err(AgreedFileError::Hex { member, found: text }),
        };
        let agreed = Agreed {
            cluster: match u128::from_str_radix(&file.cluster, 16) {
                Ok(cluster) => ClusterId(cluster),
                Err(_) => return Err(AgreedFileError::Hex { member: "cluster", found: file.cluster }),
            },
            replicas: file.replicas,
            copies: file.copies,
            shard_count: file.shards,
            warden_ttl_ns: file.warden_ttl_ns,
            warden_capacity: file.warden_capacity,
            entity_capacity: file.entity_capacity,
            event_payload_bytes_max: file.event_payload_bytes_max,
            event_entities_max: file.event_entities_max,
            stripe_bytes_max: file.stripe_bytes_max,
            stripe_events_max: file.stripe_events_max,
            window_max: file.window_max,
            capacity_window: file.capacity_window,
            clock_skew_ns_max: file.clock_skew_ns,
            clock_rate_error_ppm_max: file.clock_rate_error_ppm,
            routing_seed: seed("routing_seed", file.routing_seed)?,
            body_seed: seed("body_seed", file.body_seed)?,
            domains: domains.collect(),
        };
        agreed.check().map_err(AgreedFileError::Agreed)?;
        let found = agreed.hash().to_string();
        if found != file.hash {
            return Err(AgreedFileError::Changed { written: file.hash, found });
        }
        Ok(agreed)
    }
}

impl fmt::Display for AgreedFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AgreedFileError::Json(error) => {
                write!(f, "{error}; accepted is what `assizectl agreed --json` writes")
            }
            AgreedFileError::Hex { member, found } => {
                write!(f, "{member}: found \"{found}\", accepted are hexadecimal digits")
            }
            AgreedFileError::Agreed(error) => error.fmt(f),
            AgreedFileError::Changed { written, found } => write!(
                f,
                "it was changed since it was written: its members come to the hash {found}, and it has {written}. Have it \
                 written again by `assizectl agreed --json`, of another replica's directory"
            ),
        }
    }
}

impl std::error::Error for AgreedFileError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::agreed_options::tests::any_agreed;

    proptest! {
        #[test]
        fn a_file_reads_back_as_it_was_written(agreed in any_agreed()) {
            let text = serde_json::to_string(&AgreedFile::of(&agreed)).expect("JSON");
            prop_assert_eq!(AgreedFile::parse(&text).expect("it was just written"), agreed);
        }

        /// Whatever is changed of a member is found, by the member or by the hash.
        #[test]
        fn what_was_changed_is_not_read(agreed in any_agreed(), at in any::<prop::sample::Index>(), to in b'0'..=b'9') {
            let text = serde_json::to_string(&AgreedFile::of(&agreed)).expect("JSON");
            let at = at.index(text.len());
            prop_assume!(text.as_bytes()[at] != to);
            let mut changed = text.into_bytes();
            changed[at] = to;
            let changed = String::from_utf8(changed).expect("text");
            prop_assert!(AgreedFile::parse(&changed).is_err(), "{}", changed);
        }
    }

    #[test]
    fn a_file_says_what_is_wrong_with_it() {
        let said = |text: &str| AgreedFile::parse(text).expect_err("it is none").to_string();
        assert!(said("").contains("assizectl agreed --json"), "{}", said(""));
        assert!(said("{\"cluster\": 1}").contains("expected a string"), "{}", said("{\"cluster\": 1}"));
    }
}
