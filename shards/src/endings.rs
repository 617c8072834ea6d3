//! How many events ended how.

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
}
