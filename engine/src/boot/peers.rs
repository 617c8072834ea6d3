//! What the cores need for talking to the other replicas: the secret, random bytes, a port.

use std::io;
use std::sync::Arc;

use assize_domain::DomainRegistry;
use assize_node::Layout;
use assize_node::federation::{FederationConfig, Secret};
use assize_wal::superblock::Superblock;
use assize_wire::CoreId;
use assize_wire::peer::{PeerIdentity, PeerPorts};

use super::BootError;
use super::listen::bind;
use crate::config::{Agreed, Config, ConfigFile};
use crate::reactor::Listener;

/// What one start draws or reads for it. A cluster of one has nothing of it.
pub(super) struct Peers(Option<Drawn>);

struct Drawn {
    secret: Secret,
    entropy: [u8; 32],
}

impl Peers {
    /// Reads the cluster's secret and draws random bytes, if there are peers.
    pub(super) fn read(file: &ConfigFile, agreed: &Agreed) -> Result<Peers, BootError> {
        if agreed.replicas == 1 {
            return Ok(Peers(None));
        }
        let secret = file.secret()?;
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy)
            .map_err(|error| BootError::Io("drawing nonces", io::Error::other(error.to_string())))?;
        Ok(Peers(Some(Drawn { secret, entropy })))
    }

    /// Where the peers of each core connect.
    pub(super) fn bind(&self, config: &Config, cores: usize) -> Result<Vec<Option<Listener>>, BootError> {
        match self.0 {
            None => Ok((0..cores).map(|_| None).collect()),
            Some(_) => {
                let listeners = bind("[listen] federation", &config.listen.federation, cores)?;
                Ok(listeners.into_iter().map(Some).collect())
            }
        }
    }

    /// What one core's Federation is told.
    pub(super) fn of_core(
        &self,
        core: CoreId,
        layout: &Arc<Layout>,
        superblock: &Superblock,
        identity: &PeerIdentity,
    ) -> FederationConfig {
        let layout = Arc::clone(layout);
        let Some(Drawn { secret, entropy }) = &self.0 else {
            return FederationConfig::alone(core, layout, identity.cluster);
        };
        FederationConfig {
            core,
            layout,
            identity: identity.clone(),
            incarnation: superblock.incarnation,
            generations: superblock.generations,
            secret: secret.clone(),
            entropy: *entropy,
        }
    }
}

/// What this replica says of itself.
pub(super) fn identity(
    agreed: &Agreed,
    superblock: &Superblock,
    config: &Config,
    registry: &DomainRegistry,
    ports: PeerPorts,
) -> PeerIdentity {
    let domains: Vec<String> =
        agreed.domains.iter().map(|domain| format!("{} v{}", domain.name, domain.version)).collect();
    PeerIdentity {
        cluster: agreed.cluster,
        replica: superblock.replica,
        replicas: agreed.replicas,
        shards: agreed.shard_count,
        agreed: agreed.hash(),
        generation: superblock.generation(),
        failure_domain: PeerIdentity::failure_domain_of(&config.failure_domain_name()),
        ports,
        domains: domains.join(", "),
        logic: registry.versions().collect(),
    }
}
