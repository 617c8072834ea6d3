//! R4: within an incarnation no watermark moves back, and published <= chosen <= accepted <= formed. L3: nothing is
//! accepted that is not durable.

use assize_consensus::Watermarks;
use assize_wire::Slot;

use super::hold;

/// `durable` is the last slot whose accept and stripes are on the disk. Who is not `alone` may lose what was formed, or
/// accepted and not chosen, to another leader.
pub(super) fn step(before: Watermarks, after: Watermarks, durable: Slot, alone: bool) {
    let forward = before.published <= after.published && before.chosen <= after.chosen;
    let kept = !alone || (before.accepted <= after.accepted && before.formed <= after.formed);
    hold!("watermarks", forward && kept, "R4: {after:?} after {before:?}");
    let ordered =
        after.published <= after.chosen && after.chosen <= after.accepted && after.accepted <= after.formed;
    hold!("watermarks", ordered, "R4: {after:?}");
    hold!("watermarks", after.accepted <= durable, "L3: {after:?}, durable through slot {durable}");
}
