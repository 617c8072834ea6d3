//! How many events ended how: in all, and of each domain.

use assize_wire::DomainId;
use assize_wire::limits::DOMAINS_MAX;
use assize_wire::outcome::Status;

/// A count for each [`Status`] that the log decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endings([u64; DECIDED]);

impl Endings {
    /// Events that ended so.
    #[must_use]
    pub fn of(&self, status: Status) -> u64 {
        place(status).map_or(0, |at| self.0[at])
    }

    /// All of them.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }

    #[inline]
    pub(crate) fn note(&mut self, status: Status) {
        match place(status) {
            Some(at) => self.0[at] += 1,
            None => panic!("an event was evaluated, and is {status}"),
        }
    }

    pub(crate) fn add(&mut self, other: &Endings) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, more)| *sum += more);
    }
}

/// Of each domain: how many events it applied, and how many it refused. The other ends are not its decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DomainEndings {
    /// Those that had any, in the order in which they first had one.
    domains: [Option<(DomainId, u64, u64)>; DOMAINS_MAX],
}

impl DomainEndings {
    /// Applied, and rejected.
    #[must_use]
    pub fn of(&self, domain: DomainId) -> (u64, u64) {
        let found = self.domains.iter().flatten().find(|found| found.0 == domain);
        found.map_or((0, 0), |found| (found.1, found.2))
    }

    #[inline]
    pub(crate) fn note(&mut self, domain: DomainId, status: Status) {
        match status {
            Status::Applied => self.count(domain, 1, 0),
            Status::Rejected => self.count(domain, 0, 1),
            _ => {}
        }
    }

    pub(crate) fn add(&mut self, other: &DomainEndings) {
        other
            .domains
            .iter()
            .flatten()
            .for_each(|(domain, applied, rejected)| self.count(*domain, *applied, *rejected));
    }

    #[inline]
    fn count(&mut self, domain: DomainId, applied: u64, rejected: u64) {
        // A handful of domains: a linear look is faster than a search.
        let mut places = self.domains.iter_mut();
        let place = places.find(|place| place.is_none_or(|found| found.0 == domain));
        let of = place.expect("an event was evaluated, so its domain is one of those there may be");
        let (_, sum_applied, sum_rejected) = of.get_or_insert((domain, 0, 0));
        *sum_applied += applied;
        *sum_rejected += rejected;
    }
}

/// Their numbers are 1, 2 and so on.
fn place(status: Status) -> Option<usize> {
    let at = (status as usize).wrapping_sub(1);
    (at < DECIDED).then_some(at)
}

const DECIDED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_that_the_log_decides_has_a_count_of_its_own() {
        let mut endings = Endings::default();
        for (at, status) in Status::ALL.into_iter().filter(|status| status.is_final()).enumerate() {
            (0..=at).for_each(|_| endings.note(status));
            assert_eq!(endings.of(status), at as u64 + 1, "{status}");
        }
        let mut twice = endings;
        twice.add(&endings);
        assert_eq!((endings.sum(), twice.sum()), (36, 72));
        assert_eq!(twice.of(Status::Invalid), 16);
        assert_eq!(endings.of(Status::Busy), 0);
    }

    #[test]
    fn as_many_domains_as_there_may_be_have_counts_of_their_own() {
        let domains = || (0..DOMAINS_MAX as u16).map(|at| DomainId(100 - at));
        let mut endings = DomainEndings::default();
        for domain in domains() {
            (0..domain.0).for_each(|_| endings.note(domain, Status::Applied));
            let others = [Status::Rejected, Status::Fault, Status::Duplicate];
            others.iter().for_each(|status| endings.note(domain, *status));
        }
        let mut twice = DomainEndings::default();
        domains().rev().for_each(|domain| twice.note(domain, Status::Rejected));
        twice.add(&endings);
        for domain in domains() {
            assert_eq!(endings.of(domain), (domain.0.into(), 1), "{domain}");
            assert_eq!(twice.of(domain), (domain.0.into(), 2), "{domain}");
        }
        assert_eq!(endings.of(DomainId(7)), (0, 0));
    }
}
