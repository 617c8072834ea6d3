//! STUB
use alloc::string::String;
use alloc::vec::Vec;
use assize_wal::BlockBuffer;
use assize_wire::peer::{DocketMessage, PeerKind, PeerMessage};
use assize_wire::{Hash, ReplicaId, ShardId, Slot};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane { Control, Shard(ShardId) }
#[derive(Clone, Debug, Default)]
pub struct FederationConfig {}
pub struct Federation {}
pub enum Received { Docket { clock_ns: u64, message: DocketMessage }, Stripe(BlockBuffer), StripeWanted(Hash), StripeMissing(Hash), Copies(Vec<(Slot, Hash)>), CopiesWanted { from: Slot, through: Slot } }
impl Received { pub fn kind(&self) -> PeerKind { PeerKind::Docket } }
pub enum FederationEvent { Connected { peer: ReplicaId, lane: Lane }, Disconnected { peer: ReplicaId, lane: Lane }, Message { peer: ReplicaId, lane: Lane, message: Received }, Refused { peer: Option<ReplicaId>, reason: String } }
#[derive(Clone, Debug)]
pub enum PeerNotice { Connected { peer: ReplicaId, lane: Lane }, Disconnected { peer: ReplicaId, lane: Lane }, Refused { peer: Option<ReplicaId>, reason: String }, Odd { peer: ReplicaId, lane: Lane, message: PeerKind }, BadStripe { peer: ReplicaId, shard: ShardId } }
pub enum Sent { Queued, NotConnected, Full }
impl Federation {
    pub fn new(_: FederationConfig) -> Federation { Federation {} }
    pub fn handle_time(&mut self, _now: u64) {}
    pub fn send(&mut self, _: ReplicaId, _: Lane, _: &PeerMessage<'_>) -> Sent { Sent::NotConnected }
    pub fn poll_event(&mut self) -> Option<FederationEvent> { None }
    pub fn next_deadline(&self) -> Option<u64> { None }
}
