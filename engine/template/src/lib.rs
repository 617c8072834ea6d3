//! Vouchers: issued with an amount, redeemed in parts, worth nothing once they have expired.
//!
//! Without the standard library: a clock, a file, a socket, a thread or a map without order does not compile here.
#![no_std]

extern crate alloc;

mod event;
mod notation;
mod voucher;

use assize_domain::{
    Domain, DomainId, Entities, Event, InvalidEvent, Notation, Response, States, StreamTime, Verdict, reasons,
};

pub use event::VoucherEvent;
pub use voucher::Voucher;

/// The domain. It has no fields: all that it knows of an event is in the arguments of its methods.
pub struct Vouchers;

impl Domain for Vouchers {
    fn id(&self) -> DomainId {
        VOUCHERS
    }

    fn name(&self) -> &'static str {
        "vouchers"
    }

    fn version(&self) -> u16 {
        VERSION
    }

    fn state_bytes_max(&self) -> usize {
        Voucher::BYTES
    }

    fn entities(&self, event: &Event<'_>, entities: &mut Entities) -> Result<(), InvalidEvent> {
        let event = VoucherEvent::parse(event.payload()).ok_or(InvalidEvent { reason: MALFORMED })?;
        event.vouchers().for_each(|voucher| entities.push(voucher));
        Ok(())
    }

    fn evaluate(
        &self,
        event: &Event<'_>,
        now: StreamTime,
        states: &mut States<'_>,
        response: &mut Response,
    ) -> Verdict {
        let event = VoucherEvent::parse(event.payload()).expect("its entities were read from these bytes");
        match apply(&event, now, states, response) {
            Ok(()) => Verdict::Applied,
            Err(reason) => Verdict::Rejected(reason.number()),
        }
    }

    fn reason(&self, reason: u16) -> Option<&'static str> {
        match reason {
            MALFORMED => Some("the bytes are not an event of the vouchers"),
            _ => Reason::from_number(reason).map(Reason::words),
        }
    }

    fn notation(&self) -> Option<&dyn Notation> {
        Some(self)
    }
}

/// Either changes `states` and says what came of it, or changes nothing.
fn apply(
    event: &VoucherEvent,
    now: StreamTime,
    states: &mut States<'_>,
    response: &mut Response,
) -> Result<(), Reason> {
    match *event {
        VoucherEvent::Issue { amount, expires_s, .. } => {
            if states.get(0).is_some() {
                return Err(Reason::AlreadyIssued);
            }
            let voucher = Voucher { left: amount, expires_s };
            voucher.check_good_for(0, now)?;
            states.set(0, &voucher.encode());
            response.extend_from_slice(&voucher.left.to_le_bytes());
        }
        VoucherEvent::Redeem { amount, .. } => {
            let voucher = load(states, 0)?.take(amount, now)?;
            states.set(0, &voucher.encode());
            response.extend_from_slice(&voucher.left.to_le_bytes());
        }
        VoucherEvent::Move { amount, .. } => {
            let (from, to) = (load(states, 0)?, load(states, 1)?);
            let (from, to) = (from.take(amount, now)?, to.put(amount, now)?);
            states.set(0, &from.encode());
            states.set(1, &to.encode());
            response.extend_from_slice(&from.left.to_le_bytes());
            response.extend_from_slice(&to.left.to_le_bytes());
        }
        // Nothing is set, so nothing changes. A 1 tells a state from no state.
        VoucherEvent::Inspect { .. } => match states.get(0) {
            Some(state) => {
                response.extend_from_slice(&[1]);
                response.extend_from_slice(state);
            }
            None => response.extend_from_slice(&[0]),
        },
    }
    Ok(())
}

fn load(states: &States<'_>, at: usize) -> Result<Voucher, Reason> {
    let state = states.get(at).ok_or(Reason::UnknownVoucher)?;
    Ok(Voucher::parse(state).expect("a voucher's state was set here"))
}

reasons! {
    /// Why an event was rejected. The numbers are part of the protocol and never change.
    Reason {
        /// The voucher exists.
        AlreadyIssued = 1, "the voucher was issued before";
        /// The voucher does not exist.
        UnknownVoucher = 2, "no such voucher";
        /// Stream time has passed the voucher's.
        Expired = 3, "the voucher has expired";
        /// Less is left than the event takes.
        TooLittleLeft = 4, "less is left on the voucher";
        /// An amount would not fit 64 bits.
        Overflow = 5, "the amount would not fit 64 bits";
    }
}

/// The domain's number. 1 and 2 are taken by the bundled domains.
pub const VOUCHERS: DomainId = DomainId(16);

/// The version of its logic and of its events.
pub const VERSION: u16 = 1;

/// Why bytes are not an event of this domain.
pub const MALFORMED: u16 = 256;
