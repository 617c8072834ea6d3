//! Replicas that share one log by magic, the connections of one client to them, and a clock.

use std::collections::BTreeMap;

use assize_tools::client::{Core, LaneAction, LaneId, NewEvent, Options, Outcome, SiteId, Tick};
use assize_wire::event::Event;
use assize_wire::frame::{Frame, FrameKind, FrameWriter, Parsed};
use assize_wire::message::{
    Answer, Answers, EntityRef, EntityState, Read, Refused, RefusedCode, States, Submit, Welcome,
};
use assize_wire::outcome::Status;
use assize_wire::{ClusterId, DomainId, EntityId, EventKey, Position, ReplicaId, ShardId, Slot, StreamTime};

const MS: u64 = 1_000_000;
/// Two shards on two ports, and a client that cannot have everything under way at once.
const SHARDS: u16 = 2;
const CREDIT: u32 = 8;
/// Stream time when the client's clock shows 0.
const EPOCH: u64 = 1 << 60;

/// What a replica does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Evaluates and answers if it leads; refuses with `NotLeader` if it does not.
    Serve,
    /// Takes bytes in and does nothing, like a process that was stopped.
    Hang,
    /// Welcomes and pongs, and keeps requests without evaluating them, like a leader without a majority.
    Swallow,
    /// Refuses with `NotLeader` whatever it says of itself.
    Refuse,
    /// Refuses with `NotServing`.
    Stop,
}

/// One replica.
pub struct Replica {
    pub does: Does,
    /// Who leads, as it says.
    pub says: Option<u8>,
    pub evaluated: usize,
    pub refused: usize,
    /// Answers that it gives before it falls silent.
    pub answers_left: Option<usize>,
    /// Answers wait here while this is set.
    pub holds: bool,
    /// The same for those that wait already, and only for them.
    pub held_back: bool,
    up: bool,
    kept: Vec<(LaneId, Vec<u8>)>,
    connections: BTreeMap<LaneId, Vec<u8>>,
}

/// A cluster and its client.
pub struct Cluster {
    pub core: Core,
    pub replicas: Vec<Replica>,
    /// For each key that was decided its bytes and its position.
    pub log: BTreeMap<u128, (Vec<u8>, Position)>,
    pub completions: BTreeMap<u128, Outcome>,
    /// Connections that looked for the leader.
    pub connects: usize,
    now: u64,
    next_key: u128,
}

impl Cluster {
    /// Led by one of its replicas, which the others know.
    pub fn led_by(leader: u8, replicas: usize) -> Cluster {
        Cluster::with(leader, replicas, Options::default())
    }

    /// The same for a client with these options.
    pub fn with(leader: u8, replicas: usize, options: Options) -> Cluster {
        let replica = |_| Replica {
            does: Does::Serve,
            says: Some(leader),
            evaluated: 0,
            refused: 0,
            answers_left: None,
            holds: false,
            held_back: false,
            up: true,
            kept: Vec::new(),
            connections: BTreeMap::new(),
        };
        let mut cluster = Cluster {
            core: Core::new(replicas, options),
            replicas: (0..replicas).map(replica).collect(),
            log: BTreeMap::new(),
            completions: BTreeMap::new(),
            connects: 0,
            now: 0,
            next_key: 0,
        };
        // Welcomed once by somebody, if anybody leads: before that no event can be given a deadline.
        cluster.settle();
        cluster
    }

    /// All that are up and at work say from now on that this one leads.
    pub fn elect(&mut self, leader: Option<u8>) {
        for replica in self.replicas.iter_mut().filter(|replica| replica.does != Does::Hang) {
            replica.says = leader;
        }
    }

    pub fn kill(&mut self, at: usize) {
        self.replicas[at].up = false;
        self.replicas[at].kept.clear();
        self.break_connections(at);
    }

    pub fn start(&mut self, at: usize) {
        self.replicas[at].up = true;
        self.replicas[at].answers_left = None;
    }

    pub fn break_connections(&mut self, at: usize) {
        while self.break_connection(at, 0) {}
    }

    /// Breaks one of a replica's connections, in the order of the client's lanes, and loses what is on its way there.
    /// False if there is none.
    pub fn break_connection(&mut self, at: usize, number: usize) -> bool {
        let replica = &mut self.replicas[at];
        let Some(lane) = replica.connections.keys().nth(number).copied() else { return false };
        replica.connections.remove(&lane);
        replica.kept.retain(|(to, _)| *to != lane);
        self.core.handle_lost(lane, Tick(self.now));
        true
    }

    /// From now on all are up and at work, and this one leads.
    pub fn heal(&mut self, leader: u8) {
        for replica in &mut self.replicas {
            replica.does = Does::Serve;
            (replica.up, replica.answers_left) = (true, None);
            (replica.holds, replica.held_back) = (false, false);
        }
        self.elect(Some(leader));
    }

    /// Keys whose fate the client has not learned.
    pub fn missing(&self) -> Vec<u128> {
        (1..=self.next_key).filter(|key| !self.completions.contains_key(key)).collect()
    }

    /// Enqueues events under new keys.
    pub fn enqueue(&mut self, count: u128) {
        for _ in 0..count {
            self.next_key += 1;
            let event = NewEvent::new(DomainId(1), 1, vec![self.next_key as u8; 40]);
            self.core.enqueue(&event, EventKey(self.next_key), Tick(self.now)).unwrap();
        }
    }

    pub fn read(&mut self, count: u128) -> u64 {
        self.core.enqueue_read((0..count).map(|id| EntityRef::new(DomainId(1), EntityId(id))).collect())
    }

    /// Events whose fate the client learned.
    pub fn answered(&self) -> usize {
        self.completions.values().filter(|outcome| **outcome != Outcome::Unknown).count()
    }

    /// Those of them that were answered so.
    pub fn with_status(&self, status: Status) -> usize {
        let is = |outcome: &&Outcome| matches!(outcome, Outcome::Answered(answer) if answer.status == status);
        self.completions.values().filter(is).count()
    }

    /// Keys that count up were decided in this order by each shard, whoever led.
    pub fn check_order(&self) {
        let mut last: BTreeMap<u16, Position> = BTreeMap::new();
        for (key, (_, position)) in &self.log {
            let shard = shard_of(*key);
            assert!(last.insert(shard, *position).is_none_or(|before| before < *position), "key {key}");
        }
    }

    /// Lets this much time pass.
    pub fn run_for(&mut self, ms: u64) {
        let until = self.now + ms * MS;
        loop {
            self.settle();
            let next = self.core.next_timeout(Tick(self.now)).0;
            if next > until {
                self.now = self.now.max(until);
                return self.settle();
            }
            self.now = next.max(self.now + 1);
        }
    }

    /// Does what can be done at this moment.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 200, "no end at {} ns", self.now);
            self.core.handle_timeout(Tick(self.now));
            let mut moved = false;
            for lane in (0..self.core.lanes()).map(LaneId) {
                moved |= self.act(lane);
                moved |= self.send(lane);
            }
            for at in 0..self.replicas.len() {
                if !self.replicas[at].holds && !self.replicas[at].held_back {
                    for (lane, bytes) in std::mem::take(&mut self.replicas[at].kept) {
                        self.receive(at, lane, &bytes);
                        moved = true;
                    }
                }
            }
            while let Some(done) = self.core.poll_completion() {
                assert_eq!(self.completions.insert(done.key.0, done.outcome), None, "told twice");
            }
            if !moved {
                return;
            }
        }
    }

    fn act(&mut self, lane: LaneId) -> bool {
        let action = self.core.poll_lane(lane, Tick(self.now));
        // What is to be done takes time, if little: it is done later than whatever made it due.
        self.now += u64::from(action != LaneAction::None);
        match action {
            LaneAction::None => return false,
            LaneAction::Connect(SiteId(at), port) => {
                self.connects += usize::from(port.is_none());
                if self.replicas[at].up {
                    self.replicas[at].connections.insert(lane, Vec::new());
                    self.core.handle_connected(lane, Tick(self.now));
                } else {
                    self.core.handle_lost(lane, Tick(self.now));
                }
            }
            LaneAction::Close => {
                for replica in &mut self.replicas {
                    replica.connections.remove(&lane);
                    replica.kept.retain(|(to, _)| *to != lane);
                }
                self.core.handle_lost(lane, Tick(self.now));
            }
        }
        true
    }

    /// Takes what the client sends on a lane to the replica that it leads to.
    fn send(&mut self, lane: LaneId) -> bool {
        let Some(at) = self.replicas.iter().position(|replica| replica.connections.contains_key(&lane))
        else {
            return false;
        };
        let output = self.core.output(lane).to_vec();
        self.core.handle_written(lane, output.len());
        let input = self.replicas[at].connections.get_mut(&lane).unwrap();
        input.extend_from_slice(&output);
        if self.replicas[at].does == Does::Hang {
            return false;
        }
        let input = std::mem::take(self.replicas[at].connections.get_mut(&lane).unwrap());
        let (mut rest, mut moved) = (input.as_slice(), false);
        while let Parsed::Whole { frame, bytes } = Frame::parse(rest).unwrap() {
            self.handle_frame(at, lane, &frame);
            rest = &rest[bytes..];
            moved = true;
        }
        moved
    }

    fn receive(&mut self, at: usize, lane: LaneId, bytes: &[u8]) {
        if !self.replicas[at].connections.contains_key(&lane) {
            return;
        }
        for piece in bytes.chunks(1000) {
            self.core.space(lane)[..piece.len()].copy_from_slice(piece);
            self.core.handle_received(lane, piece.len(), Tick(self.now)).unwrap();
        }
    }

    fn handle_frame(&mut self, at: usize, lane: LaneId, frame: &Frame<'_>) {
        let mut out = Vec::new();
        let reply = |out: &mut Vec<u8>, kind, payload: &[u8]| {
            let writer = FrameWriter::begin(out, kind, frame.request);
            out.extend_from_slice(payload);
            writer.finish(out);
        };
        let leads = self.replicas[at].says == Some(at as u8);
        match (frame.kind, self.replicas[at].does) {
            (FrameKind::Hello, _) => reply(&mut out, FrameKind::Welcome, &self.welcome(at)),
            (FrameKind::Ping, _) => reply(&mut out, FrameKind::Pong, &[]),
            (_, Does::Swallow) => return,
            (_, Does::Stop) => reply(&mut out, FrameKind::Refused, &refused(RefusedCode::NotServing)),
            (_, does) if does == Does::Refuse || !leads => {
                self.replicas[at].refused += 1;
                let leader = self.replicas[at].says.filter(|said| *said != at as u8).map(ReplicaId);
                reply(&mut out, FrameKind::Refused, &refused(RefusedCode::NotLeader { leader }));
            }
            (FrameKind::Read, _) => {
                let read = Read::parse(frame.payload).unwrap();
                let mut payload = States::header(read.entities.len() as u32, Slot(1)).to_vec();
                for index in 0..read.entities.len() {
                    EntityState { index: index as u32, state: None }.encode(&mut payload);
                }
                reply(&mut out, FrameKind::States, &payload);
            }
            (FrameKind::Submit, _) => {
                for answer in self.submit(at, frame.payload) {
                    reply(&mut out, FrameKind::Answers, &answer);
                }
                if self.replicas[at].holds {
                    self.replicas[at].kept.push((lane, out));
                    return;
                }
            }
            (kind, _) => panic!("the client sent {kind:?}"),
        }
        self.receive(at, lane, &out);
    }

    /// Evaluates all events, and answers each in a frame of its own as long as it answers.
    fn submit(&mut self, at: usize, payload: &[u8]) -> Vec<Vec<u8>> {
        let submit = Submit::parse(payload).unwrap();
        let (mut rest, mut frames) = (submit.events, Vec::new());
        for index in 0..submit.count {
            let (event, after) = Event::parse(rest).unwrap();
            rest = after;
            let key = event.key().0;
            let position = Position { slot: Slot(self.log.len() as u64 + 1), shard: ShardId(0), index: 0 };
            let known = self.log.get(&key).cloned();
            let (bytes, position) = known.clone().unwrap_or_else(|| (event.bytes().to_vec(), position));
            assert_eq!(bytes, event.bytes(), "key {key} with other bytes");
            self.log.insert(key, (bytes, position));
            self.replicas[at].evaluated += usize::from(known.is_none());
            let left = self.replicas[at].answers_left;
            if left == Some(0) {
                continue;
            }
            self.replicas[at].answers_left = left.map(|left| left - 1);
            let mut frame = Answers::header(1, self.stream_time()).to_vec();
            let status = if known.is_some() { Status::Duplicate } else { Status::Applied };
            let answer = Answer {
                index,
                status,
                first_status: Status::Applied,
                reason: 0,
                position,
                retry_after_us: 0,
                response: &[],
            };
            answer.encode(&mut frame);
            frames.push(frame);
        }
        frames
    }

    fn welcome(&self, at: usize) -> Vec<u8> {
        let port = 7000 + 10 * at as u16;
        let welcome = Welcome {
            cluster: ClusterId(1),
            replica: ReplicaId(at as u8),
            leader: self.replicas[at].says.map(ReplicaId),
            routing_seed: SEED,
            stream_time: self.stream_time(),
            warden_ttl_ns: 80_000 * MS,
            credit_events: CREDIT,
            replicas: self.replicas.len() as u8,
            copies: 2,
            durable: true,
            ports: (0..SHARDS).map(|shard| port + shard).collect(),
        };
        let mut payload = Vec::new();
        welcome.encode(&mut payload);
        payload
    }

    fn stream_time(&self) -> StreamTime {
        StreamTime(EPOCH + self.now)
    }
}

fn refused(code: RefusedCode) -> Vec<u8> {
    let mut payload = Vec::new();
    Refused { code, retry_after_us: 500, text: String::new() }.encode(&mut payload);
    payload
}

fn shard_of(key: u128) -> u16 {
    assize_wire::routing::Routing { seed: SEED, shards: SHARDS }.shard_of_key(EventKey(key)).0
}

const SEED: u64 = 3;
