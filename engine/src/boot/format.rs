//! `assize format`: makes a data directory a replica's.

use assize_device::{DataDirectory, DeviceOptions};
use assize_domain::DomainRegistry;
use assize_wal::formatted::{Formatted, formatted};
use assize_wal::superblock::{Remembered, Superblock, SuperblockStore};
use assize_wire::{Ballot, Incarnation};

use super::{BootError, domain_versions};
use crate::config::{Agreed, ConfigFile, Entropy, FormatArgs};
use crate::doctor;

/// What `format` did.
#[derive(Debug)]
pub struct FormatReport {
    /// What all replicas agree on.
    pub agreed: Agreed,
    /// What an operator should know of these parameters.
    pub warnings: Vec<String>,
}

/// Writes the first superblock of the replica that `config` describes. A format that was cut off before its first copy
/// was whole is started over; nothing else that is there is touched.
///
/// # Errors
/// [`BootError`]
pub fn format(
    config: &ConfigFile,
    args: &FormatArgs,
    domains: &DomainRegistry,
) -> Result<FormatReport, BootError> {
    format_on(config, args, domains, &DeviceOptions::default())
}

/// The same on files that are watched.
///
/// # Errors
/// As [`format()`].
pub fn format_on(
    config: &ConfigFile,
    args: &FormatArgs,
    domains: &DomainRegistry,
    device: &DeviceOptions,
) -> Result<FormatReport, BootError> {
    let entropy = Entropy::draw()
        .map_err(|error| BootError::Io("drawing random seeds", std::io::Error::other(error.to_string())))?;
    let shards = config.config.cores.shard_count() as u16;
    let agreed = args.agreed(shards, domain_versions(domains), &entropy).map_err(BootError::Agreed)?;
    config.validate(&doctor::allowed_cpus(), Some(&agreed))?;
    let root = &config.config.data_directory;
    let mut directory = DataDirectory::open(root, true)?;
    directory.trace(device.tracer.clone());
    match formatted(&mut directory)? {
        Formatted::No | Formatted::Unfinished => {}
        Formatted::Yes(_) | Formatted::Corrupt(_) => return Err(BootError::AlreadyFormatted(root.clone())),
    }
    let first = Superblock {
        cluster: agreed.cluster,
        replica: config.config.replica_id(),
        sequence: 0,
        record_key: entropy.record_key,
        incarnation: Incarnation(0),
        promised: Ballot::NONE,
        quarantine: None,
        accepted: Remembered::default(),
        certain: Remembered::default(),
        segment_bytes: config.config.log.segment_bytes,
        checkpoint: None,
        cuts: Vec::new(),
        parameters: agreed.encode(),
    };
    SuperblockStore::format(first).drive(|copy, blocks| directory.write_superblock(copy, blocks))?;
    let warnings = agreed.warnings();
    Ok(FormatReport { agreed, warnings })
}
