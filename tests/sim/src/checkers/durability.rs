//! What was told to anybody is in the durable log. What else durability is about, the recorder says itself, under the
//! same name (see `recorder.rs`).

use assize_wire::Slot;

use super::hold;
use crate::model::Model;

/// Something of `slot` was told to a client or handed to the outcome stream.
pub(super) fn published(slot: Slot, model: &Model) {
    let durable = model.through;
    hold!("durability", slot <= durable, "L3: told of slot {slot}, durable through slot {durable}");
}
