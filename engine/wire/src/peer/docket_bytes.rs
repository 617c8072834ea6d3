//! The layout of the Dockets' messages: one header of 128 bytes for all of them, then one entry for each slot.
//!
//! Which fields a message uses is one table, below; what it does not use is zero, so that every message has one way to
//! be written. A message holds at most [`PEER_SLOTS_MAX`] entries; who has more to tell sends several.

use alloc::sync::Arc;
use alloc::vec::Vec;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::generation::GenerationsBytes;
use super::hello::zero;
use super::{Chosen, DocketMessage, Generation, Generations, PeerKind, PeerMessageError, Promised};
use crate::limits::{PEER_SLOTS_MAX, SHARDS_MAX};
use crate::manifest::{MANIFEST_CONTROLS_BYTES_MAX, MANIFEST_HEADER_BYTES, Manifest, Ordered};
use crate::{Ballot, Hash, Slot};

/// How many bytes a message takes.
pub(super) fn docket_bytes(message: &DocketMessage) -> usize {
    let of = |ordered: &Ordered| ENTRY_BYTES + ordered.manifest.encoded_bytes();
    HEADER_BYTES
        + match message {
            DocketMessage::Promise { entries, .. } => entries
                .iter()
                .map(|entry| match entry {
                    Promised::Accepted { ordered, .. } | Promised::Chosen { ordered } => of(ordered),
                    Promised::Damaged { .. } | Promised::Doubtful { .. } => ENTRY_BYTES,
                })
                .sum(),
            DocketMessage::Accept { ordered, .. } => of(ordered),
            DocketMessage::Fetched { slots, .. } => slots.iter().map(|ordered| of(ordered)).sum(),
            _ => 0,
        }
}

/// Appends a message's payload.
pub(super) fn encode_docket(
    clock_ns: u64,
    generations: &Generations,
    message: &DocketMessage,
    out: &mut Vec<u8>,
) {
    let (fields, entries) = fields_of(message);
    assert!(entries.len() <= PEER_SLOTS_MAX, "{} slots in one message of the Docket", entries.len());
    let header = DocketHeader {
        clock_ns: U64::new(clock_ns),
        kind: U16::new(fields.kind as u16),
        flags: U16::new(fields.flag.into()),
        entries: U32::new(entries.len() as u32),
        ballot: U64::new(fields.ballot.to_raw()),
        number: U64::new(fields.number),
        slot: U64::new(fields.chosen.slot.0),
        second: U64::new(fields.second.0),
        hash: fields.chosen.hash.0,
        generations: GenerationsBytes::of(generations),
        reserved: [0; 8],
    };
    out.extend_from_slice(header.as_bytes());
    entries.iter().for_each(|entry| encode_entry(entry, out));
}

/// A message with what comes with each: the sender's clock, and what it knew of disks.
pub(super) type ParsedDocket = (u64, Generations, DocketMessage);

/// Reads a message's payload.
pub(super) fn parse_docket(payload: &[u8]) -> Result<ParsedDocket, PeerMessageError> {
    let length = PeerMessageError::Length { kind: PeerKind::Docket, bytes: payload.len() };
    let (header, mut rest) = DocketHeader::ref_from_prefix(payload).map_err(|_| length)?;
    let (number, flags) = (header.kind.get(), header.flags.get());
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| *kind as u16 == number)
        .ok_or(PeerMessageError::BadValue { field: "message", found: number.into() })?;
    zero("reserved", &header.reserved)?;
    if flags > 1 {
        return Err(PeerMessageError::BadValue { field: "flags", found: flags.into() });
    }
    let count = header.entries.get() as usize;
    if count > PEER_SLOTS_MAX {
        return Err(PeerMessageError::BadCount { found: count, max: PEER_SLOTS_MAX });
    }
    // Before anything is allocated for them: so many entries are not there.
    if rest.len() < count * ENTRY_BYTES {
        return Err(length);
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let (entry, after) = parse_entry(rest)?;
        entries.push(entry);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(length);
    }
    let fields = Fields {
        kind,
        flag: flags == 1,
        ballot: Ballot::from_raw(header.ballot.get()),
        number: header.number.get(),
        chosen: Chosen { slot: Slot(header.slot.get()), hash: Hash(header.hash) },
        second: Slot(header.second.get()),
    };
    let message = message_of(&fields, &entries)?;
    // What the message does not use must be zero: then it encodes to these fields again.
    let (again, entries_again) = fields_of(&message);
    if again != fields || entries_again.len() != entries.len() {
        return Err(PeerMessageError::BadValue { field: "a field unused here", found: number.into() });
    }
    Ok((header.clock_ns.get(), header.generations.read(), message))
}

/// The header's fields, one meaning or another for each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields {
    kind: Kind,
    flag: bool,
    ballot: Ballot,
    number: u64,
    chosen: Chosen,
    second: Slot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
enum Kind {
    Canvass = 1,
    CanvassAnswer = 2,
    Prepare = 3,
    Promise = 4,
    Accept = 5,
    Accepted = 6,
    Refused = 7,
    Heartbeat = 8,
    HeartbeatAnswer = 9,
    Fetch = 10,
    Fetched = 11,
    Handover = 12,
    Rejoin = 13,
    Told = 14,
    Voteless = 15,
}

impl Kind {
    const ALL: [Kind; 15] = [
        Kind::Canvass,
        Kind::CanvassAnswer,
        Kind::Prepare,
        Kind::Promise,
        Kind::Accept,
        Kind::Accepted,
        Kind::Refused,
        Kind::Heartbeat,
        Kind::HeartbeatAnswer,
        Kind::Fetch,
        Kind::Fetched,
        Kind::Handover,
        Kind::Rejoin,
        Kind::Told,
        Kind::Voteless,
    ];
}

/// The table: what each message puts into the fields.
fn fields_of(message: &DocketMessage) -> (Fields, Vec<Promised>) {
    let none = Chosen { slot: Slot::ZERO, hash: Hash::ZERO };
    let at = |slot: Slot| Chosen { slot, hash: Hash::ZERO };
    let fields =
        |kind, ballot| Fields { kind, flag: false, ballot, number: 0, chosen: none, second: Slot::ZERO };
    let bare = |fields| (fields, Vec::new());
    match message {
        DocketMessage::Canvass { ballot, chosen } => {
            bare(Fields { chosen: at(*chosen), ..fields(Kind::Canvass, *ballot) })
        }
        DocketMessage::CanvassAnswer { ballot, granted, promised, chosen } => bare(Fields {
            flag: *granted,
            number: promised.to_raw(),
            chosen: *chosen,
            ..fields(Kind::CanvassAnswer, *ballot)
        }),
        DocketMessage::Prepare { ballot, from, released } => {
            bare(Fields { number: released.to_raw(), chosen: at(*from), ..fields(Kind::Prepare, *ballot) })
        }
        DocketMessage::Promise { ballot, chosen, entries } => {
            (Fields { chosen: *chosen, ..fields(Kind::Promise, *ballot) }, entries.clone())
        }
        DocketMessage::Accept { ballot, fresh, ordered, chosen } => {
            let entries = [Promised::Chosen { ordered: Arc::clone(ordered) }];
            (Fields { flag: *fresh, chosen: *chosen, ..fields(Kind::Accept, *ballot) }, entries.into())
        }
        DocketMessage::Accepted { ballot, slot } => {
            bare(Fields { chosen: at(*slot), ..fields(Kind::Accepted, *ballot) })
        }
        DocketMessage::Refused { ballot, promised } => {
            bare(Fields { number: promised.to_raw(), ..fields(Kind::Refused, *ballot) })
        }
        DocketMessage::Heartbeat { ballot, sequence, chosen, formed } => bare(Fields {
            number: *sequence,
            chosen: *chosen,
            second: *formed,
            ..fields(Kind::Heartbeat, *ballot)
        }),
        DocketMessage::HeartbeatAnswer { ballot, sequence, accepted, lease_ns, could_lead } => bare(Fields {
            flag: *could_lead,
            number: *sequence,
            chosen: at(Slot(*lease_ns)),
            second: *accepted,
            ..fields(Kind::HeartbeatAnswer, *ballot)
        }),
        DocketMessage::Fetch { from } => {
            bare(Fields { chosen: at(*from), ..fields(Kind::Fetch, Ballot::NONE) })
        }
        DocketMessage::Fetched { ballot, slots, chosen } => {
            let entries = slots.iter().map(|ordered| Promised::Chosen { ordered: Arc::clone(ordered) });
            (Fields { chosen: *chosen, ..fields(Kind::Fetched, *ballot) }, entries.collect())
        }
        DocketMessage::Handover { ballot } => bare(fields(Kind::Handover, *ballot)),
        DocketMessage::Rejoin { generation } => {
            bare(Fields { number: generation.to_raw(), ..fields(Kind::Rejoin, Ballot::NONE) })
        }
        DocketMessage::Told { generation, promised, accepted, chosen } => bare(Fields {
            number: generation.to_raw(),
            chosen: *chosen,
            second: *accepted,
            ..fields(Kind::Told, *promised)
        }),
        DocketMessage::Voteless { ballot } => bare(fields(Kind::Voteless, *ballot)),
    }
}

/// The table, read the other way. Fields that the message does not use are not looked at here.
fn message_of(fields: &Fields, entries: &[Promised]) -> Result<DocketMessage, PeerMessageError> {
    let Fields { kind, flag, ballot, number, chosen, second } = *fields;
    let bad = || PeerMessageError::BadValue { field: "entry", found: kind as u64 };
    let value = |entry: &Promised| match entry {
        Promised::Chosen { ordered } => Ok(Arc::clone(ordered)),
        _ => Err(bad()),
    };
    Ok(match kind {
        Kind::Canvass => DocketMessage::Canvass { ballot, chosen: chosen.slot },
        Kind::CanvassAnswer => {
            let promised = Ballot::from_raw(number);
            DocketMessage::CanvassAnswer { ballot, granted: flag, promised, chosen }
        }
        Kind::Prepare => {
            DocketMessage::Prepare { ballot, from: chosen.slot, released: Ballot::from_raw(number) }
        }
        Kind::Promise => DocketMessage::Promise { ballot, chosen, entries: entries.to_vec() },
        Kind::Accept => {
            let ordered = entries.first().ok_or_else(bad).and_then(value)?;
            DocketMessage::Accept { ballot, fresh: flag, ordered, chosen }
        }
        Kind::Accepted => DocketMessage::Accepted { ballot, slot: chosen.slot },
        Kind::Refused => DocketMessage::Refused { ballot, promised: Ballot::from_raw(number) },
        Kind::Heartbeat => DocketMessage::Heartbeat { ballot, sequence: number, chosen, formed: second },
        Kind::HeartbeatAnswer => {
            let (sequence, accepted, lease_ns) = (number, second, chosen.slot.0);
            DocketMessage::HeartbeatAnswer { ballot, sequence, accepted, lease_ns, could_lead: flag }
        }
        Kind::Fetch => DocketMessage::Fetch { from: chosen.slot },
        Kind::Fetched => {
            let slots = entries.iter().map(value).collect::<Result<_, _>>()?;
            DocketMessage::Fetched { ballot, slots, chosen }
        }
        Kind::Handover => DocketMessage::Handover { ballot },
        Kind::Rejoin => DocketMessage::Rejoin { generation: Generation::from_raw(number) },
        Kind::Told => {
            let generation = Generation::from_raw(number);
            DocketMessage::Told { generation, promised: ballot, accepted: second, chosen }
        }
        Kind::Voteless => DocketMessage::Voteless { ballot },
    })
}

fn encode_entry(entry: &Promised, out: &mut Vec<u8>) {
    let none = EntryHeader {
        kind: U16::new(0),
        hash_known: U16::new(0),
        manifest_bytes: U32::new(0),
        ballot: U64::new(0),
        slot: U64::new(0),
        hash: [0; 32],
        through: U64::new(0),
    };
    let (header, ordered) = match entry {
        Promised::Accepted { ballot, ordered } => {
            let ballot = U64::new(ballot.to_raw());
            (EntryHeader { kind: U16::new(ENTRY_ACCEPTED), ballot, ..none }, Some(ordered))
        }
        Promised::Chosen { ordered } => (EntryHeader { kind: U16::new(ENTRY_CHOSEN), ..none }, Some(ordered)),
        Promised::Damaged { slot, hash } => {
            let hash_known = U16::new(hash.is_some().into());
            let (slot, hash) = (U64::new(slot.0), hash.unwrap_or(Hash::ZERO).0);
            (EntryHeader { kind: U16::new(ENTRY_DAMAGED), hash_known, slot, hash, ..none }, None)
        }
        Promised::Doubtful { slot, through, ballot } => {
            let (slot, through) = (U64::new(slot.0), U64::new(through.0));
            let ballot = U64::new(ballot.to_raw());
            (EntryHeader { kind: U16::new(ENTRY_DOUBTFUL), slot, through, ballot, ..none }, None)
        }
    };
    let manifest = ordered.map(|ordered| ordered.manifest.encode()).unwrap_or_default();
    let header = EntryHeader { manifest_bytes: U32::new(manifest.len() as u32), ..header };
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&manifest);
}

/// Reads the entry at the front of `bytes`, and gives what is behind it.
fn parse_entry(bytes: &[u8]) -> Result<(Promised, &[u8]), PeerMessageError> {
    let length = || PeerMessageError::Length { kind: PeerKind::Docket, bytes: bytes.len() };
    let (header, rest) = EntryHeader::ref_from_prefix(bytes).map_err(|_| length())?;
    let manifest_bytes = header.manifest_bytes.get() as usize;
    if manifest_bytes > MANIFEST_BYTES_MAX {
        return Err(PeerMessageError::BadCount { found: manifest_bytes, max: MANIFEST_BYTES_MAX });
    }
    let (manifest, rest) = rest.split_at_checked(manifest_bytes).ok_or_else(length)?;
    let (ballot, slot, known) = (header.ballot.get(), header.slot.get(), header.hash_known.get());
    let through = header.through.get();
    if through != 0 && header.kind.get() != ENTRY_DOUBTFUL {
        return Err(PeerMessageError::BadValue { field: "through", found: through });
    }
    let ordered = || -> Result<Arc<Ordered>, PeerMessageError> {
        let hash = Hash::of(manifest);
        let manifest = Manifest::parse(manifest).map_err(PeerMessageError::Manifest)?;
        Ok(Arc::new(Ordered { manifest, hash }))
    };
    let unused = |used: bool| match used {
        false => Ok(()),
        true => {
            Err(PeerMessageError::BadValue { field: "a field unused here", found: header.kind.get().into() })
        }
    };
    let entry = match header.kind.get() {
        ENTRY_ACCEPTED => {
            unused(slot != 0 || known != 0 || header.hash != [0; 32])?;
            Promised::Accepted { ballot: Ballot::from_raw(ballot), ordered: ordered()? }
        }
        ENTRY_CHOSEN => {
            unused(ballot != 0 || slot != 0 || known != 0 || header.hash != [0; 32])?;
            Promised::Chosen { ordered: ordered()? }
        }
        ENTRY_DAMAGED => {
            unused(
                ballot != 0 || manifest_bytes != 0 || known > 1 || (known == 0 && header.hash != [0; 32]),
            )?;
            Promised::Damaged { slot: Slot(slot), hash: (known == 1).then_some(Hash(header.hash)) }
        }
        ENTRY_DOUBTFUL => {
            unused(manifest_bytes != 0 || known != 0 || header.hash != [0; 32])?;
            Promised::Doubtful { slot: Slot(slot), through: Slot(through), ballot: Ballot::from_raw(ballot) }
        }
        found => return Err(PeerMessageError::BadValue { field: "entry", found: found.into() }),
    };
    Ok((entry, rest))
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct DocketHeader {
    clock_ns: U64,
    kind: U16,
    flags: U16,
    entries: U32,
    ballot: U64,
    number: U64,
    slot: U64,
    second: U64,
    hash: [u8; 32],
    generations: GenerationsBytes,
    reserved: [u8; 8],
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct EntryHeader {
    kind: U16,
    hash_known: U16,
    manifest_bytes: U32,
    ballot: U64,
    slot: U64,
    hash: [u8; 32],
    through: U64,
}

const HEADER_BYTES: usize = size_of::<DocketHeader>();
const ENTRY_BYTES: usize = size_of::<EntryHeader>();
const MANIFEST_BYTES_MAX: usize = MANIFEST_HEADER_BYTES + SHARDS_MAX * 64 + MANIFEST_CONTROLS_BYTES_MAX;
const ENTRY_ACCEPTED: u16 = 1;
const ENTRY_CHOSEN: u16 = 2;
const ENTRY_DAMAGED: u16 = 3;
const ENTRY_DOUBTFUL: u16 = 4;

const _: () = assert!(HEADER_BYTES == 128 && ENTRY_BYTES == 64);
const _: () = assert!(
    HEADER_BYTES + PEER_SLOTS_MAX * (ENTRY_BYTES + MANIFEST_BYTES_MAX)
        <= crate::limits::PEER_PAYLOAD_BYTES_MAX,
    "the most slots of one message fit a frame"
);

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;
    use alloc::collections::BTreeSet;
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn the_page_has_the_messages_with_their_numbers_and_no_others() {
        let (_, table) = include_str!("../../README.md").split_once("\n| message | name |").expect("a table");
        let rows = table.split("\n\n").next().unwrap_or_default().lines().skip(2);
        let described: BTreeSet<String> = rows
            .map(|row| {
                row.split('|').take(3).map(str::trim).collect::<Vec<&str>>().join(" ").trim().to_owned()
            })
            .collect();
        let there = Kind::ALL.iter().map(|kind| format!("{} `{kind:?}`", *kind as u8));
        assert_eq!(described, there.collect());
    }
}
