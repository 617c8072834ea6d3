//! One core's thread: what it is given, and what it builds once it is pinned.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use assize_consensus::DocketConfig;
use assize_device::{DataDirectory, DeviceOptions, DirectDevice};
use assize_domain::DomainRegistry;
use assize_metrics::Board;
use assize_node::boot::{ReadError, docket_start, restore_shard};
use assize_node::federation::FederationConfig;
use assize_node::{
    ControlStart, CoordinatorStart, Core, CoreConfig, CoreMessage, CoreStart, ElectionTimes, Greeting,
    Layout, LeaseUse, LogicStart, UsherLimits,
};
use assize_shards::{Rehearsal, Shard};
use assize_wal::recovery::Recovered;
use assize_wal::{LogConfig, LogIdentity, Superblock};
use assize_wire::{CoreId, LogId, ShardId};
use crossbeam_channel::{Receiver, Sender};

use super::guard::CatchUnwind;
use super::logic::Logic;
use crate::config::{Agreed, Config, Idle};
use crate::reactor::{self, DISK_TAG, Dialed, Dialer, Failure, IdlePolicy, Listener};
use crate::reactor::{Mailbox, Notice, Parker, ReactorParts};

/// What a core's thread is given.
pub(super) struct CoreThread {
    /// The CPU to pin it to.
    pub(super) cpu: Option<u32>,
    /// The data directory.
    pub(super) data: PathBuf,
    /// How its files are written.
    pub(super) device: DeviceOptions,
    /// Messages for it.
    pub(super) inbox: Receiver<CoreMessage>,
    /// Where it sleeps.
    pub(super) parker: Parker,
    /// The mailboxes of all cores, by number.
    pub(super) peers: Vec<Mailbox>,
    /// Where its clients connect.
    pub(super) listener: Listener,
    /// Where its peers connect.
    pub(super) peer_listener: Option<Listener>,
    /// Makes connections to peers.
    pub(super) dialer: Dialer,
    /// Where they come.
    pub(super) dialed: Receiver<Dialed>,
    /// What the process is told.
    pub(super) notices: Sender<Notice>,
    /// Where it writes what it is at.
    pub(super) board: Arc<Board>,
}

impl CoreThread {
    /// Starts it.
    pub(super) fn start(self, plan: CorePlan) -> io::Result<JoinHandle<()>> {
        let CoreThread { cpu, data, device, inbox, parker, peers, notices, board, .. } = self;
        let (listener, peer_listener) = (self.listener, self.peer_listener);
        let (dialer, dialed) = (self.dialer, self.dialed);
        let id = plan.id;
        let cores = &plan.config.cores;
        let spin = match cores.idle {
            Idle::Park => Duration::ZERO,
            Idle::Spin => Duration::from_micros(cores.spin_us.into()),
        };
        let waker = peers[usize::from(id.0)].waker();
        thread::Builder::new().name(format!("core-{id}")).spawn(move || {
            if let Some(cpu) = cpu
                && !core_affinity::set_for_current(core_affinity::CoreId { id: cpu as usize })
            {
                tracing::warn!(cpu, "the thread cannot be pinned: it runs wherever the kernel puts it");
            }
            let device = DirectDevice::new(&data, DISK_TAG, device, waker);
            let core = match plan.build() {
                Ok(core) => core,
                Err(error) => return drop(notices.send(Notice::Failed(id, Failure::Read(error)))),
            };
            let idle = IdlePolicy { spin };
            reactor::run(ReactorParts {
                core,
                id,
                device,
                inbox,
                parker,
                peers,
                listener,
                peer_listener,
                dialer,
                dialed,
                notices,
                idle,
                board,
            });
        })
    }
}

/// What a core's thread builds once it is pinned, so that its memory is near it.
pub(super) struct CorePlan {
    pub(super) id: CoreId,
    pub(super) owned: Vec<ShardId>,
    pub(super) config: Config,
    pub(super) agreed: Agreed,
    pub(super) layout: Arc<Layout>,
    pub(super) domains: Arc<DomainRegistry>,
    pub(super) greeting: Greeting,
    /// What recovery found, and where it is read from.
    pub(super) recovered: Arc<Recovered>,
    pub(super) directory: DataDirectory,
    /// As this start made it durable.
    pub(super) superblock: Superblock,
    pub(super) federation: FederationConfig,
    /// A fault that is to be committed.
    pub(super) rehearsal: Option<Rehearsal>,
    /// What evaluates.
    pub(super) logic: Logic,
}

impl CorePlan {
    fn build(self) -> Result<Core, ReadError> {
        let CorePlan { id, owned, config, agreed, layout, domains, greeting, federation, rehearsal, .. } =
            self;
        let Logic { in_force: logic, wanted } = self.logic;
        let (recovered, mut directory) = (self.recovered, self.directory);
        let identity = log_identity(&self.superblock);
        let quarantine = self.superblock.quarantine;
        let routing = agreed.routing();
        let guard: Arc<dyn assize_shards::PanicGuard> = Arc::new(CatchUnwind);
        let shards = owned
            .iter()
            .map(|shard| {
                let config = agreed.shard_config(*shard, config.replica_id(), logic);
                let (domains, guard) = (Arc::clone(&domains), Arc::clone(&guard));
                let checkpoint = recovered.checkpoint.as_ref();
                restore_shard(&mut directory, identity, checkpoint, config, domains, guard)
            })
            .collect::<Result<Vec<Shard>, ReadError>>()?;
        let control = (layout.control == id).then(|| {
            Ok::<_, ReadError>(ControlStart {
                docket: DocketConfig {
                    replica: config.replica_id(),
                    replicas: agreed.replicas,
                    shards: agreed.shard_count,
                    window: config.limits.window,
                    lease_ns: ElectionTimes::DEFAULT.lease_ns(),
                },
                start: docket_start(&recovered, &self.superblock)?,
                times: ElectionTimes::DEFAULT,
                // Differs between replicas by their number, and between starts.
                seed: self.superblock.incarnation.0 << 8 | u64::from(config.replica),
                clock_skew_ns: agreed.clock_skew_ns_max,
                leases: LeaseUse {
                    reads: config.federation.leases,
                    clock_rate_error_ppm: agreed.clock_rate_error_ppm_max,
                },
                logic: LogicStart { registered: domains.versions().collect(), wanted },
                coordinator: CoordinatorStart {
                    superblock: self.superblock,
                    checkpoint_bytes: config.log.checkpoint_bytes,
                    put_off_bytes_max: config.log.bytes_max / 4 * 3,
                    cores: layout.cores().count(),
                },
            })
        });
        let control = control.transpose()?;
        let start = CoreStart::new(id, &layout, identity, log_tuning(&config), &recovered);
        let limits = UsherLimits {
            event_payload_bytes_max: agreed.event_payload_bytes_max as usize,
            event_entities_max: agreed.event_entities_max as usize,
            ..config.limits.of_usher()
        };
        Ok(Core::new(CoreConfig {
            id,
            layout,
            routing,
            domains,
            guard,
            limits,
            greeting,
            shards,
            start,
            control,
            federation,
            quarantine,
            rehearsal,
            logic,
        }))
    }
}

/// How the configuration tunes a log.
fn log_tuning(config: &Config) -> LogConfig {
    LogConfig {
        writes_in_flight: config.log.writes_in_flight as usize,
        prepare_ahead: u64::from(config.log.segments_ahead),
        segments_max: config.log.bytes_max / config.log.segment_bytes,
        reserve_bytes: config.log.reserve_bytes(),
        ..LogConfig::default()
    }
}

/// Of any log of the replica, but for its number.
pub(super) fn log_identity(superblock: &Superblock) -> LogIdentity {
    let Superblock { cluster, record_key, replica, segment_bytes, .. } = *superblock;
    LogIdentity { cluster, record_key, replica, log: LogId(0), segment_bytes }
}
