//! Places between outcomes: how a subscriber says where it is, and hears where it was.

use std::fmt;
use std::str::FromStr;

use assize_wire::{Position, ShardId, Slot};

/// A place in the stream's total order: behind a slot, or behind one outcome of it.
///
/// As text `SLOT` or `SLOT.SHARD.INDEX`. What is asked for from there begins with the first outcome behind it, so the
/// position of the last outcome that somebody saw is where to go on. `0` is the beginning of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Behind all outcomes of this slot and below.
    Slot(Slot),
    /// Behind this outcome.
    Outcome(Position),
}

impl After {
    /// The first slot of which outcomes of this shard may lie behind it.
    pub(super) fn first_slot(self, shard: ShardId) -> Slot {
        match self {
            After::Outcome(at) if shard >= at.shard => at.slot,
            After::Slot(slot) | After::Outcome(Position { slot, .. }) => Slot(slot.0.saturating_add(1)),
        }
    }

    /// Whether an outcome lies behind it.
    pub(super) fn is_before(self, outcome: Position) -> bool {
        match self {
            After::Slot(slot) => outcome.slot > slot,
            After::Outcome(at) => {
                (outcome.slot, outcome.shard, outcome.index) > (at.slot, at.shard, at.index)
            }
        }
    }

    /// The last slot of which all outcomes lie before it.
    pub(super) fn whole_slot(self) -> Slot {
        match self {
            After::Slot(slot) => slot,
            After::Outcome(at) => Slot(at.slot.0.saturating_sub(1)),
        }
    }
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            After::Slot(slot) => write!(f, "{slot}"),
            After::Outcome(at) => write!(f, "{}.{}.{}", at.slot, at.shard, at.index),
        }
    }
}

/// A text that is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPosition;

impl FromStr for After {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<After, NoPosition> {
        fn number<T: FromStr>(part: &str) -> Result<T, NoPosition> {
            // `parse` takes a sign, too.
            let plain = part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse().ok().filter(|_| plain).ok_or(NoPosition)
        }
        let parts: Vec<&str> = text.split('.').collect();
        match parts[..] {
            [slot] => Ok(After::Slot(Slot(number(slot)?))),
            [slot, shard, index] => {
                let (slot, shard) = (Slot(number(slot)?), ShardId(number(shard)?));
                Ok(After::Outcome(Position { slot, shard, index: number(index)? }))
            }
            _ => Err(NoPosition),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_and_nothing_else_is_one() {
        for text in ["0", "7", "12.3.456", "18446744073709551615", "1.65535.4294967295"] {
            assert_eq!(text.parse::<After>().map(|after| after.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "-1", "+1", "1.2", "1.2.3.4", "1.2.", "a", " 1", "1.65536.0", "18446744073709551616"]
        {
            assert_eq!(text.parse::<After>(), Err(NoPosition), "{text:?}");
        }
    }

    #[test]
    fn what_lies_behind_a_position_is_what_comes_later_in_slot_shard_and_index() {
        let at = |slot, shard, index| Position { slot: Slot(slot), shard: ShardId(shard), index };
        let after = After::Outcome(at(5, 1, 3));
        for (outcome, behind) in [
            ((5, 1, 3), false),
            ((5, 1, 4), true),
            ((5, 0, 9), false),
            ((5, 2, 0), true),
            ((4, 2, 9), false),
            ((6, 0, 0), true),
        ] {
            assert_eq!(after.is_before(at(outcome.0, outcome.1, outcome.2)), behind, "{outcome:?}");
        }
        assert_eq!([0, 1, 2].map(|shard| after.first_slot(ShardId(shard)).0), [6, 5, 5]);
        assert_eq!(after.whole_slot(), Slot(4));
        assert!(!After::Slot(Slot(5)).is_before(at(5, 9, 9)));
        assert!(After::Slot(Slot(5)).is_before(at(6, 0, 0)));
    }
}
