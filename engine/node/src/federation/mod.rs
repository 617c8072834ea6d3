//! Federation: one core's connections to the same core's, or shards', of the other replicas.
//!
//! It proves to each other replica that this one belongs to the cluster, carries messages in order while a connection
//! lasts, says when it begins and ends, and makes it again. It never interprets what it carries, never keeps a message
//! for a later connection, and never waits for a slow peer: each connection has bytes of its own that may wait, and no
//! more.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | [`Federation`]: inputs, outputs, messages |
//! | `handshake.rs` | who may talk on which lane, and why not |
//! | `disks.rs` | which disk of a replica is talked to (R3) |
//! | `link.rs` | one connection, and the table of them |
//! | `places.rs` | the lanes to every peer: which link serves each, when it is dialed |
//! | `told.rs` | how often an operator is told the same |
//! | `entropy.rs` | nonces and jitter |

mod config;
mod disks;
mod entropy;
mod event;
mod handshake;
mod link;
mod places;
mod told;

use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::vec::Vec;

use assize_wal::BlockBuffer;
use assize_wire::ReplicaId;
use assize_wire::limits::{PEER_HANDSHAKE_BYTES_MAX, PEER_PAYLOAD_BYTES_MAX};
use assize_wire::peer::{
    CheckpointRecord, Lane, PeerFrame, PeerFrameError, PeerHello, PeerKind, PeerMessage, PeerMessageError,
    PeerParsed, PeerRefusal, PeerRefused,
};

pub use config::{FederationConfig, Secret};
use entropy::Entropy;
pub use event::{Dial, FederationEvent, FromPeer, Loss, PartReceived, RefusedPeer, Sent};
pub use link::LinkId;
use link::{Links, Stage};
use places::{Dialing, Places};
use told::Told;

use crate::limits::{LINK_UNSENT_BYTES_MAX, LINKS_UNPROVED_MAX};

/// One core's connections to its peers. Order of calls: any inputs (`handle_*`), [`Federation::send`], then
/// [`Federation::poll_event`], [`Federation::poll_dial`] and [`Federation::poll_link`] until they are empty. Time is
/// monotonic, in nanoseconds, and never moves back.
///
/// A dial that was polled is answered by [`Federation::handle_dialed`] or [`Federation::handle_dial_failed`]; a link
/// that was handed out ends with [`Federation::handle_closed`].
#[derive(Debug)]
pub struct Federation {
    config: FederationConfig,
    links: Links,
    places: Places,
    told: Told,
    entropy: Entropy,
    events: VecDeque<FederationEvent>,
    /// Whether a place may have [`Dialing::Now`].
    dial_wanted: bool,
}

impl Federation {
    /// One that dials every peer with a lower number at once.
    #[must_use]
    pub fn new(config: FederationConfig) -> Federation {
        let (core, layout) = (config.core, &config.layout);
        let control = (layout.control == core).then_some(Lane::Control);
        let lanes = control.into_iter().chain(layout.owned_by(core).into_iter().map(Lane::Shard)).collect();
        let (own, replicas) = (config.identity.replica, config.identity.replicas);
        Federation {
            links: Links::default(),
            places: Places::new(own, replicas, lanes),
            told: Told::new(replicas),
            entropy: Entropy::new(&config.entropy, core),
            events: VecDeque::new(),
            dial_wanted: true,
            config,
        }
    }

    /// Somebody connected to this core's port for peers. One too many that proved nothing is told so and closed.
    pub fn handle_accepted(&mut self, now_ns: u64) -> LinkId {
        let id = self.links.open(Stage::Accepted, now_ns);
        if self.links.iter().filter(|(_, link)| link.is_unproved()).count() > LINKS_UNPROVED_MAX {
            let text = alloc::format!("{LINKS_UNPROVED_MAX} connections that have proved nothing are there");
            self.refuse(id, PeerRefused { code: PeerRefusal::TooMany, text }, None, None, now_ns);
        }
        id
    }

    /// A dial succeeded.
    ///
    /// # Panics
    /// When it was not polled: the caller's own broken promise.
    pub fn handle_dialed(&mut self, peer: ReplicaId, lane: Lane, now_ns: u64) -> LinkId {
        let place = self.dialed_place(peer, lane);
        let hello = PeerHello {
            identity: self.config.identity.clone(),
            incarnation: self.config.incarnation,
            to: peer,
            lane,
            nonce: self.entropy.nonce(),
        };
        let mut said = Vec::new();
        hello.encode(&mut said);
        let id = self.links.open(Stage::Greeted { place, hello }, now_ns);
        self.places.get(place).dialing = Dialing::Linked(id);
        self.links.write(id, PeerKind::Hello, |out| out.extend_from_slice(&said), now_ns);
        id
    }

    /// A dial failed. It is tried again after a pause.
    ///
    /// # Panics
    /// As [`Federation::handle_dialed`].
    pub fn handle_dial_failed(&mut self, peer: ReplicaId, lane: Lane, now_ns: u64) {
        let place = self.dialed_place(peer, lane);
        let jitter = self.entropy.number();
        let place = self.places.get(place);
        place.forget_core();
        place.retry(now_ns, jitter);
    }

    /// Bytes of a link that have not been consumed yet, from the first. Returns how many were consumed and how many
    /// must be there in all before it is worth calling again.
    pub fn handle_received(&mut self, id: LinkId, bytes: &[u8], now_ns: u64) -> (usize, usize) {
        if let Some(link) = self.links.get(id) {
            link.note_heard(now_ns);
        }
        let mut consumed = 0;
        let needed = loop {
            let Some(link) = self.links.get(id) else { return (bytes.len(), 0) };
            let most = match link.stage {
                Stage::Closing => return (bytes.len(), 0),
                Stage::Established { .. } => PEER_PAYLOAD_BYTES_MAX,
                // Who has proved nothing makes nobody allocate.
                Stage::Accepted | Stage::Greeted { .. } | Stage::Welcomed { .. } => PEER_HANDSHAKE_BYTES_MAX,
            };
            match PeerFrame::parse(&bytes[consumed..], most) {
                Ok(PeerParsed::Whole { frame, bytes }) => {
                    self.take_frame(id, &frame, now_ns);
                    consumed += bytes;
                }
                Ok(PeerParsed::Needs(needed)) => break needed,
                Err(error) => {
                    self.refuse_frame(id, error, now_ns);
                    return (bytes.len(), 0);
                }
            }
        };
        // The first bytes of a frame count: what cannot become a frame is refused.
        (consumed, if consumed < bytes.len() { needed } else { 1 })
    }

    /// The socket of a link is gone.
    pub fn handle_closed(&mut self, id: LinkId, now_ns: u64) {
        self.detach(id, Loss::Closed, now_ns);
        self.links.close(id);
    }

    /// Dials that are due, connections on which nothing comes, and signs of life. Cheap when nothing is due.
    pub fn handle_time(&mut self, now_ns: u64) {
        if self.next_deadline().is_none_or(|due| due > now_ns) {
            return;
        }
        for place in self.places.iter_mut() {
            if matches!(place.dialing, Dialing::At(due) if due <= now_ns) {
                place.dialing = Dialing::Now;
                self.dial_wanted = true;
            }
        }
        let due: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| link.due() <= now_ns).map(|(id, _)| id).collect();
        for id in due {
            self.take_time(id, now_ns);
        }
    }

    /// Sends a message to a peer on a lane of this core.
    ///
    /// # Panics
    /// When this core does not own the lane, or the message is not of the lane's kind: the caller's own broken promise.
    pub fn send(&mut self, peer: ReplicaId, lane: Lane, message: &PeerMessage<'_>, now_ns: u64) -> Sent {
        let of_lane = belongs(message.kind(), lane);
        assert!(of_lane, "a {:?} is not for the {lane} lane", message.kind());
        let Some(place) = self.places.find(peer, lane) else {
            panic!("core {} sends to replica {peer} on the {lane} lane, which it has not", self.config.core)
        };
        let established = self.places.get(place).established.map(|established| established.link);
        let Some((id, link)) = established.and_then(|id| Some((id, self.links.get(id)?))) else {
            return Sent::NotConnected;
        };
        if link.out.len() + message.frame_bytes() > LINK_UNSENT_BYTES_MAX {
            link.was_full = true;
            return Sent::Full;
        }
        message.encode(&mut link.out);
        link.note_spoke(now_ns);
        self.links.list(id);
        Sent::Queued
    }

    /// Whether [`Federation::send`] would find a connection.
    #[must_use]
    pub fn is_connected(&self, peer: ReplicaId, lane: Lane) -> bool {
        self.places
            .iter()
            .any(|place| place.peer == peer && place.lane == lane && place.established.is_some())
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<FederationEvent> {
        self.events.pop_front()
    }

    /// The next connection to be made.
    pub fn poll_dial(&mut self) -> Option<Dial> {
        if !self.dial_wanted {
            return None;
        }
        let wanted = self.places.iter_mut().find(|place| place.dialing == Dialing::Now);
        self.dial_wanted = wanted.is_some();
        wanted.map(|place| {
            place.dialing = Dialing::UnderWay;
            Dial { peer: place.peer, lane: place.lane, core_offset: place.core_offset }
        })
    }

    /// The next link that has bytes to send or is to be closed.
    pub fn poll_link(&mut self) -> Option<LinkId> {
        self.links.poll_dirty()
    }

    /// Whether a link's socket is to be closed now, whatever is being sent.
    pub fn is_given_up(&mut self, id: LinkId) -> bool {
        self.links.get(id).is_none_or(|link| link.given_up)
    }

    /// Moves the bytes that wait to be sent on a link to the end of `out`; true if it is to be closed after them. What
    /// cannot be sent yet is left here: how much waits is what tells a slow peer.
    pub fn take_bytes(&mut self, id: LinkId, out: &mut Vec<u8>) -> bool {
        let Some(link) = self.links.get(id) else { return true };
        if out.is_empty() {
            core::mem::swap(out, &mut link.out);
        } else {
            out.append(&mut link.out);
        }
        if let Stage::Established { place } = link.stage
            && core::mem::take(&mut link.was_full)
        {
            let place = self.places.get(place);
            self.events.push_back(FederationEvent::Room { peer: place.peer, lane: place.lane });
        }
        self.links.get(id).is_some_and(|link| matches!(link.stage, Stage::Closing))
    }

    /// What this replica shares with others when it fails (C1).
    #[must_use]
    pub fn failure_domain(&self) -> u64 {
        self.config.identity.failure_domain
    }

    /// When [`Federation::handle_time`] must be called even if nothing arrives.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let dials = self.places.iter().filter_map(|place| match place.dialing {
            Dialing::At(due) => Some(due),
            _ => None,
        });
        let links = self.links.iter().map(|(_, link)| link.due()).filter(|due| *due != u64::MAX);
        dials.chain(links).min()
    }

    /// Panics when a promise of this module is broken.
    pub fn check_invariants(&self) {
        let own = self.config.identity.replica;
        for (index, place) in self.places.iter().enumerate() {
            assert_eq!(
                place.dialing == Dialing::Never,
                place.peer > own,
                "the higher number dials: {place:?}"
            );
            if let Some(established) = place.established {
                let link = self.links.iter().find(|(id, _)| *id == established.link);
                let serves = link.is_some_and(
                    |(_, link)| matches!(link.stage, Stage::Established { place } if place == index),
                );
                assert!(serves, "{place:?} is served by {link:?}");
                let dialed = matches!(place.dialing, Dialing::Never)
                    || place.dialing == Dialing::Linked(established.link);
                assert!(dialed, "{place:?} is dialed although it is connected");
            }
        }
        for (id, link) in self.links.iter() {
            if let Stage::Established { place } = link.stage {
                let served = self.places.iter().nth(place).and_then(|place| place.established);
                assert_eq!(served.map(|served| served.link), Some(id), "a link without its place");
                // A keep-alive may come on top.
                let most = LINK_UNSENT_BYTES_MAX + PEER_HANDSHAKE_BYTES_MAX;
                assert!(link.out.len() <= most, "{} bytes wait for a slow peer", link.out.len());
            }
        }
    }

    fn take_frame(&mut self, id: LinkId, frame: &PeerFrame<'_>, now: u64) {
        let Some(link) = self.links.get(id) else { return };
        match core::mem::replace(&mut link.stage, Stage::Closing) {
            Stage::Accepted => {
                link.stage = Stage::Accepted;
                self.take_hello(id, frame, now);
            }
            Stage::Greeted { place, hello } => {
                link.stage = Stage::Greeted { place, hello: hello.clone() };
                self.take_welcome(id, frame, place, &hello, now);
            }
            Stage::Welcomed { place, hello, welcome } => {
                link.stage = Stage::Accepted;
                self.take_proof(id, frame, place, (&hello, &welcome), now);
            }
            Stage::Established { place } => {
                link.stage = Stage::Established { place };
                self.take_message(id, frame, place, now);
            }
            Stage::Closing => {}
        }
    }

    /// A frame of a peer that has proved itself.
    fn take_message(&mut self, id: LinkId, frame: &PeerFrame<'_>, place: usize, now: u64) {
        let (peer, lane) = (self.places.get(place).peer, self.places.get(place).lane);
        match frame.kind {
            PeerKind::Alive => return,
            PeerKind::Refused => return self.take_refused(id, frame, Some(peer), Some(lane), now),
            _ => {}
        }
        let message = match PeerMessage::parse(frame) {
            Ok(message) if belongs(frame.kind, lane) => message,
            Ok(_) => {
                let error = PeerMessageError::NotAMessage { kind: frame.kind };
                return self.refuse_message(id, &error, Some((peer, lane)), now);
            }
            Err(error) => return self.refuse_message(id, &error, Some((peer, lane)), now),
        };
        let message = owned(message);
        self.events.push_back(FederationEvent::Message { peer, lane, message });
    }

    /// A link's time has come.
    fn take_time(&mut self, id: LinkId, now: u64) {
        let Some(link) = self.links.get(id) else { return };
        match link.stage {
            Stage::Established { .. } if link.is_silent(now) => {
                self.detach(id, Loss::Silent, now);
                self.links.give_up(id);
            }
            Stage::Established { .. } if link.is_quiet(now) => {
                self.links.write(id, PeerKind::Alive, |_| {}, now);
            }
            Stage::Closing if link.is_overdue(now) => self.links.give_up(id),
            Stage::Accepted | Stage::Greeted { .. } | Stage::Welcomed { .. } if link.is_overdue(now) => {
                let text = "the handshake was not over in time".into();
                let (peer, lane) = self.claimed(id).unzip();
                self.refuse(id, PeerRefused { code: PeerRefusal::TimedOut, text }, peer, lane, now);
            }
            _ => {}
        }
    }

    fn refuse_frame(&mut self, id: LinkId, error: PeerFrameError, now: u64) {
        let code = match error {
            PeerFrameError::BadVersion { .. } => PeerRefusal::OtherVersion,
            _ => PeerRefusal::BadFrame,
        };
        let (peer, lane) = self.claimed(id).unzip();
        self.refuse(id, PeerRefused { code, text: error.to_string() }, peer, lane, now);
    }

    /// Whom a link is to or from, as far as it is known or claimed.
    fn claimed(&mut self, id: LinkId) -> Option<(ReplicaId, Lane)> {
        let place = match self.links.get(id)?.stage {
            Stage::Greeted { place, .. } | Stage::Welcomed { place, .. } | Stage::Established { place } => {
                place
            }
            Stage::Accepted | Stage::Closing => return None,
        };
        let place = self.places.get(place);
        Some((place.peer, place.lane))
    }

    /// Says why, to the peer and to the operator, and closes the link.
    fn refuse(
        &mut self,
        id: LinkId,
        refused: PeerRefused,
        peer: Option<ReplicaId>,
        lane: Option<Lane>,
        now: u64,
    ) {
        self.detach(id, Loss::Refused, now);
        self.links.refuse(id, &refused, now);
        self.tell_refused(peer, lane, false, refused, now);
    }

    fn tell_refused(
        &mut self,
        peer: Option<ReplicaId>,
        lane: Option<Lane>,
        by_peer: bool,
        refused: PeerRefused,
        now: u64,
    ) {
        let refused = RefusedPeer { peer, lane, by_peer, refused };
        // It is superseded because it is the older one: nothing is wrong.
        if refused.refused.code != PeerRefusal::Superseded && self.told.admit(&refused, now) {
            self.events.push_back(FederationEvent::Refused(refused));
        }
    }

    /// Takes a link, which ends, from the place it serves, and has the lane dialed again if this replica dials it.
    fn detach(&mut self, id: LinkId, why: Loss, now: u64) {
        let Some(link) = self.links.get(id) else { return };
        if let Stage::Established { place } = link.stage {
            link.stage = Stage::Closing;
            let place = self.places.get(place);
            place.established = None;
            let (peer, lane) = (place.peer, place.lane);
            self.events.push_back(FederationEvent::Disconnected { peer, lane, why });
        }
        let jitter = self.entropy.number();
        let dialed = self.places.iter_mut().find(|place| place.dialing == Dialing::Linked(id));
        if let Some(place) = dialed {
            match why {
                Loss::Refused => place.retry_late(now, jitter),
                Loss::Closed | Loss::Silent | Loss::Replaced => place.retry(now, jitter),
            }
        }
    }

    fn dialed_place(&mut self, peer: ReplicaId, lane: Lane) -> usize {
        let place = self.places.find(peer, lane);
        let place = place.filter(|place| self.places.get(*place).dialing == Dialing::UnderWay);
        match place {
            Some(place) => place,
            None => panic!("replica {peer} was dialed for the {lane} lane without being asked"),
        }
    }

    fn set_stage(&mut self, id: LinkId, stage: Stage) {
        if let Some(link) = self.links.get(id) {
            link.stage = stage;
        }
    }
}

/// Whether messages of this kind are sent on this lane.
fn belongs(kind: PeerKind, lane: Lane) -> bool {
    match kind {
        PeerKind::Docket | PeerKind::Checkpoint | PeerKind::CheckpointWanted | PeerKind::ShortOfRoom => {
            lane == Lane::Control
        }
        PeerKind::Stripe
        | PeerKind::StripeWanted
        | PeerKind::StripeMissing
        | PeerKind::Copies
        | PeerKind::CopiesWanted
        | PeerKind::CopiesGone
        | PeerKind::EventDigests
        | PeerKind::EventDiffers
        | PeerKind::PartWanted
        | PeerKind::Part => matches!(lane, Lane::Shard(_)),
        PeerKind::Hello
        | PeerKind::Welcome
        | PeerKind::Proof
        | PeerKind::Refused
        | PeerKind::Redirect
        | PeerKind::Alive => false,
    }
}

/// What was received, out of the buffer that it was received in.
fn owned(message: PeerMessage<'_>) -> FromPeer {
    match message {
        PeerMessage::Docket { clock_ns, generations, message } => {
            FromPeer::Docket { clock_ns, generations, message }
        }
        PeerMessage::Checkpoint(told) => FromPeer::Checkpoint(told),
        PeerMessage::CheckpointWanted(slot) => FromPeer::CheckpointWanted(slot),
        PeerMessage::ShortOfRoom => FromPeer::ShortOfRoom,
        PeerMessage::Stripe { bytes } => {
            let mut buffer = BlockBuffer::for_record(bytes.len());
            buffer.extend_from_slice(bytes);
            FromPeer::Stripe(buffer)
        }
        PeerMessage::StripeWanted(hash) => FromPeer::StripeWanted(hash),
        PeerMessage::StripeMissing(hash) => FromPeer::StripeMissing(hash),
        PeerMessage::Copies(copies) => FromPeer::Copies(copies),
        PeerMessage::CopiesWanted { from, through } => FromPeer::CopiesWanted { from, through },
        PeerMessage::CopiesGone { below } => FromPeer::CopiesGone { below },
        PeerMessage::EventDigests { slot, digests } => FromPeer::EventDigests { slot, digests },
        PeerMessage::EventDiffers { slot, index, piece } => FromPeer::EventDiffers { slot, index, piece },
        PeerMessage::PartWanted { slot, index } => FromPeer::PartWanted { slot, index },
        PeerMessage::Part(CheckpointRecord { slot, index, item, bytes }) => {
            let mut buffer = BlockBuffer::for_record(bytes.len());
            buffer.extend_from_slice(bytes);
            FromPeer::Part(PartReceived { slot, index, item, buffer })
        }
    }
}

#[cfg(test)]
mod tests;
