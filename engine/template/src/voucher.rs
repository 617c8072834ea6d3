//! The state of a voucher, its bytes, and what may be done to it.

use assize_domain::StreamTime;

use crate::Reason;

/// A voucher that was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voucher {
    /// How much may be redeemed.
    pub left: u64,
    /// Good before so many seconds after the Unix epoch.
    pub expires_s: u64,
}

impl Voucher {
    /// Bytes of a state.
    pub const BYTES: usize = 16;

    /// Reads a state.
    pub fn parse(state: &[u8]) -> Option<Voucher> {
        let (left, expires_s) = state.split_first_chunk::<8>()?;
        let expires_s = expires_s.try_into().ok()?;
        Some(Voucher { left: u64::from_le_bytes(*left), expires_s: u64::from_le_bytes(expires_s) })
    }

    /// The state's bytes.
    pub fn encode(&self) -> [u8; Voucher::BYTES] {
        let mut bytes = [0; Voucher::BYTES];
        bytes[..8].copy_from_slice(&self.left.to_le_bytes());
        bytes[8..].copy_from_slice(&self.expires_s.to_le_bytes());
        bytes
    }

    /// After `amount` was taken off.
    pub fn take(self, amount: u64, now: StreamTime) -> Result<Voucher, Reason> {
        self.check_good_for(amount, now)?;
        Ok(Voucher { left: self.left - amount, ..self })
    }

    /// After `amount` was put on.
    pub fn put(self, amount: u64, now: StreamTime) -> Result<Voucher, Reason> {
        self.check_good_for(0, now)?;
        let left = self.left.checked_add(amount).ok_or(Reason::Overflow)?;
        Ok(Voucher { left, ..self })
    }

    /// Whether `amount` may be taken off at this stream time: the only clock there is.
    pub fn check_good_for(&self, amount: u64, now: StreamTime) -> Result<(), Reason> {
        if now.0 / NANOSECONDS_PER_SECOND >= self.expires_s {
            return Err(Reason::Expired);
        }
        if amount > self.left {
            return Err(Reason::TooLittleLeft);
        }
        Ok(())
    }
}

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;
