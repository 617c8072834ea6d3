//! [`Client`]: the blocking face of the client library. Every call has a time limit and a typed error.

use std::net::SocketAddr;
use std::time::Duration;

use assize_wire::event::EventError;
use assize_wire::limits::READ_ENTITIES_MAX;
use assize_wire::message::{EntityRef, Welcome};
use assize_wire::{DomainId, EntityId, EventKey, ReplicaId, StreamTime};

use super::clock::Tick;
use super::core::Core;
use super::error::ClientError;
use super::event::{AnswerOwned, Completion, EntityRead, NewEvent, Outcome, Ticket};
use super::finder::{FinderCounts, SiteId};
use super::options::Options;
use super::shell::{Shell, Waker};
use super::sites::Sites;

/// A client of one cluster. It reconnects by itself and submits what is unanswered again under the same keys.
#[derive(Debug)]
pub struct Client {
    core: Core,
    shell: Shell,
    options: Options,
    keys: Keys,
}

impl Client {
    /// Connects to the cluster whose replicas are at `addresses` (`host:port`, names allowed; one or more of them).
    /// Done when the first welcomes us; which of them leads is found out meanwhile.
    ///
    /// # Errors
    /// [`ClientError::Address`], [`ClientError::NotConnected`] after `options.connect_timeout`, or
    /// [`ClientError::Refused`] when the replica is not one that this client can use.
    pub fn connect<A: AsRef<str>>(addresses: &[A], options: Options) -> Result<Client, ClientError> {
        let names: Vec<String> = addresses.iter().map(|address| address.as_ref().to_owned()).collect();
        let mut client = Client::new(Sites::new(&names)?, options)?;
        let until = client.shell.now().after(client.options.connect_timeout);
        while client.core.welcome().is_none() {
            if let Some(error) = client.shell.refused() {
                return Err(ClientError::Refused(error.clone()));
            }
            if client.shell.now() >= until {
                return Err(ClientError::NotConnected {
                    waited: client.options.connect_timeout,
                    last: client.shell.last,
                });
            }
            client.shell.turn(&mut client.core, until)?;
        }
        Ok(client)
    }

    /// A client of the cluster whose replicas are at these addresses, by number. Those that are not known yet are
    /// told later ([`Client::set_address`]). Nothing is waited for: it connects while [`Client::poll`] runs, and
    /// takes events and reads in once [`Client::is_welcomed`].
    ///
    /// # Errors
    /// [`ClientError::Poll`]
    pub fn of_replicas(addresses: &[Option<SocketAddr>], options: Options) -> Result<Client, ClientError> {
        Client::new(Sites::told(addresses), options)
    }

    fn new(sites: Sites, options: Options) -> Result<Client, ClientError> {
        let shell = Shell::new(sites)?;
        Ok(Client { core: Core::new(shell.sites(), options.clone()), shell, options, keys: Keys::new() })
    }

    /// A replica of [`Client::of_replicas`] is at this address from now on.
    ///
    /// # Panics
    /// When there is no such replica.
    pub fn set_address(&mut self, replica: usize, address: SocketAddr) {
        self.shell.set_address(SiteId(replica), address);
    }

    /// Whether some replica has welcomed it.
    #[must_use]
    pub fn is_welcomed(&self) -> bool {
        self.core.welcome().is_some()
    }

    /// What the leader said of itself at the last handshake, or some replica if none leads yet.
    ///
    /// # Panics
    /// Never after [`Client::connect`]; else before [`Client::is_welcomed`].
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        self.core.welcome().expect("a replica has welcomed it")
    }

    /// Who leads, as far as this client knows: it looks for the leader while [`Client::poll`] or another call runs.
    #[must_use]
    pub fn leader(&self) -> Option<ReplicaId> {
        self.core.leader()
    }

    /// Redirects and changes of leader so far.
    #[must_use]
    pub fn finder_counts(&self) -> FinderCounts {
        self.core.finder_counts()
    }

    /// Stream time now, as far as this client can know.
    #[must_use]
    pub fn stream_time(&self) -> StreamTime {
        self.core.clock().now(self.shell.now())
    }

    /// Submits events and waits for all answers, in the events' order.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`] after `options.call_timeout` and [`ClientError::OutcomeUnknown`] hold what was
    /// answered; [`ClientError::Event`] before anything is sent.
    pub fn submit(&mut self, events: &[NewEvent]) -> Result<Vec<AnswerOwned>, ClientError> {
        let tickets = self.enqueue_all(events)?;
        let Some(first) = tickets.first().copied() else {
            return Ok(Vec::new());
        };
        let until = self.shell.now().after(self.options.call_timeout);
        let mut done: Vec<Option<Completion>> = vec![None; events.len()];
        let (mut missing, mut others) = (events.len(), Vec::new());
        while missing > 0 && self.shell.now() < until {
            self.shell.turn(&mut self.core, until)?;
            while let Some(completion) = self.core.poll_completion() {
                // Tickets of one call are consecutive; earlier ones belong to `enqueue` and wait for `poll`.
                match completion.ticket.0.checked_sub(first.0).map(|at| at as usize) {
                    Some(at) if at < done.len() => {
                        done[at] = Some(completion);
                        missing -= 1;
                    }
                    _ => others.push(completion),
                }
            }
        }
        self.core.return_completions(others);
        if missing > 0 {
            tickets.iter().for_each(|ticket| self.core.forget(*ticket));
            return Err(self.timed_out(missing, done.into_iter().flatten().collect()));
        }
        let completions: Vec<Completion> = done.into_iter().flatten().collect();
        let unknown = completions.iter().filter(|done| done.outcome == Outcome::Unknown).count();
        if unknown > 0 {
            return Err(ClientError::OutcomeUnknown { unknown, completions });
        }
        let answers = completions.into_iter().filter_map(|done| match done.outcome {
            Outcome::Answered(answer) => Some(answer),
            Outcome::Unknown => None,
        });
        Ok(answers.collect())
    }

    /// Takes an event in without waiting; it is sent at the next [`Client::poll`]. Many may be under way.
    ///
    /// # Errors
    /// [`ClientError::Event`], [`ClientError::Random`]
    pub fn enqueue(&mut self, event: &NewEvent) -> Result<Ticket, ClientError> {
        let key = match event.key {
            Some(key) => key,
            None => self.keys.draw()?,
        };
        let now = self.shell.now();
        self.core.enqueue(event, key, now).map_err(ClientError::Event)
    }

    /// Key and deadline of an event that is not done with.
    #[must_use]
    pub fn pending(&self, ticket: Ticket) -> Option<(EventKey, StreamTime)> {
        self.core.pending(ticket)
    }

    /// Gives an event of [`Client::enqueue`] up without learning its fate.
    pub fn forget(&mut self, ticket: Ticket) {
        self.core.forget(ticket);
    }

    /// Takes a linearizable read of an entity in without waiting; its number comes back from [`Client::poll_read`].
    pub fn enqueue_read(&mut self, domain: DomainId, entity: EntityId) -> u64 {
        self.core.enqueue_read(Vec::from([EntityRef::new(domain, entity)]))
    }

    /// Gives a read of [`Client::enqueue_read`] up.
    pub fn forget_read(&mut self, number: u64) {
        self.core.forget_read(number);
    }

    /// The next read that is done: its number, and what was read.
    pub fn poll_read(&mut self) -> Option<(u64, Vec<EntityRead>)> {
        self.core.poll_read()
    }

    /// What ends a [`Client::poll`] from another thread. One client has one.
    ///
    /// # Errors
    /// [`ClientError::Poll`]
    pub fn waker(&self) -> Result<Waker, ClientError> {
        self.shell.waker()
    }

    /// Sends and receives until something is done with, or somebody wakes it, at most for `timeout`; returns
    /// everything that is done with; reads have [`Client::poll_read`]. Nothing after that is no error: what is
    /// enqueued stays so until its answer or its deadline.
    ///
    /// # Errors
    /// [`ClientError::Poll`]
    pub fn poll(&mut self, timeout: Duration) -> Result<Vec<Completion>, ClientError> {
        let until = self.shell.now().after(timeout);
        loop {
            let done: Vec<Completion> = std::iter::from_fn(|| self.core.poll_completion()).collect();
            if !done.is_empty() || self.core.has_read() {
                return Ok(done);
            }
            self.shell.turn(&mut self.core, until)?;
            if std::mem::take(&mut self.shell.woken) || self.shell.now() >= until {
                return Ok(std::iter::from_fn(|| self.core.poll_completion()).collect());
            }
        }
    }

    /// Events enqueued and not done with.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.core.unanswered()
    }

    /// Reads entities of a domain, linearizably; `None` where one is absent. States of one call may hold at several
    /// slots if there are more than 8,190.
    ///
    /// # Errors
    /// [`ClientError::TimedOut`] after `options.call_timeout`.
    pub fn read(
        &mut self,
        domain: DomainId,
        entities: &[EntityId],
    ) -> Result<Vec<Option<Vec<u8>>>, ClientError> {
        let until = self.shell.now().after(self.options.call_timeout);
        let mut states = Vec::with_capacity(entities.len());
        for chunk in entities.chunks(READ_ENTITIES_MAX) {
            let refs = chunk.iter().map(|entity| EntityRef::new(domain, *entity)).collect();
            let number = self.core.enqueue_read(refs);
            states.extend(self.await_read(number, until, entities.len() - states.len())?);
        }
        Ok(states)
    }

    fn await_read(
        &mut self,
        number: u64,
        until: Tick,
        missing: usize,
    ) -> Result<Vec<Option<Vec<u8>>>, ClientError> {
        loop {
            while let Some((done, states)) = self.core.poll_read() {
                if done == number {
                    return Ok(states.into_iter().map(|read| read.state).collect());
                }
            }
            if self.shell.now() >= until {
                self.core.forget_read(number);
                return Err(self.timed_out(missing, Vec::new()));
            }
            self.shell.turn(&mut self.core, until)?;
        }
    }

    fn enqueue_all(&mut self, events: &[NewEvent]) -> Result<Vec<Ticket>, ClientError> {
        let limit = assize_wire::limits::EVENT_PAYLOAD_BYTES_MAX;
        if let Some(event) = events.iter().find(|event| event.payload.len() > limit) {
            let bytes = event.payload.len();
            return Err(ClientError::Event(EventError::PayloadTooLong { bytes }));
        }
        events.iter().map(|event| self.enqueue(event)).collect()
    }

    fn timed_out(&self, unanswered: usize, completions: Vec<Completion>) -> ClientError {
        ClientError::TimedOut {
            waited: self.options.call_timeout,
            unanswered,
            last: self.shell.last.clone(),
            completions,
        }
    }
}

/// Random keys, drawn from the system in pages: a call for each would cost more than the rest of sending an event.
#[derive(Debug)]
struct Keys {
    page: Vec<u8>,
    at: usize,
}

impl Keys {
    fn new() -> Keys {
        Keys { page: vec![0; KEYS_PAGE_BYTES], at: KEYS_PAGE_BYTES }
    }

    /// A key that no one else has.
    fn draw(&mut self) -> Result<EventKey, ClientError> {
        if self.at == self.page.len() {
            getrandom::fill(&mut self.page).map_err(ClientError::Random)?;
            self.at = 0;
        }
        let (key, _) = self.page[self.at..].split_first_chunk().expect("a page is whole keys");
        self.at += KEY_BYTES;
        Ok(EventKey(u128::from_le_bytes(*key)))
    }
}

const KEY_BYTES: usize = 16;
const KEYS_PAGE_BYTES: usize = 256 * KEY_BYTES;
