//! A cluster and everybody who uses it. After every step the checkers look at what became of it.

use std::collections::BTreeMap;

use assize_wire::Slot;

use super::Cluster;
use super::clients::Clients;
use super::faults::Faults;
use super::options::ClusterOptions;
use crate::checkers::{Budget, Checkers, hold, owed};
use crate::disk::Down;
use crate::history::History;
use crate::seeds::trace;
use crate::shape::EPOCH_NS;

/// The cluster, its clients, what goes wrong, and what must hold.
pub struct ClusterWorld {
    /// The replicas.
    pub cluster: Cluster,
    /// What must hold.
    pub checkers: Checkers,
    pub(super) clients: Clients,
    pub(super) faults: Faults,
    marks: Vec<assize_consensus::Watermarks>,
}

impl ClusterWorld {
    /// A formatted cluster. Its replicas start one after the other, in an order that is drawn.
    #[must_use]
    pub fn format(options: &ClusterOptions, seed: u64) -> ClusterWorld {
        let shape = &options.shapes[0];
        let ClusterOptions { clients, mix, patience_ns, replicas, .. } = *options;
        ClusterWorld {
            cluster: Cluster::format(options, seed),
            checkers: Checkers::new(shape.agreed(), replicas).with(shape.copies, shape.clock_skew_ns),
            clients: Clients::new(clients, mix, patience_ns, shape.ttl_ns, seed),
            faults: Faults::new(options.faults, replicas, options.spoiler, seed),
            marks: vec![assize_consensus::Watermarks::default(); replicas.into()],
        }
    }

    /// What clients did and were told.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.clients.history
    }

    /// How often events ended as which status.
    #[must_use]
    pub fn statuses(&self) -> &BTreeMap<u8, u64> {
        &self.clients.statuses
    }

    /// How often a replica went down.
    #[must_use]
    pub fn downs(&self) -> u64 {
        self.faults.downs
    }

    /// Clients act, and nothing goes wrong but what was set up, for this many steps.
    pub fn run(&mut self, steps: u64) {
        for _ in 0..steps {
            if self.clients.random.below(self.clients.mix.act_one_in) == 0 {
                self.clients.act(&mut self.cluster, &mut self.checkers);
            }
            self.step();
        }
    }

    /// Perhaps a client does something, and something goes wrong; then one step.
    pub fn act_and_step(&mut self) {
        if self.clients.random.below(self.clients.mix.act_one_in) == 0 {
            self.clients.act(&mut self.cluster, &mut self.checkers);
        }
        self.go_wrong();
        self.step();
    }

    /// One step; the checkers look at it, and clients take what came.
    pub fn step(&mut self) {
        if !self.faults.keep_down {
            self.restart_due();
        }
        let touched = self.cluster.step();
        self.checkers.time(EPOCH_NS + self.cluster.now_ns);
        touched.into_iter().for_each(|at| self.observe(at));
        self.clients.take(&mut self.cluster, &mut self.checkers);
        for at in 0..self.cluster.replicas.len() {
            self.recover_from_itself(at);
        }
    }

    /// A replica whose disk failed, or that has halted, is gone.
    fn recover_from_itself(&mut self, at: usize) {
        let replica = &self.cluster.replicas[at];
        let halted = !replica.cores.is_empty() && replica.is_halted();
        if replica.failed || halted || replica.start_again {
            let power = self.faults.draws_power();
            self.down(at, if power { Down::Power } else { Down::Process });
            self.faults.restart_later(at, self.cluster.now_ns);
        }
    }

    /// A replica goes down.
    pub fn down(&mut self, at: usize, how: Down) {
        self.observe(at);
        self.faults.downs += 1;
        self.cluster.down(at, how);
        self.checkers.down(at);
    }

    /// Who is down stays down, until it is started.
    pub fn keep_down(&mut self) {
        self.faults.keep_down = true;
    }

    /// Who goes down starts again.
    pub fn restart_again(&mut self) {
        self.faults.keep_down = false;
    }

    /// A replica starts.
    pub fn start(&mut self, at: usize) {
        let chosen = self.checkers.log().to_vec();
        self.cluster.replicas[at].disk.recorder.note_chosen(chosen);
        self.perhaps_upgrade(at);
        self.cluster.start(at);
        self.observe(at);
        let replica = &mut self.cluster.replicas[at];
        if let Some(found) = replica.found.take() {
            self.checkers.left(&found, &replica.disk.recorder);
        }
    }

    /// The checkers look at what a replica did.
    pub(super) fn observe(&mut self, at: usize) {
        let replica = &mut self.cluster.replicas[at];
        let marks = replica.watermarks();
        if marks.chosen != self.marks[at].chosen {
            trace!("replica {at}: {marks:?}");
        }
        if replica.is_quiet() {
            owed::check(at, &replica.cores);
        }
        self.marks[at] = marks;
        if self.checkers.is_voteless(at) && !replica.rejoins {
            self.checkers.vote_regained(at, replica.superblock().promised);
        }
        self.checkers.step(at, &mut replica.disk.recorder, marks);
        for (slot, hash) in replica.for_peers.told.drain(..) {
            self.checkers.told_chosen(at, slot, hash);
        }
        for (slot, digest) in replica.for_peers.checkpoints.drain(..) {
            self.checkers.checkpoint(at, slot, digest);
        }
    }

    /// Steps until it is so.
    ///
    /// # Panics
    /// When it never comes.
    pub fn run_until(&mut self, what: &'static str, steps: u64, done: impl Fn(&ClusterWorld) -> bool) {
        let mut budget = Budget::new(what, steps);
        while !done(self) {
            budget.spend(|| self.state());
            self.step();
        }
    }

    /// Clients act until it is so.
    ///
    /// # Panics
    /// When it never comes.
    pub fn run_until_acting(&mut self, what: &'static str, steps: u64, done: impl Fn(&ClusterWorld) -> bool) {
        let mut budget = Budget::new(what, steps);
        while !done(self) {
            budget.spend(|| self.state());
            self.run(1);
        }
    }

    /// Until every event has an end that the log decided, every replica has published all of it, and who was stopped in
    /// good order is there again.
    pub fn finish(&mut self) {
        self.finish_without(None);
    }

    /// The same, but for one replica of which nothing is expected.
    pub fn finish_without(&mut self, out: Option<usize>) {
        self.clients.rude = false;
        // Who sends the same again before it can be answered may do so for ever.
        self.clients.patience_ns = self.clients.patience_ns.max(PATIENCE_NS);
        let mut budget = Budget::new("every event ends, and every replica has published all", FINISH_STEPS);
        let mut ended = self.ended();
        loop {
            let open = !self.clients.again.is_empty() || self.clients.unanswered() > 0;
            let chosen = self.checkers.log().len() as u64;
            let behind = self.cluster.replicas.iter().enumerate().any(|(at, replica)| {
                let behind = replica.watermarks().published.0 < chosen;
                (behind || replica.rejoins || replica.stopping) && out != Some(at)
            });
            if !open && !behind {
                return;
            }
            if !self.clients.again.is_empty() && self.clients.random.below(8) == 0 {
                self.clients.act_again(&mut self.cluster, &mut self.checkers);
            }
            budget.spend(|| self.state());
            self.step();
            if self.ended() > ended {
                ended = self.ended();
                budget = Budget::new("every event ends, and every replica has published all", FINISH_STEPS);
            }
        }
    }

    /// A client reads every account while nothing is under way, and counts.
    pub fn count(&mut self) {
        let accounts: Vec<u128> = (0..u128::from(self.clients.mix.accounts)).collect();
        let mut balances = BTreeMap::new();
        for part in accounts.chunks(COUNTED_AT_ONCE) {
            self.clients.last_read.clear();
            let mut budget = Budget::new("accounts are read", FINISH_STEPS);
            while self.clients.last_read.keys().len() < part.len() {
                if self.clients.unanswered() == 0 {
                    self.clients.read_all(part, &mut self.cluster, &mut self.checkers);
                }
                budget.spend(|| self.state());
                self.step();
            }
            balances.append(&mut self.clients.last_read);
        }
        self.checkers.counted(balances.into_values().flatten());
    }

    /// All replicas stop, and their entities come to the same.
    pub fn stop_all(&mut self) {
        self.quieten();
        let marks: Vec<_> =
            self.cluster.replicas.iter().map(|replica| replica.watermarks().published).collect();
        self.faults.keep_down = true;
        self.cluster.replicas.iter_mut().for_each(crate::replica::Replica::stop);
        let mut budget = Budget::new("all replicas halt", FINISH_STEPS);
        let mut digests = vec![Vec::new(); marks.len()];
        let is_out = |replica: &crate::replica::Replica| replica.quarantined.is_some();
        let out: Vec<bool> = self.cluster.replicas.iter().map(is_out).collect();
        while digests.iter().zip(&out).any(|(digests, out)| digests.is_empty() && !out) {
            budget.spend(|| self.state());
            self.cluster.step();
            for (at, digests) in digests.iter_mut().enumerate().filter(|(at, _)| !out[*at]) {
                let replica = &mut self.cluster.replicas[at];
                if digests.is_empty() && !replica.cores.is_empty() && replica.is_halted() {
                    let open = &replica.hand_overs.open;
                    hold!(
                        "hand over",
                        open.is_empty(),
                        "replica {at} has halted, and these heard nothing: {open:?}"
                    );
                    *digests = std::mem::take(&mut replica.digests);
                    digests.sort_by_key(|digest| digest.shard);
                    // A shard without a stripe in the last slots may not have heard of them.
                    digests.iter_mut().for_each(|digest| digest.slot = Slot::ZERO);
                    self.cluster.down(at, Down::Process);
                }
            }
        }
        // What a quarantined replica has is not to be compared with anything.
        let compared: Vec<usize> = (0..marks.len()).filter(|at| !out[*at]).collect();
        for pair in compared.windows(2) {
            let (first, other) = (pair[0], pair[1]);
            let same = digests[first] == digests[other];
            hold!(
                "outputs",
                same || marks[first] != marks[other],
                "C7: {:?} and {:?}",
                digests[first],
                digests[other]
            );
        }
    }

    /// Until the cores of each replica have heard all that they told each other once: what the shards gave back when
    /// the last slot was published is where it belongs.
    fn quieten(&mut self) {
        let mut rest: Vec<usize> = (0..self.cluster.replicas.len()).collect();
        let mut budget = Budget::new("cores hear what they were told", FINISH_STEPS);
        loop {
            rest.retain(|at| !self.cluster.replicas[*at].is_quiet());
            if rest.is_empty() {
                return;
            }
            budget.spend(|| self.state());
            self.step();
        }
    }

    /// For whoever looks at what never came.
    fn state(&self) -> String {
        let replicas = self.cluster.replicas.iter().map(|replica| {
            let (up, leads, marks) = (replica.is_up(), replica.leads(), replica.watermarks());
            let rejoins = replica.rejoins;
            let (serving, overdue, steps) = (&replica.serving, replica.seen.overdue, replica.steps);
            format!(
                "up {up}, leads {leads:?}, rejoins {rejoins}, serving {serving:?}, {marks:?}, {overdue} of {steps} steps overdue"
            )
        });
        let replicas: Vec<String> = replicas.collect();
        let (under_way, again) = (self.clients.unanswered(), self.clients.again.len());
        let (chosen, now, statuses) =
            (self.checkers.log().len(), self.cluster.now_ns, &self.clients.statuses);
        format!(
            "{under_way} events under way, {again} to be sent again, {chosen} slots chosen, {} ms, {statuses:?}\n{}",
            now / 1_000_000,
            replicas.join("\n")
        )
    }

    fn ended(&self) -> u64 {
        use assize_wire::outcome::Status;
        let open = [Status::Busy as u8, Status::NotLeader as u8];
        self.clients
            .statuses
            .iter()
            .filter(|(status, _)| !open.contains(status))
            .map(|(_, count)| count)
            .sum()
    }
}

/// Steps in which something must end once nothing goes wrong, while there is anything under way.
const FINISH_STEPS: u64 = 200_000;

/// How long a client that wants an end waits for an answer.
const PATIENCE_NS: u64 = 20_000_000_000;

/// Accounts read in one request: states of all of them fit a connection's credit and a frame.
const COUNTED_AT_ONCE: usize = 50;
