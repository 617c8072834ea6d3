//! The Warden's entry: 56 bytes as seven words.
//!
//! Words: key (two), body hash, time, packed, response (two). Packed, from bit 0: slot 43, index 13, status 3 (0 while
//! the event is seen and not decided), length of the response 5, of which 31 means that it is in the outcome stream.
//! A rejection keeps its reason in the last two bytes of the response, so it has 14 bytes inline, the others 16.

use assize_wire::limits::{RESPONSE_INLINE_BYTES_MAX, STRIPE_EVENTS_MAX};
use assize_wire::outcome::Status;
use assize_wire::{EventKey, Slot, StreamTime};

use crate::FirstResponse;

/// One recorded submission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    words: [u64; ENTRY_WORDS],
}

/// How a key's first submission ended: what a duplicate is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// Its slot.
    pub slot: Slot,
    /// Its index in the stripe.
    pub index: u32,
    /// How it ended.
    pub status: Status,
    /// Why, if it was rejected; else 0.
    pub reason: u16,
    /// Where its response is.
    pub response: FirstResponse,
}

impl Entry {
    /// Seen, and not decided.
    pub(crate) fn seen(key: EventKey, body: u64, time: StreamTime, slot: Slot, index: u32) -> Entry {
        assert!(slot.0 < 1 << SLOT_BITS, "slot {slot} is over {SLOT_BITS} bits");
        assert!(index < 1 << INDEX_BITS, "index {index} is over {INDEX_BITS} bits");
        let packed = slot.0 | u64::from(index) << SLOT_BITS;
        Entry { words: [key.0 as u64, (key.0 >> 64) as u64, body, time.0, packed, 0, 0] }
    }

    pub(crate) fn from_words(words: [u64; ENTRY_WORDS]) -> Entry {
        Entry { words }
    }

    pub(crate) fn words(self) -> [u64; ENTRY_WORDS] {
        self.words
    }

    /// As a checkpoint holds it.
    pub(crate) fn to_bytes(self) -> [u8; ENTRY_WORDS * 8] {
        let mut bytes = [0; ENTRY_WORDS * 8];
        for (to, word) in bytes.chunks_exact_mut(8).zip(self.words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// From a checkpoint. Any bytes are an entry; [`Entry::is_decided`] says whether it is a whole one.
    pub(crate) fn from_bytes(bytes: &[u8; ENTRY_WORDS * 8]) -> Entry {
        let mut words = [0; ENTRY_WORDS];
        for (word, from) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(from.try_into().expect("eight bytes"));
        }
        Entry { words }
    }

    /// Whether it says how its event ended.
    pub(crate) fn is_decided(&self) -> bool {
        let status = Status::from_number((self.words[4] >> STATUS_SHIFT & STATUS_MASK) as u8);
        let length = self.words[4] >> LENGTH_SHIFT;
        status.is_some_and(|status| {
            status.is_recorded() && (length == LENGTH_IN_STREAM || length as usize <= inline_max(status))
        })
    }

    /// Whether it is of a slot up to this one.
    pub(crate) fn is_in_order(&self, slot: Slot) -> bool {
        self.words[4] & ((1 << SLOT_BITS) - 1) <= slot.0
    }

    pub(crate) fn key(&self) -> EventKey {
        EventKey(u128::from(self.words[0]) | u128::from(self.words[1]) << 64)
    }

    pub(crate) fn body(&self) -> u64 {
        self.words[2]
    }

    pub(crate) fn time(&self) -> StreamTime {
        StreamTime(self.words[TIME_WORD])
    }

    /// Adds how the event ended.
    pub(crate) fn decide(&mut self, status: Status, reason: u16, response: &[u8]) {
        assert!(status.is_recorded(), "{status} is not recorded");
        assert!(self.words[4] >> STATUS_SHIFT == 0, "{} is decided twice", self.key());
        assert!((status == Status::Rejected) == (reason != 0), "{status} with reason {reason}");
        let mut inline = [0; RESPONSE_INLINE_BYTES_MAX];
        let length = if response.len() <= inline_max(status) {
            inline[..response.len()].copy_from_slice(response);
            response.len() as u64
        } else {
            LENGTH_IN_STREAM
        };
        if status == Status::Rejected {
            inline[REASON_OFFSET..].copy_from_slice(&reason.to_le_bytes());
        }
        self.words[4] |= (status as u64) << STATUS_SHIFT | length << LENGTH_SHIFT;
        let [low, high] = words_of(inline);
        self.words[5] = low;
        self.words[6] = high;
    }

    /// What a duplicate is answered with.
    pub(crate) fn first(&self) -> First {
        let packed = self.words[4];
        let status = Status::from_number((packed >> STATUS_SHIFT & STATUS_MASK) as u8);
        let status = status.unwrap_or_else(|| panic!("{} is seen and not decided", self.key()));
        let slot = Slot(packed & ((1 << SLOT_BITS) - 1));
        let index = (packed >> SLOT_BITS & ((1 << INDEX_BITS) - 1)) as u32;
        let mut bytes = bytes_of([self.words[5], self.words[6]]);
        let mut reason = 0;
        if status == Status::Rejected {
            reason = u16::from_le_bytes([bytes[REASON_OFFSET], bytes[REASON_OFFSET + 1]]);
            bytes[REASON_OFFSET..].fill(0);
        }
        let length = packed >> LENGTH_SHIFT;
        let response = if length == LENGTH_IN_STREAM {
            FirstResponse::InStream { slot, index }
        } else {
            FirstResponse::Inline { bytes, length: length as u8 }
        };
        First { slot, index, status, reason, response }
    }
}

/// Response bytes that an entry holds.
fn inline_max(status: Status) -> usize {
    if status == Status::Rejected { REASON_OFFSET } else { RESPONSE_INLINE_BYTES_MAX }
}

fn words_of(bytes: [u8; 16]) -> [u64; 2] {
    let both = u128::from_le_bytes(bytes);
    [both as u64, (both >> 64) as u64]
}

fn bytes_of([low, high]: [u64; 2]) -> [u8; 16] {
    (u128::from(low) | u128::from(high) << 64).to_le_bytes()
}

/// Words of an entry.
pub(crate) const ENTRY_WORDS: usize = 7;

/// The word that is the time.
pub(crate) const TIME_WORD: usize = 3;

const SLOT_BITS: u32 = 43;
const INDEX_BITS: u32 = 13;
const STATUS_SHIFT: u32 = SLOT_BITS + INDEX_BITS;
const STATUS_MASK: u64 = 7;
const LENGTH_SHIFT: u32 = STATUS_SHIFT + 3;
const LENGTH_IN_STREAM: u64 = 31;
const REASON_OFFSET: usize = RESPONSE_INLINE_BYTES_MAX - 2;

const _: () = assert!(LENGTH_SHIFT + 5 == 64, "the packed word is full");
const _: () = assert!(STRIPE_EVENTS_MAX <= 1 << INDEX_BITS, "an index fits its bits");
const _: () = assert!(
    size_of::<[u64; ENTRY_WORDS]>() + 2 * size_of::<u32>() <= 64,
    "an entry and its two index slots are at most 64 bytes"
);
