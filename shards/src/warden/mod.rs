//! **Warden**: at most one evaluation of a key within the TTL of stream time (W1 to W3).
//!
//! A fixed table that never doubles, 64 bytes an entry all in: a ring of entries in arrival order and an index of ring
//! positions. Arrival order is time order, so the expired entries are a prefix of the ring; which they are is found by
//! a search for where the live ones begin, and decided by stream time alone. Removing them physically is another
//! matter, done one entry an insert, when the ring is full; nothing that is answered depends on it.
//!
//! *Seen* is apart from *decided*: [`Warden::look`] and [`Warden::admit`] work before evaluation, from the event's
//! bytes and this table, so that the next stripes can be checked while this one waits for loans; [`Warden::decide`]
//! adds how
//! the event ended.
//!
//! Invariants:
//! * `first <= live <= next`, and `next - first` is at most the ring's length;
//! * entries' times do not fall from `first` to `next`; those at or above `live` are exactly those younger than
//!   the TTL;
//! * `next - live <= capacity`: a live entry is never evicted;
//! * a key has at most one index slot, and it points to the key's newest entry.

mod entry;
mod saving;
#[cfg(test)]
mod tests;

use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;

use ahash::RandomState;
use assize_wire::canary::{self, Canary};
use assize_wire::outcome::Status;
use assize_wire::{EventKey, Slot, StreamTime};

pub use entry::First;
use entry::{ENTRY_WORDS, Entry, TIME_WORD};
pub(crate) use saving::KeyNumbers;
pub use saving::KeysError;

use crate::index::{Index, Probe};
use crate::limits::warden_reserve;
use saving::Saving;

/// The table of one shard. Call order for a stripe: [`Warden::begin`], then for each event in order
/// [`Warden::look`] and, if it is absent and fit to run, [`Warden::admit`]; later [`Warden::decide`] for each admitted.
pub struct Warden {
    ring: Vec<[u64; ENTRY_WORDS]>,
    index: Index,
    hasher: RandomState,
    ttl_ns: u64,
    capacity: u64,
    slot: Slot,
    now: StreamTime,
    /// Number of the oldest entry in the ring. Entries are numbered as they arrive; see `position`.
    first: u64,
    /// Number of the oldest live entry.
    live: u64,
    /// Number of the next entry.
    next: u64,
    /// Number of the entry at ring position 0 that is, or will be, the newest there.
    lap: u64,
    /// Entries below this number are in the records of an active checkpoint, or were expired when it was taken.
    saved: u64,
    /// Number of the next key at the last flagged slot: a checkpoint's digest is over the keys since (C7).
    flagged: u64,
    /// What a checkpoint that is being taken still wants.
    saving: Option<Saving>,
}

/// What the Warden has under a key.
#[derive(Clone, Copy, Debug)]
pub enum Look {
    /// It is live with the same body; the first submission is this entry.
    Duplicate(Seen),
    /// It is live with another body.
    Conflict,
    /// It is not live.
    Absent(Vacancy),
}

/// A recorded submission, by its number in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen(pub(crate) u64);

/// Where [`Warden::look`] found that a key is not live.
#[derive(Clone, Copy, Debug)]
pub struct Vacancy(Probe);

/// Why a key is not admitted. Nothing is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The deadline has passed or lies beyond the TTL.
    Expired,
    /// As many keys are live as the Warden may hold.
    Full,
}

impl Warden {
    /// For at most `capacity` live keys. `seed` keys the index's hash; nothing depends on it.
    #[must_use]
    pub fn new(capacity: u32, ttl_ns: u64, seed: u64) -> Warden {
        Warden::with_ring(capacity, capacity as usize + warden_reserve(capacity), ttl_ns, seed)
    }

    /// With a ring of `entries`, at least `capacity`.
    fn with_ring(capacity: u32, entries: usize, ttl_ns: u64, seed: u64) -> Warden {
        let positions = u32::try_from(entries).expect("a Warden's ring is counted in 32 bits");
        Warden {
            ring: vec![[0; ENTRY_WORDS]; entries],
            index: Index::new(positions),
            hasher: RandomState::with_seeds(seed, !seed, seed.rotate_left(32), 0x57),
            ttl_ns,
            capacity: capacity.into(),
            slot: Slot::ZERO,
            now: StreamTime(0),
            first: 0,
            live: 0,
            next: 0,
            lap: 0,
            saved: 0,
            flagged: 0,
            saving: None,
        }
    }

    /// The stripe of `slot` at stream time `now` is next. Entries that reached the TTL stop being live.
    pub fn begin(&mut self, slot: Slot, now: StreamTime) {
        assert!(
            slot > self.slot && now >= self.now,
            "slot {slot} at {now} after slot {} at {}",
            self.slot,
            self.now
        );
        self.slot = slot;
        self.now = now;
        self.live = self.first_live(now);
    }

    /// The index's hash of a key, for [`Warden::look`] and [`Warden::admit`].
    #[must_use]
    pub fn hash(&self, key: EventKey) -> u64 {
        self.hasher.hash_one(key.0)
    }

    /// Brings the index's slot for a hash into the cache. Many of these in a row overlap their misses.
    #[must_use]
    pub fn touch(&self, hash: u64) -> u32 {
        self.index.touch(hash)
    }

    /// Brings into the cache what admitting so many keys takes out of the ring and the index: the oldest entries and,
    /// of each, its neighbours in the index.
    pub fn touch_oldest(&self, keys: usize) {
        let free = self.ring.len() as u64 - (self.next - self.first);
        let oldest = self.first..self.live.min(self.first + (keys as u64).saturating_sub(free));
        let hashes = || oldest.clone().map(|number| self.hash(self.entry(number).key()));
        black_box(hashes().fold(0, |all, hash| all ^ self.index.touch(hash)));
        let neighbours = hashes().flat_map(|hash| self.index.neighbours(hash));
        black_box(neighbours.fold(0, |all, at| all ^ self.ring[at as usize][0]));
    }

    /// What is known under `key`, with the hash of its body (W1, W2).
    #[must_use]
    pub fn look(&self, hash: u64, key: EventKey, body: u64) -> Look {
        let probe = self.probe(hash, key);
        if let Probe::Found { position, .. } = probe {
            let number = self.number(position);
            if number >= self.live {
                let any_body = canary::armed(Canary::ConflictAsDuplicate);
                return if any_body || self.entry(number).body() == body {
                    Look::Duplicate(Seen(number))
                } else {
                    Look::Conflict
                };
            }
        }
        Look::Absent(Vacancy(probe))
    }

    /// Records a key that [`Warden::look`] found absent just before, or says why not (W1, W3).
    ///
    /// # Errors
    /// [`Refusal`], with nothing recorded.
    pub fn admit(
        &mut self,
        vacancy: Vacancy,
        hash: u64,
        key: EventKey,
        body: u64,
        deadline: StreamTime,
        index: u32,
    ) -> Result<Seen, Refusal> {
        let latest = self.now.0.saturating_add(self.ttl_ns);
        let ignored = canary::armed(Canary::DeadlineIgnored);
        if !ignored && (deadline <= self.now || deadline.0 > latest) {
            return Err(Refusal::Expired);
        }
        if self.live_keys() >= self.capacity {
            if !canary::armed(Canary::EvictLive) {
                return Err(Refusal::Full);
            }
            self.live += 1;
        }
        let mut probe = vacancy.0;
        if self.next - self.first == self.ring.len() as u64 {
            self.remove_oldest();
            // Removing may have moved index slots.
            probe = self.probe(hash, key);
        }
        let number = self.next;
        self.next += 1;
        if number - self.lap == self.ring.len() as u64 {
            self.lap = number;
        }
        let position = self.position(number);
        self.ring[position as usize] = Entry::seen(key, body, self.now, self.slot, index).words();
        match probe {
            Probe::Vacant { slot } => self.index.fill(slot, hash, position),
            // The key's expired entry stays in the ring until its turn to be removed, without an index slot.
            Probe::Found { slot, .. } => self.index.repoint(slot, hash, position),
        }
        Ok(Seen(number))
    }

    /// How the event of an entry ended.
    ///
    /// # Panics
    /// When the status is not one that is recorded, or the entry is no longer there.
    pub fn decide(&mut self, seen: Seen, status: Status, reason: u16, response: &[u8]) {
        self.assert_held(seen);
        let position = self.position(seen.0) as usize;
        let mut entry = Entry::from_words(self.ring[position]);
        entry.decide(status, reason, response);
        self.ring[position] = entry.words();
    }

    /// A fault that only canary builds have: the key lives on from now.
    pub(crate) fn renew(&mut self, seen: Seen) {
        let position = self.position(seen.0) as usize;
        self.ring[position][TIME_WORD] = self.now.0;
    }

    /// How the first submission ended, and where.
    ///
    /// # Panics
    /// When that is not decided yet, or the entry is no longer there.
    #[must_use]
    pub fn first(&self, seen: Seen) -> First {
        self.assert_held(seen);
        self.entry(seen.0).first()
    }

    /// Keys that were live when the last stripe began, and those admitted since.
    #[must_use]
    pub fn live_keys(&self) -> u64 {
        self.next - self.live
    }

    /// Live keys at most.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Bytes of the whole table.
    #[must_use]
    pub fn table_bytes(&self) -> usize {
        self.ring.len() * size_of::<[u64; ENTRY_WORDS]>() + self.index.bytes()
    }

    /// Panics when a promise at the head of this file is broken.
    pub fn check_invariants(&self) {
        let (first, live, next) = (self.first, self.live, self.next);
        assert!(first <= live && live <= next, "{first} <= {live} <= {next}");
        assert!(next - first <= self.ring.len() as u64, "{} entries in the ring", next - first);
        assert!(next - live <= self.capacity, "{} live keys of {}", next - live, self.capacity);
        let mut before = StreamTime(0);
        let mut pointed = 0;
        for number in first..next {
            let entry = self.entry(number);
            assert!(entry.time() >= before, "entry {number} at {} after {before}", entry.time());
            before = entry.time();
            let young = self.now.0 - entry.time().0 < self.ttl_ns;
            assert!(young == (number >= live), "entry {number} of {}, live from {live}", entry.time());
            match self.probe(self.hash(entry.key()), entry.key()) {
                Probe::Found { position, .. } if self.number(position) == number => pointed += 1,
                Probe::Found { position, .. } => assert!(
                    self.number(position) > number && number < live,
                    "entry {number} is live and has no slot"
                ),
                Probe::Vacant { .. } => panic!("entry {number} of key {} has no slot", entry.key()),
            }
        }
        assert!(pointed == self.index.used(), "{pointed} entries have a slot of {}", self.index.used());
    }

    /// Entries are in time order, so the live ones begin where a binary search says: logarithmic, however far time
    /// jumped.
    fn first_live(&self, now: StreamTime) -> u64 {
        let (mut low, mut high) = (self.live, self.next);
        // Mostly nothing, or little, expired since the last stripe: look close to the old place first.
        let mut step = 1;
        while low + step < high && self.is_expired(low + step, now) {
            low += step;
            step *= 2;
        }
        high = high.min(low + step);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.is_expired(middle, now) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn is_expired(&self, number: u64, now: StreamTime) -> bool {
        let ttl_ns = self.ttl_ns + u64::from(canary::armed(Canary::TtlOffByOne));
        now.0 - self.entry(number).time().0 >= ttl_ns
    }

    fn remove_oldest(&mut self) {
        assert!(self.first < self.live, "the ring of {} entries is full of live keys", self.ring.len());
        let entry = self.entry(self.first);
        let key = entry.key();
        if let Some(saving) = &mut self.saving {
            saving.keep(self.first, entry);
        }
        let position = self.position(self.first);
        // A key that came again after its TTL has its slot on the newer entry; that one stays.
        if let Probe::Found { slot, position: found } = self.probe(self.hash(key), key)
            && found == position
        {
            let (ring, hasher) = (&self.ring, &self.hasher);
            self.index
                .remove(slot, |position| hasher.hash_one(Entry::from_words(ring[position as usize]).key().0));
        }
        self.first += 1;
    }

    fn probe(&self, hash: u64, key: EventKey) -> Probe {
        self.index.probe(hash, |position| Entry::from_words(self.ring[position as usize]).key() == key)
    }

    fn entry(&self, number: u64) -> Entry {
        Entry::from_words(self.ring[self.position(number) as usize])
    }

    /// The ring position of an entry in the ring, without a division.
    fn position(&self, number: u64) -> u32 {
        if number >= self.lap {
            (number - self.lap) as u32
        } else {
            (number + self.ring.len() as u64 - self.lap) as u32
        }
    }

    /// The number of the entry at a ring position.
    fn number(&self, position: u32) -> u64 {
        let number = self.lap + u64::from(position);
        if number < self.next { number } else { number - self.ring.len() as u64 }
    }

    fn assert_held(&self, seen: Seen) {
        assert!(
            (self.first..self.next).contains(&seen.0),
            "entry {} is not among {} .. {}",
            seen.0,
            self.first,
            self.next
        );
    }
}
