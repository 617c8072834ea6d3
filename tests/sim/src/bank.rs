//! The domain of these runs: accounts and what moves between them, with short and long responses, and panics.

use assize_domain::{
    Domain, DomainId, Entities, EntityId, Event, InvalidEvent, Response, States, StreamTime, Verdict,
};

/// Accounts, in a version of their logic: [`VERSION`], or [`NEXT_VERSION`], which ends the response to what it applied
/// with a byte of its own.
pub struct Bank(pub u16);

/// Its id.
pub const BANK: DomainId = DomainId(3);
/// The version of its events, and of the logic with which a cluster begins.
pub const VERSION: u16 = 1;
/// The logic that a cluster may switch to (R5).
pub const NEXT_VERSION: u16 = 2;
/// Why a transfer is rejected: there is not enough.
pub const INSUFFICIENT: u16 = 9;
/// Why a closing is rejected: there is no such account.
pub const NO_ACCOUNT: u16 = 10;
/// Why an event is invalid: it is none of the bank's.
pub const UNREADABLE: u16 = 4;

/// What an event does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Adds to an account; answers its balance and as many bytes more as are asked for.
    Deposit {
        /// To which.
        account: u128,
        /// How much.
        amount: u64,
        /// Bytes more in the response.
        extra: u8,
    },
    /// Moves from one account to another, or is rejected; answers both balances and as many bytes more.
    Transfer {
        /// From which.
        from: u128,
        /// To which.
        to: u128,
        /// How much.
        amount: u64,
        /// Bytes more in the response.
        extra: u8,
    },
    /// Takes out all that there is, which it answers, and the account is no more; or is rejected if there is none.
    Close {
        /// Which.
        account: u128,
    },
    /// Panics when it is evaluated.
    PanicLate {
        /// What it touches.
        account: u128,
    },
    /// Panics when it is asked for its entities.
    PanicEarly {
        /// What it would touch.
        account: u128,
    },
}

impl Op {
    /// As an event's payload.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, from, to, amount, extra) = match *self {
            Op::Deposit { account, amount, extra } => (0, account, 0, amount, extra),
            Op::Transfer { from, to, amount, extra } => (1, from, to, amount, extra),
            Op::PanicLate { account } => (2, account, 0, 0, 0),
            Op::PanicEarly { account } => (3, account, 0, 0, 0),
            Op::Close { account } => (4, account, 0, 0, 0),
        };
        let mut bytes = vec![kind, extra];
        bytes.extend_from_slice(&amount.to_le_bytes());
        bytes.extend_from_slice(&from.to_le_bytes());
        bytes.extend_from_slice(&to.to_le_bytes());
        bytes
    }

    /// Of an event's payload.
    pub fn decode(payload: &[u8]) -> Option<Op> {
        let (head, rest) = payload.split_first_chunk::<10>()?;
        let amount = u64::from_le_bytes(head[2..].try_into().ok()?);
        let from = u128::from_le_bytes(rest.get(..16)?.try_into().ok()?);
        let to = u128::from_le_bytes(rest.get(16..)?.try_into().ok()?);
        let extra = head[1];
        match head[0] {
            0 => Some(Op::Deposit { account: from, amount, extra }),
            1 => Some(Op::Transfer { from, to, amount, extra }),
            2 => Some(Op::PanicLate { account: from }),
            3 => Some(Op::PanicEarly { account: from }),
            4 => Some(Op::Close { account: from }),
            _ => None,
        }
    }

    /// What it touches.
    pub fn accounts(&self) -> Vec<u128> {
        match *self {
            Op::Transfer { from, to, .. } => vec![from, to],
            Op::Deposit { account, .. }
            | Op::Close { account }
            | Op::PanicLate { account }
            | Op::PanicEarly { account } => vec![account],
        }
    }
}

impl Domain for Bank {
    fn id(&self) -> DomainId {
        BANK
    }

    fn name(&self) -> &'static str {
        "bank"
    }

    fn version(&self) -> u16 {
        self.0
    }

    fn reads(&self, version: u16) -> bool {
        version == VERSION
    }

    fn state_bytes_max(&self) -> usize {
        8
    }

    fn entities(&self, event: &Event<'_>, entities: &mut Entities) -> Result<(), InvalidEvent> {
        let op = Op::decode(event.payload()).ok_or(InvalidEvent { reason: UNREADABLE })?;
        assert!(!matches!(op, Op::PanicEarly { .. }), "bank: asked for entities");
        op.accounts().into_iter().for_each(|account| entities.push(EntityId(account)));
        Ok(())
    }

    fn evaluate(
        &self,
        event: &Event<'_>,
        _: StreamTime,
        states: &mut States<'_>,
        response: &mut Response,
    ) -> Verdict {
        let balance = |states: &States<'_>, at: usize| {
            states.get(at).map_or(0, |state| u64::from_le_bytes(state.try_into().expect("eight bytes")))
        };
        let extra = match Op::decode(event.payload()).expect("it named its entities") {
            Op::Deposit { amount, extra, .. } => {
                let after = balance(states, 0) + amount;
                states.set(0, &after.to_le_bytes());
                response.extend_from_slice(&after.to_le_bytes());
                extra
            }
            Op::Transfer { amount, extra, .. } => {
                let (from, to) = (balance(states, 0), balance(states, 1));
                if from < amount {
                    response.extend_from_slice(&from.to_le_bytes());
                    return Verdict::Rejected(INSUFFICIENT);
                }
                states.set(0, &(from - amount).to_le_bytes());
                states.set(1, &(to + amount).to_le_bytes());
                response.extend_from_slice(&(from - amount).to_le_bytes());
                response.extend_from_slice(&(to + amount).to_le_bytes());
                extra
            }
            Op::Close { .. } => {
                if states.get(0).is_none() {
                    return Verdict::Rejected(NO_ACCOUNT);
                }
                response.extend_from_slice(&balance(states, 0).to_le_bytes());
                states.remove(0);
                0
            }
            Op::PanicLate { .. } | Op::PanicEarly { .. } => panic!("bank: evaluated"),
        };
        response.extend_from_slice(&vec![extra; usize::from(extra)]);
        if self.0 == NEXT_VERSION {
            response.extend_from_slice(&[0xee]);
        }
        Verdict::Applied
    }

    fn reason(&self, _: u16) -> Option<&'static str> {
        None
    }
}
