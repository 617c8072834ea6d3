//! Which core owns which shard, and which one has the control role: a replica's own choice, invisible to outcomes.

use alloc::vec::Vec;

use assize_wire::{CoreId, ShardId};

/// The core map of one replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The owner of each shard. Every shard has exactly one.
    owners: Vec<CoreId>,
    cores: u16,
    /// The core that runs the Docket.
    pub control: CoreId,
}

impl Layout {
    /// The map in which `cores[c]` owns the listed shards.
    ///
    /// # Panics
    /// When a shard has two owners or none: configuration is validated before it gets here.
    #[must_use]
    pub fn new(cores: &[Vec<ShardId>], control: CoreId) -> Layout {
        let shards = cores.iter().map(Vec::len).sum();
        let mut owners: Vec<Option<CoreId>> = (0..shards).map(|_| None).collect();
        for (core, owned) in cores.iter().enumerate() {
            for shard in owned {
                let before = owners[usize::from(shard.0)].replace(CoreId(core as u16));
                assert_eq!(before, None, "shard {shard} has two owners");
            }
        }
        assert!(usize::from(control.0) < cores.len(), "control core {control} of {}", cores.len());
        let owners = owners.into_iter().map(|owner| owner.expect("each shard is owned")).collect();
        Layout { owners, cores: cores.len() as u16, control }
    }

    /// The core that owns `shard`.
    #[must_use]
    pub fn owner(&self, shard: ShardId) -> CoreId {
        self.owners[usize::from(shard.0)]
    }

    /// The shards that `core` owns, ascending.
    #[must_use]
    pub fn owned_by(&self, core: CoreId) -> Vec<ShardId> {
        (0..self.shards()).map(ShardId).filter(|shard| self.owner(*shard) == core).collect()
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.owners.len() as u16
    }

    /// Every core.
    pub fn cores(&self) -> impl Iterator<Item = CoreId> + use<> {
        (0..self.cores).map(CoreId)
    }
}
