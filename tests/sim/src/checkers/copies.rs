//! C1: nothing leaves before `copies` replicas have computed it. A replica that has not heard that a slot is chosen
//! has not computed it.

use assize_wire::Slot;

use super::hold;

pub(super) struct Copies {
    pub(super) needed: usize,
    /// By replica the highest slot that it ever knew chosen.
    heard: Vec<Slot>,
}

impl Copies {
    pub(super) fn new(replicas: u8) -> Copies {
        Copies { needed: 1, heard: vec![Slot::ZERO; replicas.into()] }
    }

    pub(super) fn step(&mut self, replica: usize, chosen: Slot) {
        self.heard[replica] = self.heard[replica].max(chosen);
    }

    pub(super) fn published(&self, slot: Slot) {
        let may = self.heard.iter().filter(|heard| **heard >= slot).count();
        let needed = self.needed;
        hold!(
            "copies",
            may >= needed,
            "C1: slot {slot} is published; {may} replicas may have run it, {needed} must have"
        );
    }
}
