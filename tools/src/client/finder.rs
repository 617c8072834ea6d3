//! Where the leader is. It asks every address who leads, all at once, as long as there is a reason to, and remembers
//! the answer. It never carries events: each scout is a connection that is closed once it was welcomed.
//!
//! A replica leads if its own welcome says so. What others say of it is never followed, so that redirects in a circle
//! cost one question to each address and a pause, like anything else that does not lead to an answer.
//!
//! Call order, by whoever has the sockets: [`Finder::handle_timeout`]; for each site [`Finder::poll_site`] and do what
//! it says (connect → [`Finder::handle_connected`] or [`Finder::handle_lost`]); send [`Finder::output`], receive into
//! [`Finder::space`] and call [`Finder::handle_received`]. What the connections to the leader meet is told with
//! [`Finder::handle_not_leader`], [`Finder::handle_doubt`], [`Finder::handle_stalled`] and [`Finder::handle_progress`].

use std::time::Duration;

use assize_wire::message::{RefusedCode, Welcome};
use assize_wire::{ClusterId, ReplicaId};

use super::clock::Tick;
use super::error::SessionError;
use super::options::Options;
use super::session::{Session, SessionEvent};

/// One of the addresses that a client was given, by its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SiteId(pub usize);

/// What is to be done for a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteAction {
    /// Nothing.
    None,
    /// Connect to it.
    Connect,
    /// Close the connection, then [`Finder::handle_lost`].
    Close,
}

/// A replica that says that it leads.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it is.
    pub site: SiteId,
    /// What it said of itself.
    pub welcome: Welcome,
    /// When it last said so.
    pub confirmed_at: Tick,
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FinderCounts {
    /// Requests that were refused, or welcomes that were sent, by a replica that knows another one to lead.
    pub redirects: u64,
    /// Times that another replica was found to lead than before.
    pub leader_changes: u64,
}

/// Looks for the leader of one cluster.
#[derive(Debug)]
pub struct Finder {
    cluster: ClusterId,
    request_timeout: Duration,
    pause_min: Duration,
    pause_max: Duration,
    scouts: Vec<Scout>,
    leader: Option<Found>,
    /// Raised whenever `leader` becomes another or none: whoever sends compares it.
    term: u64,
    search: Option<Search>,
    /// When the last round of questions began.
    round_began: Option<Tick>,
    /// Since when nothing has shown that somebody leads; none while answers come. Sets the pauses.
    unproven_since: Option<Tick>,
    /// Who led last.
    last: Option<ReplicaId>,
    counts: FinderCounts,
}

/// A reason to ask. While there is no leader there is one.
#[derive(Clone, Copy, Debug)]
struct Search {
    /// The leader owes answers: if another replica says that it leads, it is believed. Over when an answer comes.
    stalled: bool,
    /// A connection to the leader is gone, or it does not serve: over only when it says itself that it leads, whatever
    /// its other connections answer meanwhile, for the lost one is made again no sooner.
    doubted: bool,
}

impl Search {
    /// For a leader, as long as there is none.
    const FOR_ANY: Search = Search { stalled: false, doubted: false };

    /// Itself, if there is still a reason to ask a leader that is known.
    fn of_leader(self) -> Option<Search> {
        (self.stalled || self.doubted).then_some(self)
    }
}

#[derive(Debug)]
struct Scout {
    session: Option<Session>,
    at: At,
}

/// Where a scout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// There is no connection, and none is wanted.
    Home,
    /// It is to be sent.
    Due,
    /// It was sent at this time and was not answered.
    Out(Tick),
    /// It is to be closed: it was answered, or was out for too long.
    Back,
}

impl Finder {
    /// One that knows `sites` addresses; it begins to look at once.
    #[must_use]
    pub fn new(sites: usize, options: &Options) -> Finder {
        Finder {
            cluster: options.cluster,
            request_timeout: options.request_timeout,
            pause_min: options.backoff_min,
            pause_max: options.backoff_max,
            scouts: (0..sites).map(|_| Scout { session: None, at: At::Home }).collect(),
            leader: None,
            term: 0,
            search: Some(Search::FOR_ANY),
            round_began: None,
            unproven_since: None,
            last: None,
            counts: FinderCounts::default(),
        }
    }

    /// Addresses there are.
    #[must_use]
    pub fn sites(&self) -> usize {
        self.scouts.len()
    }

    /// Who leads, as far as this knows.
    #[must_use]
    pub fn leader(&self) -> Option<&Found> {
        self.leader.as_ref()
    }

    /// A number that is raised whenever [`Finder::leader`] becomes another or none.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.term
    }

    /// The cluster; that of the first welcome if none was chosen.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// How often what happened.
    #[must_use]
    pub fn counts(&self) -> FinderCounts {
        self.counts
    }

    /// Time passed: scouts are sent if there is a reason to, and those that are out for too long are called back.
    pub fn handle_timeout(&mut self, now: Tick) {
        let timeout = self.request_timeout;
        for site in 0..self.scouts.len() {
            if matches!(self.scouts[site].at, At::Out(since) if since.after(timeout) <= now) {
                self.scouts[site].at = At::Back;
                if self.leader.as_ref().is_some_and(|found| found.site == SiteId(site)) {
                    self.handle_stalled(now);
                }
            }
        }
        if self.round_at(now).is_some_and(|at| at <= now) {
            self.round_began = Some(now);
            self.unproven_since.get_or_insert(now);
            for scout in self.scouts.iter_mut().filter(|scout| scout.at == At::Home) {
                scout.at = At::Due;
            }
        }
        self.check_invariants();
    }

    /// When to call [`Finder::handle_timeout`] again if nothing happens before.
    #[must_use]
    pub fn next_timeout(&self, now: Tick) -> Tick {
        let of_scout = |scout: &Scout| match scout.at {
            At::Home => Tick::NEVER,
            At::Due | At::Back => now,
            At::Out(since) => since.after(self.request_timeout),
        };
        let scouts = self.scouts.iter().map(of_scout).min().unwrap_or(Tick::NEVER);
        self.round_at(now).unwrap_or(Tick::NEVER).min(scouts)
    }

    /// What is to be done for a site.
    pub fn poll_site(&mut self, site: SiteId, now: Tick) -> SiteAction {
        let scout = &mut self.scouts[site.0];
        match scout.at {
            At::Due => {
                scout.at = At::Out(now);
                SiteAction::Connect
            }
            At::Back => SiteAction::Close,
            At::Home | At::Out(_) => SiteAction::None,
        }
    }

    /// A connection to a site is being made or was made; its `Hello` is in [`Finder::output`].
    pub fn handle_connected(&mut self, site: SiteId) {
        self.scouts[site.0].session = Some(Session::new(self.cluster));
    }

    /// A connection to a site could not be made, or is gone.
    pub fn handle_lost(&mut self, site: SiteId, now: Tick) {
        let scout = &mut self.scouts[site.0];
        scout.session = None;
        let unanswered = matches!(scout.at, At::Out(_));
        scout.at = At::Home;
        // A leader whom nobody can reach leads nobody; its connections are about to break if they have not.
        if unanswered && self.leader.as_ref().is_some_and(|found| found.site == site) {
            self.lose_leader(now);
        }
    }

    /// Bytes to be sent to a site.
    #[must_use]
    pub fn output(&self, site: SiteId) -> &[u8] {
        self.scouts[site.0].session.as_ref().map_or(&[], Session::output)
    }

    /// The first `count` bytes of [`Finder::output`] were sent.
    pub fn handle_written(&mut self, site: SiteId, count: usize) {
        if let Some(session) = &mut self.scouts[site.0].session {
            session.handle_written(count);
        }
    }

    /// Where to receive a site's bytes; empty if there is no connection.
    pub fn space(&mut self, site: SiteId) -> &mut [u8] {
        self.scouts[site.0].session.as_mut().map_or(&mut [], Session::space)
    }

    /// `count` bytes were received from a site. Returns its welcome, if that is whole now.
    ///
    /// # Errors
    /// [`SessionError`]: the connection must be closed; then [`Finder::handle_lost`].
    pub fn handle_received(
        &mut self,
        site: SiteId,
        count: usize,
        now: Tick,
    ) -> Result<Option<Welcome>, SessionError> {
        let Some(session) = &mut self.scouts[site.0].session else {
            return Ok(None);
        };
        session.handle_received(count);
        let welcome = match session.poll_event() {
            Ok(Some(SessionEvent::Welcome(welcome))) => welcome,
            Ok(_) => return Ok(None),
            Err(error) => {
                // Who says that it has too many clients is there; those that it has may stay.
                let too_many = |code| code == RefusedCode::TooManyConnections;
                if matches!(&error, SessionError::Refused(refused) if too_many(refused.code)) {
                    self.scouts[site.0].at = At::Back;
                }
                return Err(error);
            }
        };
        if self.cluster != ClusterId(0) && self.cluster != welcome.cluster {
            return Err(SessionError::OtherCluster);
        }
        self.cluster = welcome.cluster;
        self.scouts[site.0].at = At::Back;
        self.judge(site, &welcome, now);
        self.check_invariants();
        Ok(Some(welcome))
    }

    /// The leader refused a request because it does not lead, and named who does if it knows.
    pub fn handle_not_leader(&mut self, site: SiteId, leader: Option<ReplicaId>, now: Tick) {
        if self.leader.as_ref().is_some_and(|found| found.site == site) {
            self.counts.redirects += u64::from(leader.is_some());
            self.lose_leader(now);
        }
    }

    /// A connection to the leader is gone, or it does not serve now: it is asked, and so are the others, until it says
    /// that it leads or another one does.
    pub fn handle_doubt(&mut self, now: Tick) {
        self.unproven_since.get_or_insert(now);
        self.search.get_or_insert(Search::FOR_ANY).doubted = self.leader.is_some();
    }

    /// The leader owes an answer for longer than a request may take. It may be slow, hung, or have been replaced.
    pub fn handle_stalled(&mut self, now: Tick) {
        self.unproven_since.get_or_insert(now);
        self.search.get_or_insert(Search::FOR_ANY).stalled = self.leader.is_some();
    }

    /// Whether anybody is to be asked who leads.
    #[must_use]
    pub fn is_searching(&self) -> bool {
        self.search.is_some()
    }

    /// The leader answered: it leads, or did.
    pub fn handle_progress(&mut self) {
        if self.leader.is_some() {
            self.unproven_since = None;
            self.search = self.search.and_then(|search| Search { stalled: false, ..search }.of_leader());
        }
    }

    /// What must always hold.
    pub fn check_invariants(&self) {
        assert!(self.leader.is_some() || self.search.is_some(), "no leader, and nobody looks for one");
        assert!(
            self.leader.is_some() || self.search.is_some_and(|search| search.of_leader().is_none()),
            "nobody stalls or is doubted who does not lead"
        );
        for scout in &self.scouts {
            assert!(scout.session.is_none() || !matches!(scout.at, At::Home | At::Due), "a lost connection");
        }
    }

    /// When the next round of questions begins: at once, but not sooner after the last than the time without a
    /// leader allows, of which it is a small part. A slow leader is not to be slowed down by questions.
    fn round_at(&self, now: Tick) -> Option<Tick> {
        let search = self.search?;
        let waited = self.unproven_since.map_or(Duration::ZERO, |since| now.since(since));
        let pause = (waited / PAUSE_PART).clamp(self.pause_min, self.pause_max);
        let pause = if search.stalled { pause.max(self.request_timeout / STALLED_ROUNDS) } else { pause };
        Some(self.round_began.map_or(now, |began| began.after(pause)))
    }

    /// A site says who leads.
    fn judge(&mut self, site: SiteId, welcome: &Welcome, now: Tick) {
        let leads = welcome.leader == Some(welcome.replica);
        self.counts.redirects += u64::from(!leads && welcome.leader.is_some());
        let Some(found) = &mut self.leader else {
            if leads {
                self.adopt(site, welcome, now);
            }
            return;
        };
        let stalled = self.search.is_some_and(|search| search.stalled);
        match (found.welcome.replica == welcome.replica, leads) {
            (true, true) if found.welcome.ports == welcome.ports => {
                found.confirmed_at = now;
                self.search = self.search.and_then(|search| Search { doubted: false, ..search }.of_leader());
            }
            // It started again, elsewhere.
            (true, true) => self.adopt(site, welcome, now),
            (true, false) => self.lose_leader(now),
            (false, true) if stalled => self.adopt(site, welcome, now),
            // While the leader does its work nobody else's claim counts: it may be the leader of yesterday.
            (false, _) => {}
        }
    }

    fn adopt(&mut self, site: SiteId, welcome: &Welcome, now: Tick) {
        self.counts.leader_changes += u64::from(self.last.is_some_and(|last| last != welcome.replica));
        self.last = Some(welcome.replica);
        self.leader = Some(Found { site, welcome: welcome.clone(), confirmed_at: now });
        self.term += 1;
        self.search = None;
    }

    fn lose_leader(&mut self, now: Tick) {
        self.unproven_since.get_or_insert(now);
        self.leader = None;
        self.term += 1;
        self.search = Some(Search::FOR_ANY);
    }
}

/// A pause is this part of the time for which nobody has led: 12 ms after 200, and hardly longer than was waited.
const PAUSE_PART: u32 = 16;

/// A leader that owes answers is asked so often within the time that a request may take.
const STALLED_ROUNDS: u32 = 4;
