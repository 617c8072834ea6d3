//! The books balance: what accounts hold is what was paid in, at every slot, and as clients count it.

use super::hold;
use crate::model::Model;

/// A slot was evaluated.
pub(super) fn slot(model: &Model) {
    let held: i128 = model.balances().values().map(|balance| i128::from(*balance)).sum();
    let paid_in = model.deposited;
    hold!("books", held == paid_in, "{held} is held after slot {} and {paid_in} was paid in", model.through);
}

/// A client read every account while nothing was under way.
pub(super) fn counted(balances: impl Iterator<Item = u64>, model: &Model) {
    let held: i128 = balances.map(i128::from).sum();
    let paid_in = model.deposited;
    hold!("books", held == paid_in, "clients count {held} and {paid_in} was paid in");
}
