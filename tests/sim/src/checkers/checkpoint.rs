//! X5, L6: the active checkpoint is the state after its slot, whatever slots above it did while it was taken.

use super::hold;
use crate::left::Left;
use crate::model::Model;

/// What a start would begin from.
pub(super) fn left(left: &Left, model: &Model) {
    let balances = model.balances_after(left.checkpoint);
    hold!(
        "checkpoint",
        left.balances == *balances,
        "after slot {} it has {:?}, and the log comes to {balances:?}",
        left.checkpoint,
        left.balances
    );
}
