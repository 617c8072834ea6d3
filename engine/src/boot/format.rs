//! `assize format`: makes a data directory a replica's.

use std::time::{SystemTime, UNIX_EPOCH};

use assize_device::{DataDirectory, DeviceOptions};
use assize_domain::DomainRegistry;
use assize_wal::formatted::{Formatted, formatted};
use assize_wal::superblock::{Superblock, SuperblockStore};
use assize_wire::peer::{Generation, Generations};

use super::{BootError, domain_versions};
use crate::config::{Agreed, ConfigFile, Entropy, FormatArgs};
use crate::doctor;

/// What a data directory is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewDisk {
    /// A replica that is new.
    First,
    /// A replica whose disk was lost: it has no vote until the others have told it enough (R3).
    Rejoins,
}

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
    disk: NewDisk,
    domains: &DomainRegistry,
) -> Result<FormatReport, BootError> {
    format_on(config, args, disk, domains, &DeviceOptions::default())
}

/// The same on files that are watched.
///
/// # Errors
/// As [`format()`].
pub fn format_on(
    config: &ConfigFile,
    args: &FormatArgs,
    disk: NewDisk,
    domains: &DomainRegistry,
    device: &DeviceOptions,
) -> Result<FormatReport, BootError> {
    let entropy = Entropy::draw()
        .map_err(|error| BootError::Io("drawing random seeds", std::io::Error::other(error.to_string())))?;
    let shards = config.config.cores.shard_count() as u16;
    let agreed = args.agreed(shards, domain_versions(domains), &entropy).map_err(BootError::Agreed)?;
    if disk == NewDisk::Rejoins {
        may_rejoin(args, &agreed)?;
    }
    config.validate(&doctor::allowed_cpus(), Some(&agreed))?;
    let root = &config.config.data_directory;
    let mut directory = DataDirectory::open(root, true)?;
    directory.trace(device.tracer.clone());
    match formatted(&mut directory)? {
        Formatted::No | Formatted::Unfinished => {}
        Formatted::Yes(_) | Formatted::Corrupt(_) => return Err(BootError::AlreadyFormatted(root.clone())),
    }
    let mut generations = Generations::default();
    generations.learn(config.config.replica_id(), generation_now(disk)?);
    let first = Superblock {
        generations,
        rejoins: disk == NewDisk::Rejoins,
        parameters: agreed.encode(),
        ..Superblock::first(
            agreed.cluster,
            config.config.replica_id(),
            entropy.record_key,
            config.config.log.segment_bytes,
        )
    };
    SuperblockStore::format(first).drive(|copy, blocks| directory.write_superblock(copy, blocks))?;
    let warnings = agreed.warnings();
    Ok(FormatReport { agreed, warnings })
}

/// A disk is known by when it was formatted: so the one of two that is later tells what was lost with the other.
fn generation_now(disk: NewDisk) -> Result<Generation, BootError> {
    let clock = |error| BootError::Io("reading the wall clock", std::io::Error::other(error));
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(clock)?;
    let now_ns = since.as_nanos() as u64;
    Ok(match disk {
        NewDisk::First => Generation::first(now_ns),
        NewDisk::Rejoins => Generation::rejoined(now_ns),
    })
}

/// Whom an empty disk rejoins is said by the operator, not drawn.
fn may_rejoin(args: &FormatArgs, agreed: &Agreed) -> Result<(), BootError> {
    if agreed.replicas == 1 {
        return Err(BootError::NobodyToRejoin);
    }
    let given = [
        ("--cluster", args.cluster.is_some()),
        ("--routing-seed", args.routing_seed.is_some()),
        ("--body-seed", args.body_seed.is_some()),
    ];
    match given.into_iter().find(|(_, given)| !given) {
        Some((option, _)) => Err(BootError::RejoinWithout(option)),
        None => Ok(()),
    }
}
