//! Handing leadership over while this replica goes on: an operator asks for it, or this replica's disk is full. The
//! Docket, which has no clock, does it; here it has its bounds, and its end is told.
//!
//! While the Docket waits for the successor it forms no slot. That lasts for an election timeout at most, as long as
//! clients would wait for a leader that died; then this replica goes on leading. Once the successor is told, this
//! replica leads no more, and waits to hear who does.

use core::fmt;

use assize_consensus::{HandOverRefused, Heir, Role};
use assize_wire::ReplicaId;

use crate::control::Control;
use crate::core::Core;
use crate::limits::TAKEN_OVER_TIMEOUTS;
use crate::output::Output;

/// What became of handing leadership over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOverEnd {
    /// Nothing was done.
    Refused(HandOverRefused),
    /// Nothing was done: it is being handed over already.
    UnderWay,
    /// This replica is stopping, which hands over by itself.
    Stopping,
    /// The successor was told to take over, and somebody leads: the successor as a rule.
    Led {
        /// Who was told.
        to: ReplicaId,
        /// Who leads.
        by: ReplicaId,
    },
    /// This replica goes on leading under the ballot that it had.
    Kept {
        /// The successor did not have everything in time; or else could not lead any more.
        late: bool,
    },
    /// This replica lost leadership before anybody was told to take over.
    Lost,
    /// The successor was told to take over, and nobody is heard to lead.
    Unheard {
        /// Who was told.
        to: ReplicaId,
    },
}

/// On the control core, what is under way.
#[derive(Debug)]
pub(crate) struct Handing {
    /// Who is told of its end; none of what this replica began by itself.
    ask: Option<u64>,
    /// Who was told to take over.
    told: Option<ReplicaId>,
    /// What is waited for must come until then.
    until: u64,
}

impl Handing {
    pub(crate) fn until(&self) -> u64 {
        self.until
    }
}

impl Core {
    /// On the control core: an operator wants another replica to lead.
    pub(crate) fn take_hand_over(&mut self, ask: u64, to: Option<ReplicaId>) {
        let heir = to.map_or(Heir::Anybody, Heir::This);
        if let Err(end) = self.begin_hand_over(heir, Some(ask)) {
            self.outputs.push_back(Output::HandOver { ask: Some(ask), end });
        }
    }

    /// Begins to hand over; what becomes of it is told later.
    pub(crate) fn begin_hand_over(&mut self, heir: Heir, ask: Option<u64>) -> Result<(), HandOverEnd> {
        let (now, stopping) = (self.now.monotonic_ns, self.stopping);
        let Control { docket, handing, election, .. } = self.control();
        if stopping {
            return Err(HandOverEnd::Stopping);
        }
        if handing.is_some() {
            return Err(HandOverEnd::UnderWay);
        }
        docket.hand_over(heir).map_err(HandOverEnd::Refused)?;
        *handing = Some(Handing { ask, told: None, until: now + election.timeout_ns() });
        Ok(())
    }

    /// The successor is being told to take over: this replica leads no more.
    pub(crate) fn handed_over(&mut self, to: ReplicaId) {
        let now = self.now.monotonic_ns;
        let Control { handing, election, .. } = self.control();
        // A replica that stops does not wait to hear more.
        if let Some(handing) = handing {
            handing.told = Some(to);
            handing.until = now + TAKEN_OVER_TIMEOUTS * election.timeout_ns();
        }
    }

    /// Looks whether it is over. After what the Docket wants done was carried out: who was told is known by then.
    pub(crate) fn step_hand_over(&mut self) -> bool {
        let now = self.now.monotonic_ns;
        let Control { docket, handing: Some(handing), .. } = self.control() else { return false };
        let in_time = now < handing.until;
        let end = match (handing.told, docket.leader()) {
            (Some(to), Some(by)) => HandOverEnd::Led { to, by },
            (Some(to), None) if !in_time => HandOverEnd::Unheard { to },
            (None, _) if docket.role() != Role::Leader => HandOverEnd::Lost,
            (None, _) if !docket.is_handing_over() => HandOverEnd::Kept { late: false },
            (None, _) if !in_time => {
                docket.keep_leading();
                HandOverEnd::Kept { late: true }
            }
            _ => return false,
        };
        self.end_hand_over(end);
        true
    }

    /// On the control core of a replica that is to stop: its events are ordered first, then it hands over once more.
    pub(crate) fn stop_handing_over(&mut self) {
        let control = self.control();
        if control.handing.as_ref().is_some_and(|handing| handing.told.is_none()) {
            control.docket.keep_leading();
            self.end_hand_over(HandOverEnd::Stopping);
        }
    }

    /// This replica halts, and hears nobody any more.
    pub(crate) fn halt_handing_over(&mut self) {
        if let Some(Handing { told: Some(to), .. }) = self.control().handing {
            self.end_hand_over(HandOverEnd::Unheard { to });
        }
    }

    fn end_hand_over(&mut self, end: HandOverEnd) {
        if let Some(Handing { ask, .. }) = self.control().handing.take() {
            self.outputs.push_back(Output::HandOver { ask, end });
        }
    }
}

impl fmt::Display for HandOverEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandOverEnd::Refused(refused) => refused.fmt(f),
            HandOverEnd::UnderWay => f.write_str("leadership is being handed over already"),
            HandOverEnd::Stopping => f.write_str("this replica is stopping, and hands over by itself"),
            HandOverEnd::Led { to, by } if to == by => write!(f, "replica {to} has taken over"),
            HandOverEnd::Led { to, by } => {
                write!(f, "replica {to} was told to take over and did not: replica {by} leads")
            }
            HandOverEnd::Kept { late: true } => f.write_str(
                "the replica that was to take over did not have everything in time: this one goes on leading",
            ),
            HandOverEnd::Kept { late: false } => f.write_str(
                "the replica that was to take over is gone or could not lead any more: this one goes on leading",
            ),
            HandOverEnd::Lost => {
                f.write_str("this replica lost leadership before it could hand over: there is an election")
            }
            HandOverEnd::Unheard { to } => {
                write!(f, "replica {to} was told to take over, and nobody is heard to lead yet")
            }
        }
    }
}
