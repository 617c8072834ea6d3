//! How many steps of a checkpoint a turn takes.
//!
//! Under full load a turn evaluates thousands of events, and each of them is one key more that the next checkpoint has
//! to write. With one step a turn a checkpoint would take longer than the events that make the next one due: it would
//! never end, and the log would fill up. So there is a step for every so many events, besides the one of each turn.

use assize_shards::limits::CHECKPOINT_STEP_KEYS;

/// What is owed to the checkpoint that is being taken.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Events that this core had executed at its last turn.
    executed: u64,
    /// Executed since a checkpoint was begun, and not paid with a step.
    owed: u64,
}

impl Pace {
    /// Nothing is being taken.
    pub(super) fn rest(&mut self, executed: u64) {
        *self = Pace { executed, owed: 0 };
    }

    /// The steps of this turn: at least one.
    pub(super) fn steps(&mut self, executed: u64) -> u64 {
        self.owed += executed - self.executed;
        self.executed = executed;
        let steps = self.owed / EVENTS_A_STEP;
        self.owed %= EVENTS_A_STEP;
        1 + steps
    }
}

/// A step writes as many keys as come with four times as many events, or reads them back: a checkpoint is over when
/// half as many events have come as it has keys.
const EVENTS_A_STEP: u64 = CHECKPOINT_STEP_KEYS / 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// StepsKeepPace: whatever the size of the turns, the keys of a checkpoint are written and read back when half as
    /// many events have come again.
    #[test]
    fn l6_a_checkpoint_is_over_before_the_events_have_come_that_make_the_next_one_due() {
        const KEYS: u64 = 3_000_000;
        for events in [1, 100, 511, 512, 8190, 65_520] {
            let (mut pace, mut executed, mut steps) = (Pace::default(), 777, 0);
            pace.rest(executed);
            while steps < 2 * KEYS.div_ceil(CHECKPOINT_STEP_KEYS) {
                executed += events;
                steps += pace.steps(executed);
            }
            assert!(executed - 777 <= KEYS / 2 + 2 * events, "{events} a turn: {} events", executed - 777);
        }
    }

    #[test]
    fn what_was_executed_before_a_checkpoint_owes_it_nothing() {
        let mut pace = Pace::default();
        assert_eq!(pace.steps(0), 1);
        pace.rest(1_000_000);
        assert_eq!(pace.steps(1_000_000), 1);
        assert_eq!(pace.steps(1_000_000 + EVENTS_A_STEP), 2);
    }
}
