//! An address as configured: a host, by name or number, and a port. Resolving it is the caller's effect.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// `host:port`, where the host may be a name, an IPv4 address or a bracketed IPv6 address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// A name or a numeric address, without brackets.
    pub host: String,
    /// The port of core 0 of the assignment; 0 lets the system choose one for each core.
    pub port: u16,
}

impl Address {
    /// Where core `index` of the assignment listens: `port + index`, or an ephemeral port each if the port is 0.
    /// `None` where that exceeds 65535, which validation has refused.
    #[must_use]
    pub fn of_core(&self, index: usize) -> Option<Address> {
        let port = match self.port {
            0 => 0,
            base => u16::try_from(index).ok().and_then(|index| base.checked_add(index))?,
        };
        Some(Address { host: self.host.clone(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Accepted form of an address, for messages.
pub const ADDRESS_FORM: &str = "\"host:port\" with a host name, an IPv4 address or an IPv6 address in brackets, such as \"localhost:7400\"";

/// The text is not `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError {
    /// What was given.
    pub found: String,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid value: string \"{}\", expected {ADDRESS_FORM}", self.found)
    }
}

impl std::error::Error for AddressError {}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        let refused = || AddressError { found: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let port = port.parse().map_err(|_| refused())?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(inner) if inner.parse::<Ipv6Addr>().is_ok() => inner,
            Some(_) => return Err(refused()),
            None => host,
        };
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if host.is_empty() || (bracketed.is_none() && !host.chars().all(named)) {
            return Err(refused());
        }
        Ok(Address { host: host.to_owned(), port })
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Address, AddressError> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_round_trip() {
        for text in ["localhost:7400", "10.0.0.1:1", "[::1]:7400", "replica-0.example:65535", "localhost:0"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "localhost", ":7400", "localhost:", "localhost:65536", "::1:7400", "[x]:1", "a b:1"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn each_core_has_its_own_port() {
        let address: Address = "localhost:65534".parse().unwrap();
        assert_eq!(address.of_core(1).unwrap().port, 65535);
        assert_eq!(address.of_core(2), None);
        let ephemeral: Address = "localhost:0".parse().unwrap();
        assert_eq!(ephemeral.of_core(7).unwrap().port, 0);
    }
}
