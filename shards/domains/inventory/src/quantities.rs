//! What an answer returns: quantities, 8 little-endian bytes each.

use assize_domain::Response;

/// The quantities in the response of an applied event, in the order that the event's kind documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantities<'a> {
    quantities: &'a [[u8; 8]],
}

impl<'a> Quantities<'a> {
    /// Reads a response. Nothing if its length is not a multiple of 8.
    #[must_use]
    pub fn parse(response: &'a [u8]) -> Option<Quantities<'a>> {
        let (quantities, rest) = response.as_chunks::<8>();
        rest.is_empty().then_some(Quantities { quantities })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.quantities.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.quantities.is_empty()
    }

    /// The quantity at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<u64> {
        self.quantities.get(index).map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u64> + 'a {
        self.quantities.iter().map(|bytes| u64::from_le_bytes(*bytes))
    }
}

/// The line, counted from 0, for which a `TransferLines` was rejected, from the response that came with it.
#[must_use]
pub fn rejected_line(response: &[u8]) -> Option<u64> {
    response.try_into().ok().map(u64::from_le_bytes)
}

/// Appends one quantity to a response.
#[inline]
pub(crate) fn push(response: &mut Response, quantity: u64) {
    response.extend_from_slice(&quantity.to_le_bytes());
}
