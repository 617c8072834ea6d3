//! What there is to say of a replica that is no number: where the others are, and what went wrong. The replica's main
//! thread writes it as cores tell; the threads of this crate read it. No core ever waits for it.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use assize_wire::peer::PeerPorts;
use serde::Serialize;

/// The news of one replica.
#[derive(Debug)]
pub struct Bulletin(Mutex<News>);

/// What a bulletin said when it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Where each replica is, this one included, by number.
    pub places: Vec<Place>,
    /// Why this replica is quarantined, if it is.
    pub quarantine: Option<String>,
    /// What an operator was told last, the newest last: at most [`ALARMS_MAX`].
    pub alarms: VecDeque<Alarm>,
}

/// Where a replica is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its host, as its peers reach it.
    pub host: String,
    /// Its ports; none if nothing was heard of it yet.
    pub ports: Option<PeerPorts>,
}

/// What an operator was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// In words.
    pub text: String,
}

impl Bulletin {
    /// Nothing yet, of replicas at these hosts.
    #[must_use]
    pub fn new(hosts: Vec<String>) -> Bulletin {
        let places = hosts.into_iter().map(|host| Place { host, ports: None }).collect();
        Bulletin(Mutex::new(News { places, ..News::default() }))
    }

    /// A replica was connected, and said where others than its peers reach it.
    ///
    /// # Panics
    /// When there is no such replica.
    pub fn set_ports(&self, replica: u8, ports: PeerPorts) {
        self.news().places[usize::from(replica)].ports = Some(ports);
    }

    /// This replica is quarantined.
    pub fn set_quarantine(&self, why: String) {
        self.alarm(format!("quarantined: {why}"));
        self.news().quarantine = Some(why);
    }

    /// An operator is told something. What is told again and again takes the place of one.
    pub fn alarm(&self, text: String) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut news = self.news();
        news.alarms.retain(|alarm| alarm.text != text);
        news.alarms.push_back(Alarm { at_ms: since.as_millis() as u64, text });
        if news.alarms.len() > ALARMS_MAX {
            news.alarms.pop_front();
        }
    }

    /// All of it.
    #[must_use]
    pub fn read(&self) -> News {
        self.news().clone()
    }

    /// What is kept is whole whatever thread ended in between.
    fn news(&self) -> MutexGuard<'_, News> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Where clients connect, if it is known.
    #[must_use]
    pub fn client(&self) -> Option<io::Result<SocketAddr>> {
        self.ports.map(|ports| resolve(&self.host, ports.client))
    }

    /// Where it is asked by HTTP, if it is known to be.
    #[must_use]
    pub fn http(&self) -> Option<(String, u16)> {
        self.ports.filter(|ports| ports.http > 0).map(|ports| (self.host.clone(), ports.http))
    }
}

/// A name with both kinds of address is listened on by the older kind.
fn resolve(host: &str, port: u16) -> io::Result<SocketAddr> {
    let mut resolved: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    resolved.sort_by_key(SocketAddr::is_ipv6);
    resolved.first().copied().ok_or_else(|| io::Error::other(format!("{host} has no address")))
}

/// Alarms that are kept.
pub const ALARMS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_where_it_said_last_and_unknown_before() {
        let bulletin = Bulletin::new(vec!["127.0.0.1".to_owned(), "127.0.0.2".to_owned()]);
        assert!(
            bulletin.read().places.iter().all(|place| place.client().is_none() && place.http().is_none())
        );
        bulletin.set_ports(1, PeerPorts { client: 7400, http: 0 });
        let place = bulletin.read().places[1].clone();
        assert_eq!(place.client().unwrap().unwrap().to_string(), "127.0.0.2:7400");
        assert_eq!(place.http(), None);
        bulletin.set_ports(1, PeerPorts { client: 7401, http: 7600 });
        assert_eq!(bulletin.read().places[1].http(), Some(("127.0.0.2".to_owned(), 7600)));
    }

    #[test]
    fn the_newest_alarms_are_kept() {
        let bulletin = Bulletin::new(Vec::new());
        (0..ALARMS_MAX).for_each(|number| bulletin.alarm(number.to_string()));
        bulletin.set_quarantine("it differs".to_owned());
        let news = bulletin.read();
        assert_eq!((news.alarms.len(), news.alarms[0].text.as_str()), (ALARMS_MAX, "1"));
        assert_eq!(news.alarms[ALARMS_MAX - 1].text, "quarantined: it differs");
        assert_eq!(news.quarantine.as_deref(), Some("it differs"));
    }

    #[test]
    fn what_is_told_again_and_again_leaves_room_for_the_rest() {
        let bulletin = Bulletin::new(Vec::new());
        bulletin.alarm("once".to_owned());
        (0..2 * ALARMS_MAX).for_each(|_| bulletin.alarm("again".to_owned()));
        let texts: Vec<String> = bulletin.read().alarms.into_iter().map(|alarm| alarm.text).collect();
        assert_eq!(texts, ["once", "again"]);
    }
}
