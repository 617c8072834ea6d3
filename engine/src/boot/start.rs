//! From a formatted data directory to running cores.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use assize_device::{DataDirectory, DeviceOptions};
use assize_domain::DomainRegistry;
use assize_http::{Bound, OutcomesStart};
use assize_metrics::{Board, DomainName};
use assize_node::boot::{begin_incarnation, peers_of};
use assize_node::{CoreMessage, Greeting, Layout, LogIds};
use assize_shards::Rehearsal;
use assize_wal::LogIdentity;
use assize_wal::formatted::{Formatted, formatted};
use assize_wal::recovery::{GapIn, Recovered};
use assize_wal::superblock::{FoundSuperblock, Superblock, SuperblockError, SuperblockStore};
use assize_wire::peer::PeerPorts;
use assize_wire::{CoreId, ReplicaId, ShardId, Slot, StreamTime};
use crossbeam_channel::{Receiver, Sender, unbounded};

use super::BootError;
use super::core_thread::{CorePlan, CoreThread, log_identity};
use super::listen::{bind, bind_http};
use super::logic::{self, Logic};
use super::peers::{Peers, identity};
use super::recover::recover;
use super::replay::{ReplayPlan, Replayer};
use crate::config::{Agreed, Config, ConfigFile};
use crate::doctor;
use crate::reactor::{DialEnd, Dialer, Listener, Mailbox, Notice, mailbox};

/// A replica whose cores run.
pub struct Replica {
    /// One mailbox a core.
    pub mailboxes: Vec<Mailbox>,
    /// What the cores tell.
    pub notices: Receiver<Notice>,
    /// Where clients connect, by core.
    pub addresses: Vec<SocketAddr>,
    /// Where it is asked by HTTP, for whoever serves it.
    pub http: Option<Bound>,
    /// What is agreed.
    pub agreed: Agreed,
    /// Slots that are being replayed before it serves.
    pub replay_through: Slot,
    /// Whether the data survives a power cut.
    pub durable: bool,
    /// What its cores are at.
    pub board: Arc<Board>,
    /// The domains of the program.
    pub domains: Arc<DomainRegistry>,
    /// What was published before, for whoever gives it out.
    pub outcomes: Option<OutcomesStart>,
    control: Mailbox,
    replayer: Replayer,
    threads: Vec<JoinHandle<()>>,
    /// Holds the lock of the data directory.
    _directory: DataDirectory,
}

impl Replica {
    /// Tells the replay thread how far the cores are.
    pub fn handle_replayed(&self, slot: Slot) {
        self.replayer.handle_published(slot);
    }

    /// Asks all cores to admit nothing more and to finish what is under way.
    pub fn stop(&self) {
        self.tell_all(&CoreMessage::Stop);
    }

    /// Asks the control core to have another replica lead: this one, or any that could. The question has a number, with
    /// which [`Notice::HandOver`] answers it.
    pub fn hand_over(&self) -> impl Fn(u64, Option<ReplicaId>) + Send + Sync + 'static {
        let control = self.control.clone();
        move |ask, to| {
            control.post(CoreMessage::HandOver { ask, to });
            control.wake();
        }
    }

    /// Forgets the latencies so far.
    pub fn measure(&self) {
        self.tell_all(&CoreMessage::Measure);
    }

    fn tell_all(&self, message: &CoreMessage) {
        for mailbox in &self.mailboxes {
            mailbox.post(message.clone());
            mailbox.wake();
        }
    }

    /// Waits for the threads of halted cores.
    pub fn join(self) {
        for thread in self.threads {
            // A panic there has ended the process already.
            let _ = thread.join();
        }
    }
}

/// Recovers the data directory and starts its cores. They serve once [`Notice::Serving`] has come from each. With a
/// `rehearsal` the replica commits that fault, to see what the cluster makes of it.
///
/// # Errors
/// [`BootError`]: nothing was changed but, at most, what recovery repairs of the superblock.
pub fn start(
    file: &ConfigFile,
    domains: DomainRegistry,
    rehearsal: Option<Rehearsal>,
) -> Result<Replica, BootError> {
    start_on(file, domains, &DeviceOptions::default(), rehearsal)
}

/// The same on files that are written otherwise, or watched.
///
/// # Errors
/// As [`start`].
pub fn start_on(
    file: &ConfigFile,
    domains: DomainRegistry,
    device: &DeviceOptions,
    rehearsal: Option<Rehearsal>,
) -> Result<Replica, BootError> {
    let config = &file.config;
    file.check_cpus(&doctor::allowed_cpus())?;
    let host = doctor::collect(&config.data_directory, false);
    let fatal = doctor::fatal_findings(&host, &doctor::Needs::of(config));
    if !fatal.is_empty() {
        return Err(BootError::Host(doctor::table(&fatal)));
    }
    let opened = DataDirectory::open(&config.data_directory, false);
    if opened.is_err() {
        // What cannot be in any directory comes first; else it is said together with what this one was formatted with.
        file.validate(&doctor::allowed_cpus(), None)?;
    }
    let mut directory = opened?;
    directory.trace(device.tracer.clone());
    let refuse = |error| BootError::Superblock(config.data_directory.clone(), error);
    let found = match formatted(&mut directory)? {
        Formatted::Yes(found) => *found,
        Formatted::No => return Err(refuse(SuperblockError::NotFormatted)),
        Formatted::Unfinished => return Err(BootError::FormatUnfinished(config.data_directory.clone())),
        Formatted::Corrupt(error) => return Err(refuse(error)),
    };
    let agreed = Agreed::decode(&found.superblock.parameters).map_err(BootError::Agreed)?;
    check(file, &found.superblock, &agreed)?;
    let wanted = logic::wanted(file, &domains)?;
    let peers = Peers::read(file, &agreed)?;
    give_up_pins(&directory);

    let repair = peers_of(agreed.replicas.into());
    let recovered = recover(&directory, &found.superblock, repair).map_err(BootError::Recovery)?;
    let in_force = logic::in_force(&agreed, &recovered);
    logic::check(&agreed, in_force, &domains)?;
    let logic = Logic { in_force, wanted };
    for log in recovered.logs.iter().filter(|log| log.records > 0) {
        tracing::info!(log = log.log.0, records = log.records, end = log.end.offset, decision = ?log.decision, "log read");
    }
    warn_of_damage(&recovered, &found.superblock);
    if let Some(checkpoint) = &recovered.checkpoint {
        tracing::info!(slot = checkpoint.at.slot.0, "starting from the checkpoint after this slot");
    }
    let superblock = begin(&directory, found, &recovered, config)?;
    let mut config = config.clone();
    config.limits.connections_max = connections_max(&config, &agreed, &host.open_files);
    let domains = Arc::new(domains);
    run(&config, agreed, peers, domains, directory, recovered, superblock, device, rehearsal, logic)
}

/// A backup that was killed leaves segments pinned, which take space for as long as nobody takes another one.
fn give_up_pins(directory: &DataDirectory) {
    match directory.remove_pins() {
        Ok(true) => tracing::warn!("segments that an interrupted backup kept are given up"),
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "what an interrupted backup kept cannot be removed"),
    }
}

/// Names what is damaged: it is repaired from the peers, but the disk wants looking at.
fn warn_of_damage(recovered: &Recovered, superblock: &Superblock) {
    for log in &recovered.logs {
        let identity = LogIdentity { log: log.log, ..log_identity(superblock) };
        log.gaps.iter().for_each(|gap| tracing::warn!("{}", GapIn(gap, identity)));
    }
    if let (Some(first), Some(last)) = (recovered.damaged.first(), recovered.damaged.last()) {
        let (first, last) = (first.slot.0, last.slot.0);
        tracing::warn!(
            first,
            last,
            "slots are damaged and repaired from peers: check the disk (dmesg, SMART)"
        );
    }
    if let (Some(first), Some(last)) = (recovered.doubtful.first(), recovered.doubtful.last()) {
        let (first, last) = (first.slot.0, last.slot.0);
        tracing::warn!(
            first,
            last,
            "slots may be missing that a power cut tore: nobody leads without this replica or with it alone until all \
             replicas were asked"
        );
    }
}

/// Clients that one core may have at once. A log that cannot open its next segment stops the replica, so clients get
/// what open files the logs leave.
fn connections_max(config: &Config, agreed: &Agreed, open_files: &doctor::Limit) -> u32 {
    let wanted = config.limits.connections_max;
    // To each peer one for each lane, and as many again while they are replaced.
    let of_peers = 2 * u64::from(agreed.replicas - 1) * (u64::from(agreed.shard_count) + 1);
    let of_clients = open_files.soft.map(|soft| soft.saturating_sub(doctor::FILES_OWN + of_peers));
    let of_core = of_clients.map_or(wanted.into(), |files| files / core_count(config) as u64);
    let allowed = u32::try_from(of_core).unwrap_or(u32::MAX).clamp(1, wanted);
    if allowed < wanted {
        tracing::warn!(
            wanted,
            allowed,
            "fewer clients a core than configured: raise ulimit -n (LimitNOFILE)"
        );
    }
    allowed
}

fn check(file: &ConfigFile, superblock: &Superblock, agreed: &Agreed) -> Result<(), BootError> {
    file.validate(&doctor::allowed_cpus(), Some(agreed))?;
    let refuse = |key, found: String, accepted: String| {
        Err(BootError::Config(file.source.refuse(key, found, accepted)))
    };
    if superblock.replica != file.config.replica_id() {
        let accepted = format!("{}, as the data directory was formatted", superblock.replica);
        return refuse("replica", file.config.replica.to_string(), accepted);
    }
    if superblock.segment_bytes != file.config.log.segment_bytes {
        let accepted = format!("{} bytes, as the data directory was formatted", superblock.segment_bytes);
        return refuse("log.segment_bytes", file.config.log.segment_bytes.to_string(), accepted);
    }
    Ok(())
}

/// Makes the new incarnation, its cuts and the highest ballot seen durable, before anything is appended or promised
/// (L5, P3).
fn begin(
    directory: &DataDirectory,
    found: FoundSuperblock,
    recovered: &Recovered,
    config: &Config,
) -> Result<Superblock, BootError> {
    let mut store = SuperblockStore::new(found);
    let cores = (0..core_count(config)).map(|index| CoreId(index as u16));
    store.handle_update(|superblock| begin_incarnation(superblock, recovered, cores));
    store.drive(|copy, blocks| directory.write_superblock(copy, blocks))?;
    Ok(store.current().clone())
}

/// Threads of this replica: one for each assignment, and one more if the control thread is on a CPU of its own.
fn core_count(config: &Config) -> usize {
    config.cores.assignments.len() + usize::from(config.cores.control_core().is_none())
}

/// The shards of each thread, its CPU, and which thread has the control role.
fn core_map(config: &Config) -> (Vec<Vec<ShardId>>, Vec<u32>, CoreId) {
    let assignments = &config.cores.assignments;
    let mut cores: Vec<Vec<ShardId>> =
        assignments.iter().map(|assignment| assignment.shards.clone()).collect();
    let mut cpus: Vec<u32> = assignments.iter().map(|assignment| assignment.cpu.0).collect();
    let control = config.cores.control_core().unwrap_or_else(|| {
        cores.push(Vec::new());
        cpus.push(config.cores.control.0);
        CoreId(cores.len() as u16 - 1)
    });
    (cores, cpus, control)
}

#[expect(clippy::too_many_arguments, reason = "each is made by another step of the start")]
fn run(
    config: &Config,
    agreed: Agreed,
    peers: Peers,
    domains: Arc<DomainRegistry>,
    directory: DataDirectory,
    recovered: Recovered,
    superblock: Superblock,
    device: &DeviceOptions,
    rehearsal: Option<Rehearsal>,
    logic: Logic,
) -> Result<Replica, BootError> {
    let (cores, cpus, control) = core_map(config);
    let layout = Arc::new(Layout::new(&cores, control));
    let listeners = bind("[listen] client", &config.listen.client, cores.len())?;
    let peer_listeners = peers.bind(config, cores.len())?;
    let http = config.listen.http.as_ref().map(bind_http).transpose()?;
    let addresses: Vec<SocketAddr> = listeners.iter().map(Listener::address).collect();
    let durable = !doctor::filesystem(&config.data_directory).is_memory;
    let greeting = greeting(config, &agreed, &layout, &addresses, durable);
    let ports = PeerPorts { client: addresses[0].port(), http: http.as_ref().map_or(0, Bound::port) };
    let identity = identity(&agreed, &superblock, config, &domains, ports);
    let (notices, inbox): (Sender<Notice>, Receiver<Notice>) = unbounded();
    let (mut mailboxes, mut ends, mut dial_ends) = (Vec::new(), Vec::new(), Vec::new());
    for peer_listener in peer_listeners {
        let (sender, receiver, parker) =
            mailbox().map_err(|error| BootError::Io("creating an eventfd", error))?;
        let (dial_end, dialed) = DialEnd::new(sender.waker());
        mailboxes.push(sender);
        dial_ends.push(dial_end);
        ends.push((receiver, parker, peer_listener, dialed));
    }
    let dialer = Dialer::start(config.replica_id(), &config.federation.replicas, dial_ends);
    let dialer = dialer.map_err(|error| BootError::Io("starting the threads that dial peers", error))?;
    let replay_through = recovered.accepted_through;
    let outcomes = stored_outcomes(config, &directory, &superblock, &recovered, (&agreed, &domains));
    let recovered = Arc::new(recovered);
    let names = agreed.domains.iter().map(|domain| DomainName { id: domain.id.0, name: domain.name.clone() });
    let board = Board::new(cores.len(), layout.shards().into()).with_domains(names.collect());
    let board = Arc::new(board);
    let mut threads = Vec::new();
    for (index, (end, listener)) in ends.into_iter().zip(listeners).enumerate() {
        let (receiver, parker, peer_listener, dialed) = end;
        let id = CoreId(index as u16);
        let plan = CorePlan {
            id,
            owned: layout.owned_by(id),
            config: config.clone(),
            agreed: agreed.clone(),
            layout: Arc::clone(&layout),
            domains: Arc::clone(&domains),
            greeting: greeting.clone(),
            recovered: Arc::clone(&recovered),
            directory: directory.clone(),
            superblock: superblock.clone(),
            federation: peers.of_core(id, &layout, &superblock, &identity),
            rehearsal,
            logic,
        };
        let thread = CoreThread {
            cpu: config.cores.pin.then(|| cpus[index]),
            data: directory.root().to_owned(),
            device: device.clone(),
            inbox: receiver,
            parker,
            peers: mailboxes.clone(),
            listener,
            peer_listener,
            dialer: dialer.clone(),
            dialed,
            notices: notices.clone(),
            board: Arc::clone(&board),
        };
        threads.push(thread.start(plan).map_err(|error| BootError::Io("starting a core's thread", error))?);
    }
    let replayer = Replayer::start(ReplayPlan {
        directory: directory.clone(),
        identity: log_identity(&superblock),
        recovered,
        control: mailboxes[usize::from(control.0)].clone(),
        window: u64::from(config.limits.window),
        notices,
    })?;
    Ok(Replica {
        control: mailboxes[usize::from(control.0)].clone(),
        mailboxes,
        notices: inbox,
        addresses,
        http,
        agreed,
        replay_through,
        durable,
        board,
        domains,
        outcomes,
        replayer,
        threads,
        _directory: directory,
    })
}

/// What clients are told who connect.
fn greeting(
    config: &Config,
    agreed: &Agreed,
    layout: &Layout,
    addresses: &[SocketAddr],
    durable: bool,
) -> Greeting {
    let port_of = |shard| addresses[usize::from(layout.owner(ShardId(shard)).0)].port();
    Greeting {
        cluster: agreed.cluster,
        replica: config.replica_id(),
        warden_ttl_ns: agreed.warden_ttl_ns,
        replicas: agreed.replicas,
        copies: agreed.copies,
        durable,
        ports: (0..layout.shards()).map(port_of).collect(),
    }
}

/// For whoever gives them out by HTTP: what recovery knows of the stored outcomes, and where each core's go from now
/// on.
fn stored_outcomes(
    config: &Config,
    directory: &DataDirectory,
    superblock: &Superblock,
    recovered: &Recovered,
    (agreed, domains): (&Agreed, &Arc<DomainRegistry>),
) -> Option<OutcomesStart> {
    config.listen.http.as_ref()?;
    let logs = (0..core_count(config) as u16).map(|core| LogIds::of(CoreId(core)).outcomes);
    // Its outcomes that were no younger than the TTL may have been given up (W2).
    let old = |time: StreamTime| StreamTime(time.0.saturating_sub(agreed.warden_ttl_ns));
    Some(OutcomesStart {
        reader: Box::new(directory.clone()),
        identity: log_identity(superblock),
        incarnation: recovered.incarnation,
        shards: agreed.shard_count,
        logs: logs.map(|log| (log, recovered.start(log).end)).collect(),
        index: recovered.outcomes.clone(),
        domains: Arc::clone(domains),
        checkpoint: recovered.checkpoint.as_ref().map(|found| (found.at.slot, old(found.at.time))),
    })
}
