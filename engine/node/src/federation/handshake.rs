//! The handshake: who may talk on which lane, and why not.
//!
//! What an operator mixed up is told before the secret is looked at, so that he reads what it is; a connection replaces
//! another, and anything is believed of a peer, only after its proof.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::string::ToString;

use assize_wire::peer::{
    Lane, PeerFrame, PeerHello, PeerIdentity, PeerKind, PeerMessageError, PeerProof, PeerRedirect,
    PeerRefusal, PeerRefused, PeerWelcome,
};
use assize_wire::{CoreId, Incarnation, ReplicaId};

use super::Federation;
use super::event::{FederationEvent, Loss};
use super::link::{LinkId, Stage};
use super::places::Established;

impl Federation {
    /// The first frame that the acceptor reads.
    pub(super) fn take_hello(&mut self, id: LinkId, frame: &PeerFrame<'_>, now: u64) {
        let hello = match frame.kind {
            PeerKind::Hello => PeerHello::parse(frame.payload),
            kind => Err(PeerMessageError::NotAMessage { kind }),
        };
        let hello = match hello {
            Ok(hello) => hello,
            Err(error) => return self.refuse_message(id, &error, None, now),
        };
        let (peer, lane) = (hello.identity.replica, hello.lane);
        if let Err(refused) = self.judge_hello(&hello) {
            return self.refuse(id, refused, Some(peer), Some(lane), now);
        }
        let owner = self.owner(lane);
        if owner != self.config.core {
            let redirect = PeerRedirect { core: owner };
            self.links.write(id, PeerKind::Redirect, |out| redirect.encode(out), now);
            return self.links.finish(id, now);
        }
        let Some(place) = self.places.find(peer, lane) else {
            panic!("core {} owns {lane} and has no place for replica {peer}", self.config.core)
        };
        let mut welcome = PeerWelcome {
            identity: self.config.identity.clone(),
            incarnation: self.config.incarnation,
            nonce: self.entropy.nonce(),
            proof: PeerProof([0; 32]),
        };
        welcome.proof = PeerProof::of_acceptor(&self.config.secret.0, &hello, &welcome);
        self.links.write(id, PeerKind::Welcome, |out| welcome.encode(out), now);
        self.set_stage(id, Stage::Welcomed { place, hello, welcome: Box::new(welcome) });
    }

    /// The first frame that the dialer reads.
    pub(super) fn take_welcome(
        &mut self,
        id: LinkId,
        frame: &PeerFrame<'_>,
        place: usize,
        hello: &PeerHello,
        now: u64,
    ) {
        let (peer, lane) = (self.places.get(place).peer, self.places.get(place).lane);
        let welcome = match frame.kind {
            PeerKind::Welcome => PeerWelcome::parse(frame.payload),
            PeerKind::Refused => return self.take_refused(id, frame, Some(peer), Some(lane), now),
            PeerKind::Redirect => return self.take_redirect(id, frame, place, now),
            kind => Err(PeerMessageError::NotAMessage { kind }),
        };
        let welcome = match welcome {
            Ok(welcome) => welcome,
            Err(error) => return self.refuse_message(id, &error, Some((peer, lane)), now),
        };
        let secret = &self.config.secret.0;
        let judged = self.judge_identity(&welcome.identity).and_then(|()| {
            let (own, found) = (hello.identity.replica, welcome.identity.replica);
            if found != peer {
                let text = format!(
                    "replica {own} dialed replica {peer} and replica {found} answered: federation.replicas of replica {own} \
                     has an address in the wrong place"
                );
                return Err(PeerRefused { code: PeerRefusal::OtherReplica, text });
            }
            match welcome.proof.matches(&PeerProof::of_acceptor(secret, hello, &welcome)) {
                true => Ok(()),
                false => Err(wrong_secret(peer, own)),
            }
        });
        if let Err(refused) = judged {
            return self.refuse(id, refused, Some(peer), Some(lane), now);
        }
        let proof = PeerProof::of_dialer(secret, hello, &welcome);
        self.links.write(id, PeerKind::Proof, |out| proof.encode(out), now);
        self.establish(id, place, hello.incarnation, &welcome.identity, now);
    }

    /// The second frame that the acceptor reads.
    pub(super) fn take_proof(
        &mut self,
        id: LinkId,
        frame: &PeerFrame<'_>,
        place: usize,
        (hello, welcome): (&PeerHello, &PeerWelcome),
        now: u64,
    ) {
        let (peer, lane) = (hello.identity.replica, hello.lane);
        let proof = match frame.kind {
            PeerKind::Proof => PeerProof::parse(frame.payload),
            PeerKind::Refused => return self.take_refused(id, frame, Some(peer), Some(lane), now),
            kind => Err(PeerMessageError::NotAMessage { kind }),
        };
        match proof {
            Ok(proof) if proof.matches(&PeerProof::of_dialer(&self.config.secret.0, hello, welcome)) => {
                self.establish_newest(id, place, hello, now);
            }
            Ok(_) => {
                let refused = wrong_secret(peer, self.config.identity.replica);
                self.refuse(id, refused, Some(peer), Some(lane), now);
            }
            Err(error) => self.refuse_message(id, &error, Some((peer, lane)), now),
        }
    }

    /// The other side has closed, and says why.
    pub(super) fn take_refused(
        &mut self,
        id: LinkId,
        frame: &PeerFrame<'_>,
        peer: Option<ReplicaId>,
        lane: Option<Lane>,
        now: u64,
    ) {
        match PeerRefused::parse(frame.payload) {
            Ok(refused) => {
                self.tell_refused(peer, lane, true, refused, now);
                self.detach(id, Loss::Refused, now);
                self.links.give_up(id);
            }
            Err(error) => self.refuse_message(id, &error, peer.zip(lane), now),
        }
    }

    fn take_redirect(&mut self, id: LinkId, frame: &PeerFrame<'_>, place: usize, now: u64) {
        match PeerRedirect::parse(frame.payload) {
            Ok(redirect) => {
                let jitter = self.entropy.number();
                self.places.get(place).redirect(redirect.core.0, now, jitter);
                self.dial_wanted = true;
                self.links.give_up(id);
            }
            Err(error) => {
                let place = self.places.get(place);
                let of = Some((place.peer, place.lane));
                self.refuse_message(id, &error, of, now);
            }
        }
    }

    /// Two connections of one peer for one lane: the one that it made later is the one that it uses.
    ///
    /// 1. The dialer's process dies; its connection lingers here.
    /// 2. It starts again and connects.
    /// 3. What the old one still had in flight must not count any more; least of all may the old one come back.
    ///
    /// A disk that replaces another begins with its first incarnation: what was made from a later disk is later.
    fn establish_newest(&mut self, id: LinkId, place: usize, hello: &PeerHello, now: u64) {
        let (identity, incarnation) = (&hello.identity, hello.incarnation);
        if let Err(refused) = self.judge_disk(identity.replica, identity.generation) {
            // Another disk of it has proved itself since the hello came.
            return self.refuse(id, refused, Some(identity.replica), Some(hello.lane), now);
        }
        let order = self.links.get(id).map_or(0, |link| link.order);
        if let Some(other) = self.places.get(place).established {
            if other.generation == identity.generation && other.made > (incarnation, order) {
                let text = "a newer connection of this replica for this lane is there".into();
                return self.links.refuse(id, &PeerRefused { code: PeerRefusal::Superseded, text }, now);
            }
            self.detach(other.link, Loss::Replaced, now);
            self.links.give_up(other.link);
        }
        self.establish(id, place, incarnation, identity, now);
    }

    fn establish(
        &mut self,
        id: LinkId,
        place: usize,
        incarnation: Incarnation,
        identity: &PeerIdentity,
        now: u64,
    ) {
        let PeerIdentity { replica, generation, failure_domain, ports, .. } = *identity;
        self.learn_disk(replica, generation, now);
        let Some(link) = self.links.get(id) else { return };
        link.stage = Stage::Established { place };
        let made = (incarnation, link.order);
        let of = self.places.get(place);
        of.connect(Established { link: id, generation, made });
        let (peer, lane) = (of.peer, of.lane);
        self.told.forget(peer);
        let logic = identity.logic.clone();
        let event = FederationEvent::Connected { peer, lane, generation, failure_domain, logic, ports };
        self.events.push_back(event);
    }

    fn judge_hello(&self, hello: &PeerHello) -> Result<(), PeerRefused> {
        self.judge_identity(&hello.identity)?;
        let (own, peer) = (self.config.identity.replica, hello.identity.replica);
        if hello.to != own {
            let text = format!(
                "replica {peer} dialed replica {} and replica {own} answered: federation.replicas of replica {peer} has an \
                 address in the wrong place",
                hello.to
            );
            return Err(PeerRefused { code: PeerRefusal::OtherReplica, text });
        }
        if peer < own {
            let text = format!("replica {peer} dialed replica {own}: the higher number dials");
            return Err(PeerRefused { code: PeerRefusal::WrongDirection, text });
        }
        match hello.lane {
            Lane::Shard(shard) if shard.0 >= self.config.layout.shards() => {
                let shards = self.config.layout.shards();
                let text = format!("there is no shard {shard}: the cluster has {shards}");
                Err(PeerRefused { code: PeerRefusal::BadMessage, text })
            }
            Lane::Shard(_) | Lane::Control => Ok(()),
        }
    }

    /// D2: everything that must be the same is.
    fn judge_identity(&self, peer: &PeerIdentity) -> Result<(), PeerRefused> {
        let own = &self.config.identity;
        let (a, b) = (own.replica, peer.replica);
        let refuse = |code, text: String| Err(PeerRefused { code, text });
        if peer.cluster != own.cluster {
            let (here, there) = (own.cluster, peer.cluster);
            return refuse(
                PeerRefusal::OtherCluster,
                format!(
                    "replica {a} belongs to cluster {here}, replica {b} to {there}: check the addresses in \
                     federation.replicas, and that all replicas were formatted with one --cluster"
                ),
            );
        }
        if peer.replicas != own.replicas {
            let (here, there) = (own.replicas, peer.replicas);
            return refuse(
                PeerRefusal::OtherReplicas,
                format!(
                    "replica {a} was formatted for {here} replicas, replica {b} for {there}: format all with the same \
                     --replicas"
                ),
            );
        }
        if peer.shards != own.shards {
            let (here, there) = (own.shards, peer.shards);
            return refuse(
                PeerRefusal::OtherShards,
                format!(
                    "replica {a} was formatted with {here} shards, replica {b} with {there}: format all with the same \
                     --shards"
                ),
            );
        }
        if peer.agreed != own.agreed {
            let (here, there) = (&own.domains, &peer.domains);
            let what = match here == there {
                true => format!("both of {here}, so an option or a seed differs"),
                false => format!("domains: {here}; {there}"),
            };
            return refuse(
                PeerRefusal::OtherAgreed,
                format!(
                    "replicas {a} and {b} were formatted with other parameters ({what}): format all with the same \
                     options, seeds and release"
                ),
            );
        }
        if b.0 >= own.replicas || b == a {
            let what = if a == b { "the same number, " } else { "no number of this cluster, " };
            return refuse(
                PeerRefusal::BadReplica,
                format!("replica {a} met a replica with {what}{b}: each of the {} has its own", own.replicas),
            );
        }
        self.judge_disk(b, peer.generation)
    }

    /// Which core of this replica owns a lane.
    fn owner(&self, lane: Lane) -> CoreId {
        match lane {
            Lane::Control => self.config.layout.control,
            Lane::Shard(shard) => self.config.layout.owner(shard),
        }
    }

    pub(super) fn refuse_message(
        &mut self,
        id: LinkId,
        error: &PeerMessageError,
        of: Option<(ReplicaId, Lane)>,
        now: u64,
    ) {
        let refused = PeerRefused { code: PeerRefusal::BadMessage, text: error.to_string() };
        let (peer, lane) = of.unzip();
        self.refuse(id, refused, peer, lane, now);
    }
}

fn wrong_secret(peer: ReplicaId, own: ReplicaId) -> PeerRefused {
    let text = format!(
        "replica {peer} does not prove to replica {own} that it has the cluster's secret: federation.secret_file must hold \
         the same on all replicas"
    );
    PeerRefused { code: PeerRefusal::WrongSecret, text }
}
