//! Which logic evaluates: what was agreed at `format`, what the cluster switched to since (R5), and what this program
//! has.

use assize_domain::{DomainRegistry, LogicVersion, LogicVersions};
use assize_wal::recovery::Recovered;

use super::BootError;
use crate::config::{Agreed, ConfigFile};

/// What a start found out about it.
#[derive(Clone, Copy)]
pub(super) struct Logic {
    /// What evaluates the first slot above the checkpoint.
    pub(super) in_force: LogicVersions,
    /// What the operator wants, as far as it is above that.
    pub(super) wanted: LogicVersions,
}

/// What evaluates the first slot above the checkpoint: the checkpoint says so. Without one it is what the cluster began
/// with; switches above it are in the log.
pub(super) fn in_force(agreed: &Agreed, recovered: &Recovered) -> LogicVersions {
    // A checkpoint of which nothing is used has no parts: then nothing is evaluated before another is taken over (R3).
    let part = recovered.checkpoint.as_ref().and_then(|checkpoint| checkpoint.parts.first());
    part.map_or_else(|| agreed.logic(), |part| part.head.logic)
}

/// Whether this program has the cluster's domains, those versions of them, and no others.
pub(super) fn check(
    agreed: &Agreed,
    in_force: LogicVersions,
    domains: &DomainRegistry,
) -> Result<(), BootError> {
    let name_of = |logic: LogicVersion| {
        let of = agreed.domains.iter().find(|domain| domain.id == logic.domain);
        of.map_or("?", |domain| &domain.name)
    };
    let has = |logic: LogicVersion| domains.get(logic).is_some_and(|domain| domain.name() == name_of(logic));
    let known = domains.versions().all(|logic| in_force.get(logic.domain).is_some());
    if known && in_force.iter().all(has) {
        return Ok(());
    }
    let needed: Vec<String> =
        in_force.iter().map(|logic| format!("{} v{}", name_of(logic), logic.version)).collect();
    let registered: Vec<String> =
        domains.iter().map(|domain| format!("{} v{}", domain.name(), domain.version())).collect();
    Err(BootError::Domains { needed: needed.join(", "), registered: registered.join(", ") })
}

/// What `[logic]` asks for.
pub(super) fn wanted(file: &ConfigFile, domains: &DomainRegistry) -> Result<LogicVersions, BootError> {
    let mut wanted = LogicVersions::NONE;
    for (name, version) in &file.config.logic {
        let found = domains.iter().find(|domain| domain.name() == name && domain.version() == *version);
        let Some(domain) = found else {
            let all: Vec<String> =
                domains.iter().map(|domain| format!("{} = {}", domain.name(), domain.version())).collect();
            let accepted = format!("what this program has: {}", all.join(", "));
            return Err(BootError::Config(file.source.refuse(
                "logic",
                format!("{name} = {version}"),
                accepted,
            )));
        };
        wanted.set(LogicVersion { domain: domain.id(), version: *version });
    }
    Ok(wanted)
}
