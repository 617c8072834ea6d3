//! Reads obey the same edge as answers (C8): a state is told once its slot is published by the whole replica. A
//! linearizable read, with peers, is told once it is known as well that this replica still led after the state was
//! read: by its lease, or because a majority has confirmed it since (P11). A local one any replica answers, leading
//! or not.

use alloc::vec::Vec;

use assize_shards::{ReadAnswer, ReadEntity, ReadRequest};
use assize_wire::canary::{self, Canary};
use assize_wire::frame::{FrameKind, FrameWriter};
use assize_wire::message::{Consistency, EntityState, Read, States};
use assize_wire::{Ballot, CoreId, ShardId, Slot};

use crate::connections::{ConnectionId, ConnectionRef};
use crate::control::Control;
use crate::core::Core;
use crate::message::CoreMessage;

/// Reads of one core.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// Who asked, by the token that the shard was given.
    asked: Vec<Asked>,
    next_token: u64,
    /// Answers whose slot is not published yet, or that wait for a majority.
    held: Vec<Held>,
    next_watch: u64,
    /// The whole replica has published through this slot, as far as this core was told.
    published: Slot,
}

#[derive(Debug)]
struct Asked {
    token: u64,
    /// Under which this replica led when it was asked: under another one, somebody else may have led in between. None
    /// of a local read, to which it is all the same.
    ballot: Option<Ballot>,
    connection: ConnectionRef,
    request: u64,
}

#[derive(Debug)]
struct Held {
    watch: u64,
    local: bool,
    connection: ConnectionRef,
    request: u64,
    answer: ReadAnswer,
}

/// On the control core, a read that waits.
pub(crate) struct Watcher {
    slot: Slot,
    core: CoreId,
    watch: u64,
    /// It waits for the slot alone.
    local: bool,
    /// How often the clock had been looked at when the state had been read: a lease counts at a later look.
    looks: u64,
    /// [`Docket::confirmed`](assize_consensus::Docket::confirmed) must have come this far; none while the lease may do.
    confirm: Option<u64>,
}

impl Reads {
    /// None, of a replica that has published through this slot.
    pub(crate) fn after(published: Slot) -> Reads {
        Reads { published, ..Reads::default() }
    }
}

impl Control {
    /// It leads no more: whoever read as of a leader is being refused. Local reads only wait for their slot.
    pub(crate) fn forget_leading_watchers(&mut self) {
        self.watchers.retain(|watcher| watcher.local);
    }
}

impl Core {
    /// A client's read: each entity goes to its home.
    pub(crate) fn read(&mut self, id: ConnectionId, request: u64, read: &Read<'_>) {
        let answers = match read.consistency {
            Consistency::Linearizable => self.usher.is_admitting(),
            Consistency::Local => self.told_serving && !self.stopping && self.quarantine.is_none(),
        };
        if !answers {
            let refused = self.usher.not_admitting();
            self.connections.refuse(id, request, &refused, false);
            return;
        }
        let mut homes: Vec<Vec<ReadEntity>> = (0..self.layout.shards()).map(|_| Vec::new()).collect();
        for (index, wanted) in read.entities.iter().enumerate() {
            let home = self.routing.home_of(wanted.domain(), wanted.entity());
            homes[usize::from(home.0)].push(ReadEntity {
                index: index as u32,
                domain: wanted.domain(),
                entity: wanted.entity(),
            });
        }
        let connection = ConnectionRef { core: self.id, connection: id };
        for (home, entities) in homes.into_iter().enumerate() {
            if !entities.is_empty() {
                let home = ShardId(home as u16);
                let consistency = read.consistency;
                let message = CoreMessage::Read { home, connection, request, consistency, entities };
                self.send(self.layout.owner(home), message);
            }
        }
    }

    /// A read of entities at home here.
    pub(crate) fn read_here(
        &mut self,
        home: ShardId,
        connection: ConnectionRef,
        request: u64,
        consistency: Consistency,
        entities: Vec<ReadEntity>,
    ) {
        let token = self.reads.next_token;
        self.reads.next_token += 1;
        let ballot = (consistency == Consistency::Linearizable).then_some(self.ballot);
        self.reads.asked.push(Asked { token, ballot, connection, request });
        let seat = self.seat_of(home);
        self.shards[seat].handle_read(ReadRequest { token, entities });
    }

    /// A shard's answer: told at once if its slot is published, else held.
    pub(crate) fn answer_read(&mut self, answer: ReadAnswer) {
        let Some(at) = self.reads.asked.iter().position(|asked| asked.token == answer.token) else {
            panic!("an answer to read {}, which was not asked", answer.token);
        };
        let Asked { ballot, connection, request, .. } = self.reads.asked.swap_remove(at);
        if ballot.is_some_and(|ballot| ballot != self.ballot || ballot == Ballot::NONE) {
            self.refuse_read(connection, request);
            return;
        }
        let local = ballot.is_none();
        let unasked = local || self.greeting.replicas == 1 || canary::armed(Canary::ReadUnconfirmed);
        let published = answer.slot <= self.reads.published && unasked;
        if published || canary::armed(Canary::ReadBeforePublished) {
            self.tell_read(connection, request, &answer);
        } else {
            self.reads.next_watch += 1;
            let watch = self.reads.next_watch;
            let message = CoreMessage::WatchRead { slot: answer.slot, core: self.id, watch, ballot };
            self.reads.held.push(Held { watch, local, connection, request, answer });
            self.send(self.layout.control, message);
        }
    }

    /// On the control core: a core has read a state. It may be told once this replica has published it and, unless it
    /// is local, is known to lead still (C8).
    pub(crate) fn watch_read(&mut self, slot: Slot, core: CoreId, watch: u64, ballot: Option<Ballot>) {
        let alone = self.greeting.replicas == 1;
        let control = self.control();
        let looks = control.lease.looks();
        let Some(ballot) = ballot else {
            control.watchers.push(Watcher { slot, core, watch, local: true, looks, confirm: Some(0) });
            return;
        };
        if control.docket.ballot() != ballot || ballot == Ballot::NONE {
            // The asker is being told, and refuses it.
            return;
        }
        let confirm = match control.lease.is_held(ballot) {
            _ if alone => Some(0),
            true => None,
            false => Some(control.docket.confirm()),
        };
        control.watchers.push(Watcher { slot, core, watch, local: false, looks, confirm });
    }

    /// On the control core: reads of published slots are told if the lease is held at a look at the clock that came
    /// after the state was read.
    ///
    /// 1. The clock is looked at while the lease is held, and the thread stands still.
    /// 2. Others elect a leader, and answer an event.
    /// 3. The thread goes on and takes a read that was sent after that answer. By its old look the lease is held.
    ///
    /// Without a lease a majority is asked.
    pub(crate) fn allow_reads(&mut self, published: Slot) -> bool {
        let control = self.control();
        let (ballot, confirmed) = (control.docket.ballot(), control.docket.confirmed());
        let ready = control.docket.is_ready_to_serve() || canary::armed(Canary::ServeUnready);
        let (leased, looks) = (ready && control.lease.is_held(ballot), control.lease.looks());
        let allowed = control.watchers.extract_if(.., |read| {
            let confirmed = read.confirm.is_some_and(|confirm| confirm <= confirmed);
            read.slot <= published && (confirmed || (leased && read.looks < looks))
        });
        let allowed: Vec<Watcher> = allowed.collect();
        let mut any = !allowed.is_empty();
        if !leased {
            for read in control.watchers.iter_mut().filter(|read| read.confirm.is_none()) {
                read.confirm = Some(control.docket.confirm());
                any = true;
            }
        }
        for Watcher { core, watch, .. } in allowed {
            self.send(core, CoreMessage::ReadAllowed { watch });
        }
        any
    }

    /// The whole replica has published through `slot`.
    pub(crate) fn handle_published_through(&mut self, slot: Slot) {
        self.reads.published = self.reads.published.max(slot);
    }

    /// A held answer may be told.
    pub(crate) fn release_read(&mut self, watch: u64) {
        // Those of a leadership that ended were refused.
        if let Some(at) = self.reads.held.iter().position(|held| held.watch == watch) {
            let Held { connection, request, answer, .. } = self.reads.held.swap_remove(at);
            self.tell_read(connection, request, &answer);
        }
    }

    /// Whoever waits for a linearizable read is sent to the replica that leads now.
    pub(crate) fn refuse_reads(&mut self) {
        let of_leader: Vec<Held> = self.reads.held.extract_if(.., |held| !held.local).collect();
        for Held { connection, request, .. } in of_leader {
            self.refuse_read(connection, request);
        }
    }

    /// Nobody who waits for a read is told anything.
    pub(crate) fn forget_reads(&mut self) {
        self.reads.asked.clear();
        self.reads.held.clear();
    }

    fn refuse_read(&mut self, connection: ConnectionRef, request: u64) {
        let mut bytes = Vec::new();
        let writer = FrameWriter::begin(&mut bytes, FrameKind::Refused, request);
        self.usher.not_leader().encode(&mut bytes);
        writer.finish(&mut bytes);
        self.send(connection.core, CoreMessage::Frames { connection, answered: 0, bytes });
    }

    fn tell_read(&mut self, connection: ConnectionRef, request: u64, answer: &ReadAnswer) {
        let mut bytes = Vec::new();
        let writer = FrameWriter::begin(&mut bytes, FrameKind::States, request);
        bytes.extend_from_slice(&States::header(answer.states.len() as u32, answer.slot));
        for (index, state) in &answer.states {
            EntityState { index: *index, state: state.as_deref() }.encode(&mut bytes);
        }
        writer.finish(&mut bytes);
        self.send(connection.core, CoreMessage::Frames { connection, answered: 0, bytes });
    }
}
