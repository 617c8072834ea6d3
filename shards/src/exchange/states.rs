//! States of many entities in two allocations.

use alloc::vec::Vec;

/// States by position.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateList {
    lengths: Vec<u8>,
    bytes: Vec<u8>,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateOf<'a> {
    /// The entity has this state.
    Present(&'a [u8]),
    /// The entity does not exist.
    Absent,
    /// As it was lent. Only in a return.
    Unchanged,
}

impl StateList {
    /// None yet, with room for `count` of `state_bytes` each.
    #[must_use]
    pub fn with_capacity(count: usize, state_bytes: usize) -> StateList {
        StateList { lengths: Vec::with_capacity(count), bytes: Vec::with_capacity(count * state_bytes) }
    }

    /// Appends one.
    pub fn push(&mut self, state: StateOf<'_>) {
        match state {
            StateOf::Present(state) => {
                let length = u8::try_from(state.len()).ok().filter(|length| *length < UNCHANGED);
                self.lengths.push(length.unwrap_or_else(|| panic!("a state of {} bytes", state.len())));
                self.bytes.extend_from_slice(state);
            }
            StateOf::Absent => self.lengths.push(ABSENT),
            StateOf::Unchanged => self.lengths.push(UNCHANGED),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Each, in order.
    #[must_use]
    pub fn iter(&self) -> StateListIter<'_> {
        StateListIter { lengths: &self.lengths, bytes: &self.bytes }
    }
}

impl<'a> IntoIterator for &'a StateList {
    type Item = StateOf<'a>;
    type IntoIter = StateListIter<'a>;

    fn into_iter(self) -> StateListIter<'a> {
        self.iter()
    }
}

/// Iterator over a [`StateList`].
#[derive(Clone, Debug)]
pub struct StateListIter<'a> {
    lengths: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> Iterator for StateListIter<'a> {
    type Item = StateOf<'a>;

    fn next(&mut self) -> Option<StateOf<'a>> {
        let (length, lengths) = self.lengths.split_first()?;
        self.lengths = lengths;
        Some(match *length {
            ABSENT => StateOf::Absent,
            UNCHANGED => StateOf::Unchanged,
            length => {
                let (state, bytes) = self.bytes.split_at(length.into());
                self.bytes = bytes;
                StateOf::Present(state)
            }
        })
    }
}

const UNCHANGED: u8 = 254;
const ABSENT: u8 = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_come_out_as_they_went_in() {
        let states = [
            StateOf::Present(&[1, 2, 3]),
            StateOf::Unchanged,
            StateOf::Present(&[]),
            StateOf::Absent,
            StateOf::Present(&[7; 128]),
        ];
        let mut list = StateList::default();
        states.iter().for_each(|state| list.push(*state));
        assert!(list.iter().eq(states) && list.len() == 5 && !list.is_empty());
    }
}
