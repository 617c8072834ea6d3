//! What one core's Federation is told at start.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use assize_wire::peer::{Generation, Generations, PeerIdentity, PeerPorts};
use assize_wire::{ClusterId, CoreId, Hash, Incarnation, ReplicaId};

use crate::layout::Layout;

/// What one core's Federation is made of. Its lanes are those that the layout gives the core: the control lane on the
/// control core, and one for each of its shards.
#[derive(Clone, Debug)]
pub struct FederationConfig {
    /// This core.
    pub core: CoreId,
    /// Which core owns which lane.
    pub layout: Arc<Layout>,
    /// What this replica says of itself.
    pub identity: PeerIdentity,
    /// Raised at every start.
    pub incarnation: Incarnation,
    /// The disks of all replicas, as far as they were met (R3).
    pub generations: Generations,
    /// What every replica of the cluster has and nobody else.
    pub secret: Secret,
    /// Random bytes, drawn for this start: nonces and the jitter of pauses come from them.
    pub entropy: [u8; 32],
}

impl FederationConfig {
    /// That of a cluster of one: it has no peers, so that nothing here is ever used.
    #[must_use]
    pub fn alone(core: CoreId, layout: Arc<Layout>, cluster: ClusterId) -> FederationConfig {
        let identity = PeerIdentity {
            cluster,
            replica: ReplicaId(0),
            replicas: 1,
            shards: layout.shards(),
            agreed: Hash::ZERO,
            generation: Generation::NONE,
            failure_domain: 0,
            ports: PeerPorts::default(),
            domains: String::new(),
            logic: Vec::new(),
        };
        let (secret, entropy) = (Secret([0; 32]), [0; 32]);
        let (incarnation, generations) = (Incarnation(0), Generations::default());
        FederationConfig { core, layout, identity, incarnation, generations, secret, entropy }
    }
}

/// The secret of a cluster. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}
