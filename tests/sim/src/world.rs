//! A replica and everybody who uses it: clients remember what they asked, and draw what to do from a seed.

use std::collections::{BTreeMap, HashMap};

use assize_wal::memory::Random;
use assize_wire::Slot;
use assize_wire::event::Event;
use assize_wire::message::RefusedCode;
use assize_wire::outcome::Status;

use crate::bank::Op;
use crate::frames::{Said, event, hello, parse_frames, read, submit};
use crate::history::{Given, History, ReadSeen, Submitted};
use crate::model::{Ended, Model};
use crate::replica::Replica;
use crate::shape::{EPOCH_NS, TTL_NS};

/// A replica and everybody who uses it.
pub struct World {
    /// One for now.
    pub replicas: Vec<Replica>,
    /// What clients did and were told.
    pub history: History,
    /// What clients draw from.
    pub random: Random,
    clients: Vec<Client>,
    /// Events that are to be submitted again, with the same key.
    again: Vec<Vec<u8>>,
    /// Account numbers are below this.
    accounts: u64,
    /// How often a client was told that it is to come again.
    pub busy: u64,
    /// Duplicates that were answered with a response that the Warden does not hold.
    pub long_fills: u64,
    /// How often events ended as which status.
    pub statuses: BTreeMap<u8, u64>,
    /// Whether clients misbehave and leave now and then.
    pub rude: bool,
}

impl World {
    /// The replica with no clients yet.
    pub fn new(replica: Replica, seed: u64) -> World {
        let mut random = Random(seed ^ 0x00c1_1e47);
        World {
            replicas: vec![replica],
            history: History::default(),
            accounts: 1 + random.below(20),
            random,
            clients: Vec::new(),
            again: Vec::new(),
            busy: 0,
            long_fills: 0,
            statuses: BTreeMap::new(),
            rude: true,
        }
    }

    /// Clients draw what to do, and the replica works, for this many steps.
    pub fn run(&mut self, steps: u64) {
        for _ in 0..steps {
            if self.replicas[0].is_serving() && self.random.below(4) == 0 {
                self.act();
            }
            self.step();
        }
    }

    /// One step of the replica; clients take what came.
    pub fn step(&mut self) {
        self.replicas[0].step();
        for at in 0..self.clients.len() {
            self.take(at);
        }
        self.drop_lost();
    }

    /// Until every event has an end that the log decided: what is busy or lost is submitted again.
    pub fn finish(&mut self) {
        self.rude = false;
        for round in 0.. {
            assert!(round < 300_000, "{} events wait for an answer", self.unanswered());
            if !self.again.is_empty() && self.replicas[0].is_serving() && self.random.below(8) == 0 {
                self.resubmit();
            }
            self.step();
            if self.again.is_empty() && self.unanswered() == 0 {
                return;
            }
        }
    }

    /// The power fails. The fate of what is not answered is open: it is asked again, with the same keys.
    pub fn crash(&mut self) {
        self.replicas[0].crash();
        self.drop_lost();
    }

    /// What clients were told is what the serial model says of the log that a crash would leave now.
    ///
    /// # Panics
    /// When it is not.
    pub fn check(&self) {
        let replica = &self.replicas[0];
        let log = replica.log_after_crash(replica.steps());
        let model = Model::run(&log, replica.routing());
        if let Err(difference) = self.history.check(&model) {
            panic!("{difference}");
        }
    }

    /// Events and reads under way.
    pub fn unanswered(&self) -> usize {
        let events = |client: &Client| client.submits.values().flatten().flatten().count();
        self.clients.iter().map(|client| events(client) + client.reads.len()).sum()
    }

    /// Submits these events in one request of a new or an old client, and returns their places in the history.
    pub fn submit(&mut self, events: &[Vec<u8>]) -> Vec<usize> {
        let at = self.client();
        let from = self.history.events.len();
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
        let asked = (self.replicas[0].steps(), accounts.to_vec(), accounts.len());
        client.reads.insert(client.next_request, asked);
        self.replicas[0].send(client.socket, &read(client.next_request, accounts));
    }

    /// The client of `submit` and `read` from now on is one on this core.
    pub fn connect(&mut self, core: usize) {
        let socket = self.replicas[0].connect(core);
        self.replicas[0].send(socket, &hello());
        let (submits, reads) = (HashMap::new(), HashMap::new());
        self.clients.push(Client { socket, received: Vec::new(), next_request: 0, submits, reads });
    }

    fn act(&mut self) {
        match self.random.below(40) {
            0 if self.rude => {
                let at = self.client();
                let socket = self.clients[at].socket;
                match self.random.below(2) {
                    0 => self.replicas[0].close(socket),
                    _ => self.replicas[0].send(socket, b"not a frame at all"),
                }
            }
            1..4 => {
                let accounts: Vec<u128> = (0..1 + self.random.below(4))
                    .map(|_| u128::from(self.random.below(self.accounts)))
                    .collect();
                self.read(&accounts);
            }
            4 if !self.again.is_empty() => self.resubmit(),
            _ => {
                let events: Vec<_> = (0..1 + self.random.below(5)).map(|_| self.draw_event()).collect();
                self.submit(&events);
            }
        }
    }

    fn resubmit(&mut self) {
        let count = self.again.len().min(1 + self.random.below(5) as usize);
        let events: Vec<_> = self.again.drain(..count).collect();
        self.submit(&events);
    }

    fn draw_event(&mut self) -> Vec<u8> {
        let now = EPOCH_NS + self.replicas[0].now().monotonic_ns;
        let mut deadline = now + TTL_NS / 2;
        let known = self.history.events.len() as u64;
        let mut key = u128::from(self.random.next_u64());
        let drawn = self.random.below(100);
        if drawn < 25 && known > 0 {
            let from = if self.random.below(2) == 0 { known.saturating_sub(20) } else { 0 };
            let bytes = &self.history.events[(from + self.random.below(known - from)) as usize].bytes;
            let first = Event::parse(bytes).unwrap().0;
            if drawn < 22 {
                let op = Op::decode(first.payload()).unwrap();
                // The deadline is not part of the body (W1).
                let later = if drawn < 11 { first.deadline().0 } else { deadline };
                return event(first.key().0, later, &op);
            }
            key = first.key().0;
        }
        if drawn == 99 {
            deadline = [1, now - 1_000_000, now + 3 * TTL_NS][self.random.below(3) as usize];
        }
        let account = u128::from(self.random.below(self.accounts));
        let extra = [0, 0, 0, 1, 9, 40, 200][self.random.below(7) as usize];
        let amount = 1 + self.random.below(50);
        let op = match self.random.below(20) {
            0 => Op::PanicLate { account },
            1 => Op::PanicEarly { account },
            2..9 => Op::Deposit { account, amount, extra },
            _ => Op::Transfer {
                from: account,
                to: u128::from(self.random.below(self.accounts)),
                amount,
                extra,
            },
        };
        event(key, deadline, &op)
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
        let key = Event::parse(&submitted.bytes).unwrap().0.key().0;
        *self.statuses.entry(ended.status as u8).or_default() += 1;
        if ended.status == Status::Busy {
            self.busy += 1;
            self.again.push(submitted.bytes.clone());
        }
        if ended.status == Status::Duplicate && ended.response.len() > 16 {
            self.long_fills += 1;
        }
        submitted.answers.push(Given { at: self.replicas[0].steps(), ended: Ended { key, ..ended } });
    }

    fn note_states(&mut self, at: usize, request: u64, slot: Slot, states: Vec<(u32, Option<Vec<u8>>)>) {
        let published = self.replicas[0].watermarks().published;
        assert!(slot <= published, "C8: a read shows slot {slot}, and {published} is published");
        let reads = &mut self.clients[at].reads;
        let (asked, accounts, left) = reads.get_mut(&request).expect("an answer to what was asked");
        let mut seen = BTreeMap::new();
        *left -= states.len();
        for (index, state) in &states {
            let balance =
                state.as_ref().map(|state| u64::from_le_bytes(state.as_slice().try_into().unwrap()));
            let before = seen.insert(accounts[*index as usize], balance);
            assert!(
                before.is_none_or(|before| before == balance),
                "an account read twice in one read differs"
            );
        }
        self.history.reads.push(ReadSeen { asked: *asked, slot, states: seen });
        if *left == 0 {
            reads.remove(&request);
        }
    }

    /// What a client whose connection is gone had under way is open.
    fn drop_lost(&mut self) {
        for client in self.clients.iter_mut().filter(|client| !self.replicas[0].is_open(client.socket)) {
            let events = client.submits.drain().flat_map(|(_, events)| events).flatten();
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
    submits: HashMap<u64, Vec<Option<usize>>>,
    /// For each read under way the step of its sending, its accounts, and how many are not told yet.
    reads: HashMap<u64, (u64, Vec<u128>, usize)>,
}
