//! What a client asks, and its bytes: a kind, then the fields one after the other, little-endian.

use alloc::vec::Vec;

use assize_domain::EntityId;

/// What a client asks of the vouchers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoucherEvent {
    /// A new voucher over `amount`, good until so many seconds after the Unix epoch.
    Issue { voucher: EntityId, amount: u64, expires_s: u64 },
    /// Takes `amount` off a voucher.
    Redeem { voucher: EntityId, amount: u64 },
    /// Takes `amount` off one voucher and puts it on another one.
    Move { from: EntityId, to: EntityId, amount: u64 },
    /// Reads a voucher at the event's place in the log, whether it exists or not.
    Inspect { voucher: EntityId },
}

impl VoucherEvent {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, vouchers, numbers): (u8, &[EntityId], &[u64]) = match self {
            VoucherEvent::Issue { voucher, amount, expires_s } => (1, &[*voucher], &[*amount, *expires_s]),
            VoucherEvent::Redeem { voucher, amount } => (2, &[*voucher], &[*amount]),
            VoucherEvent::Move { from, to, amount } => (3, &[*from, *to], &[*amount]),
            VoucherEvent::Inspect { voucher } => (4, &[*voucher], &[]),
        };
        let mut bytes = Vec::from([kind]);
        bytes.extend(vouchers.iter().flat_map(|voucher| voucher.0.to_le_bytes()));
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        bytes
    }

    /// Reads the bytes. Nothing if they are not exactly an event's.
    pub fn parse(bytes: &[u8]) -> Option<VoucherEvent> {
        let (kind, rest) = bytes.split_first()?;
        let mut fields = Fields(rest);
        let event = match kind {
            1 => VoucherEvent::Issue {
                voucher: fields.voucher()?,
                amount: fields.number()?,
                expires_s: fields.number()?,
            },
            2 => VoucherEvent::Redeem { voucher: fields.voucher()?, amount: fields.number()? },
            3 => VoucherEvent::Move {
                from: fields.voucher()?,
                to: fields.voucher()?,
                amount: fields.number()?,
            },
            4 => VoucherEvent::Inspect { voucher: fields.voucher()? },
            _ => return None,
        };
        fields.0.is_empty().then_some(event)
    }

    /// The vouchers that it touches, in the order in which evaluation finds their states.
    pub fn vouchers(&self) -> impl Iterator<Item = EntityId> {
        let (first, second) = match *self {
            VoucherEvent::Issue { voucher, .. }
            | VoucherEvent::Redeem { voucher, .. }
            | VoucherEvent::Inspect { voucher } => (voucher, None),
            VoucherEvent::Move { from, to, .. } => (from, Some(to)),
        };
        [Some(first), second].into_iter().flatten()
    }
}

/// What is left to read.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn voucher(&mut self) -> Option<EntityId> {
        self.bytes().map(|bytes| EntityId(u128::from_le_bytes(bytes)))
    }

    fn number(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }
}
