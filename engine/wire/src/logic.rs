//! Which version of each domain's logic evaluates (R5): agreed, switched by a control event (P12), part of a
//! checkpoint.

use core::fmt;

use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::DomainId;
use crate::limits::DOMAINS_MAX;

/// One version of a domain's logic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogicVersion {
    /// The domain.
    pub domain: DomainId,
    /// The version of its logic.
    pub version: u16,
}

impl fmt::Display for LogicVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{} of domain {}", self.version, self.domain)
    }
}

/// The versions that are in force after some slot, one of each domain.
///
/// A plain value that fits a checkpoint's head, since what is evaluated depends on it as it does on the entities.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogicVersions {
    /// How many there are.
    count: u8,
    /// By domain ascending; behind `count` all [`LogicVersions::NOTHING`], so that equal ones are equal bytes.
    versions: [LogicVersion; DOMAINS_MAX],
}

impl LogicVersions {
    const NOTHING: LogicVersion = LogicVersion { domain: DomainId(0), version: 0 };

    /// Of no domain.
    pub const NONE: LogicVersions = LogicVersions { count: 0, versions: [Self::NOTHING; DOMAINS_MAX] };

    /// Those in force, by domain ascending.
    pub fn iter(&self) -> impl Iterator<Item = LogicVersion> + '_ {
        self.as_slice().iter().copied()
    }

    /// The one of a domain.
    #[must_use]
    pub fn get(&self, domain: DomainId) -> Option<u16> {
        // A handful of domains: a linear look is faster than a search.
        self.as_slice().iter().find(|found| found.domain == domain).map(|found| found.version)
    }

    /// From now on this one evaluates the events of its domain.
    ///
    /// # Panics
    /// With more than [`DOMAINS_MAX`] domains, which a format refuses.
    pub fn set(&mut self, version: LogicVersion) {
        let count = usize::from(self.count);
        match self.as_slice().binary_search_by_key(&version.domain, |found| found.domain) {
            Ok(at) => self.versions[at] = version,
            Err(at) => {
                assert!(
                    count < DOMAINS_MAX,
                    "{version} is one more domain than the {DOMAINS_MAX} there may be"
                );
                self.versions[at..=count].rotate_right(1);
                self.versions[at] = version;
                self.count += 1;
            }
        }
    }

    fn as_slice(&self) -> &[LogicVersion] {
        &self.versions[..usize::from(self.count)]
    }

    pub(crate) fn to_raw(self) -> RawLogic {
        let entry = |version: LogicVersion| RawVersion {
            domain: version.domain.0.into(),
            version: version.version.into(),
        };
        RawLogic { count: u16::from(self.count).into(), zero: [0; 6], versions: self.versions.map(entry) }
    }

    /// None unless every domain has one version, and nothing else is said.
    pub(crate) fn from_raw(raw: &RawLogic) -> Option<LogicVersions> {
        let mut logic = LogicVersions::NONE;
        for entry in raw.versions.get(..usize::from(raw.count.get()))? {
            logic.set(LogicVersion { domain: DomainId(entry.domain.get()), version: entry.version.get() });
        }
        (logic.to_raw().as_bytes() == raw.as_bytes()).then_some(logic)
    }
}

impl FromIterator<LogicVersion> for LogicVersions {
    fn from_iter<I: IntoIterator<Item = LogicVersion>>(versions: I) -> LogicVersions {
        let mut logic = LogicVersions::NONE;
        versions.into_iter().for_each(|version| logic.set(version));
        logic
    }
}

impl fmt::Debug for LogicVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|found| (found.domain.0, found.version))).finish()
    }
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct RawLogic {
    count: U16,
    zero: [u8; 6],
    versions: [RawVersion; DOMAINS_MAX],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct RawVersion {
    domain: U16,
    version: U16,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(domain: u16, version: u16) -> LogicVersion {
        LogicVersion { domain: DomainId(domain), version }
    }

    #[test]
    fn one_version_of_each_domain_whatever_the_order() {
        let mut logic: LogicVersions = [version(7, 1), version(2, 5), version(9, 3)].into_iter().collect();
        logic.set(version(7, 2));
        assert_eq!([2, 7, 9, 4].map(|domain| logic.get(DomainId(domain))), [Some(5), Some(2), Some(3), None]);
        let other: LogicVersions = [version(9, 3), version(7, 2), version(2, 5)].into_iter().collect();
        assert_eq!(logic, other);
        assert!(logic.iter().is_sorted());
    }

    #[test]
    fn versions_come_out_as_they_went_in_and_every_byte_of_them_counts() {
        let logic: LogicVersions = [version(7, 1), version(2, 5)].into_iter().collect();
        let raw = logic.to_raw();
        assert_eq!(LogicVersions::from_raw(&raw), Some(logic));
        for at in 0..raw.as_bytes().len() {
            let mut flipped = logic.to_raw();
            flipped.as_mut_bytes()[at] ^= 0x10;
            assert_ne!(LogicVersions::from_raw(&flipped), Some(logic), "byte {at}");
        }
    }
}
