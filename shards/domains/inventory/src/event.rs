//! The events of the domain, and their bytes. Every layout begins with its kind, every reserved byte is zero, so each
//! event has exactly one encoding.

use alloc::vec::Vec;

use assize_domain::{Entities, EntityId};
use zerocopy::little_endian::{U16, U64, U128};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ids::is_item;
use crate::reason::Malformed;

/// What a client asks of the inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InventoryEvent<'a> {
    /// Stock came or went, for a reason of the client's own numbering. An increase creates an item that does not
    /// exist. Returns the quantity.
    Adjust {
        /// The item.
        item: EntityId,
        /// By how much. Downward it takes only what is available.
        delta: i64,
        /// Why, kept in the log with the event.
        reason: u16,
    },
    /// Sets an item's floor and ceiling. Returns the quantity.
    SetLimits {
        /// The item; it must exist.
        item: EntityId,
        /// What must stay available; 0 is none.
        floor: u64,
        /// The most there may be; [`crate::NO_CEILING`] is none.
        ceiling: u64,
    },
    /// Moves stock between two items, which must exist. Returns the source's quantity, then the destination's.
    Transfer {
        /// From here.
        source: EntityId,
        /// To here.
        destination: EntityId,
        /// How much.
        quantity: u64,
    },
    /// Several transfers, 1 to [`LINES_MAX`], each seeing the effect of those before it: all of them or none.
    /// Returns two quantities a line, source then destination, as that line left them. A rejection returns the
    /// line that was refused.
    TransferLines {
        /// The lines.
        lines: &'a [Line],
    },
    /// Promises stock of an item to a new reservation. Returns the item's quantity, then how much is reserved.
    Reserve {
        /// The item.
        item: EntityId,
        /// The reservation, not used before.
        reservation: EntityId,
        /// How much.
        quantity: u64,
    },
    /// Takes a reservation's stock out. Returns the item's quantity, then how much is reserved.
    Confirm {
        /// The reservation's item.
        item: EntityId,
        /// The reservation.
        reservation: EntityId,
    },
    /// Makes a reservation's stock available again. Returns the item's quantity, then how much is reserved.
    Release {
        /// The reservation's item.
        item: EntityId,
        /// The reservation.
        reservation: EntityId,
    },
    /// Reads an item or a reservation at the event's place in the log, and changes nothing: a read whose answer is
    /// compared between replicas like any other (C8). Returns its state, see [`crate::Inspected`].
    Inspect {
        /// Which, whether it exists or not.
        entity: EntityId,
    },
}

impl<'a> InventoryEvent<'a> {
    /// Appends the payload.
    ///
    /// # Panics
    /// When a `TransferLines` has no lines or more than [`LINES_MAX`].
    pub fn encode_payload(&self, out: &mut Vec<u8>) {
        match *self {
            InventoryEvent::Adjust { item, delta, reason } => {
                out.extend_from_slice(head(ADJUST, reason, delta.cast_unsigned()).as_bytes());
                push_id(out, item);
            }
            InventoryEvent::SetLimits { item, floor, ceiling } => {
                out.extend_from_slice(head(SET_LIMITS, 0, floor).as_bytes());
                push_id(out, item);
                out.extend_from_slice(head_value(ceiling).as_bytes());
            }
            InventoryEvent::Transfer { source, destination, quantity } => {
                out.extend_from_slice(head(TRANSFER, 0, quantity).as_bytes());
                push_id(out, source);
                push_id(out, destination);
            }
            InventoryEvent::TransferLines { lines } => {
                assert!(
                    (1..=LINES_MAX).contains(&lines.len()),
                    "a transfer of {} lines; accepted are 1 to {LINES_MAX}",
                    lines.len()
                );
                out.extend_from_slice(head(TRANSFER_LINES, lines.len() as u16, 0).as_bytes());
                out.extend_from_slice(lines.as_bytes());
            }
            InventoryEvent::Reserve { item, reservation, quantity } => {
                out.extend_from_slice(head(RESERVE, 0, quantity).as_bytes());
                push_id(out, item);
                push_id(out, reservation);
            }
            InventoryEvent::Confirm { item, reservation } => {
                out.extend_from_slice(head(CONFIRM, 0, 0).as_bytes());
                push_id(out, item);
                push_id(out, reservation);
            }
            InventoryEvent::Release { item, reservation } => {
                out.extend_from_slice(head(RELEASE, 0, 0).as_bytes());
                push_id(out, item);
                push_id(out, reservation);
            }
            InventoryEvent::Inspect { entity } => {
                out.extend_from_slice(head(INSPECT, 0, 0).as_bytes());
                push_id(out, entity);
            }
        }
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are not exactly what [`InventoryEvent::encode_payload`] writes.
    #[inline]
    pub fn parse(payload: &'a [u8]) -> Result<InventoryEvent<'a>, Malformed> {
        let (head, rest) = Head::ref_from_prefix(payload).map_err(|_| Malformed::WrongLength)?;
        let value = head.value.get();
        if head.reserved != [0; 4] {
            return Err(Malformed::ReservedNotZero);
        }
        let kind = head.kind.get();
        if !matches!(kind, ADJUST | TRANSFER_LINES) && head.detail.get() != 0 {
            return Err(if kind_is_known(kind) {
                Malformed::ReservedNotZero
            } else {
                Malformed::UnknownKind
            });
        }
        match kind {
            TRANSFER => {
                let (source, destination) = two_ids(rest)?;
                Ok(InventoryEvent::Transfer {
                    source: item(source)?,
                    destination: item(destination)?,
                    quantity: value,
                })
            }
            ADJUST => {
                let id = U128::ref_from_bytes(rest).map_err(|_| Malformed::WrongLength)?;
                Ok(InventoryEvent::Adjust {
                    item: item(EntityId(id.get()))?,
                    delta: value.cast_signed(),
                    reason: head.detail.get(),
                })
            }
            SET_LIMITS => {
                let limits = LimitsTail::ref_from_bytes(rest).map_err(|_| Malformed::WrongLength)?;
                if limits.ceiling.reserved.get() != 0 {
                    return Err(Malformed::ReservedNotZero);
                }
                Ok(InventoryEvent::SetLimits {
                    item: item(EntityId(limits.item.get()))?,
                    floor: value,
                    ceiling: limits.ceiling.value.get(),
                })
            }
            TRANSFER_LINES => parse_lines(head, rest),
            RESERVE => {
                let (id, reserved) = two_ids(rest)?;
                Ok(InventoryEvent::Reserve {
                    item: item(id)?,
                    reservation: reservation(reserved)?,
                    quantity: value,
                })
            }
            CONFIRM | RELEASE => {
                let (id, reserved) = two_ids(rest)?;
                if value != 0 {
                    return Err(Malformed::ReservedNotZero);
                }
                let (item, reservation) = (item(id)?, reservation(reserved)?);
                Ok(match kind {
                    CONFIRM => InventoryEvent::Confirm { item, reservation },
                    _ => InventoryEvent::Release { item, reservation },
                })
            }
            INSPECT => {
                let id = U128::ref_from_bytes(rest).map_err(|_| Malformed::WrongLength)?;
                if value != 0 {
                    return Err(Malformed::ReservedNotZero);
                }
                Ok(InventoryEvent::Inspect { entity: EntityId(id.get()) })
            }
            _ => Err(Malformed::UnknownKind),
        }
    }

    /// Adds the entities that the event touches, each once, in the order of their first appearance.
    #[inline]
    pub fn entities(&self, entities: &mut Entities) {
        match *self {
            InventoryEvent::Adjust { item, .. } | InventoryEvent::SetLimits { item, .. } => {
                entities.push(item)
            }
            InventoryEvent::Transfer { source, destination, .. } => {
                entities.push(source);
                // One entity, not one twice: the event is whole, and evaluation rejects it with a reason.
                if destination != source {
                    entities.push(destination);
                }
            }
            InventoryEvent::TransferLines { lines } => {
                for id in lines.iter().flat_map(|line| [line.source(), line.destination()]) {
                    if !entities.as_slice().contains(&id) {
                        entities.push(id);
                    }
                }
            }
            InventoryEvent::Reserve { item, reservation, .. }
            | InventoryEvent::Confirm { item, reservation }
            | InventoryEvent::Release { item, reservation } => {
                entities.push(item);
                entities.push(reservation);
            }
            InventoryEvent::Inspect { entity } => entities.push(entity),
        }
    }
}

/// One line of a `TransferLines`: 48 bytes. Offsets: source 0, destination 16, quantity 32, zeros 40.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, PartialEq, Eq)]
#[repr(C)]
pub struct Line {
    source: U128,
    destination: U128,
    quantity: U64,
    reserved: [u8; 8],
}

impl Line {
    /// Moves `quantity` from `source` to `destination`.
    #[must_use]
    pub fn new(source: EntityId, destination: EntityId, quantity: u64) -> Line {
        Line {
            source: U128::new(source.0),
            destination: U128::new(destination.0),
            quantity: U64::new(quantity),
            reserved: [0; 8],
        }
    }

    /// From here.
    #[must_use]
    pub fn source(&self) -> EntityId {
        EntityId(self.source.get())
    }

    /// To here.
    #[must_use]
    pub fn destination(&self) -> EntityId {
        EntityId(self.destination.get())
    }

    /// How much.
    #[must_use]
    pub fn quantity(&self) -> u64 {
        self.quantity.get()
    }
}

fn parse_lines<'a>(head: &Head, rest: &'a [u8]) -> Result<InventoryEvent<'a>, Malformed> {
    let count = usize::from(head.detail.get());
    if !(1..=LINES_MAX).contains(&count) {
        return Err(Malformed::BadLineCount);
    }
    let lines = <[Line]>::ref_from_bytes(rest).map_err(|_| Malformed::WrongLength)?;
    if lines.len() != count {
        return Err(Malformed::WrongLength);
    }
    if head.value.get() != 0 || lines.iter().any(|line| line.reserved != [0; 8]) {
        return Err(Malformed::ReservedNotZero);
    }
    for line in lines {
        item(line.source())?;
        item(line.destination())?;
    }
    Ok(InventoryEvent::TransferLines { lines })
}

fn item(id: EntityId) -> Result<EntityId, Malformed> {
    if is_item(id) { Ok(id) } else { Err(Malformed::NotAnItem) }
}

fn reservation(id: EntityId) -> Result<EntityId, Malformed> {
    if is_item(id) { Err(Malformed::NotAReservation) } else { Ok(id) }
}

fn two_ids(rest: &[u8]) -> Result<(EntityId, EntityId), Malformed> {
    let ids = <[U128; 2]>::ref_from_bytes(rest).map_err(|_| Malformed::WrongLength)?;
    Ok((EntityId(ids[0].get()), EntityId(ids[1].get())))
}

fn push_id(out: &mut Vec<u8>, id: EntityId) {
    out.extend_from_slice(&id.0.to_le_bytes());
}

fn head(kind: u16, detail: u16, value: u64) -> Head {
    Head { kind: U16::new(kind), detail: U16::new(detail), reserved: [0; 4], value: U64::new(value) }
}

fn head_value(value: u64) -> Value {
    Value { value: U64::new(value), reserved: U64::new(0) }
}

fn kind_is_known(kind: u16) -> bool {
    (ADJUST..=INSPECT).contains(&kind)
}

/// How every payload begins. Offsets: kind 0, detail 2, zeros 4, value 8.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Head {
    kind: U16,
    detail: U16,
    reserved: [u8; 4],
    value: U64,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Value {
    value: U64,
    reserved: U64,
}

#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct LimitsTail {
    item: U128,
    ceiling: Value,
}

/// Lines that one `TransferLines` may have: two distinct items each is what one event may touch.
pub const LINES_MAX: usize = 8;

const ADJUST: u16 = 1;
const SET_LIMITS: u16 = 2;
const TRANSFER: u16 = 3;
const TRANSFER_LINES: u16 = 4;
const RESERVE: u16 = 5;
const CONFIRM: u16 = 6;
const RELEASE: u16 = 7;
const INSPECT: u16 = 8;

const _: () = assert!(LINES_MAX * 2 <= assize_domain::EVENT_ENTITIES_MAX);
const _: () = assert!(LINES_MAX * 16 <= assize_domain::RESPONSE_BYTES_MAX);
const _: () = assert!(size_of::<Head>() == 16 && size_of::<Line>() == 48);
