//! A model of an engine: one thread, plain blocking sockets, every event evaluated serially by its bundled domain, a
//! map of keys for a Warden. It misbehaves where a test asks it to. Several models are a cluster: they share their
//! state, and one of them leads.
#![allow(dead_code, unreachable_pub, reason = "each test that includes this module uses its own part of it")]

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use assize_domain::{Cell, Domain, Entities, Response, States as DomainStates, Verdict};
use assize_inventory::{INVENTORY, InventoryDomain};
use assize_telemetry::{TELEMETRY, TelemetryDomain};
use assize_wire::event::Event;
use assize_wire::frame::{Frame, FrameKind, FrameWriter, Parsed};
use assize_wire::message::{
    Answer, Answers, EntityState, Read as ReadMessage, Refused, RefusedCode, States, Submit, Welcome,
};
use assize_wire::outcome::Status;
use assize_wire::{ClusterId, DomainId, EntityId, Position, ReplicaId, ShardId, Slot, StreamTime};

/// How the model misbehaves.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Close the connection after this many requests on it, the last evaluated but not answered.
    pub drop_after: Option<u64>,
    /// Answer `busy` to every n-th event at its first sight.
    pub busy_every: Option<u64>,
    /// Refuse every n-th request as a whole.
    pub refuse_every: Option<u64>,
    /// Answer a request in frames of this many events, the last first.
    pub split: Option<usize>,
    /// Evaluate, but never answer submissions.
    pub mute: bool,
    /// Do not even answer `Hello`.
    pub deaf: bool,
    /// Send this instead of a welcome.
    pub garbage: Option<Vec<u8>>,
    /// Apply every n-th applied event twice: the bug that the books must find.
    pub double_every: Option<u64>,
    /// Answer every n-th applied event and forget what it did.
    pub forget_every: Option<u64>,
    /// After this many applied events take a unit away from some item behind everybody's back.
    pub lose_unit_after: Option<u64>,
    /// Events that a connection may have unanswered.
    pub credit: Option<u32>,
}

/// What outlives a connection.
#[derive(Default)]
struct State {
    entities: HashMap<(DomainId, EntityId), Vec<u8>>,
    keys: HashMap<u128, Recorded>,
    slot: u64,
    seen: u64,
    requests: u64,
    applied: u64,
    told_busy: HashMap<u128, ()>,
}

#[derive(Clone)]
struct Recorded {
    body: Vec<u8>,
    status: Status,
    reason: u16,
    position: Position,
    response: Vec<u8>,
}

/// A running model.
pub struct Model {
    pub ports: Vec<u16>,
    state: Arc<Mutex<State>>,
    cluster: Arc<Shared>,
    closing: Arc<AtomicBool>,
    pub connections: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

/// What the models of a cluster share.
pub struct Shared {
    state: Arc<Mutex<State>>,
    replicas: u8,
    /// Who leads; [`NOBODY`] while none does.
    leader: AtomicU8,
    /// Who is elected once so many keys were evaluated, in order.
    elections: Mutex<VecDeque<(usize, u8)>>,
    /// Clients that were told that nobody leads.
    turned_away: Mutex<u64>,
    more: Condvar,
    /// The leader evaluates what it is sent and does not answer it.
    withholding: AtomicBool,
    /// Requests that will never be answered.
    withheld: Mutex<u64>,
}

const NOBODY: u8 = 255;

impl Shared {
    pub fn elect(&self, leader: u8) {
        self.withholding.store(false, Ordering::SeqCst);
        self.leader.store(leader, Ordering::SeqCst);
    }

    /// Elects these, each with the request by which so many keys are evaluated: the next one comes to whoever led.
    pub fn elect_after(&self, elections: &[(usize, u8)]) {
        self.elections.lock().unwrap().extend(elections);
    }

    /// One at a time, so that each is noticed.
    fn elect_due(&self, keys: usize) {
        let due = self.elections.lock().unwrap().pop_front_if(|(after, _)| *after <= keys);
        if let Some((_, leader)) = due {
            self.elect(leader);
        }
    }

    /// In the middle of a load, with requests under way, the one that leads dies, and until the others were asked
    /// nobody leads; then replica 2 does.
    pub fn replace_in_the_middle(&self, leads: Model) {
        self.wait_until_evaluated(300);
        self.wait_until_under_way();
        self.elect(NOBODY);
        leads.kill();
        self.wait_until_asked(8);
        self.elect(2);
    }

    /// Waits until a request surely is under way: from now until the next election the leader evaluates without
    /// answering.
    pub fn wait_until_under_way(&self) {
        let mut withheld = self.withheld.lock().unwrap();
        self.withholding.store(true, Ordering::SeqCst);
        let before = *withheld;
        while *withheld == before {
            withheld = self.more.wait(withheld).unwrap();
        }
    }

    /// Waits until clients were told so often that nobody leads.
    pub fn wait_until_asked(&self, times: u64) {
        let mut turned_away = self.turned_away.lock().unwrap();
        let target = *turned_away + times;
        while *turned_away < target {
            turned_away = self.more.wait(turned_away).unwrap();
        }
    }

    /// Waits until so many keys were evaluated.
    pub fn wait_until_evaluated(&self, keys: usize) {
        while self.state.lock().unwrap().keys.len() < keys {
            thread::yield_now();
        }
    }

    /// Who leads, as a replica tells it.
    fn told(&self) -> Option<ReplicaId> {
        let leader = self.leader.load(Ordering::SeqCst);
        if leader == NOBODY {
            *self.turned_away.lock().unwrap() += 1;
            self.more.notify_all();
            return None;
        }
        Some(ReplicaId(leader))
    }
}

impl Model {
    /// Starts one with this many shards, each on a port of its own.
    pub fn start(shards: usize, faults: Faults) -> Model {
        Model::cluster(1, shards, &faults).0.remove(0)
    }

    /// Starts several, led by the first.
    pub fn cluster(replicas: u8, shards: usize, faults: &Faults) -> (Vec<Model>, Arc<Shared>) {
        let shared = Arc::new(Shared {
            state: Arc::new(Mutex::new(State::default())),
            replicas,
            leader: AtomicU8::new(0),
            turned_away: Mutex::new(0),
            more: Condvar::new(),
            withholding: AtomicBool::new(false),
            withheld: Mutex::new(0),
            elections: Mutex::default(),
        });
        let models = (0..replicas).map(|replica| Model::replica(replica, shards, faults.clone(), &shared));
        (models.collect(), shared)
    }

    fn replica(replica: u8, shards: usize, faults: Faults, cluster: &Arc<Shared>) -> Model {
        let listeners: Vec<TcpListener> =
            (0..shards).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> =
            listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        let state = cluster.state.clone();
        let streams = Arc::new(Mutex::new(Vec::new()));
        let closing = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicU64::new(0));
        let mut threads = Vec::new();
        for listener in listeners {
            let (state, closing, ports) = (state.clone(), closing.clone(), ports.clone());
            let (faults, connections) = (faults.clone(), connections.clone());
            let (cluster, streams) = (cluster.clone(), streams.clone());
            threads.push(thread::spawn(move || {
                for stream in listener.incoming() {
                    if closing.load(Ordering::SeqCst) {
                        return;
                    }
                    connections.fetch_add(1, Ordering::SeqCst);
                    let stream = stream.unwrap();
                    streams.lock().unwrap().push(stream.try_clone().unwrap());
                    let cluster = cluster.clone();
                    let (state, ports, faults) = (state.clone(), ports.clone(), faults.clone());
                    thread::spawn(move || {
                        let mut connection =
                            Connection { state, cluster, replica, ports, faults, requests: 0 };
                        // A connection that fails ends; that is all a server knows of it.
                        let _ = connection.serve(&stream);
                        // A clone of it is kept for `kill`.
                        let _ = stream.shutdown(Shutdown::Both);
                    });
                }
            }));
        }
        Model { ports, state, cluster: cluster.clone(), closing, connections, threads, streams }
    }

    pub fn address(&self) -> String {
        format!("localhost:{}", self.ports[0])
    }

    /// Ends it as a kill does: nothing more is evaluated or answered, and nothing listens.
    pub fn kill(self) {
        // Nobody else evaluates while the connections are cut: none is answered half.
        let _state = self.state.lock().unwrap();
        for stream in self.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(_state);
    }

    /// Events evaluated, each key once.
    pub fn keys(&self) -> usize {
        self.state.lock().unwrap().keys.len()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        for port in &self.ports {
            let _ = TcpStream::connect(("127.0.0.1", *port));
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

struct Connection {
    state: Arc<Mutex<State>>,
    cluster: Arc<Shared>,
    replica: u8,
    ports: Vec<u16>,
    faults: Faults,
    requests: u64,
}

impl Connection {
    fn serve(&mut self, mut stream: &TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let (mut input, mut room) = (Vec::new(), vec![0; 1 << 16]);
        loop {
            let count = match stream.read(&mut room) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            input.extend_from_slice(&room[..count]);
            let mut read = 0;
            while let Parsed::Whole { frame, bytes } =
                Frame::parse(&input[read..]).expect("the client sends frames")
            {
                let mut out = Vec::new();
                let goes_on = self.answer(&frame, &mut out);
                stream.write_all(&out)?;
                if !goes_on {
                    return Ok(());
                }
                read += bytes;
            }
            input.drain(..read);
        }
    }

    /// Answers a frame; false closes the connection.
    fn answer(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> bool {
        match frame.kind {
            FrameKind::Hello if self.faults.deaf => true,
            FrameKind::Hello => {
                if let Some(garbage) = &self.faults.garbage {
                    out.extend_from_slice(garbage);
                    return true;
                }
                let writer = FrameWriter::begin(out, FrameKind::Welcome, 0);
                self.welcome().encode(out);
                writer.finish(out);
                true
            }
            FrameKind::Read | FrameKind::Submit if self.cluster.told() != Some(ReplicaId(self.replica)) => {
                let writer = FrameWriter::begin(out, FrameKind::Refused, frame.request);
                let code = RefusedCode::NotLeader { leader: self.cluster.told() };
                Refused { code, retry_after_us: 1000, text: "elsewhere".into() }.encode(out);
                writer.finish(out);
                true
            }
            FrameKind::Read => {
                self.read(frame, out);
                true
            }
            FrameKind::Submit => self.submit(frame, out),
            FrameKind::Ping => {
                FrameWriter::begin(out, FrameKind::Pong, frame.request).finish(out);
                true
            }
            kind => panic!("the client sent {kind:?}"),
        }
    }

    fn welcome(&self) -> Welcome {
        Welcome {
            cluster: ClusterId(77),
            replica: ReplicaId(self.replica),
            leader: self.cluster.told(),
            routing_seed: 5,
            stream_time: now(),
            warden_ttl_ns: 600_000_000_000,
            credit_events: self.faults.credit.unwrap_or(20_000),
            replicas: self.cluster.replicas,
            copies: 1,
            durable: false,
            ports: self.ports.clone(),
        }
    }

    fn read(&self, frame: &Frame<'_>, out: &mut Vec<u8>) {
        let state = self.state.lock().unwrap();
        let read = ReadMessage::parse(frame.payload).unwrap();
        let entities: Vec<_> = read.entities.iter().enumerate().collect();
        // Two frames, the second half first.
        for half in entities.chunks(entities.len().div_ceil(2)).rev() {
            let writer = FrameWriter::begin(out, FrameKind::States, frame.request);
            out.extend_from_slice(&States::header(half.len() as u32, Slot(state.slot)));
            for (index, entity) in half {
                let found = state.entities.get(&(entity.domain(), entity.entity())).map(Vec::as_slice);
                EntityState { index: *index as u32, state: found }.encode(out);
            }
            writer.finish(out);
        }
    }

    fn submit(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> bool {
        let submit = Submit::parse(frame.payload).unwrap();
        let mut state = self.state.lock().unwrap();
        state.requests += 1;
        self.requests += 1;
        if self.faults.refuse_every.is_some_and(|every| state.requests.is_multiple_of(every)) {
            let writer = FrameWriter::begin(out, FrameKind::Refused, frame.request);
            let refused = Refused { code: RefusedCode::Busy, retry_after_us: 500, text: "not now".into() };
            refused.encode(out);
            writer.finish(out);
            return true;
        }
        state.slot += 1;
        let (mut rest, mut answers) = (submit.events, Vec::new());
        for index in 0..submit.count {
            let (event, after) = Event::parse(rest).expect("the client sends events");
            rest = after;
            answers.push(evaluate(&mut state, &self.faults, index, &event));
        }
        assert!(rest.is_empty(), "bytes after the last event");
        self.cluster.elect_due(state.keys.len());
        if self.faults.drop_after.is_some_and(|after| self.requests >= after) {
            return false;
        }
        if self.cluster.withholding.load(Ordering::SeqCst) {
            *self.cluster.withheld.lock().unwrap() += 1;
            self.cluster.more.notify_all();
            return true;
        }
        if self.faults.mute {
            return true;
        }
        let split = self.faults.split.unwrap_or(answers.len());
        for part in answers.chunks(split).rev() {
            let writer = FrameWriter::begin(out, FrameKind::Answers, frame.request);
            out.extend_from_slice(&Answers::header(part.len() as u32, now()));
            for (index, status, retry_after_us, recorded) in part {
                let answer = Answer {
                    index: *index,
                    status: *status,
                    first_status: recorded.status,
                    reason: recorded.reason,
                    position: recorded.position,
                    retry_after_us: *retry_after_us,
                    response: &recorded.response,
                };
                answer.encode(out);
            }
            writer.finish(out);
        }
        true
    }
}

fn evaluate(
    state: &mut State,
    faults: &Faults,
    index: u32,
    event: &Event<'_>,
) -> (u32, Status, u32, Recorded) {
    let nothing = |status| Recorded {
        body: Vec::new(),
        status,
        reason: 0,
        position: Position::default(),
        response: Vec::new(),
    };
    state.seen += 1;
    let key = event.key().0;
    if faults.busy_every.is_some_and(|every| state.seen.is_multiple_of(every))
        && state.told_busy.insert(key, ()).is_none()
    {
        return (index, Status::Busy, 300, nothing(Status::Busy));
    }
    if let Some(known) = state.keys.get(&key) {
        return match known.body == event.body() {
            true => (index, Status::Duplicate, 0, known.clone()),
            false => (index, Status::Conflict, 0, nothing(Status::Conflict)),
        };
    }
    if event.deadline() <= now() {
        return (index, Status::Expired, 0, nothing(Status::Expired));
    }
    let before = faults.forget_every.map(|_| state.entities.clone());
    let verdict = apply(state, event);
    let (status, reason, response) = verdict;
    if status == Status::Applied {
        state.applied += 1;
        if faults.double_every.is_some_and(|every| state.applied.is_multiple_of(every)) {
            apply(state, event);
        }
        if faults.forget_every.is_some_and(|every| state.applied.is_multiple_of(every)) {
            state.entities = before.expect("they were kept");
        }
        if faults.lose_unit_after == Some(state.applied) {
            let is_item = |of: &(DomainId, EntityId)| of.0 == INVENTORY;
            let mut items = state.entities.iter_mut().filter(|(id, _)| is_item(id)).map(|(_, item)| item);
            items.find(|item| item[0] > 0).unwrap()[0] -= 1;
        }
    }
    let recorded = Recorded {
        body: event.body().to_vec(),
        status,
        reason,
        position: Position { slot: Slot(state.slot), shard: ShardId(0), index },
        response,
    };
    state.keys.insert(key, recorded.clone());
    (index, status, 0, recorded)
}

fn apply(state: &mut State, event: &Event<'_>) -> (Status, u16, Vec<u8>) {
    let (id, mut entities) = (event.domain(), Entities::new());
    let domain: &dyn Domain = match id {
        INVENTORY => &InventoryDomain,
        TELEMETRY => &TelemetryDomain,
        other => panic!("an event of domain {other}"),
    };
    if let Err(invalid) = domain.entities(event, &mut entities) {
        return (Status::Invalid, invalid.reason, Vec::new());
    }
    let mut cells: Vec<Cell> = entities
        .as_slice()
        .iter()
        .map(|entity| {
            let mut cell = Cell::absent();
            cell.load(state.entities.get(&(id, *entity)).map(Vec::as_slice));
            cell
        })
        .collect();
    let mut response = Response::new();
    let verdict = domain.evaluate(event, now(), &mut DomainStates::new(&mut cells), &mut response);
    let response = response.as_slice().to_vec();
    match verdict {
        Verdict::Rejected(reason) => (Status::Rejected, reason, response),
        Verdict::Applied => {
            for (entity, cell) in entities.as_slice().iter().zip(&cells) {
                match cell.get() {
                    Some(found) => state.entities.insert((id, *entity), found.to_vec()),
                    None => state.entities.remove(&(id, *entity)),
                };
            }
            (Status::Applied, 0, response)
        }
    }
}

/// The members of a report of this kind, as `tools/README.md` has them.
pub fn documented_members(kind: &str) -> BTreeSet<String> {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, reports) = page.split_once("\n## Reports").expect("a section about reports");
    let rows = reports.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>());
    let of_kind = cells.filter(|cells| cells[1] == "both" || cells[1] == kind);
    of_kind
        .flat_map(|cells| cells[0].split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn now() -> StreamTime {
    StreamTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64)
}

/// Runs `body` on a thread and fails if it takes longer than a minute: no test may hang.
pub fn within_a_minute<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || sender.send(body()));
    match receiver.recv_timeout(std::time::Duration::from_secs(60)) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("still not done after a minute"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => unreachable!("the value was not sent"),
        },
    }
}
