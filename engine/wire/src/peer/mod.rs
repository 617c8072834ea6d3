//! The protocol between the replicas of a cluster: frames, the handshake, and the messages of both lanes. All integers
//! are little-endian; the crate's README has the layouts byte by byte.

mod checkpoint;
mod docket;
mod docket_bytes;
mod error;
mod frame;
mod generation;
mod hello;
mod message;
mod refused;

pub use checkpoint::{CheckpointOffer, CheckpointRecord, CheckpointTold, PartItem};
pub use docket::{Chosen, DocketMessage, Promised};
pub use error::PeerMessageError;
pub use frame::{
    PEER_FRAME_HEADER_BYTES, PEER_PROTOCOL_VERSION, PeerFrame, PeerFrameError, PeerKind, PeerParsed,
    write_peer_frame,
};
pub use generation::{Generation, Generations};
pub use hello::{Lane, PeerHello, PeerIdentity, PeerPorts, PeerProof, PeerWelcome};
pub use message::PeerMessage;
pub use refused::{PeerRedirect, PeerRefusal, PeerRefused};
