//! The network: connections between cores, as TCP has them. Bytes of one direction arrive in order, late, in whatever
//! pieces; between connections there is no order. A connection ends for each side at its own time, and with it a part
//! of what was under way is lost, always the last part: never a byte is missing and a later one there.

use std::collections::VecDeque;

use assize_node::federation::{Dial, LinkId};
use assize_wal::memory::Random;

use crate::disk::Down;

/// How a network takes its time.
#[derive(Clone, Copy, Debug)]
pub struct NetworkHabits {
    /// What a piece takes at least.
    pub delay_ns: u64,
    /// And up to this more.
    pub jitter_ns: u64,
    /// One in so many pieces takes a hundred times the jitter; 0 means none does.
    pub slow_one_in: u64,
    /// Bytes of one direction that may be under way: what is more stays with the sender.
    pub buffer_bytes: usize,
}

/// Something that may happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A dial, by its place.
    Dial(usize),
    /// Bytes arrive: the connection's place, and at which end.
    Arrive(usize, usize),
    /// An end learns that its connection is gone.
    End(usize, usize),
}

pub(crate) struct Network {
    habits: NetworkHabits,
    pub(super) dials: Vec<Dialing>,
    pub(super) connections: Vec<Connection>,
    /// By sender and receiver: nothing gets through.
    blocked: Vec<Vec<bool>>,
    pub(super) random: Random,
    /// Connections that were cut.
    pub(super) resets: u64,
}

pub(super) struct Dialing {
    pub(super) replica: usize,
    pub(super) core: usize,
    /// Which of the dialer's starts it was.
    pub(super) start: u64,
    pub(super) dial: Dial,
    due: u64,
}

pub(super) struct Connection {
    /// The dialer, the acceptor.
    pub(super) ends: [End; 2],
}

/// One end, with what is under way to it.
pub(super) struct End {
    pub(super) replica: usize,
    pub(super) core: usize,
    /// None once it knows that the connection is gone.
    pub(super) link: Option<LinkId>,
    /// It had more to send than there was room for.
    pub(super) wants: bool,
    /// Pieces with the time at which they may arrive, in order.
    under_way: VecDeque<(u64, Vec<u8>)>,
    /// Arrived, not consumed.
    pub(super) arrived: Vec<u8>,
    pub(super) needed: usize,
    /// When it learns that the connection is gone, after what is under way.
    ends_at: Option<u64>,
    /// The other end's power failed: nobody says that it is gone, until that one is back.
    deserted: bool,
}

impl Network {
    pub(super) fn new(replicas: usize, habits: NetworkHabits, seed: u64) -> Network {
        Network {
            habits,
            dials: Vec::new(),
            connections: Vec::new(),
            blocked: vec![vec![false; replicas]; replicas],
            random: Random(seed ^ 0x0e77_0a11),
            resets: 0,
        }
    }

    /// Somebody dials.
    pub(super) fn dial(&mut self, replica: usize, core: usize, start: u64, dial: Dial, now: u64) {
        let due = now + self.delay();
        self.dials.push(Dialing { replica, core, start, dial, due });
    }

    /// A dial that cannot succeed for now ends later than one that is refused.
    pub(super) fn dial_hangs(&mut self, dialing: Dialing, now: u64) {
        self.dials.push(Dialing { due: now + DIAL_HANGS_NS, ..dialing });
    }

    /// A connection is made.
    pub(super) fn connect(&mut self, dialer: (usize, usize, LinkId), acceptor: (usize, usize, LinkId)) {
        let end = |(replica, core, link)| End {
            replica,
            core,
            link: Some(link),
            wants: false,
            under_way: VecDeque::new(),
            arrived: Vec::new(),
            needed: 1,
            ends_at: None,
            deserted: false,
        };
        self.connections.push(Connection { ends: [end(dialer), end(acceptor)] });
    }

    /// The place of a link's connection, and which end it is.
    pub(super) fn find(&self, replica: usize, core: usize, link: LinkId) -> Option<(usize, usize)> {
        let is_it = |end: &End| (end.replica, end.core, end.link) == (replica, core, Some(link));
        let ends = self.connections.iter().enumerate();
        ends.flat_map(|(place, connection)| {
            connection.ends.iter().enumerate().map(move |(at, end)| (place, at, end))
        })
        .find(|(_, _, end)| is_it(end))
        .map(|(place, at, _)| (place, at))
    }

    /// Bytes that this end can send now.
    pub(super) fn room(&self, place: usize, from: usize) -> bool {
        let other = &self.connections[place].ends[1 - from];
        let under_way: usize = other.under_way.iter().map(|(_, bytes)| bytes.len()).sum();
        under_way < self.habits.buffer_bytes
    }

    /// An end sends.
    pub(super) fn send(&mut self, place: usize, from: usize, bytes: Vec<u8>, now: u64) {
        let due = now + self.delay();
        let other = &mut self.connections[place].ends[1 - from];
        if other.link.is_some() && other.ends_at.is_none() && !bytes.is_empty() {
            let due = other.under_way.back().map_or(due, |(last, _)| due.max(*last));
            other.under_way.push_back((due, bytes));
        }
    }

    /// An end closes its socket, having sent all or not.
    pub(super) fn close(&mut self, place: usize, from: usize, now: u64) {
        let delay = self.delay();
        let [dialer, acceptor] = &mut self.connections[place].ends;
        let (own, other) = if from == 0 { (dialer, acceptor) } else { (acceptor, dialer) };
        own.leave();
        if !own.deserted {
            other.ends_at = other.ends_at.or(Some(now + delay));
        }
    }

    /// Bytes of the first piece for an end, any number of them.
    pub(super) fn take(&mut self, place: usize, at: usize) {
        let end = &mut self.connections[place].ends[at];
        let Some((_, bytes)) = end.under_way.front_mut() else { return };
        let all = bytes.len();
        let count = match self.random.below(4) {
            0 => 1 + self.random.below(all as u64) as usize,
            _ => all,
        };
        end.arrived.extend(bytes.drain(..count));
        if bytes.is_empty() {
            end.under_way.pop_front();
        }
    }

    /// Connections that nobody has any more go.
    pub(super) fn sweep(&mut self) {
        self.connections.retain(|connection| connection.ends.iter().any(|end| end.link.is_some()));
    }

    /// A connection breaks: both ends learn it, each at its time, and what was under way is lost from somewhere on.
    pub(crate) fn reset(&mut self, place: usize, now: u64) {
        self.resets += 1;
        for at in 0..2 {
            self.lose_suffix(place, at);
            let due = now + self.delay() + self.random.below(20 * self.habits.jitter_ns.max(1));
            let end = &mut self.connections[place].ends[at];
            end.ends_at = end.ends_at.or(Some(due));
        }
    }

    /// Any one connection breaks.
    pub(crate) fn reset_any(&mut self, now: u64) {
        if !self.connections.is_empty() {
            let place = self.random.below(self.connections.len() as u64) as usize;
            self.reset(place, now);
        }
    }

    /// Nothing gets from one replica to another, or everything does again.
    pub(crate) fn block(&mut self, from: usize, to: usize, blocked: bool) {
        self.blocked[from][to] = blocked;
    }

    /// What is sent to a replica gets through again.
    pub(crate) fn heal_towards(&mut self, to: usize) {
        self.blocked.iter_mut().for_each(|from| from[to] = false);
    }

    /// Everything gets through again. Some of the connections have not survived it.
    pub(crate) fn heal(&mut self, now: u64) {
        for place in 0..self.connections.len() {
            let [dialer, acceptor] = &self.connections[place].ends;
            let cut = self.is_blocked(dialer.replica, acceptor.replica);
            if cut && self.random.below(2) == 0 {
                self.reset(place, now);
            }
        }
        self.blocked.iter_mut().flatten().for_each(|blocked| *blocked = false);
    }

    /// Whether connections between the two work in both directions.
    pub(super) fn is_blocked(&self, one: usize, other: usize) -> bool {
        self.blocked[one][other] || self.blocked[other][one]
    }

    /// A replica is gone, with its ends. A process that dies is missed soon; a machine without power says nothing.
    pub(super) fn down(&mut self, replica: usize, how: Down, now: u64) {
        self.dials.retain(|dial| dial.replica != replica);
        for place in 0..self.connections.len() {
            for at in 0..2 {
                if self.connections[place].ends[at].replica != replica {
                    continue;
                }
                let had = self.connections[place].ends[at].link.is_some();
                self.connections[place].ends[at].leave();
                if had {
                    self.lose_suffix(place, 1 - at);
                    let due = now + self.delay();
                    let other = &mut self.connections[place].ends[1 - at];
                    match how {
                        Down::Process => other.ends_at = other.ends_at.or(Some(due)),
                        Down::Power => other.deserted = true,
                    }
                }
            }
        }
        self.sweep();
    }

    /// A replica is back, and says that it knows nothing of its old connections.
    pub(super) fn up(&mut self, replica: usize, now: u64) {
        for place in 0..self.connections.len() {
            for at in 0..2 {
                let due = now + self.delay();
                let [own, other] = [at, 1 - at].map(|at| &self.connections[place].ends[at]);
                if other.replica == replica && own.deserted {
                    let end = &mut self.connections[place].ends[at];
                    (end.deserted, end.ends_at) = (false, end.ends_at.or(Some(due)));
                }
            }
        }
    }

    /// What may happen now.
    pub(super) fn ready(&self, now: u64, frozen: impl Fn(usize) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        for (place, dial) in self.dials.iter().enumerate() {
            if dial.due <= now && !frozen(dial.replica) {
                events.push(Event::Dial(place));
            }
        }
        for (place, connection) in self.connections.iter().enumerate() {
            for (at, end) in connection.ends.iter().enumerate() {
                let from = connection.ends[1 - at].replica;
                if end.link.is_none() || frozen(end.replica) {
                    continue;
                }
                match end.under_way.front() {
                    Some((due, _)) if *due <= now && !self.blocked[from][end.replica] => {
                        events.push(Event::Arrive(place, at));
                    }
                    // What a partition holds up when the connection breaks never comes.
                    Some(_) if !self.blocked[from][end.replica] => {}
                    _ if end.ends_at.is_some_and(|due| due <= now) => events.push(Event::End(place, at)),
                    _ => {}
                }
            }
        }
        events
    }

    /// When something may happen next, later than now.
    pub(super) fn next_due(&self, now: u64) -> Option<u64> {
        let dials = self.dials.iter().map(|dial| dial.due);
        let ends = self.connections.iter().flat_map(|connection| {
            connection.ends.iter().enumerate().filter(|(_, end)| end.link.is_some()).flat_map(
                move |(at, end)| {
                    let from = connection.ends[1 - at].replica;
                    let pieces = end.under_way.front().filter(|_| !self.blocked[from][end.replica]);
                    pieces.map(|(due, _)| *due).into_iter().chain(end.ends_at)
                },
            )
        });
        dials.chain(ends).filter(|due| *due > now).min()
    }

    fn delay(&mut self) -> u64 {
        let NetworkHabits { delay_ns, jitter_ns, slow_one_in, .. } = self.habits;
        let slow = slow_one_in > 0 && self.random.below(slow_one_in) == 0;
        delay_ns + self.random.below(jitter_ns.max(1)) * if slow { 100 } else { 1 }
    }

    /// A part of what is under way to an end is lost, from somewhere on.
    fn lose_suffix(&mut self, place: usize, at: usize) {
        let pieces = self.connections[place].ends[at].under_way.len() as u64;
        let kept = self.random.below(pieces + 1) as usize;
        let end = &mut self.connections[place].ends[at];
        end.under_way.truncate(kept);
        // The last piece may arrive in part.
        if let Some((_, bytes)) = end.under_way.back_mut()
            && self.random.below(2) == 0
        {
            let length = 1 + self.random.below(bytes.len() as u64) as usize;
            bytes.truncate(length);
        }
    }
}

impl End {
    pub(super) fn leave(&mut self) {
        self.link = None;
        self.under_way.clear();
        self.arrived.clear();
    }
}

/// A dial into a partition fails after this long.
const DIAL_HANGS_NS: u64 = 300_000_000;
