//! `[federation]`: where the replicas are, and the secret that they share.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use assize_node::federation::Secret;
use serde::{Deserialize, Serialize};

use super::Address;
use super::error::ConfigError;
use super::{Config, ConfigFile};
use assize_node::agreed::Agreed;

/// `[federation]`: the other replicas. With one replica it may be missing.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FederationSection {
    /// By replica, this one included: where its core 0 listens for peers.
    pub replicas: Vec<Address>,
    /// The file with the cluster's secret, as `assize secret` makes it.
    pub secret_file: PathBuf,
    /// Whether reads are answered by leases, without asking the other replicas (rule P11).
    pub leases: bool,
}

impl Default for FederationSection {
    fn default() -> FederationSection {
        FederationSection { replicas: Vec::new(), secret_file: PathBuf::from("assize-secret"), leases: true }
    }
}

impl ConfigFile {
    /// The rules of `[federation]` and of the port for peers. Pure.
    pub(super) fn check_federation(&self, agreed: Option<&Agreed>) -> Result<(), ConfigError> {
        let Config { listen, federation, cores, .. } = &self.config;
        let given = federation.replicas.len();
        let wanted = agreed.map(|agreed| usize::from(agreed.replicas));
        let accepted = match wanted {
            _ if given == 0 && wanted.is_none_or(|wanted| wanted == 1) => return Ok(()),
            Some(wanted) if wanted == given => None,
            Some(1) => Some("1 address or none, as the cluster was formatted for one replica".to_owned()),
            Some(wanted) => Some(format!(
                "{wanted} addresses, by replica, this one included, as the cluster was formatted for {wanted} replicas"
            )),
            None if matches!(given, 1 | 3 | 5) => None,
            None => Some("1, 3 or 5 addresses, by replica, this one included".to_owned()),
        };
        if let Some(accepted) = accepted {
            return Err(self.source.refuse("federation.replicas", format!("{given} addresses"), accepted));
        }
        for (index, address) in federation.replicas.iter().enumerate() {
            let key = format!("federation.replicas[{index}]");
            if address.port == 0 {
                let accepted = "the port of the replica's listen.federation, not 0: its peers must know it";
                return Err(self.source.refuse(&key, "port 0".to_owned(), accepted.to_owned()));
            }
            if federation.replicas[..index].contains(address) {
                let accepted = "an address of its own for each replica".to_owned();
                return Err(self.source.refuse(&key, format!("{address} again"), accepted));
            }
        }
        let last = cores.assignments.len() - 1;
        if given == 1 {
            return Ok(());
        }
        if listen.federation.port == 0 {
            let accepted = "a port, not 0: the other replicas must know it".to_owned();
            return Err(self.source.refuse("listen.federation", "port 0".to_owned(), accepted));
        }
        if listen.federation.of_core(last).is_some() {
            return Ok(());
        }
        let found = format!("port {} for core 0, so core {last} would have none", listen.federation.port);
        let accepted = format!("a port up to {}, as each core listens on its own", 65_535 - last);
        Err(self.source.refuse("listen.federation", found, accepted))
    }

    /// Reads the cluster's secret.
    ///
    /// # Errors
    /// It cannot be read, others may read it, or it is not 64 hexadecimal digits.
    pub fn secret(&self) -> Result<Secret, ConfigError> {
        let path = &self.config.federation.secret_file;
        read_secret(path).map_err(|error| {
            let accepted = "a file with 64 hexadecimal digits, the same for all replicas and readable by nobody else; \
                            `assize secret FILE` makes one";
            let found = format!("{}: {error}", path.display());
            self.source.refuse("federation.secret_file", found, accepted.to_owned())
        })
    }
}

/// Why a file does not hold a secret.
#[derive(Debug)]
pub enum SecretError {
    /// It cannot be read or written.
    Io(io::Error),
    /// Everybody on this machine may read or change it.
    Open {
        /// Its permissions.
        mode: u32,
    },
    /// It is not 64 hexadecimal digits.
    Malformed,
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretError::Io(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                f.write_str("it is there already and may be a cluster's: keep it, or choose another name")
            }
            SecretError::Io(error) => error.fmt(f),
            SecretError::Open { mode } => {
                write!(f, "others may use it (mode {mode:o}): `chmod 600` it")
            }
            SecretError::Malformed => f.write_str("not 64 hexadecimal digits"),
        }
    }
}

impl std::error::Error for SecretError {}

fn read_secret(path: &Path) -> Result<Secret, SecretError> {
    let mode = fs::metadata(path).map_err(SecretError::Io)?.mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(SecretError::Open { mode });
    }
    let text = fs::read_to_string(path).map_err(SecretError::Io)?;
    parse_secret(text.trim()).ok_or(SecretError::Malformed)
}

fn parse_secret(text: &str) -> Option<Secret> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes?.try_into().ok().map(Secret)
}

/// Draws a secret into a new file that only its owner may read. A file that is there is left alone.
///
/// # Errors
/// The file is there, or cannot be written; the system has no random source.
pub fn create_secret(path: &Path) -> Result<(), SecretError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| SecretError::Io(io::Error::other(error.to_string())))?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(SecretError::Io)?;
    file.write_all(format!("{digits}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(SecretError::Io)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_that_was_made_is_read_and_never_made_twice() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        create_secret(&one).unwrap();
        create_secret(&two).unwrap();
        let secret = read_secret(&one).unwrap();
        assert_ne!(secret, read_secret(&two).unwrap());
        assert!(
            matches!(create_secret(&one), Err(SecretError::Io(error)) if error.kind() == io::ErrorKind::AlreadyExists)
        );
        assert_eq!(read_secret(&one).unwrap(), secret);
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        create_secret(&path).unwrap();
        for (mode, accepted) in [(0o600, true), (0o440, true), (0o400, true), (0o644, false), (0o606, false)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = read_secret(&path);
            assert_eq!(read.is_ok(), accepted, "{mode:o}: {read:?}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let text = format!("[federation]\nsecret_file = {path:?}\n");
        let error = ConfigFile::parse(&text, "r0.toml").unwrap().secret().unwrap_err();
        assert!(error.line == Some(2) && error.found.contains("mode 644"), "{error}");
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        let digits = "0123456789abcdefABCDEF".repeat(4);
        assert_eq!(parse_secret(&digits[..64]).unwrap().0[..4], [0x01, 0x23, 0x45, 0x67]);
        for text in ["", "00", &digits[..63], &digits[..66], &"g".repeat(64), &"é".repeat(32)] {
            assert!(parse_secret(text).is_none(), "{text}");
        }
    }
}
