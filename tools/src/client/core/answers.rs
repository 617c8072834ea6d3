//! What the replicas say: welcomes, answers, states, refusals.

use std::time::Duration;

use assize_wire::ReplicaId;
use assize_wire::message::{Answer, Refused, RefusedCode, States, Welcome};
use assize_wire::outcome::Status;
use assize_wire::routing::Routing;

use super::super::clock::Tick;
use super::super::error::SessionError;
use super::super::event::{AnswerOwned, Completion, EntityRead, Outcome, Ticket};
use super::super::lane::{ANSWERED, InFlight, Part};
use super::super::pending::Job;
use super::super::session::{Session, SessionEvent};
use super::Core;

impl Core {
    pub(super) fn read_events(
        &mut self,
        lane: usize,
        session: &mut Session,
        now: Tick,
    ) -> Result<(), SessionError> {
        while let Some(event) = session.poll_event()? {
            if let Some(told) = event.stream_time() {
                self.clock.handle_told(told, now);
            }
            match event {
                SessionEvent::Welcome(welcome) => {
                    self.lanes[lane].backoff = Duration::ZERO;
                    self.handle_welcome(welcome)?;
                }
                SessionEvent::Answers { tag, whole, answers } => {
                    for answer in answers {
                        let answer = answer.map_err(SessionError::Message)?;
                        self.handle_answer(lane, tag, &answer, now)?;
                    }
                    if whole {
                        self.lanes[lane].finish(tag);
                    }
                }
                SessionEvent::States { tag, whole, states } => {
                    self.handle_progress(lane, now);
                    self.handle_states(lane, tag, whole, states)?;
                }
                SessionEvent::Refused { tag, refused } => self.handle_refused(lane, tag, &refused, now),
                SessionEvent::Pong => {}
            }
        }
        Ok(())
    }

    /// Any replica's welcome has what the cluster agreed on; the leader's has the ports that are used.
    pub(super) fn handle_welcome(&mut self, welcome: Welcome) -> Result<(), SessionError> {
        if welcome.cluster != self.finder.cluster() {
            return Err(SessionError::OtherCluster);
        }
        let routing = Routing { seed: welcome.routing_seed, shards: welcome.ports.len() as u16 };
        if self.routing.is_some_and(|known| known != routing) {
            return Err(SessionError::OtherCluster);
        }
        self.routing = Some(routing);
        let leader = self.finder.leader().map(|found| found.welcome.replica);
        if leader.is_none() || leader == Some(welcome.replica) {
            self.welcome = Some(welcome);
        }
        Ok(())
    }

    fn handle_answer(
        &mut self,
        lane: usize,
        tag: u64,
        answer: &Answer<'_>,
        now: Tick,
    ) -> Result<(), SessionError> {
        let slot = match &mut self.lanes[lane].in_flight[tag as usize] {
            Some(InFlight::Events(tickets)) => tickets.get_mut(answer.index as usize),
            _ => None,
        };
        let ticket = match slot {
            Some(ticket) if *ticket != ANSWERED => std::mem::replace(ticket, ANSWERED),
            _ => return Err(SessionError::TooManyAnswers { number: tag }),
        };
        if answer.status == Status::NotLeader {
            self.handle_not_leader(lane, Job::Event(ticket), None, now);
            return Ok(());
        }
        self.handle_progress(lane, now);
        if !answer.status.is_final() {
            // What a former leader leaves open went elsewhere when it ceased to lead.
            if self.lanes[lane].part == Part::Current {
                let hint = Duration::from_micros(answer.retry_after_us.into());
                self.retry(Job::Event(ticket), now, hint);
            }
        } else if let Some(event) = self.pending.remove_event(ticket) {
            self.completions.push_back(Completion {
                ticket: Ticket(ticket),
                key: event.key,
                deadline: event.deadline,
                outcome: Outcome::Answered(AnswerOwned::from_wire(answer)),
            });
        }
        Ok(())
    }

    fn handle_states(
        &mut self,
        lane: usize,
        tag: u64,
        whole: bool,
        states: States<'_>,
    ) -> Result<(), SessionError> {
        let Some(InFlight::Read(number)) = self.lanes[lane].in_flight[tag as usize] else {
            return Err(SessionError::UnknownRequest { number: tag });
        };
        if whole {
            self.lanes[lane].finish(tag);
        }
        // The read was begun anew at another replica: parts of both would not hold at one time.
        if self.lanes[lane].part != Part::Current {
            return Ok(());
        }
        let Some(read) = self.pending.reads.get_mut(&number) else {
            return Ok(());
        };
        let slot = states.slot;
        for state in states {
            let state = state.map_err(SessionError::Message)?;
            let at = state.index as usize;
            if read.seen.get(at).copied() != Some(false) {
                return Err(SessionError::TooManyAnswers { number: tag });
            }
            read.seen[at] = true;
            read.states[at] = EntityRead { slot, state: state.state.map(<[u8]>::to_vec) };
            read.missing -= 1;
        }
        if read.missing == 0 {
            let states = std::mem::take(&mut read.states);
            self.pending.reads.remove(&number);
            self.reads_done.push_back((number, states));
        }
        Ok(())
    }

    /// Nothing of the request was admitted.
    fn handle_refused(&mut self, lane: usize, tag: u64, refused: &Refused, now: Tick) {
        let hint = Duration::from_micros(refused.retry_after_us.into());
        let jobs: Vec<Job> = match self.lanes[lane].finish(tag) {
            Some(InFlight::Events(tickets)) => {
                tickets.into_iter().filter(|ticket| *ticket != ANSWERED).map(Job::Event).collect()
            }
            Some(InFlight::Read(number)) => vec![Job::Read(number)],
            None => Vec::new(),
        };
        if self.lanes[lane].part != Part::Current {
            return;
        }
        if refused.code == RefusedCode::Busy {
            self.handle_progress(lane, now);
        }
        if refused.code == RefusedCode::NotServing {
            self.finder.handle_doubt(now);
        }
        for job in jobs {
            match refused.code {
                RefusedCode::NotLeader { leader } => self.handle_not_leader(lane, job, leader, now),
                _ => self.retry(job, now, hint),
            }
        }
    }

    /// The job goes again as soon as a leader is found: it waits for that, and not for a time.
    fn handle_not_leader(&mut self, lane: usize, job: Job, leader: Option<ReplicaId>, now: Tick) {
        if self.lanes[lane].part == Part::Current {
            self.finder.handle_not_leader(self.lanes[lane].site, leader, now);
            self.requeue(job);
        }
    }

    fn handle_progress(&mut self, lane: usize, now: Tick) {
        self.lanes[lane].progress_at = now;
        self.lanes[lane].answered_at = now;
        if self.lanes[lane].part == Part::Current {
            self.finder.handle_progress();
        }
    }
}
