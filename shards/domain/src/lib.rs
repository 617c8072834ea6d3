//! What a plug-in author implements: [`Domain`], and the [`DomainRegistry`] that the engine is started with.
//!
//! A domain sees its arguments and nothing else: no clock, no I/O, no randomness, no state of its own. Every replica
//! calls it with the same arguments and must get the same bytes. It never decides order, and it never learns which
//! shard or replica it runs on.
//!
//! `engine/template/` is a crate to begin with; its tests hold it to all this with the determinism kit, `shards/kit/`.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

pub mod notation;
mod reasons;
mod registry;
mod states;

pub use assize_wire::event::Event;
pub use assize_wire::limits::{ENTITY_STATE_BYTES_MAX, EVENT_ENTITIES_MAX, RESPONSE_BYTES_MAX};
pub use assize_wire::{DomainId, EntityId, LogicVersion, LogicVersions, StreamTime};
pub use notation::{Notation, NotationError, Payload};
pub use reasons::{ENGINE_REASONS, EngineReason};
pub use registry::{DomainRegistry, RegistryError};
pub use states::{CALLS_MAX, Cell, Entities, Response, States};

/// One kind of business: entity types, event types and the logic that evaluates them.
pub trait Domain: Send + Sync + 'static {
    /// Its number, the same for ever; events and outcomes name it. From 1 on.
    fn id(&self) -> DomainId;

    /// Its name, for people, and for whoever addresses it by name: lower-case letters, digits, `-` and `_`, the first a
    /// letter.
    fn name(&self) -> &'static str;

    /// The version of its logic. Agreed: every replica runs the same one at every slot (R5). A running cluster is
    /// brought to a new one by a program that has both, registered side by side under the same id and name.
    fn version(&self) -> u16;

    /// Whether it reads events of this version. Clients go on sending the form that they know while a cluster moves to
    /// new logic, so new logic should read what the one before it did. An event that it does not read is `invalid`.
    fn reads(&self, version: u16) -> bool {
        version == self.version()
    }

    /// The most bytes that a state of one of its entities takes, at most [`ENTITY_STATE_BYTES_MAX`].
    fn state_bytes_max(&self) -> usize;

    /// Adds every entity that `event` may touch to `entities`, each once: a function of the event's bytes alone (X6).
    /// [`States`] is later indexed in the same order.
    ///
    /// # Errors
    /// [`InvalidEvent`] when the bytes are not an event of this domain; its outcome is `invalid` on every replica.
    fn entities(&self, event: &Event<'_>, entities: &mut Entities) -> Result<(), InvalidEvent>;

    /// Evaluates `event` at stream time `now`. Changes to `states` take effect only with [`Verdict::Applied`];
    /// `response` is returned with either verdict.
    ///
    /// A panic is the outcome `fault`, and so is a call without end of `states` or `response` ([`CALLS_MAX`]). A loop
    /// that calls nothing, or a recursion that fills the stack, cannot be stopped: bound both by the event's bytes.
    fn evaluate(
        &self,
        event: &Event<'_>,
        now: StreamTime,
        states: &mut States<'_>,
        response: &mut Response,
    ) -> Verdict;

    /// A rejection's reason in words, for people.
    fn reason(&self, reason: u16) -> Option<&'static str>;

    /// Its events, states and answers in JSON, for people and for systems that do not write byte layouts. Nothing if it
    /// has none: then they are bytes everywhere.
    fn notation(&self) -> Option<&dyn Notation> {
        None
    }
}

/// What a domain says of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It took effect.
    Applied,
    /// It was refused for this reason (above 0) and changed nothing.
    Rejected(u16),
}

/// The event's bytes are not one of the domain's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidEvent {
    /// The domain's own number for what is wrong, below [`ENGINE_REASONS`].
    pub reason: u16,
}
