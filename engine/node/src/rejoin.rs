//! A replica whose disk was lost, as its operators read of it (R3), and what cores are told of disks.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use assize_consensus::RejoinStatus;
use assize_wire::ReplicaId;
use assize_wire::peer::Generations;

use crate::core::Core;
use crate::message::CoreMessage;
use crate::output::Output;

/// How far a replica is that rejoins with an empty disk, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RejoinNotice {
    /// It has no vote, and waits.
    Waits(RejoinStatus),
    /// It has its vote again.
    Ended,
}

impl Core {
    /// On the control core: more is known of the disks of replicas. It is made durable, and no core talks any more to
    /// one that was replaced.
    pub(crate) fn write_generations(&mut self, generations: Generations) {
        self.control().coordinator.write_generations(generations);
        self.tell_cores(|| CoreMessage::Generations(generations));
    }

    pub(crate) fn take_generations(&mut self, generations: &Generations) {
        self.federation.handle_generations(generations, self.now.monotonic_ns);
    }

    /// On the control core: tells the operator when it begins, when a replica has told, and when it is over.
    pub(crate) fn tell_rejoin(&mut self) -> bool {
        let control = self.control();
        let status = control.docket.rejoining();
        let told = |status: &Option<RejoinStatus>| status.as_ref().map(|status| status.told.clone());
        if told(&status) == told(&control.told_rejoin) {
            return false;
        }
        control.told_rejoin.clone_from(&status);
        self.outputs.push_back(Output::Rejoin(status.map_or(RejoinNotice::Ended, RejoinNotice::Waits)));
        true
    }
}

impl fmt::Display for RejoinNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RejoinNotice::Waits(status) = self else {
            return f.write_str("this replica has its vote again: it has rejoined");
        };
        let RejoinStatus { told, needed, accepted, chosen } = status;
        let who: Vec<ReplicaId> = told.clone();
        let who = match who.len() {
            0 => String::from("none has"),
            _ => {
                let mut said = String::new();
                for (at, replica) in who.iter().enumerate() {
                    let before = if at == 0 { "" } else { ", " };
                    fmt::write(&mut said, format_args!("{before}{replica}"))?;
                }
                said
            }
        };
        write!(
            f,
            "this replica rejoins with an empty disk and has no vote: {needed} other replicas that have one must tell what \
             they promised and accepted (told so far: {who}), and everything through slot {accepted} must be here; it has \
             slot {chosen}"
        )
    }
}
