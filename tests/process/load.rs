//! Clients that keep the same keys through restarts of the engine, remember every answer, and close the books.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use assize_inventory::{INVENTORY, InventoryEvent, ItemState, Line, VERSION, item_id};
use assize_tools::client::{AnswerOwned, Client, Completion, NewEvent, Outcome, Ticket};
use assize_tools::load::{JournalEntry, verify_journal};
use assize_wire::event::encode_event;
use assize_wire::outcome::Status;
use assize_wire::{EventKey, Position, Slot, StreamTime};

use crate::engine::{DEADLINE, client_of};
use crate::rng::Rng;

/// Items that all threads move stock between; few, so that events meet.
const ITEMS: u64 = 48;
/// Little, so that some events are rejected.
const STOCK: i64 = 2_000;
pub const WAREHOUSE: u64 = 7;
/// Events that one thread has under way at most, if nothing else is said.
const DEPTH: usize = 96;

/// Clients under way, each on a thread of its own.
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Ledger>>,
    address: String,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    seen: Mutex<Seen>,
    more: Condvar,
}

#[derive(Default)]
struct Seen {
    answers: u64,
    /// Answered events, to be asked for again at a restart.
    journal: Vec<JournalEntry>,
    /// A thread is gone.
    ended: bool,
}

/// What one thread, or all of them, were answered.
#[derive(Default)]
pub struct Ledger {
    pub journal: Vec<JournalEntry>,
    /// Duplicates and conflicts on purpose that were answered as they must be.
    pub repeated: u64,
}

impl Load {
    /// Creates the items and starts `threads` clients.
    pub fn start(address: &str, threads: usize, rng: &mut Rng) -> Load {
        Load::of_depth(address, threads, DEPTH, rng)
    }

    /// Each thread with one event under way. What fills the log is then slots, and not events with keys to remember.
    pub fn one_by_one(address: &str, threads: usize, rng: &mut Rng) -> Load {
        Load::of_depth(address, threads, 1, rng)
    }

    fn of_depth(address: &str, threads: usize, depth: usize, rng: &mut Rng) -> Load {
        let mut client = client_of(address);
        let shared = Arc::new(Shared::default());
        let mut first = Ledger::default();
        let events: Vec<NewEvent> = (0..ITEMS).map(|item| adjust(item, STOCK)).collect();
        let mut worker = Worker::new(&mut client, rng.fork(), &shared, &mut first);
        events.into_iter().for_each(|event| worker.enqueue(event, Purpose::Fresh));
        worker.drain();
        let mut handles = vec![thread::spawn(move || first)];
        for _ in 0..threads {
            let (address, shared, rng) = (address.to_owned(), Arc::clone(&shared), rng.fork());
            handles.push(thread::spawn(move || {
                let _ended = TellEnd(Arc::clone(&shared));
                let mut ledger = Ledger::default();
                Worker::new(&mut client_of(&address), rng, &shared, &mut ledger).run(depth);
                ledger
            }));
        }
        Load { shared, threads: handles, address: address.to_owned() }
    }

    /// Waits until `count` more events were answered.
    pub fn wait_for_answers(&self, count: u64) {
        let seen = self.seen();
        let (target, until) = (seen.answers + count, Instant::now() + DEADLINE);
        let waited = self
            .shared
            .more
            .wait_timeout_while(seen, until - Instant::now(), |seen| seen.answers < target && !seen.ended);
        let (seen, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!seen.ended, "a client has given up");
        assert!(!timeout.timed_out(), "{} answers, waiting for {target}", seen.answers);
    }

    /// Asks for some answered events again: the newest, and some of any age.
    pub fn check_some(&self, rng: &mut Rng) {
        let sample: Vec<JournalEntry> = {
            let journal = &self.seen().journal;
            let newest = journal.iter().rev().take(24);
            let any = (0..24).filter_map(|_| journal.get(rng.below(journal.len().max(1) as u64) as usize));
            newest.chain(any).cloned().collect()
        };
        check_journal(&mut client_of(&self.address), &sample);
    }

    /// Of the keys that were answered so far, how many stand at or below this slot: with responses that a Warden keeps,
    /// and with longer ones. Asks for some of either again.
    pub fn check_through(&self, slot: Slot, rng: &mut Rng) -> [usize; 2] {
        let journal = self.seen().journal.clone();
        let is_old = |entry: &JournalEntry| entry.answer.position.slot <= slot;
        let (long, short): (Vec<_>, Vec<_>) =
            journal.into_iter().filter(is_old).partition(|entry| entry.answer.response.len() > 16);
        let mut sample = Vec::new();
        for of_kind in [&short, &long] {
            let any = (0..32).filter_map(|_| of_kind.get(rng.below(of_kind.len().max(1) as u64) as usize));
            sample.extend(any.cloned());
        }
        sample.sort_by_key(|entry| entry.answer.position);
        sample.dedup_by_key(|entry| entry.answer.position);
        check_journal(&mut client_of(&self.address), &sample);
        [short.len(), long.len()]
    }

    /// Ends the load: everything under way is answered first. Then checks the whole journal and the books.
    pub fn finish(self) -> Ledger {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut all = Ledger::default();
        for thread in self.threads {
            let ledger = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            all.journal.extend(ledger.journal);
            all.repeated += ledger.repeated;
        }
        let mut client = client_of(&self.address);
        check_journal(&mut client, &all.journal);
        check_books(&mut client, &all.journal);
        all
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whoever waits that a client's thread is gone, also if it panicked.
struct TellEnd(Arc<Shared>);

impl Drop for TellEnd {
    fn drop(&mut self) {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
        self.0.more.notify_all();
    }
}

/// Resubmits these events: each must be a duplicate with the first answer, to the byte.
pub fn check_journal(client: &mut Client, journal: &[JournalEntry]) {
    let check = verify_journal(client, journal).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(check.checked, journal.len());
    assert!(
        check.mismatches.is_empty(),
        "{} of {} answers changed, the first: {:#?}",
        check.mismatches.len(),
        check.checked,
        check.mismatches[0]
    );
    let positions: HashSet<Position> = journal.iter().map(|entry| entry.answer.position).collect();
    let keys: HashSet<u128> = journal.iter().map(|entry| key_of(entry).0).collect();
    assert_eq!(positions.len(), keys.len(), "two events have one place in the log");
}

/// Every item holds what the answered events made of it.
fn check_books(client: &mut Client, journal: &[JournalEntry]) {
    let mut expected: BTreeMap<u128, i64> = (0..ITEMS).map(|item| (item_of(item).0, 0)).collect();
    for entry in journal.iter().filter(|entry| entry.answer.first_status == Status::Applied) {
        let event = entry.resubmission();
        let mut add = |item: u128, delta: i64| *expected.entry(item).or_default() += delta;
        match InventoryEvent::parse(&event.payload).expect("an event of this test") {
            InventoryEvent::Adjust { item, delta, .. } => add(item.0, delta),
            InventoryEvent::Transfer { source, destination, quantity } => {
                add(source.0, -quantity.cast_signed());
                add(destination.0, quantity.cast_signed());
            }
            InventoryEvent::TransferLines { lines } => lines.iter().for_each(|line| {
                add(line.source().0, -line.quantity().cast_signed());
                add(line.destination().0, line.quantity().cast_signed());
            }),
            other => panic!("{other:?} is not an event of this test"),
        }
    }
    let items: Vec<u64> = (0..ITEMS).collect();
    let found = quantities_of(client, &items);
    let expected: Vec<u64> =
        expected.into_values().map(|sum| u64::try_from(sum).expect("no item below zero")).collect();
    assert_eq!(found, expected, "the books do not balance");
}

/// What these items hold.
pub fn quantities_of(client: &mut Client, items: &[u64]) -> Vec<u64> {
    let ids: Vec<_> = items.iter().copied().map(item_of).collect();
    let states = client.read(INVENTORY, &ids).unwrap_or_else(|error| panic!("reading the items: {error}"));
    let quantity =
        |state: Option<Vec<u8>>| ItemState::parse(&state.expect("it exists")).expect("an item").quantity;
    states.into_iter().map(quantity).collect()
}

/// One client's thread.
struct Worker<'a> {
    client: &'a mut Client,
    rng: Rng,
    shared: &'a Shared,
    ledger: &'a mut Ledger,
    under_way: BTreeMap<Ticket, (NewEvent, Purpose)>,
}

enum Purpose {
    /// A new key.
    Fresh,
    /// A key that was answered so, again.
    Again(AnswerOwned),
    /// A key that was answered, with another body.
    Conflict,
}

impl<'a> Worker<'a> {
    fn new(client: &'a mut Client, rng: Rng, shared: &'a Shared, ledger: &'a mut Ledger) -> Worker<'a> {
        Worker { client, rng, shared, ledger, under_way: BTreeMap::new() }
    }

    fn run(&mut self, depth: usize) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            // Now a lonely event, now a batch.
            let burst = 1 + self.rng.below((depth as u64 / 2).max(1)) as usize;
            for _ in 0..burst.min(depth - self.under_way.len()) {
                let (event, purpose) = self.draw();
                self.enqueue(event, purpose);
            }
            self.poll();
        }
        self.drain();
    }

    /// Waits for everything under way.
    fn drain(&mut self) {
        let until = Instant::now() + DEADLINE;
        while !self.under_way.is_empty() {
            assert!(Instant::now() < until, "{} events stay without an answer", self.under_way.len());
            self.poll();
        }
    }

    fn draw(&mut self) -> (NewEvent, Purpose) {
        let answered = self.ledger.journal.len() as u64;
        match self.rng.below(20) {
            0..2 if answered > 0 => {
                let entry = &self.ledger.journal[self.rng.below(answered) as usize];
                (entry.resubmission(), Purpose::Again(entry.answer.clone()))
            }
            2 if answered > 0 => {
                let mut event = self.ledger.journal[self.rng.below(answered) as usize].resubmission();
                event.payload = adjust(0, 123_456_789).payload;
                (event, Purpose::Conflict)
            }
            3..8 => {
                let delta = self.rng.below(400).cast_signed() - 200;
                (adjust(self.rng.below(ITEMS), delta), Purpose::Fresh)
            }
            8..13 => {
                let lines: Vec<Line> = (0..2 + self.rng.below(3)).map(|_| self.draw_line()).collect();
                (inventory(&InventoryEvent::TransferLines { lines: &lines }), Purpose::Fresh)
            }
            _ => {
                let line = self.draw_line();
                let (source, destination, quantity) = (line.source(), line.destination(), line.quantity());
                (inventory(&InventoryEvent::Transfer { source, destination, quantity }), Purpose::Fresh)
            }
        }
    }

    fn draw_line(&mut self) -> Line {
        let source = self.rng.below(ITEMS);
        let destination = (source + 1 + self.rng.below(ITEMS - 1)) % ITEMS;
        Line::new(item_of(source), item_of(destination), 1 + self.rng.below(300))
    }

    fn enqueue(&mut self, mut event: NewEvent, purpose: Purpose) {
        if event.key.is_none() {
            event.key = Some(EventKey(u128::from(self.rng.next()) << 64 | u128::from(self.rng.next())));
        }
        let ticket = self.client.enqueue(&event).expect("an event that fits");
        self.under_way.insert(ticket, (event, purpose));
    }

    fn poll(&mut self) {
        let done = self.client.poll(Duration::from_millis(200)).expect("polling sockets");
        let answered = done.len() as u64;
        let fresh: Vec<JournalEntry> =
            done.into_iter().filter_map(|completion| self.settle(completion)).collect();
        let mut seen = self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.answers += answered;
        seen.journal.extend_from_slice(&fresh);
        drop(seen);
        self.shared.more.notify_all();
        self.ledger.journal.extend(fresh);
    }

    /// Checks an answer; the entry of a key that had none before.
    fn settle(&mut self, completion: Completion) -> Option<JournalEntry> {
        let (event, purpose) = self.under_way.remove(&completion.ticket).expect("it was enqueued");
        let Outcome::Answered(answer) = completion.outcome else {
            panic!("an event that may live for an hour stayed without an answer");
        };
        match purpose {
            Purpose::Fresh => {
                assert!(answer.first_status.is_recorded(), "{event:?} is answered {answer:?}");
                return Some(JournalEntry { event: bytes_of(&event, completion.deadline), answer });
            }
            Purpose::Again(first) => {
                let expected = AnswerOwned { status: Status::Duplicate, ..first };
                assert_eq!(answer, expected, "a resubmission has another answer than the first submission");
            }
            Purpose::Conflict => assert_eq!(answer.status, Status::Conflict, "{answer:?}"),
        }
        self.ledger.repeated += 1;
        None
    }
}

fn bytes_of(event: &NewEvent, deadline: StreamTime) -> Vec<u8> {
    let mut bytes = Vec::new();
    let key = event.key.expect("every event of this test has one");
    encode_event(&mut bytes, key, deadline, event.domain, event.version, &event.payload)
        .expect("it was sent");
    bytes
}

fn key_of(entry: &JournalEntry) -> EventKey {
    entry.resubmission().key.expect("every entry has a key")
}

/// An event of the inventory without a key.
pub fn inventory(event: &InventoryEvent<'_>) -> NewEvent {
    let mut payload = Vec::new();
    event.encode_payload(&mut payload);
    NewEvent::new(INVENTORY, VERSION, payload)
}

/// More or less of an item.
pub fn adjust(item: u64, delta: i64) -> NewEvent {
    inventory(&InventoryEvent::Adjust { item: item_of(item), delta, reason: 0 })
}

/// An item's id.
pub fn item_of(item: u64) -> assize_wire::EntityId {
    item_id(WAREHOUSE, item)
}
