//! **Partitioner**: which events of a stripe have nothing to do with each other (X2).
//!
//! Union-find over the stripe's entities, which are numbered densely: an event unites its entities, so two events are
//! in one group exactly if a chain of shared entities leads from one to the other. Groups may run independently. It
//! never changes the order within a group: it says which group an event belongs to and leaves the events where they
//! are.
//!
//! Union by rank and path compression, so a look costs next to nothing; the arrays are used again for every stripe.
//!
//! Invariants:
//! * from every entity its parents lead to a root, rank rising at each step;
//! * what is held is held for the whole group: only a root's mark counts.

#[cfg(test)]
mod tests;

use alloc::vec::Vec;

/// The groups of one stripe. Call order: [`Partitioner::clear`]; [`Partitioner::add`] for each entity before
/// [`Partitioner::unite`] for an event that touches it; then ask.
#[derive(Debug, Default)]
pub(crate) struct Partitioner {
    nodes: Vec<Node>,
}

/// One entity.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// Its own number if it is a root.
    parent: u32,
    rank: u8,
    /// Of a root: whether its group waits for something.
    held: bool,
}

impl Partitioner {
    /// Forgets the last stripe.
    pub(crate) fn clear(&mut self) {
        self.nodes.clear();
    }

    /// The next entity, a group of its own. What is not here holds its group.
    pub(crate) fn add(&mut self, here: bool) {
        let parent = self.nodes.len() as u32;
        self.nodes.push(Node { parent, rank: 0, held: !here });
    }

    /// How many entities there are.
    pub(crate) fn len(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// One event touches all of these.
    pub(crate) fn unite(&mut self, entities: &[u32]) {
        let Some((first, others)) = entities.split_first() else {
            return;
        };
        if others.is_empty() {
            return;
        }
        let mut root = self.root(*first);
        for other in others {
            let other = self.root(*other);
            root = self.link(root, other);
        }
    }

    /// Whether the entity's group waits for something.
    pub(crate) fn is_held(&mut self, entity: u32) -> bool {
        let root = self.root(entity);
        self.nodes[root as usize].held
    }

    /// The entity that stands for the group, and compresses the path to it.
    fn root(&mut self, entity: u32) -> u32 {
        let mut root = entity;
        while self.parent(root) != root {
            root = self.parent(root);
        }
        let mut at = entity;
        while self.parent(at) != root {
            at = core::mem::replace(&mut self.nodes[at as usize].parent, root);
        }
        root
    }

    /// Makes two groups one and returns its root: the one of higher rank.
    fn link(&mut self, a: u32, b: u32) -> u32 {
        if a == b {
            return a;
        }
        let (rank_a, rank_b) = (self.nodes[a as usize].rank, self.nodes[b as usize].rank);
        let (root, below) = if rank_a >= rank_b { (a, b) } else { (b, a) };
        let held = self.nodes[below as usize].held;
        self.nodes[below as usize].parent = root;
        self.nodes[root as usize].held |= held;
        if rank_a == rank_b {
            self.nodes[root as usize].rank += 1;
        }
        root
    }

    fn parent(&self, entity: u32) -> u32 {
        self.nodes[entity as usize].parent
    }

    /// Panics when a promise at the head of this file is broken.
    #[cfg(test)]
    pub(crate) fn check_invariants(&self) {
        for (at, node) in self.nodes.iter().enumerate() {
            let parent = self.nodes[node.parent as usize];
            let root = node.parent as usize == at;
            assert!(root || parent.rank > node.rank, "entity {at}: {node:?} under {parent:?}");
        }
    }
}
