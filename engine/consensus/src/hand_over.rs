//! A leader that hands over to another replica: it forms nothing more, waits until its successor has everything and all
//! of it is chosen, tells that one to take over, and steps down (P11, P12).
//!
//! Until the successor is told nothing has happened that could not be taken back: the leader may go on leading under
//! its ballot ([`Docket::keep_leading`]). Once it is told, the ballot is used up and the lease released, whether the
//! message arrives or not, and only an election makes a leader (P1).

use core::fmt;

use assize_wire::canary::{self, Canary};
use assize_wire::peer::DocketMessage;
use assize_wire::{Ballot, ReplicaId, Slot};

use crate::docket::{Docket, State};
use crate::effect::Effect;
use crate::leader::{Leading, Peer};
use crate::limits::HEIR_WINDOWS;

/// Whom a leader hands over to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heir {
    /// This replica, and no other.
    This(ReplicaId),
    /// Whoever has everything first, of those that could lead.
    Anybody,
}

/// Why a replica does not hand over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOverRefused {
    /// It does not lead.
    NotLeading {
        /// Who does, as far as it is heard.
        leader: Option<ReplicaId>,
    },
    /// There is no such replica.
    NoSuchReplica {
        /// The one that was named.
        to: ReplicaId,
        /// How many there are; their numbers begin at 0.
        replicas: u8,
    },
    /// It is the one that was named.
    LeadsAlready,
    /// There is no connection to the one that was named.
    NotConnected {
        /// Which one.
        to: ReplicaId,
    },
    /// The one that was named has not answered a heartbeat since this replica leads: it just connected, stands still,
    /// or rejoins without a vote (R3).
    Silent {
        /// Which one.
        to: ReplicaId,
    },
    /// The one that was named lacks so much that it would hardly have it in time.
    Behind {
        /// Which one.
        to: ReplicaId,
        /// How many slots it lacks.
        slots: u64,
    },
    /// The one that was named said that it could not lead: it is quarantined or damaged, lacks room, has more to
    /// execute than is under way, or has just started (P11).
    Unable {
        /// Which one.
        to: ReplicaId,
    },
    /// No other replica is connected.
    Alone,
    /// Of those that are connected none could lead, or all lack too much.
    NobodyAble,
}

impl Docket {
    /// On a leader: forms nothing more, and when `to` has everything, and all of it is chosen, tells that one to take
    /// over and steps down ([`Effect::HandedOver`]). Where one that was named could not take over any more it goes on
    /// leading. There is no other end to it here: whoever has a clock sets one ([`Docket::keep_leading`]).
    ///
    /// # Errors
    /// [`HandOverRefused`]: nothing was done.
    pub fn hand_over(&mut self, to: Heir) -> Result<(), HandOverRefused> {
        let State::Leading(leading) = &self.state else {
            let own = self.config.replica;
            return Err(HandOverRefused::NotLeading { leader: self.leader.filter(|leader| *leader != own) });
        };
        match to {
            Heir::This(to) => self.may_take_over(leading, to)?,
            Heir::Anybody if self.connected.count() == 0 => return Err(HandOverRefused::Alone),
            Heir::Anybody if self.connected.iter().all(|to| self.may_take_over(leading, to).is_err()) => {
                return Err(HandOverRefused::NobodyAble);
            }
            Heir::Anybody => {}
        }
        if let State::Leading(leading) = &mut self.state {
            leading.handing = Some(to);
        }
        self.hand_over_when_due();
        Ok(())
    }

    /// The successor was not ready in time: this leader forms slots again, under the ballot that it has.
    pub fn keep_leading(&mut self) {
        if let State::Leading(leading) = &mut self.state {
            leading.handing = None;
        }
    }

    /// Whether it leads, and waits until another replica may take over.
    #[must_use]
    pub fn is_handing_over(&self) -> bool {
        matches!(&self.state, State::Leading(leading) if leading.handing.is_some())
    }

    /// Whether a replica could take over, once it has the rest of the log.
    fn may_take_over(&self, leading: &Leading, to: ReplicaId) -> Result<(), HandOverRefused> {
        let (own, replicas) = (self.config.replica, self.config.replicas);
        if to.0 >= replicas {
            return Err(HandOverRefused::NoSuchReplica { to, replicas });
        }
        if to == own {
            return Err(HandOverRefused::LeadsAlready);
        }
        if !self.connected.has(to) {
            return Err(HandOverRefused::NotConnected { to });
        }
        let Peer { acked, answered, could_lead, .. } = &leading.peers[usize::from(to.0)];
        let slots = self.intake_tip().slot.0 - acked.0;
        if *answered == 0 {
            return Err(HandOverRefused::Silent { to });
        }
        if slots > HEIR_WINDOWS * u64::from(self.config.window) {
            return Err(HandOverRefused::Behind { to, slots });
        }
        if !could_lead {
            return Err(HandOverRefused::Unable { to });
        }
        Ok(())
    }

    pub(crate) fn hand_over_when_due(&mut self) {
        let State::Leading(leading) = &self.state else { return };
        let Some(heir) = leading.handing else { return };
        if let Heir::This(to) = heir
            && self.may_take_over(leading, to).is_err()
        {
            self.keep_leading();
            return;
        }
        let tip: Slot = self.intake_tip().slot;
        let is_heir = |to: &ReplicaId| match heir {
            Heir::This(this) => *to == this,
            Heir::Anybody => self.may_take_over(leading, *to).is_ok(),
        };
        let has_all = |to: &ReplicaId| leading.peers[usize::from(to.0)].acked == tip;
        let ready = self.connected.iter().find(|to| is_heir(to) && has_all(to));
        if let Some(to) = ready
            && self.chosen == tip
        {
            self.flush_heartbeats();
            self.send(to, DocketMessage::Handover { ballot: self.promised });
            if !canary::armed(Canary::LeadsAfterHandover) {
                self.step_down();
            }
            self.effects.push_back(Effect::HandedOver { to });
        }
    }

    /// Whether this replica could lead at once, if the leader that it follows stepped down for it. One that has much
    /// left to execute could, and admit nothing for long (R2).
    pub(crate) fn could_lead(&self) -> bool {
        self.may_begin_to_lead() && self.may_promise(self.promised) && !self.lags()
    }

    /// Whether it is of use as a leader, and its own promise is of use to itself.
    fn may_begin_to_lead(&self) -> bool {
        !self.quarantined && !self.is_damaged() && self.can_lead() && !self.short_of_room
    }

    /// The leader wants this replica to take over, and has given up its lease (P11). P12: inert when it comes late.
    pub(crate) fn take_handover(&mut self, from: ReplicaId, ballot: Ballot) {
        let in_time = ballot == self.promised && ballot.replica() == from;
        let able = self.may_begin_to_lead() && self.may_promise(ballot);
        if in_time && able && !matches!(self.state, State::Preparing(_)) {
            self.start_preparing(ballot);
        }
    }
}

impl fmt::Display for HandOverRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandOverRefused::NotLeading { leader: Some(leader) } => {
                write!(f, "this replica does not lead: replica {leader} does")
            }
            HandOverRefused::NotLeading { leader: None } => {
                f.write_str("this replica does not lead, and it hears nobody who does")
            }
            HandOverRefused::NoSuchReplica { to, replicas } => {
                write!(f, "there is no replica {to}: this cluster has {replicas}, from 0 on")
            }
            HandOverRefused::LeadsAlready => {
                f.write_str("this replica is the one that is to lead, and it does")
            }
            HandOverRefused::NotConnected { to } => write!(f, "replica {to} is not connected to the leader"),
            HandOverRefused::Silent { to } => write!(
                f,
                "replica {to} is connected and has answered no heartbeat of this leader: it has just come, stands still, or \
                 rejoins with an empty disk and has no vote"
            ),
            HandOverRefused::Behind { to, slots } => {
                write!(f, "replica {to} lacks {slots} slots of the log: wait until it has caught up")
            }
            HandOverRefused::Unable { to } => write!(
                f,
                "replica {to} says that it could not lead now: it is quarantined or damaged, has no room in its logs, \
                 executes what it missed, or has just started"
            ),
            HandOverRefused::Alone => f.write_str("no other replica is connected to the leader"),
            HandOverRefused::NobodyAble => f.write_str(
                "no replica that is connected could lead now; naming one tells why that one could not",
            ),
        }
    }
}

impl core::error::Error for HandOverRefused {}
