//! Majorities.

use assize_wire::ReplicaId;

/// How many of `replicas` are a majority.
pub(crate) fn majority(replicas: u8) -> usize {
    usize::from(replicas) / 2 + 1
}

/// The highest mark that a majority has reached.
pub(crate) fn reached_by_majority<T: Ord + Copy>(marks: &mut [T]) -> T {
    marks.sort_unstable_by(|a, b| b.cmp(a));
    marks[marks.len() / 2]
}

/// A set of replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Replicas(u8);

impl Replicas {
    pub(crate) fn insert(&mut self, replica: ReplicaId) {
        self.0 |= 1 << replica.0;
    }

    pub(crate) fn remove(&mut self, replica: ReplicaId) {
        self.0 &= !(1 << replica.0);
    }

    pub(crate) fn has(self, replica: ReplicaId) -> bool {
        self.0 & 1 << replica.0 != 0
    }

    pub(crate) fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = ReplicaId> {
        (0..8).map(ReplicaId).filter(move |replica| self.has(*replica))
    }
}

#[test]
fn a_majority_is_more_than_half() {
    assert_eq!([1, 3, 5].map(majority), [1, 2, 3]);
    assert_eq!(reached_by_majority(&mut [7, 3, 5]), 5);
    assert_eq!(reached_by_majority(&mut [4]), 4);
    assert_eq!(reached_by_majority(&mut [1, 2, 3, 4, 5]), 3);
}
