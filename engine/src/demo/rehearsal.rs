//! What happens to the replicas while the load runs: their latencies begin with its own, and one of them is killed and
//! started again, if that was asked for.

use std::io;
use std::time::Instant;

use assize_tools::load::{LiveLine, Phase, Progress, ProgressLine};
use assize_wire::ReplicaId;

use super::Ended;
use super::replicas::Replicas;
use crate::cli::Kill;

/// Follows a load.
pub(super) struct Rehearsal<'a> {
    live: LiveLine<io::Stderr>,
    replicas: &'a mut Replicas,
    kill: Option<Kill>,
    seconds: f64,
    /// When the load began.
    began: Instant,
    killed: Option<Killed>,
    /// What went wrong; the load ends by itself.
    pub failure: Option<Ended>,
}

/// A replica that was killed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Killed {
    pub replica: ReplicaId,
    /// Whether it led.
    pub led: bool,
    /// When, in seconds after the load began.
    pub at_s: f64,
    /// When it was started again.
    pub restarted_at_s: Option<f64>,
}

impl<'a> Rehearsal<'a> {
    pub(super) fn new(
        live: LiveLine<io::Stderr>,
        replicas: &'a mut Replicas,
        kill: Option<Kill>,
        seconds: u32,
    ) -> Rehearsal<'a> {
        Rehearsal {
            live,
            replicas,
            kill,
            seconds: seconds.into(),
            began: Instant::now(),
            killed: None,
            failure: None,
        }
    }

    /// Who was killed, if somebody was.
    pub(super) fn killed(&self) -> Option<Killed> {
        self.killed
    }

    /// Time passed: in the middle of the load one is killed, a second or so later it is started again.
    fn advance(&mut self, elapsed_s: f64, is_over: bool) -> Result<(), Ended> {
        let Some(kill) = self.kill else { return Ok(()) };
        match self.killed {
            None if elapsed_s >= self.seconds / 2.0 && !is_over => {
                let leader = self.replicas.leader()?;
                let last = ReplicaId(self.replicas.len() as u8 - 1);
                let replica = match kill {
                    Kill::Leader => leader,
                    Kill::Follower if leader == last => ReplicaId(last.0 - 1),
                    Kill::Follower => last,
                };
                let at_s = self.began.elapsed().as_secs_f64();
                self.replicas.kill(replica)?;
                self.killed = Some(Killed { replica, led: replica == leader, at_s, restarted_at_s: None });
            }
            Some(killed)
                if killed.restarted_at_s.is_none() && (elapsed_s >= killed.at_s + DOWN_S || is_over) =>
            {
                self.replicas.restart(killed.replica)?;
                self.killed =
                    Some(Killed { restarted_at_s: Some(self.began.elapsed().as_secs_f64()), ..killed });
            }
            _ => {}
        }
        Ok(())
    }

    fn note(&mut self, done: Result<(), Ended>) {
        if let Err(error) = done {
            self.kill = None;
            self.failure = Some(error);
        }
    }
}

/// How long a killed replica stays away, so that it is missed.
const DOWN_S: f64 = 0.5;

impl Progress for Rehearsal<'_> {
    fn phase(&mut self, phase: Phase) {
        if phase == Phase::Measure {
            self.replicas.measure();
            self.began = Instant::now();
        }
        if matches!(phase, Phase::Drain | Phase::Books) {
            let done = self.advance(self.seconds, true);
            self.note(done);
        }
        self.live.phase(phase);
    }

    fn line(&mut self, line: &ProgressLine) {
        let done = self.advance(line.elapsed_s, false);
        self.note(done);
        self.live.line(line);
    }
}
