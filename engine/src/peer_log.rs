//! What an operator reads of the connections between replicas: a line when all of a peer's stand, and when they no
//! longer do; each lane by itself is for developers.

use assize_node::PeerNotice;
use assize_node::federation::RefusedPeer;

use crate::config::Agreed;

/// Counts the lanes that stand, by peer.
pub(crate) struct PeerLog {
    connected: Vec<usize>,
    lanes: usize,
}

impl PeerLog {
    pub(crate) fn new(agreed: &Agreed) -> PeerLog {
        // A lane for each shard, and the Docket's.
        PeerLog { connected: vec![0; agreed.replicas.into()], lanes: usize::from(agreed.shard_count) + 1 }
    }

    pub(crate) fn log(&mut self, notice: &PeerNotice) {
        match notice {
            PeerNotice::Connected { peer, lane, .. } => {
                tracing::debug!(peer = peer.0, %lane, "a lane is connected");
                let connected = &mut self.connected[usize::from(peer.0)];
                *connected += 1;
                if *connected == self.lanes {
                    tracing::info!(peer = peer.0, lanes = self.lanes, "connected to a replica");
                }
            }
            PeerNotice::Disconnected { peer, lane, why } => {
                tracing::debug!(peer = peer.0, %lane, ?why, "a lane is lost");
                let connected = &mut self.connected[usize::from(peer.0)];
                if *connected == self.lanes {
                    tracing::warn!(
                        peer = peer.0,
                        ?why,
                        "the connection to a replica is lost: it is made again"
                    );
                }
                *connected -= 1;
            }
            PeerNotice::BadEvent { peer, shard } => {
                tracing::error!(
                    peer = peer.0,
                    shard = shard.0,
                    "a replica sent bytes as an evaluated event which are none"
                );
            }
            PeerNotice::BadStripe { peer, shard } => {
                tracing::error!(
                    peer = peer.0,
                    shard = shard.0,
                    "a replica sent bytes as a stripe which are none"
                );
            }
            PeerNotice::Refused(RefusedPeer { peer, lane, by_peer, refused }) => {
                let (peer, lane) = (peer.map(|peer| peer.0), lane.map(|lane| lane.to_string()));
                let (code, text) = (refused.code, &refused.text);
                if *by_peer {
                    tracing::warn!(peer, lane, ?code, text, "a replica refuses to be connected");
                } else {
                    tracing::warn!(peer, lane, ?code, text, "a connection between replicas was refused");
                }
            }
        }
    }
}
