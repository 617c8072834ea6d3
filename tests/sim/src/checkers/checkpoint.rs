//! L6: what a start begins from. The active checkpoint is the state after its slot, whatever slots above it did while
//! it was taken (X5), and the outcome stream has what a duplicate of a key that is live after it may ask for (W2).

use super::hold;
use crate::left::LeftCheckpoint;
use crate::model::Model;
use crate::recorder::Recorder;

/// What a start found, or would find.
pub(super) fn left(left: &LeftCheckpoint, recorder: &Recorder, model: &Model, ttl_ns: u64) {
    let LeftCheckpoint { slot, time, balances, outcomes } = left;
    let expected = model.balances_after(*slot);
    hold!(
        "checkpoint",
        *balances == *expected,
        "after slot {slot} it has {balances:?}, and the log comes to {expected:?}"
    );
    let below = &recorder.slots()[..slot.0 as usize];
    let live = below.iter().rev().take_while(|logged| time.0 - logged.ordered.manifest.time.0 < ttl_ns);
    for logged in live {
        let of = logged.ordered.manifest.slot;
        let missing = logged.stripes.iter().find(|(shard, _)| outcomes.locate(*shard, of).is_none());
        let missing = missing.map(|(shard, _)| shard);
        hold!(
            "checkpoint",
            missing.is_none(),
            "it is after slot {slot}, and the outcomes of slot {of} of shard {missing:?} are not stored"
        );
    }
}
