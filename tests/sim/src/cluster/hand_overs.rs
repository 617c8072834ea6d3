//! Operators have leadership handed over: to any replica, there or not, able or not, and twice in a row; and whoever is
//! to take over may stand still, go down or be cut off from then on, as far as that goes wrong in a run.

use assize_wire::ReplicaId;

use super::world::ClusterWorld;
use crate::disk::Down;

impl ClusterWorld {
    /// Perhaps an operator asks a replica, the leader as a rule; and more often while that takes a checkpoint.
    pub(super) fn perhaps_hand_over(&mut self) {
        let one_in = self.faults.habits.hand_over_one_in;
        if one_in == 0 {
            return;
        }
        let leader = self.cluster.leader();
        let busy = leader.is_some_and(|leader| self.cluster.replicas[leader].takes_checkpoint());
        if !self.faults.comes(if busy { one_in.div_ceil(8) } else { one_in }) {
            return;
        }
        let replicas = self.cluster.replicas.len() as u64;
        let any = self.faults.random.below(replicas) as usize;
        let at = leader.filter(|_| self.faults.random.below(4) > 0).unwrap_or(any);
        if !self.cluster.replicas[at].is_up() {
            return;
        }
        for _ in 0..1 + self.faults.random.below(3) / 2 {
            // One more than there are, too.
            let to = self.faults.random.below(replicas + 1) as usize;
            let named = self.faults.random.below(4) > 0;
            self.cluster.replicas[at].hand_over(named.then_some(ReplicaId(to as u8)));
            if named && to != at && to < replicas as usize {
                self.fail_heir(at, to);
            }
        }
    }

    fn fail_heir(&mut self, at: usize, to: usize) {
        let (habits, now) = (self.faults.habits, self.cluster.now_ns);
        match self.faults.random.below(5) {
            0 if habits.freeze_one_in > 0 => {
                let timeout = self.cluster.replicas[at].shape.election.timeout_ns;
                self.cluster.frozen_until[to] = now + self.faults.random.below(4 * timeout);
            }
            1 if habits.down_one_in > 0 && self.cluster.replicas[to].is_up() => {
                let power = self.faults.draws_power();
                self.down(to, if power { Down::Power } else { Down::Process });
                self.faults.restart_later(to, now);
            }
            2 if habits.partition_one_in > 0 && !self.faults.parted => {
                self.faults.parted = true;
                self.faults.partitions += 1;
                let one_way = self.faults.random.below(3);
                self.cluster.network.block(at, to, one_way != 0);
                self.cluster.network.block(to, at, one_way != 1);
            }
            _ => {}
        }
    }
}
