//! The **determinism kit**: what an author of a domain runs over it before a cluster does.
//!
//! Every replica evaluates every event for itself, and an outcome leaves once enough of them came to the same bytes. A
//! domain that sees more than its arguments, such as a clock, randomness, the order of an unordered map or a counter of
//! its own, makes replicas differ, and a cluster stop. [`Kit`] finds that before: it runs the same events in the same
//! order through the engine's own shards, under many numbers of shards, many orders of the messages between them, and
//! starts from checkpoints, evaluates each event again elsewhere, and compares every outcome and every state.
//!
//! ```no_run
//! # use assize_domain::DomainRegistry;
//! # use assize_kit::{Dice, Draft, Kit};
//! # fn domains() -> DomainRegistry { DomainRegistry::new() }
//! # fn draw(dice: &mut Dice) -> Draft {
//! #     Draft { domain: assize_domain::DomainId(9), version: 1, payload: vec![dice.below(3) as u8] }
//! # }
//! let report = Kit::new(domains).check(|dice, _now| draw(dice)).unwrap();
//! assert_eq!(report.faults(), 0);
//! ```
//!
//! What it cannot see: a clock that is only looked at for its day; a process's environment; floats that another machine
//! computes differently; a recursion that fills the stack. The domain template's lints are for those, and at last the
//! comparison of copies between replicas.
//!
//! It never does I/O and is no part of any replica: a dependency for tests alone.
//!
//! | module | is |
//! |---|---|
//! | `kit` | [`Kit`]: what is run, and for how long |
//! | `draft`, `sequence` | events, and the order, keys and times that a seed gives them |
//! | `books` | [`Books`]: the events one after the other, by plain calls: what everything is compared with |
//! | `again` | each event once more, at once and elsewhere |
//! | `contract` | what a domain and its notation promise beside that |
//! | `sharded` | the events through a replica's shards |
//! | [`drive`] | what drives those: log, schedule, checkpoints |
//! | `failure`, `report`, `teller` | what was found, in words |
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod again;
mod books;
mod contract;
mod dice;
mod draft;
pub mod drive;
mod failure;
mod kit;
mod report;
mod seeds;
mod sequence;
mod sharded;
mod teller;

pub use assize_wire::outcome::Status;
pub use books::{Books, Change, Ending};
pub use dice::Dice;
pub use draft::Draft;
pub use failure::{Failure, Kind};
pub use kit::Kit;
pub use report::Report;
pub use seeds::{again, seeds};
