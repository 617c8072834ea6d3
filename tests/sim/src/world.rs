//! A replica and everybody who uses it: clients remember what they asked, and draw what to do from a seed. After every
//! step the checkers look at what became of it.

use std::collections::BTreeMap;

use assize_wal::memory::Random;
use assize_wire::Slot;
use assize_wire::event::Event;
use assize_wire::message::RefusedCode;
use assize_wire::outcome::Status;

use crate::bank::Op;
use crate::checkers::{Asked, Budget, Checkers};
use crate::disk::Down;
use crate::frames::{Said, event, hello, parse_frames, read, submit};
use crate::history::{History, Submitted};
use crate::model::Ended;
use crate::options::{Mix, Options};
use crate::replica::Replica;
use crate::shape::{EPOCH_NS, Shape};

/// A replica and everybody who uses it.
pub struct World {
    /// One for now.
    pub replicas: Vec<Replica>,
    /// What must hold, by replica.
    pub checkers: Vec<Checkers>,
    /// What clients did and were told.
    pub history: History,
    /// What clients draw from.
    pub random: Random,
    /// What clients do.
    pub mix: Mix,
    clients: Vec<Client>,
    /// Events that are to be submitted again, with the same key.
    again: Vec<Vec<u8>>,
    /// How often a client was told that it is to come again.
    pub busy: u64,
    /// Duplicates that were answered with a response that the Warden does not hold.
    pub long_fills: u64,
    /// How often events ended as which status.
    pub statuses: BTreeMap<u8, u64>,
    /// How often the replica went down.
    pub downs: u64,
    /// Whether clients misbehave and leave now and then.
    pub rude: bool,
    /// What the reads told that were sent last.
    last_read: BTreeMap<u128, Option<u64>>,
}

impl World {
    /// The replica with no clients yet.
    pub fn new(replica: Replica, seed: u64) -> World {
        let checkers = Checkers::new(replica.shape.agreed(), 1);
        let mut world = World {
            replicas: vec![replica],
            checkers: vec![checkers],
            history: History::default(),
            random: Random(seed ^ 0x00c1_1e47),
            mix: Mix::CALM,
            clients: Vec::new(),
            again: Vec::new(),
            busy: 0,
            long_fills: 0,
            statuses: BTreeMap::new(),
            downs: 0,
            rude: true,
            last_read: BTreeMap::new(),
        };
        world.observe(0);
        world
    }

    /// A replica of this shape that serves, with nothing out of the ordinary.
    pub fn serving(shape: Shape, seed: u64) -> World {
        let mut world = World::new(Replica::serving(shape, seed), seed);
        world.mix.accounts = 1 + world.random.below(20);
        world
    }

    /// A formatted replica that was started with these options, and serves.
    pub fn started(options: &Options, seed: u64) -> World {
        let mut world = World::new(Replica::format(options, seed), seed);
        world.mix = options.mix;
        world.start();
        world
    }

    /// Clients draw what to do, and the replica works, for this many steps.
    pub fn run(&mut self, steps: u64) {
        for _ in 0..steps {
            self.act_and_step();
        }
    }

    /// Perhaps a client does something; then one step.
    pub fn act_and_step(&mut self) {
        if self.replicas[0].is_serving() && self.random.below(self.mix.act_one_in) == 0 {
            self.act();
        }
        self.step();
    }

    /// One step of the replica; the checkers look at it, and clients take what came.
    pub fn step(&mut self) {
        self.replicas[0].step();
        self.observe(0);
        for at in 0..self.clients.len() {
            self.take(at);
        }
        self.drop_lost();
    }

    /// Steps until it is so.
    ///
    /// # Panics
    /// When it never comes.
    pub fn run_until(&mut self, what: &'static str, done: impl Fn(&World) -> bool) {
        let mut budget = Budget::new(what, 200_000);
        while !done(self) {
            let replica = &self.replicas[0];
            budget.spend(|| format!("serving {:?}, halted {:?}", replica.serving, replica.halted));
            self.step();
        }
    }

    /// Until every event has an end that the log decided: what is busy or lost is submitted again, unless the logs are
    /// full for good.
    pub fn finish(&mut self) {
        self.rude = false;
        let mut budget = Budget::new("every event ends", FINISH_STEPS);
        let (mut ended, mut busy_since) = (self.ended(), self.busy);
        while !self.again.is_empty() || self.unanswered() > 0 {
            // Who comes faster than places become free never gets one.
            let welcome = self.replicas[0].is_serving() && !self.replicas[0].is_closing();
            if !self.again.is_empty() && welcome && self.random.below(8) == 0 {
                self.resubmit();
            }
            budget.spend(|| {
                let (under_way, again) = (self.unanswered(), self.again.len());
                format!("{under_way} events under way and {again} to be sent again; {:?}", self.statuses)
            });
            self.step();
            if self.ended() > ended {
                (ended, busy_since) = (self.ended(), self.busy);
                budget = Budget::new("every event ends", FINISH_STEPS);
            }
            if self.busy > busy_since + BUSY_FOR_GOOD && self.replicas[0].may_be_full() {
                self.again.clear();
            }
        }
    }

    /// Goes down and recovers, perhaps down again on the way, and serves.
    pub fn bounce(&mut self) {
        let faults = self.replicas[0].faults;
        loop {
            let power = self.random.below(100) < faults.power_percent;
            self.down(if power { Down::Power } else { Down::Process });
            self.recover();
            if self.random.below(100) >= faults.in_replay_percent {
                break;
            }
            for _ in 0..self.random.below(120) {
                self.step();
            }
        }
        self.run_until("it serves again", |world| world.replicas[0].is_serving() || world.replicas[0].failed);
    }

    /// Starts, and serves.
    pub fn start(&mut self) {
        self.recover();
        self.run_until("it serves", |world| world.replicas[0].is_serving() || world.replicas[0].failed);
    }

    /// The power fails. The fate of what is not answered is open: it is asked again, with the same keys.
    pub fn crash(&mut self) {
        self.down(Down::Power);
    }

    /// The replica goes down, one way or another.
    pub fn down(&mut self, how: Down) {
        self.observe(0);
        self.downs += 1;
        self.replicas[0].down(how);
        self.checkers[0].down(0);
        self.drop_lost();
    }

    /// Nothing goes wrong any more, and everything takes its usual time.
    pub fn calm(&mut self) {
        let replica = &mut self.replicas[0];
        replica.faults.io_error_one_in = 0;
        replica.faults.in_recovery_percent = 0;
        self.mix.rude_percent = 0;
        if replica.seen.io_errors > 0 || !replica.is_serving() {
            self.down(Down::Power);
            self.start();
        }
    }

    /// The disk that a crash would leave now holds the log, and the log is what was checked all along.
    ///
    /// # Panics
    /// When it is not.
    pub fn check(&mut self) {
        self.observe(0);
        let replica = &self.replicas[0];
        let left = replica.left_after_crash(replica.steps());
        let (recorded, below) = (replica.disk.recorder.slots(), left.checkpoint.slot.0 as usize);
        let found = below + left.log.len();
        assert!(found >= recorded.len(), "[durability] {found} slots of {}", recorded.len());
        self.checkers[0].left(&left.checkpoint, &replica.disk.recorder);
        for (left, recorded) in left.log.iter().zip(&recorded[below.min(recorded.len())..]) {
            let slot = recorded.ordered.manifest.slot;
            assert!(left.ordered.hash == recorded.ordered.hash, "[durability] slot {slot} is another");
            assert!(left.stripes == recorded.stripes, "[durability] the stripes of slot {slot} are others");
        }
    }

    /// A client reads every account while nothing is under way, and counts.
    pub fn count(&mut self) {
        let accounts: Vec<u128> = (0..u128::from(self.mix.accounts)).collect();
        let mut balances = BTreeMap::new();
        for part in accounts.chunks(COUNTED_AT_ONCE) {
            self.read(part);
            let mut budget = Budget::new("accounts are read", FINISH_STEPS);
            while self.unanswered() > 0 {
                budget.spend(String::new);
                self.step();
            }
            if self.last_read.keys().len() < part.len() {
                // It was told to come again, or cut off: the logs are as they are.
                return;
            }
            balances.append(&mut self.last_read);
        }
        self.checkers[0].counted(balances.into_values().flatten());
    }

    /// Events and reads under way.
    pub fn unanswered(&self) -> usize {
        let events = |client: &Client| client.submits.values().flatten().flatten().count();
        self.clients.iter().map(|client| events(client) + client.reads.len()).sum()
    }

    fn ended(&self) -> u64 {
        self.statuses
            .iter()
            .filter(|(status, _)| **status != Status::Busy as u8)
            .map(|(_, count)| count)
            .sum()
    }

    fn recover(&mut self) {
        if let Err(refused) = self.replicas[0].start() {
            panic!("[durability] a start is refused: {refused}");
        }
        self.observe(0);
        let replica = &mut self.replicas[0];
        if let Some(found) = replica.found.take() {
            self.checkers[0].left(&found, &replica.disk.recorder);
        }
    }

    /// The checkers look at what a replica did.
    fn observe(&mut self, at: usize) {
        let replica = &mut self.replicas[at];
        let marks = replica.watermarks();
        self.checkers[at].step(0, &mut replica.disk.recorder, marks);
    }

    /// Submits these events in one request of a new or an old client, and returns their places in the history.
    pub fn submit(&mut self, events: &[Vec<u8>]) -> Vec<usize> {
        let at = self.client();
        let from = self.history.events.len();
        events.iter().for_each(|event| self.checkers[0].submitted(event));
        let submitted = events.iter().map(|bytes| Submitted { bytes: bytes.clone(), answers: Vec::new() });
        self.history.events.extend(submitted);
        let places: Vec<usize> = (from..self.history.events.len()).collect();
        let client = &mut self.clients[at];
        client.next_request += 1;
        client.submits.insert(client.next_request, places.iter().copied().map(Some).collect());
        self.replicas[0].send(client.socket, &submit(client.next_request, events));
        places
    }

    /// A new or an old client reads these accounts.
    pub fn read(&mut self, accounts: &[u128]) {
        let at = self.client();
        let client = &mut self.clients[at];
        client.next_request += 1;
        let asked = self.checkers[0].asked(accounts);
        let under_way = ReadUnderWay { asked, accounts: accounts.to_vec(), left: accounts.len() };
        client.reads.insert(client.next_request, under_way);
        self.last_read.clear();
        self.replicas[0].send(client.socket, &read(client.next_request, accounts));
    }

    /// The client of `submit` and `read` from now on is one on this core.
    pub fn connect(&mut self, core: usize) {
        let socket = self.replicas[0].connect(core);
        self.replicas[0].send(socket, &hello());
        let (submits, reads) = (BTreeMap::new(), BTreeMap::new());
        self.clients.push(Client { socket, received: Vec::new(), next_request: 0, submits, reads });
    }

    fn act(&mut self) {
        let drawn = self.random.below(100);
        if self.rude && drawn < self.mix.rude_percent {
            let at = self.client();
            let socket = self.clients[at].socket;
            match self.random.below(2) {
                0 => self.replicas[0].close(socket),
                _ => self.replicas[0].send(socket, b"not a frame at all"),
            }
        } else if drawn < self.mix.rude_percent + self.mix.read_percent {
            let accounts: Vec<u128> = (0..1 + self.random.below(4))
                .map(|_| u128::from(self.random.below(self.mix.accounts)))
                .collect();
            self.read(&accounts);
        } else if self.again.len() > AGAIN_MAX || (!self.again.is_empty() && self.random.below(10) == 0) {
            self.resubmit();
        } else {
            let count = 1 + self.random.below(self.mix.batch_max);
            let events: Vec<_> = (0..count).map(|_| self.draw_event()).collect();
            self.submit(&events);
        }
    }

    fn resubmit(&mut self) {
        let count = self.again.len().min(1 + self.random.below(5) as usize);
        let events: Vec<_> = self.again.drain(..count).collect();
        self.submit(&events);
    }

    fn draw_event(&mut self) -> Vec<u8> {
        let shape = &self.replicas[0].shape;
        let (ttl, now) = (shape.ttl_ns, EPOCH_NS + self.replicas[0].now().monotonic_ns);
        let mix = self.mix;
        let mut percent = |percent: u64| self.random.below(100) < percent;
        let (again, conflict) = (percent(mix.duplicate_percent), percent(mix.conflict_percent));
        let (tight, odd) = (percent(mix.tight_percent), percent(mix.odd_percent));
        let deadline = match (odd, tight) {
            (true, _) => [1, now - 1_000_000, now + 3 * ttl][self.random.below(3) as usize],
            (false, true) => now + self.random.below(ttl.min(200_000)),
            (false, false) => now + ttl / 2,
        };
        let known = self.history.events.len() as u64;
        let mut key = u128::from(self.random.next_u64());
        if (again || conflict) && known > 0 {
            let from = if self.random.below(2) == 0 { known.saturating_sub(20) } else { 0 };
            let bytes = &self.history.events[(from + self.random.below(known - from)) as usize].bytes;
            let first = Event::parse(bytes).unwrap().0;
            if again {
                let op = Op::decode(first.payload()).unwrap();
                // The deadline is not part of the body (W1).
                let later = if self.random.below(2) == 0 { first.deadline().0 } else { deadline };
                return event(first.key().0, later, &op);
            }
            key = first.key().0;
        }
        event(key, deadline, &mix.draw_op(&mut self.random))
    }

    /// A client that is connected; a new one now and then.
    fn client(&mut self) -> usize {
        let open: Vec<usize> =
            (0..self.clients.len()).filter(|at| self.replicas[0].is_open(self.clients[*at].socket)).collect();
        if open.is_empty() || (open.len() < 6 && self.random.below(10) == 0) {
            let core = self.random.below(self.replicas[0].core_count() as u64) as usize;
            self.connect(core);
            return self.clients.len() - 1;
        }
        open[self.random.below(open.len() as u64) as usize]
    }

    fn take(&mut self, at: usize) {
        let client = &mut self.clients[at];
        let came = self.replicas[0].receive(client.socket);
        if came.is_empty() {
            return;
        }
        client.received.extend(came);
        for said in parse_frames(&mut client.received) {
            match said {
                Said::Answers { request, answers } => {
                    for (index, ended) in answers {
                        self.note_answer(at, request, index as usize, ended);
                    }
                }
                Said::States { request, slot, states } => self.note_states(at, request, slot, states),
                Said::Refused { request, code: RefusedCode::Busy | RefusedCode::NotServing } => {
                    self.busy += 1;
                    let client = &mut self.clients[at];
                    client.reads.remove(&request);
                    let events = client.submits.remove(&request).into_iter().flatten().flatten();
                    self.again.extend(events.map(|event| self.history.events[event].bytes.clone()));
                }
                Said::Refused { .. } | Said::Welcome | Said::Pong => {}
            }
        }
    }

    fn note_answer(&mut self, at: usize, request: u64, index: usize, ended: Ended) {
        let events = self.clients[at].submits.get_mut(&request).expect("an answer to what was asked");
        let Some(event) = events[index].take() else {
            panic!("event {index} of request {request} is answered twice: {ended:?}");
        };
        let submitted = &mut self.history.events[event];
        let parsed = Event::parse(&submitted.bytes).unwrap().0;
        let ended = Ended { key: parsed.key().0, ..ended };
        self.checkers[0].answered(&parsed, &ended);
        *self.statuses.entry(ended.status as u8).or_default() += 1;
        if ended.status == Status::Busy {
            self.busy += 1;
            self.again.push(submitted.bytes.clone());
        }
        if ended.status == Status::Duplicate && ended.response.len() > 16 {
            self.long_fills += 1;
        }
        submitted.answers.push(ended);
    }

    fn note_states(&mut self, at: usize, request: u64, slot: Slot, states: Vec<(u32, Option<Vec<u8>>)>) {
        let reads = &mut self.clients[at].reads;
        let read = reads.get_mut(&request).expect("an answer to what was asked");
        let balance = |state: Vec<u8>| u64::from_le_bytes(state.try_into().expect("eight bytes"));
        let states = states.into_iter();
        let states = states.map(|(index, state)| (read.accounts[index as usize], state.map(balance)));
        let states: Vec<(u128, Option<u64>)> = states.collect();
        self.checkers[0].read(0, &read.asked, slot, &states);
        read.left -= states.len();
        self.last_read.extend(states);
        self.history.reads += 1;
        if read.left == 0 {
            reads.remove(&request);
        }
    }

    /// What a client whose connection is gone had under way is open.
    fn drop_lost(&mut self) {
        for client in self.clients.iter_mut().filter(|client| !self.replicas[0].is_open(client.socket)) {
            let events = std::mem::take(&mut client.submits).into_values().flatten().flatten();
            self.again.extend(events.map(|event| self.history.events[event].bytes.clone()));
            client.reads.clear();
            client.received.clear();
        }
        let replica = &self.replicas[0];
        self.clients.retain(|client| replica.is_open(client.socket));
    }
}

struct Client {
    socket: usize,
    received: Vec<u8>,
    next_request: u64,
    /// For each request under way its events in the history, those that are answered taken out.
    submits: BTreeMap<u64, Vec<Option<usize>>>,
    reads: BTreeMap<u64, ReadUnderWay>,
}

struct ReadUnderWay {
    asked: Asked,
    accounts: Vec<u128>,
    /// How many are not told yet.
    left: usize,
}

/// Steps in which something must end once nothing goes wrong, while there is anything under way.
const FINISH_STEPS: u64 = 50_000;

/// Clients with so many events to send again send nothing new.
const AGAIN_MAX: usize = 100;

/// So many times `busy` and nothing else means that the logs are full.
const BUSY_FOR_GOOD: u64 = 200;

/// Accounts read in one request: states of all of them fit a connection's credit and a frame.
const COUNTED_AT_ONCE: usize = 50;
