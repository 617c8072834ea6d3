//! Clients of a cluster. Each sends to whom it believes to lead, follows `not leader`, tries another replica with the
//! same keys when its connection is lost or no answer comes, and gives up what nobody can take any more. Some are not
//! patient and send the same elsewhere while the first may still be answered; some are rude.

use std::collections::BTreeMap;

use assize_wal::memory::Random;
use assize_wire::event::Event;
use assize_wire::message::RefusedCode;
use assize_wire::outcome::Status;
use assize_wire::{ReplicaId, Slot};

use super::Cluster;
use crate::bank::Op;
use crate::checkers::{Asked, Checkers};
use crate::frames::{Said, event, hello, parse_frames, read, submit};
use crate::history::{History, Submitted};
use crate::model::Ended;
use crate::options::Mix;
use crate::shape::EPOCH_NS;

/// All clients together.
pub(super) struct Clients {
    clients: Vec<Client>,
    pub(super) mix: Mix,
    pub(super) patience_ns: u64,
    pub(super) random: Random,
    /// Events that are to be submitted again, with the same key.
    pub(super) again: Vec<Vec<u8>>,
    /// Whether they misbehave now and then.
    pub(super) rude: bool,
    /// They only read.
    pub(super) quiet: bool,
    /// Every other one reads from this replica, whatever it hears of others; nobody else uses it.
    pub(super) stays: Option<usize>,
    /// What clients did and were told.
    pub(super) history: History,
    /// How often events ended as which status.
    pub(super) statuses: BTreeMap<u8, u64>,
    /// How often somebody was sent to another replica.
    pub(super) redirected: u64,
    /// What the reads told that were sent last.
    pub(super) last_read: BTreeMap<u128, Option<u64>>,
    ttl_ns: u64,
}

struct Client {
    /// Whom it believes to lead.
    leader: usize,
    /// A replica and a socket there.
    connection: Option<(usize, usize)>,
    received: Vec<u8>,
    next_request: u64,
    /// For each request under way its events in the history, those that are answered taken out; and when it was sent.
    submits: BTreeMap<u64, (u64, Vec<Option<usize>>)>,
    reads: BTreeMap<u64, ReadUnderWay>,
}

struct ReadUnderWay {
    asked: Asked,
    accounts: Vec<u128>,
    /// How many are not told yet.
    left: usize,
    sent_ns: u64,
}

impl Clients {
    pub(super) fn new(count: usize, mix: Mix, patience_ns: u64, ttl_ns: u64, seed: u64) -> Clients {
        let client = |_| Client {
            leader: 0,
            connection: None,
            received: Vec::new(),
            next_request: 0,
            submits: BTreeMap::new(),
            reads: BTreeMap::new(),
        };
        Clients {
            clients: (0..count).map(client).collect(),
            mix,
            patience_ns,
            random: Random(seed ^ 0x00c1_1e47),
            again: Vec::new(),
            rude: true,
            quiet: false,
            stays: None,
            history: History::default(),
            statuses: BTreeMap::new(),
            redirected: 0,
            last_read: BTreeMap::new(),
            ttl_ns,
        }
    }

    /// Events and reads under way.
    pub(super) fn unanswered(&self) -> usize {
        let events =
            |client: &Client| client.submits.values().flat_map(|(_, events)| events).flatten().count();
        self.clients.iter().map(|client| events(client) + client.reads.len()).sum()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.clients.len()
    }

    /// Events under way.
    pub(super) fn events_under_way(&self) -> usize {
        let submits = self.clients.iter().flat_map(|client| client.submits.values());
        submits.flat_map(|(_, events)| events).flatten().count()
    }

    /// Any client does something.
    pub(super) fn act(&mut self, cluster: &mut Cluster, checkers: &mut Checkers) {
        let at = self.random.below(self.clients.len() as u64) as usize;
        let stays = self.stays.filter(|_| at.is_multiple_of(2));
        match self.stays {
            Some(old) if stays.is_some() => self.clients[at].leader = old,
            Some(old) if self.clients[at].leader == old => self.look_elsewhere(at, cluster),
            _ => {}
        }
        if !self.is_connected(at, cluster) {
            return;
        }
        if self.quiet || stays.is_some() {
            let account = u128::from(self.random.below(self.mix.accounts));
            self.read(at, &[account], cluster, checkers);
            return;
        }
        let drawn = self.random.below(100);
        if self.rude && drawn < self.mix.rude_percent {
            self.misbehave(at, cluster);
        } else if drawn < self.mix.rude_percent + self.mix.read_percent {
            let count = 1 + self.random.below(4);
            let accounts: Vec<u128> =
                (0..count).map(|_| u128::from(self.random.below(self.mix.accounts))).collect();
            self.read(at, &accounts, cluster, checkers);
        } else if self.again.len() > AGAIN_MAX || (!self.again.is_empty() && self.random.below(10) < 4) {
            self.resubmit(at, cluster, checkers);
        } else {
            let count = 1 + self.random.below(self.mix.batch_max);
            let events: Vec<_> = (0..count).map(|_| self.draw_event(cluster.now_ns)).collect();
            self.submit(at, events, cluster, checkers);
        }
    }

    /// Any client submits again what has no answer.
    pub(super) fn act_again(&mut self, cluster: &mut Cluster, checkers: &mut Checkers) {
        let at = self.random.below(self.clients.len() as u64) as usize;
        if self.is_connected(at, cluster) && !self.again.is_empty() {
            self.resubmit(at, cluster, checkers);
        }
    }

    /// The first client reads these accounts, if it can.
    pub(super) fn read_all(&mut self, accounts: &[u128], cluster: &mut Cluster, checkers: &mut Checkers) {
        if self.is_connected(0, cluster) {
            self.last_read.clear();
            self.read(0, accounts, cluster, checkers);
        }
    }

    /// What came is taken; whoever waits too long, or is cut off, looks elsewhere.
    pub(super) fn take(&mut self, cluster: &mut Cluster, checkers: &mut Checkers) {
        for at in 0..self.clients.len() {
            let Some((replica, socket)) = self.clients[at].connection else { continue };
            let came = cluster.replicas[replica].receive(socket);
            if !came.is_empty() {
                self.clients[at].received.extend(came);
                for said in parse_frames(&mut self.clients[at].received) {
                    self.hear(at, replica, said, checkers);
                }
            }
            let late = self.is_late(at, cluster.now_ns);
            if late || !cluster.replicas[replica].is_open(socket) {
                self.leave(at, cluster);
                self.look_elsewhere(at, cluster);
            }
        }
    }

    fn is_late(&self, at: usize, now: u64) -> bool {
        let client = &self.clients[at];
        let sent = client.submits.values().map(|(sent, _)| *sent);
        let sent = sent.chain(client.reads.values().map(|read| read.sent_ns)).min();
        sent.is_some_and(|sent| now > sent + self.patience_ns)
    }

    /// The fate of what it had under way is open: the same keys again.
    fn leave(&mut self, at: usize, cluster: &mut Cluster) {
        let client = &mut self.clients[at];
        let submits = std::mem::take(&mut client.submits).into_values();
        let events = submits.flat_map(|(_, events)| events).flatten();
        self.again.extend(events.map(|event| self.history.events[event].bytes.clone()));
        client.reads.clear();
        client.received.clear();
        if let Some((replica, socket)) = client.connection.take() {
            cluster.close_client(replica, socket);
        }
    }

    fn look_elsewhere(&mut self, at: usize, cluster: &Cluster) {
        self.clients[at].leader = self.random.below(cluster.replicas.len() as u64) as usize;
    }

    /// Connects if it is not. Whoever is not there is tried again later, or another is.
    fn is_connected(&mut self, at: usize, cluster: &mut Cluster) -> bool {
        let leader = self.clients[at].leader;
        if self.clients[at].connection.is_some_and(|(replica, _)| replica == leader) {
            return true;
        }
        self.leave(at, cluster);
        let replica = &cluster.replicas[leader];
        let listening: Vec<usize> = (0..replica.listening.len())
            .filter(|core| replica.listening[*core] && !replica.halted[*core])
            .collect();
        if !replica.is_up() || listening.is_empty() || cluster.is_frozen(leader) {
            self.look_elsewhere(at, cluster);
            return false;
        }
        let core = listening[self.random.below(listening.len() as u64) as usize];
        let socket = cluster.replicas[leader].connect(core);
        cluster.replicas[leader].send(socket, &hello());
        self.clients[at].connection = Some((leader, socket));
        true
    }

    fn misbehave(&mut self, at: usize, cluster: &mut Cluster) {
        let Some((replica, socket)) = self.clients[at].connection else { return };
        match self.random.below(4) {
            0 => cluster.close_client(replica, socket),
            1 => cluster.replicas[replica].send(socket, b"not a frame at all"),
            2 => self.look_elsewhere(at, cluster),
            // Not patient: the same is asked again, here or there, while the first may still be answered.
            _ => {
                let submits = self.clients[at].submits.values();
                let events = submits.flat_map(|(_, events)| events).flatten();
                self.again.extend(events.map(|event| self.history.events[*event].bytes.clone()));
            }
        }
    }

    fn submit(&mut self, at: usize, events: Vec<Vec<u8>>, cluster: &mut Cluster, checkers: &mut Checkers) {
        let Some((replica, socket)) = self.clients[at].connection else { return };
        let from = self.history.events.len();
        events.iter().for_each(|event| checkers.submitted(event));
        let client = &mut self.clients[at];
        client.next_request += 1;
        cluster.replicas[replica].send(socket, &submit(client.next_request, &events));
        self.history.events.extend(events.into_iter().map(|bytes| Submitted { bytes, answers: Vec::new() }));
        let places = (from..self.history.events.len()).map(Some).collect();
        client.submits.insert(client.next_request, (cluster.now_ns, places));
    }

    fn resubmit(&mut self, at: usize, cluster: &mut Cluster, checkers: &mut Checkers) {
        let count = self.again.len().min(1 + self.random.below(8) as usize);
        let events: Vec<_> = self.again.drain(..count).collect();
        self.submit(at, events, cluster, checkers);
    }

    fn read(&mut self, at: usize, accounts: &[u128], cluster: &mut Cluster, checkers: &mut Checkers) {
        let Some((replica, socket)) = self.clients[at].connection else { return };
        let client = &mut self.clients[at];
        client.next_request += 1;
        let asked = checkers.asked(accounts);
        let (left, sent_ns) = (accounts.len(), cluster.now_ns);
        let under_way = ReadUnderWay { asked, accounts: accounts.to_vec(), left, sent_ns };
        client.reads.insert(client.next_request, under_way);
        cluster.replicas[replica].send(socket, &read(client.next_request, accounts));
    }

    fn hear(&mut self, at: usize, replica: usize, said: Said, checkers: &mut Checkers) {
        match said {
            Said::Answers { request, answers } => {
                for (index, ended) in answers {
                    self.note_answer(at, request, index as usize, ended, checkers);
                }
            }
            Said::States { request, slot, states } => {
                self.note_states(at, replica, (request, slot), states, checkers);
            }
            Said::Refused { request, code } => {
                let client = &mut self.clients[at];
                client.reads.remove(&request);
                let events =
                    client.submits.remove(&request).into_iter().flat_map(|(_, events)| events).flatten();
                self.again.extend(events.map(|event| self.history.events[event].bytes.clone()));
                if let RefusedCode::NotLeader { leader } = code {
                    self.redirected += 1;
                    if let Some(ReplicaId(leader)) = leader {
                        assert_ne!(usize::from(leader), replica, "a replica that does not lead names itself");
                        client.leader = leader.into();
                    }
                }
            }
            Said::Welcome | Said::Pong => {}
        }
    }

    fn note_answer(&mut self, at: usize, request: u64, index: usize, ended: Ended, checkers: &mut Checkers) {
        let Some((_, events)) = self.clients[at].submits.get_mut(&request) else {
            panic!("[client] an answer to request {request}, which was refused or never sent: {ended:?}");
        };
        let Some(event) = events[index].take() else {
            panic!("[client] event {index} of request {request} is answered twice: {ended:?}");
        };
        if events.iter().all(Option::is_none) {
            self.clients[at].submits.remove(&request);
        }
        let submitted = &mut self.history.events[event];
        let parsed = Event::parse(&submitted.bytes).unwrap().0;
        let ended = Ended { key: parsed.key().0, ..ended };
        checkers.answered(&parsed, &ended);
        *self.statuses.entry(ended.status as u8).or_default() += 1;
        if matches!(ended.status, Status::Busy | Status::NotLeader) {
            self.again.push(submitted.bytes.clone());
        }
        submitted.answers.push(ended);
    }

    fn note_states(
        &mut self,
        at: usize,
        replica: usize,
        (request, slot): (u64, Slot),
        states: Vec<(u32, Option<Vec<u8>>)>,
        checkers: &mut Checkers,
    ) {
        let Client { reads, next_request, .. } = &mut self.clients[at];
        let Some(read) = reads.get_mut(&request) else {
            // Parts of a read are answered by the homes of its accounts, and refused, each for itself.
            assert!(request <= *next_request, "[client] states for request {request}, which was never sent");
            return;
        };
        let balance = |state: Vec<u8>| u64::from_le_bytes(state.try_into().expect("eight bytes"));
        let states = states.into_iter();
        let states = states.map(|(index, state)| (read.accounts[index as usize], state.map(balance)));
        let states: Vec<(u128, Option<u64>)> = states.collect();
        checkers.read(replica, &read.asked, slot, &states);
        read.left -= states.len();
        self.last_read.extend(states);
        self.history.reads += 1;
        if read.left == 0 {
            reads.remove(&request);
        }
    }

    fn draw_event(&mut self, now_ns: u64) -> Vec<u8> {
        let (ttl, now) = (self.ttl_ns, EPOCH_NS + now_ns);
        let mix = self.mix;
        let mut percent = |percent: u64| self.random.below(100) < percent;
        let (again, conflict) = (percent(mix.duplicate_percent), percent(mix.conflict_percent));
        let (tight, odd) = (percent(mix.tight_percent), percent(mix.odd_percent));
        let deadline = match (odd, tight) {
            (true, _) => [1, now - 1_000_000, now + 3 * ttl][self.random.below(3) as usize],
            (false, true) => now + self.random.below(ttl.min(20_000_000)),
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
}

impl Cluster {
    /// A client's connection is gone.
    fn close_client(&mut self, replica: usize, socket: usize) {
        if self.replicas[replica].is_up() {
            self.set_clock(replica);
            self.replicas[replica].close(socket);
            self.carry(replica);
        }
    }
}

/// Clients with so many events to send again send nothing new.
const AGAIN_MAX: usize = 60;
