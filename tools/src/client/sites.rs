//! The addresses of a cluster: names as they were given, and the socket addresses that they mean now.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::error::ClientError;
use super::finder::SiteId;

/// Every address of every name is a site. Their number stays what it was in the beginning, so that a site's id does.
#[derive(Clone, Debug)]
pub(crate) struct Sites {
    sites: Vec<Site>,
    resolved: Instant,
}

#[derive(Clone, Debug)]
struct Site {
    /// Its name, and which of the name's addresses it is; none if it has no name, but is told.
    name: Option<(String, usize)>,
    /// None if there is none now.
    address: Option<SocketAddr>,
}

impl Sites {
    /// Resolves the names.
    ///
    /// # Errors
    /// [`ClientError::Address`] when none of them means an address.
    pub(crate) fn new(names: &[String]) -> Result<Sites, ClientError> {
        let (mut sites, mut failure) = (Vec::new(), None);
        for name in names {
            match name.to_socket_addrs() {
                Ok(found) => {
                    let site =
                        |(nth, address)| Site { name: Some((name.clone(), nth)), address: Some(address) };
                    sites.extend(found.enumerate().map(site));
                }
                Err(source) => {
                    failure = Some(ClientError::Address { address: name.clone(), source });
                    // It may mean something later.
                    sites.push(Site { name: Some((name.clone(), 0)), address: None });
                }
            }
        }
        if sites.iter().all(|site| site.address.is_none()) {
            return Err(failure.unwrap_or_else(|| ClientError::Address {
                address: names.join(", "),
                source: io::Error::new(io::ErrorKind::InvalidInput, "no address"),
            }));
        }
        Ok(Sites { sites, resolved: Instant::now() })
    }

    /// One for each address; those that are not known yet are told later.
    pub(crate) fn told(addresses: &[Option<SocketAddr>]) -> Sites {
        let sites = addresses.iter().map(|address| Site { name: None, address: *address }).collect();
        Sites { sites, resolved: Instant::now() }
    }

    /// A site is there from now on.
    pub(crate) fn set_address(&mut self, site: SiteId, address: SocketAddr) {
        self.sites[site.0].address = Some(address);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.sites.len()
    }

    /// A site's address, at this port or as given.
    ///
    /// # Errors
    /// The name means no address now.
    pub(crate) fn address(&self, site: SiteId, port: Option<u16>) -> io::Result<SocketAddr> {
        let Site { name, address } = &self.sites[site.0];
        let mut address = address.ok_or_else(|| {
            let why = match name {
                Some((name, _)) => format!("{name} means no address"),
                None => format!("the address of replica {} is not known yet", site.0),
            };
            io::Error::new(io::ErrorKind::NotFound, why)
        })?;
        if let Some(port) = port {
            address.set_port(port);
        }
        Ok(address)
    }

    /// A site cannot be reached: its name may mean something else by now. Asks the resolver again, unless it was asked
    /// a short while ago; what cannot be resolved stays what it was.
    pub(crate) fn handle_unreachable(&mut self) {
        if self.resolved.elapsed() < RESOLVE_AGAIN {
            return;
        }
        let mut known: Option<(String, Vec<SocketAddr>)> = None;
        for Site { name, address } in &mut self.sites {
            let Some((name, nth)) = name else { continue };
            if known.as_ref().is_none_or(|(known, _)| known != name) {
                let found = name.to_socket_addrs().map(Iterator::collect).unwrap_or_default();
                known = Some((name.clone(), found));
            }
            if let Some(found) = known.as_ref().and_then(|(_, found)| found.get(*nth)) {
                *address = Some(*found);
            }
        }
        self.resolved = Instant::now();
    }
}

/// The resolver may take seconds while nothing else is done: it is not asked at every lost connection.
const RESOLVE_AGAIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_without_a_name_is_where_it_is_told_to_be() {
        let mut sites = Sites::told(&[None, Some("127.0.0.1:7400".parse().unwrap())]);
        assert!(sites.address(SiteId(0), None).unwrap_err().to_string().contains("replica 0"));
        sites.set_address(SiteId(0), "127.0.0.1:7500".parse().unwrap());
        sites.handle_unreachable();
        assert_eq!(sites.address(SiteId(0), None).unwrap().port(), 7500);
        assert_eq!(sites.address(SiteId(1), Some(7)).unwrap().port(), 7);
    }

    #[test]
    fn every_address_of_every_name_is_a_site_whether_it_can_be_resolved_now_or_not() {
        let names = ["127.0.0.1:7400", "no port", "127.0.0.1:7500"].map(str::to_owned);
        let mut sites = Sites::new(&names).unwrap();
        assert_eq!(sites.len(), 3);
        assert_eq!(sites.address(SiteId(0), None).unwrap().to_string(), "127.0.0.1:7400");
        assert_eq!(sites.address(SiteId(2), Some(9)).unwrap().to_string(), "127.0.0.1:9");
        assert!(sites.address(SiteId(1), None).unwrap_err().to_string().contains("no port"));
        sites.handle_unreachable();
        assert_eq!(sites.len(), 3);
        assert!(matches!(Sites::new(&names[1..2]), Err(ClientError::Address { .. })));
    }
}
