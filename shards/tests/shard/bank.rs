//! A domain for tests: accounts, transfers, and everything that a domain can do wrong.

use assize_domain::{Cell, Domain, DomainId, Entities, EntityId, Event, InvalidEvent, Response, States};
use assize_domain::{LogicVersion, StreamTime, Verdict};

/// In a version of its logic: [`VERSION`], or [`NEXT_VERSION`], which spreads twice as much and reads events of both.
pub struct Bank(pub u16);

pub const BANK: DomainId = DomainId(7);
pub const VERSION: u16 = 3;
pub const NEXT_VERSION: u16 = 4;
/// A version of its logic.
pub fn bank_logic(version: u16) -> LogicVersion {
    LogicVersion { domain: BANK, version }
}

pub const STATE_BYTES_MAX: usize = 24;

/// What an event does; the number is the payload's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    /// Creates the account with `amount`, or is rejected.
    Open,
    /// From the first to the second.
    Transfer,
    /// Removes the account.
    Close,
    /// Adds 1 to each account, or 2, creating it.
    Spread,
    /// Changes the state, then panics.
    Panic,
    /// Panics when asked for its entities.
    PanicEarly,
    /// Calls one of what it is given without end.
    RunAway,
    /// Names entities without end.
    RunAwayEarly,
    /// Applied, with a response of `amount` bytes.
    Answer,
    /// Applied, with the account's state after a 1, or with a 0 if it is absent.
    Inspect,
    /// Rejected, with a response of `amount` bytes.
    Refuse,
    /// Sets a state longer than the domain said.
    TooLong,
    /// Rejected for a reason that is the engine's.
    FalseReason,
    /// Names no entity.
    Nothing,
    /// Names the first entity twice.
    Twice,
    /// Is not an event of this domain.
    Nonsense,
}

pub const OPS: [Op; 16] = [
    Op::Open,
    Op::Transfer,
    Op::Close,
    Op::Spread,
    Op::Panic,
    Op::PanicEarly,
    Op::RunAway,
    Op::RunAwayEarly,
    Op::Answer,
    Op::Inspect,
    Op::Refuse,
    Op::TooLong,
    Op::FalseReason,
    Op::Nothing,
    Op::Twice,
    Op::Nonsense,
];

pub const EXISTS: u16 = 1;
pub const UNKNOWN: u16 = 2;
pub const INSUFFICIENT: u16 = 3;
pub const REFUSED: u16 = 0x1234;
pub const NONSENSE: u16 = 77;

pub fn payload(op: Op, amount: u64, accounts: &[u128]) -> Vec<u8> {
    let mut bytes = vec![op as u8; 1];
    bytes.extend_from_slice(&amount.to_le_bytes());
    for account in accounts {
        bytes.extend_from_slice(&account.to_le_bytes());
    }
    bytes
}

/// An absent account has no state; a present one its balance, and some bytes more the larger it is.
fn balance(state: Option<&[u8]>) -> Option<u64> {
    state.map(|state| u64::from_le_bytes(state[..8].try_into().unwrap()))
}

fn put(states: &mut States<'_>, at: usize, balance: u64) {
    let mut state = balance.to_le_bytes().to_vec();
    state.resize(8 + (balance % 17) as usize, 0xab);
    states.set(at, &state);
}

fn read(event: &Event<'_>) -> Option<(Op, u64, Vec<u128>)> {
    let payload = event.payload();
    let op = *OPS.get(usize::from(*payload.first()?))?;
    let amount = u64::from_le_bytes(payload.get(1..9)?.try_into().ok()?);
    let accounts = payload[9..].chunks(16);
    let accounts = accounts.map(|id| id.try_into().map(u128::from_le_bytes));
    Some((op, amount, accounts.collect::<Result<_, _>>().ok()?))
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
        (VERSION..=self.0).contains(&version)
    }

    fn state_bytes_max(&self) -> usize {
        STATE_BYTES_MAX
    }

    fn entities(&self, event: &Event<'_>, entities: &mut Entities) -> Result<(), InvalidEvent> {
        let (op, _, accounts) = read(event).ok_or(InvalidEvent { reason: NONSENSE })?;
        match op {
            Op::Nonsense => return Err(InvalidEvent { reason: NONSENSE }),
            Op::PanicEarly => panic!("bank: asked for entities"),
            Op::RunAwayEarly => loop {
                entities.push(EntityId(accounts[0]));
            },
            Op::Nothing => return Ok(()),
            Op::Twice => entities.push(EntityId(accounts[0])),
            _ => {}
        }
        for account in accounts {
            entities.push(EntityId(account));
        }
        Ok(())
    }

    fn evaluate(
        &self,
        event: &Event<'_>,
        now: StreamTime,
        states: &mut States<'_>,
        response: &mut Response,
    ) -> Verdict {
        let (op, amount, _) = read(event).unwrap();
        match op {
            Op::Open if states.get(0).is_some() => return Verdict::Rejected(EXISTS),
            Op::Open => {
                put(states, 0, amount);
                response.extend_from_slice(&now.0.to_le_bytes());
            }
            Op::Transfer => {
                let (Some(from), Some(to)) = (balance(states.get(0)), balance(states.get(1))) else {
                    return Verdict::Rejected(UNKNOWN);
                };
                let Some(rest) = from.checked_sub(amount) else {
                    response.extend_from_slice(&from.to_le_bytes());
                    return Verdict::Rejected(INSUFFICIENT);
                };
                put(states, 0, rest);
                put(states, 1, to + amount);
                response.extend_from_slice(&rest.to_le_bytes());
                response.extend_from_slice(&(to + amount).to_le_bytes());
            }
            Op::Close if states.get(0).is_none() => return Verdict::Rejected(UNKNOWN),
            Op::Close => states.remove(0),
            Op::Spread => {
                for at in 0..states.len() {
                    let balance = balance(states.get(at)).unwrap_or(0);
                    put(states, at, balance + if self.0 == VERSION { 1 } else { 2 });
                }
            }
            Op::Panic => {
                put(states, 0, amount);
                response.extend_from_slice(b"never seen");
                panic!("bank: evaluated");
            }
            Op::RunAway => loop {
                match amount % 4 {
                    0 => drop(states.get(0).map(<[u8]>::len)),
                    1 => put(states, 0, amount),
                    2 => states.remove(0),
                    _ => response.extend_from_slice(&[]),
                }
            },
            Op::Answer => response.extend_from_slice(&vec![0x55; amount.min(999) as usize]),
            Op::Inspect => {
                let state = states.get(0);
                response.extend_from_slice(&[state.is_some().into()]);
                response.extend_from_slice(state.unwrap_or(&[]));
            }
            Op::Refuse => {
                put(states, 0, amount);
                response.extend_from_slice(&vec![0x66; amount.min(999) as usize]);
                return Verdict::Rejected(REFUSED);
            }
            Op::TooLong => states.set(0, &[1; STATE_BYTES_MAX + 1]),
            Op::FalseReason => return Verdict::Rejected(assize_domain::ENGINE_REASONS + 4),
            Op::PanicEarly | Op::RunAwayEarly | Op::Nothing | Op::Twice | Op::Nonsense => {
                unreachable!("never evaluated")
            }
        }
        Verdict::Applied
    }

    fn reason(&self, _: u16) -> Option<&'static str> {
        None
    }
}

/// A cell with this state, as a domain sees it.
pub fn cell(state: Option<&Vec<u8>>) -> Cell {
    let mut cell = Cell::absent();
    cell.load(state.map(Vec::as_slice));
    cell
}
