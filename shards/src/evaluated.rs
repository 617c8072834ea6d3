//! What evaluating a stripe came to, event by event, kept for a while so that replicas which differ can find out where
//! (C6).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::fmt::Write;

use assize_wire::outcome::{Outcome, OutcomeError};
use assize_wire::{DomainId, EntityId, EventKey, Hash};

/// The pieces of a stripe's events, by index: the bytes that its digest covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluated(pub(crate) Vec<u8>);

/// The piece of one event: its outcome, and the entities that it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// What the event came to.
    pub outcome: Outcome<'a>,
    /// In the order of the event: the state after it, or nothing where the entity is gone.
    pub changes: Vec<(DomainId, EntityId, Option<&'a [u8]>)>,
}

/// In what two pieces of the same event differ first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The event.
    pub key: EventKey,
    /// The entity; none where the outcome itself differs.
    pub entity: Option<(DomainId, EntityId)>,
    /// What most have.
    pub expected: String,
    /// What the one has that is outside.
    pub found: String,
}

impl Evaluated {
    /// Each piece, by the event's index.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.0[..];
        core::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (_, after) = Piece::parse(rest).expect("pieces hold what was encoded here");
            let piece = &rest[..rest.len() - after.len()];
            rest = after;
            Some(piece)
        })
    }

    /// The digest of each piece.
    #[must_use]
    pub fn digests(&self) -> Vec<Hash> {
        self.pieces().map(Hash::of).collect()
    }
}

impl<'a> Piece<'a> {
    /// Reads the piece at the front of `bytes` and returns it with what follows it.
    ///
    /// # Errors
    /// [`OutcomeError`] when it is none.
    pub fn parse(bytes: &'a [u8]) -> Result<(Piece<'a>, &'a [u8]), OutcomeError> {
        let (outcome, rest) = Outcome::parse(bytes)?;
        let (count, mut rest) = rest.split_first().ok_or(OutcomeError::Truncated)?;
        let mut changes = Vec::new();
        for _ in 0..*count {
            let (head, after) =
                rest.split_first_chunk::<CHANGE_HEAD_BYTES>().ok_or(OutcomeError::Truncated)?;
            let (present, length) = (head[18] != 0, usize::from(head[19]));
            if after.len() < length {
                return Err(OutcomeError::Truncated);
            }
            let (state, after) = after.split_at(length);
            let domain = DomainId(u16::from_le_bytes([head[0], head[1]]));
            let mut id = [0; 16];
            id.copy_from_slice(&head[2..18]);
            changes.push((domain, EntityId(u128::from_le_bytes(id)), present.then_some(state)));
            rest = after;
        }
        Ok((Piece { outcome, changes }, rest))
    }

    /// In what this one, which most have, and another one of the same event differ first.
    #[must_use]
    pub fn difference(&self, found: &Piece<'_>) -> Option<Difference> {
        let key = self.outcome.key;
        if self.outcome != found.outcome {
            let (expected, found) = (shown(&self.outcome), shown(&found.outcome));
            return Some(Difference { key, entity: None, expected, found });
        }
        let longer = self.changes.len().max(found.changes.len());
        (0..longer).find_map(|at| {
            let (ours, theirs) = (self.changes.get(at), found.changes.get(at));
            let entity = ours.or(theirs).map(|(domain, id, _)| (*domain, *id));
            let state = |change: Option<&(DomainId, EntityId, Option<&[u8]>)>| match change {
                None => "unchanged".into(),
                Some((_, _, None)) => "absent".into(),
                Some((_, _, Some(state))) => hex(state),
            };
            (ours != theirs).then(|| Difference { key, entity, expected: state(ours), found: state(theirs) })
        })
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference { key, entity, expected, found } = self;
        write!(f, "key {key}, ")?;
        match entity {
            Some((domain, id)) => write!(f, "entity {id} of domain {}", domain.0)?,
            None => f.write_str("its outcome")?,
        }
        write!(f, ": expected {expected}, found {found}")
    }
}

fn shown(outcome: &Outcome<'_>) -> String {
    let Outcome { status, first_status, reason, original_slot, original_index, response, .. } = outcome;
    let response = hex(response);
    alloc::format!(
        "{status} ({first_status}, reason {reason}, first at slot {original_slot} index {original_index}, response \
         {response})"
    )
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len() + 2);
    text.push_str("0x");
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Domain, entity, whether it is present, and the length of its state.
const CHANGE_HEAD_BYTES: usize = 20;

#[cfg(test)]
mod tests {
    use assize_wire::Slot;
    use assize_wire::outcome::Status;

    use super::*;

    fn piece(reason: u16, changes: &[(u128, Option<&[u8]>)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        Outcome {
            key: EventKey(7),
            domain: DomainId(1),
            status: Status::Applied,
            first_status: Status::Applied,
            reason,
            index: 0,
            original_slot: Slot(3),
            original_index: 0,
            response: b"abc",
        }
        .encode(&mut bytes);
        bytes.push(changes.len() as u8);
        for (id, state) in changes {
            bytes.extend_from_slice(&1_u16.to_le_bytes());
            bytes.extend_from_slice(&id.to_le_bytes());
            bytes.push(state.is_some().into());
            bytes.push(state.unwrap_or(&[]).len() as u8);
            bytes.extend_from_slice(state.unwrap_or(&[]));
        }
        bytes
    }

    fn difference(expected: &[u8], found: &[u8]) -> Option<(Option<u128>, String, String)> {
        let [expected, found] = [expected, found].map(|bytes| Piece::parse(bytes).unwrap().0);
        let found = expected.difference(&found)?;
        Some((found.entity.map(|(_, id)| id.0), found.expected, found.found))
    }

    // FirstDifferenceNamed.
    #[test]
    fn c6_the_first_entity_that_differs_is_named_with_both_states() {
        let right = piece(0, &[(1, Some(&[1])), (2, Some(&[2])), (3, None)]);
        assert_eq!(difference(&right, &right), None);
        let wrong = piece(0, &[(1, Some(&[1])), (2, Some(&[0x42])), (3, Some(&[9]))]);
        assert_eq!(difference(&right, &wrong), Some((Some(2), "0x02".into(), "0x42".into())));
        let short = piece(0, &[(1, Some(&[1])), (2, Some(&[2]))]);
        assert_eq!(difference(&right, &short), Some((Some(3), "absent".into(), "unchanged".into())));
        let other = difference(&right, &piece(5, &[])).unwrap();
        assert!(
            other.0.is_none() && other.1.contains("reason 0") && other.2.contains("reason 5"),
            "{other:?}"
        );
    }

    #[test]
    fn c6_pieces_are_told_apart_and_their_beginnings_are_none() {
        let parts = [piece(0, &[(1, Some(&[1, 2]))]), piece(1, &[]), piece(2, &[(4, None)])];
        let evaluated = Evaluated(parts.concat());
        assert!(evaluated.pieces().eq(parts.iter().map(Vec::as_slice)));
        assert_eq!(evaluated.digests()[1], Hash::of(&parts[1]));
        for length in 0..parts[0].len() {
            assert!(Piece::parse(&parts[0][..length]).is_err(), "{length} bytes");
        }
    }
}
