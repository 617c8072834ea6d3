//! What a core does when its replica begins to lead, or no longer does (P10).

use alloc::vec::Vec;

use assize_wire::canary::{self, Canary};
use assize_wire::message::{Refused, RefusedCode};
use assize_wire::outcome::Status;
use assize_wire::{Ballot, ReplicaId, StripeId};

use crate::core::Core;
use crate::limits::RETRY_AFTER_US;
use crate::message::CoreMessage;
use crate::output::Output;
use crate::usher::{Run, Turned, write_turned};

impl Core {
    /// This replica leads, and has executed all that it inherited (R2): events are admitted.
    pub(crate) fn take_lead(&mut self, ballot: Ballot) {
        self.ballot = ballot;
        self.usher.lead(ballot);
        if !self.listening {
            self.listening = true;
            self.outputs.push_back(Output::Listen);
        }
        self.tell_serving();
    }

    /// It does not lead any more. Stripes that are open, or that no slot held here names, are discarded; their clients
    /// are told to go to the leader with the same keys, as are those of stripes that are voided later (P10).
    pub(crate) fn take_unlead(&mut self, named: &[StripeId]) {
        self.ballot = Ballot::NONE;
        if canary::armed(Canary::StripesDroppedEarly) {
            let _gone = self.stripes.release(Ballot::from_raw(u64::MAX));
        }
        self.usher.unlead();
        let mut runs = Vec::new();
        for seat in &mut self.usher.seats {
            runs.extend(seat.take_waiting());
            let gone = seat.held.take_sealed(|id| !named.contains(&id));
            runs.extend(gone.into_iter().flat_map(|stripe| stripe.runs));
        }
        self.refuse_runs(&runs);
        self.refuse_reads();
    }

    /// Slots that named these stripes are void (P4): they are not chosen any more under the ballot they were sealed
    /// under.
    pub(crate) fn take_voided(&mut self, ids: &[StripeId]) {
        let mut runs = Vec::new();
        for seat in &mut self.usher.seats {
            let gone = seat.held.take_sealed(|id| ids.contains(&id));
            runs.extend(gone.into_iter().flat_map(|stripe| stripe.runs));
        }
        for id in ids {
            self.stripes.wanted.forget(*id);
        }
        self.refuse_runs(&runs);
    }

    /// Another replica leads, or none is known.
    pub(crate) fn take_leader(&mut self, leader: Option<ReplicaId>) {
        // While this replica does not admit events it does not lead, whatever its Docket is about to do.
        self.usher.leader = leader.filter(|leader| *leader != self.greeting.replica);
    }

    /// Tells clients that events were not taken here: their fate is open. Each by itself, since others of the same
    /// request may be in stripes that stay and are answered later.
    fn refuse_runs(&mut self, runs: &[Run]) {
        let time = self.stream_time;
        for of_one in
            runs.chunk_by(|run, next| (run.connection, run.request) == (next.connection, next.request))
        {
            let Run { connection, request, .. } = of_one[0];
            let indexes = of_one.iter().flat_map(|run| run.first..run.first + run.events);
            let turned = indexes.map(|index| Turned { index, status: Status::NotLeader, reason: 0 });
            let turned: Vec<Turned> = turned.collect();
            let mut bytes = Vec::new();
            write_turned(&mut bytes, request, &turned, time);
            let answered = turned.len() as u32;
            self.send(connection.core, CoreMessage::Frames { connection, answered, bytes });
        }
    }
}

impl crate::usher::Usher {
    /// What a client is told that asks a replica that does not lead.
    pub(crate) fn not_leader(&self) -> Refused {
        let text = match self.leader {
            Some(leader) => alloc::format!("replica {leader} leads: send the same keys there"),
            None => "no replica leads just now, or none is known to: try the same keys again".into(),
        };
        Refused { code: RefusedCode::NotLeader { leader: self.leader }, retry_after_us: RETRY_AFTER_US, text }
    }
}
