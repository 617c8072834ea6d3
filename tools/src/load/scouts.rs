//! The sockets of a thread's [`Finder`]: connections that ask every address who leads. They decide nothing.

use std::io::{self, Read, Write};

use assize_wire::StreamTime;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::client::{Finder, SiteAction, SiteId, Sites, Tick};

/// One thread's.
pub(super) struct Scouts {
    pub sites: Sites,
    streams: Vec<Option<TcpStream>>,
    /// What the last failed attempt met, for people.
    pub last: String,
}

impl Scouts {
    pub(super) fn new(sites: Sites) -> Scouts {
        Scouts { streams: (0..sites.len()).map(|_| None).collect(), sites, last: String::new() }
    }

    /// The site whose connection a token names.
    pub(super) fn site_of(token: Token) -> Option<SiteId> {
        (token.0 >= FIRST_TOKEN).then(|| SiteId(token.0 - FIRST_TOKEN))
    }

    /// Connects and closes what the finder wants.
    pub(super) fn attend(&mut self, registry: &Registry, finder: &mut Finder, now: Tick) {
        for site in (0..self.streams.len()).map(SiteId) {
            match finder.poll_site(site, now) {
                SiteAction::None => {}
                SiteAction::Close => {
                    self.streams[site.0] = None;
                    finder.handle_lost(site, now);
                }
                SiteAction::Connect => match self.connect(registry, site) {
                    Ok(stream) => {
                        self.streams[site.0] = Some(stream);
                        finder.handle_connected(site);
                    }
                    Err(error) => self.lose(finder, site, now, error.to_string()),
                },
            }
        }
    }

    /// A socket is ready for something. Returns stream time, if a replica told it.
    pub(super) fn handle_ready(
        &mut self,
        finder: &mut Finder,
        site: SiteId,
        now: Tick,
    ) -> Option<StreamTime> {
        match self.exchange(finder, site, now) {
            Ok(told) => told,
            Err(why) => {
                self.lose(finder, site, now, why);
                None
            }
        }
    }

    fn connect(&self, registry: &Registry, site: SiteId) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(self.sites.address(site, None)?)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, Token(FIRST_TOKEN + site.0), interest)?;
        Ok(stream)
    }

    fn exchange(
        &mut self,
        finder: &mut Finder,
        site: SiteId,
        now: Tick,
    ) -> Result<Option<StreamTime>, String> {
        let Some(stream) = &mut self.streams[site.0] else {
            return Ok(None);
        };
        while !finder.output(site).is_empty() {
            match stream.write(finder.output(site)) {
                Ok(count) => finder.handle_written(site, count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_later(&error) => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        loop {
            match stream.read(finder.space(site)) {
                Ok(0) => return Err("the replica closed the connection".into()),
                Ok(count) => {
                    let welcome = finder.handle_received(site, count, now);
                    if let Some(welcome) = welcome.map_err(|error| error.to_string())? {
                        return Ok(Some(welcome.stream_time));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_later(&error) => return Ok(None),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn lose(&mut self, finder: &mut Finder, site: SiteId, now: Tick, why: String) {
        self.streams[site.0] = None;
        self.last = why;
        finder.handle_lost(site, now);
        self.sites.handle_unreachable();
    }
}

/// Whether a socket has nothing now, or is not connected yet.
fn is_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

/// Tokens of scouts begin above those of all connections.
const FIRST_TOKEN: usize = 1 << 32;
