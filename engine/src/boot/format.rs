//! `assize format`: what the options say all replicas agree on, and a data directory for it.

use assize_device::DeviceOptions;
use assize_domain::DomainRegistry;
use assize_setup::{NewDisk, allowed_cpus};

use super::{BootError, domain_versions};
use crate::config::{Agreed, ConfigFile, Entropy, FormatArgs};

/// What `format` did.
#[derive(Debug)]
pub struct FormatReport {
    /// What all replicas agree on.
    pub agreed: Agreed,
    /// What an operator should know of these parameters.
    pub warnings: Vec<String>,
}

/// Makes the data directory of the replica that `config` describes, as [`assize_setup::format()`] does.
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
    if disk == NewDisk::Rejoins && agreed.replicas > 1 {
        says_whom_it_rejoins(args)?;
    }
    assize_setup::format(config, &agreed, disk, &allowed_cpus(), device)?;
    let warnings = agreed.warnings();
    Ok(FormatReport { agreed, warnings })
}

/// Whom an empty disk rejoins is said by the operator, not drawn.
fn says_whom_it_rejoins(args: &FormatArgs) -> Result<(), BootError> {
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
