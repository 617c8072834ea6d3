//! What a replica tells its operator: counted, and wrong only where nothing was made wrong on purpose.

use assize_node::StartAgain;

use super::*;

impl Replica {
    /// A checkpoint is active, or its predecessor stays.
    pub(super) fn checkpoint_ended(&mut self, end: CheckpointEnd) {
        match end.result {
            Ok(_) => {
                self.seen.checkpoints += 1;
                self.for_peers.checkpoints.push((end.slot, None));
            }
            Err(reason @ CheckpointFailure::SentWrong { .. }) => {
                trace!("replica {}, checkpoint {}: {reason}", self.shape.replica, end.slot);
                self.seen.sent_wrong += 1;
            }
            Err(CheckpointFailure::Unreported { .. }) => self.seen.checkpoints_unreported += 1,
            Err(reason) => {
                trace!("replica {}, checkpoint {}: {reason}", self.shape.replica, end.slot);
                assert!(self.has_been_full, "a checkpoint after slot {} failed: {reason}", end.slot);
                self.seen.checkpoints_failed += 1;
            }
        }
    }

    /// It cannot go on as it is.
    pub(super) fn told_to_start_again(&mut self, why: StartAgain) {
        trace!("replica {} is to start again: {why:?}", self.shape.replica);
        self.start_again = true;
        if let StartAgain::From(slot) = why {
            self.seen.taken_over += 1;
            self.for_peers.checkpoints.push((slot, None));
        }
    }

    /// What an operator is told: counted, and wrong only where nothing was made wrong on purpose.
    pub(super) fn told_operator(&mut self, output: Output) {
        match output {
            Output::Refused(_) => self.seen.refused += 1,
            Output::ClockContradicted(contradicted) => {
                self.seen.contradicted += u64::from(contradicted);
            }
            Output::CopiesMissing { .. } => self.seen.copies_missing += 1,
            Output::CopiesGone { .. } => self.seen.copies_gone += 1,
            Output::DiskFull(_) => self.seen.disks_full += 1,
            Output::KeysFull { .. } => self.seen.keys_full += 1,
            Output::RecordDecayed { .. } => self.seen.decayed += 1,
            Output::CheckpointNeeded { .. } => self.seen.checkpoints_needed += 1,
            Output::PeerDiverged { slot, shard, replica, .. } => {
                hold!(
                    "outputs",
                    self.expected.diverges[usize::from(replica.0)],
                    "C4: replica {replica} computed something else for slot {slot} of shard {shard}"
                );
                self.seen.peers_diverged += 1;
            }
            Output::FailureDomains { .. } => self.seen.failure_domains_shared += 1,
            Output::DivergenceReport(report) => self.reports.push(report),
            Output::PeerStateDiverged { slot, replica, .. } => {
                hold!(
                    "outputs",
                    self.expected.diverges[usize::from(replica.0)],
                    "C7: replica {replica} has another state after slot {slot}"
                );
                self.seen.peers_diverged += 1;
            }
            _ => unreachable!("nothing else is told an operator"),
        }
    }

    /// No alarm is due to anything but clocks that were set wrong.
    pub(super) fn alarmed(&mut self, alarm: &Alarm) {
        match alarm {
            Alarm::TimeAhead { .. } => self.seen.contradicted += 1,
            Alarm::Conflict { .. } | Alarm::SplitLog { .. } | Alarm::Unchained { .. } => panic!("{alarm}"),
        }
    }

    pub(super) fn noticed(&mut self, notice: PeerNotice) {
        match notice {
            PeerNotice::Connected { .. } => self.seen.connected += 1,
            PeerNotice::Disconnected { .. } => {}
            // A handshake may take too long, and a newer connection may be there.
            PeerNotice::Refused(RefusedPeer { refused, .. })
                if matches!(refused.code, PeerRefusal::TimedOut | PeerRefusal::Superseded) => {}
            // What a replica had under way when its disk was lost comes late.
            PeerNotice::Refused(RefusedPeer { refused, .. })
                if refused.code == PeerRefusal::OtherDisk && self.expected.lost_disks => {}
            PeerNotice::Refused(refused) => panic!("a peer is refused: {refused:?}"),
            PeerNotice::BadEvent { peer, shard } => panic!("replica {peer} sent no event of shard {shard}"),
            PeerNotice::BadStripe { peer, shard } => panic!("replica {peer} sent no stripe of shard {shard}"),
        }
    }
}
