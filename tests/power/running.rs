//! A replica in this process: the production code on a real data directory, real sockets, and clients of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use assize::boot::{NewDisk, format_on, start_on};
use assize::config::{ConfigFile, FormatArgs};
use assize::reactor::Notice;
use assize_device::{DeviceOptions, DurabilityMode};
use assize_domain::DomainRegistry;
use assize_inventory::{INVENTORY, InventoryDomain, InventoryEvent, ItemState, VERSION, item_id};
use assize_tools::client::{Client, NewEvent, Options, Outcome};
use assize_wire::event::encode_event;
use assize_wire::outcome::Status;
use assize_wire::{EventKey, StreamTime};
use crossbeam_channel::{Receiver, Sender, bounded};
use tempfile::TempDir;

use crate::record::{Answered, Entry, Recorder};
use crate::rng::Rng;

/// How long anything may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(30);
/// Items that events add to.
const ITEMS: u64 = 24;

/// A data directory on a disk. Removed in the end.
pub struct Site {
    folder: TempDir,
    shards: Vec<u16>,
}

impl Site {
    /// An empty one for a core with one shard each.
    pub fn new(cores: u16) -> Site {
        // Beside the build, which is on a disk; the system's temporary folder may be in memory.
        let folder = tempfile::Builder::new().prefix("power-").tempdir_in(env!("CARGO_TARGET_TMPDIR"));
        Site { folder: folder.expect("a directory for test data"), shards: (0..cores).collect() }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Segments are small, and a checkpoint is due after each, so that a run takes several and recycles what they make
    /// superfluous.
    pub fn config(&self) -> ConfigFile {
        let assignment = |shard: &u16| format!("{{ cpu = {shard}, shards = [{shard}] }}");
        let text = format!(
            "data_directory = {data:?}\n\
             [cores]\nassignments = [{assignments}]\npin = false\n\
             [listen]\nclient = \"127.0.0.1:0\"\n\
             [limits]\nstripe_bytes = \"16KiB\"\nstripe_events = 64\nwindow = 4\n\
             [log]\nsegment_bytes = \"1MiB\"\nbytes_max = \"64MiB\"\nsegments_ahead = 1\n\
             checkpoint_bytes = \"1MiB\"\n",
            data = self.data(),
            assignments = self.shards.iter().map(assignment).collect::<Vec<_>>().join(", "),
        );
        ConfigFile::parse(&text, "power.toml").expect("a good configuration")
    }

    /// Formats it with small tables, recorded from the first write on.
    pub fn format(&self, recorder: &Arc<Recorder>) {
        self.try_format(recorder).unwrap_or_else(|error| panic!("{error}"));
    }

    /// The same, if it can be formatted.
    pub fn try_format(&self, recorder: &Arc<Recorder>) -> Result<(), String> {
        let args = FormatArgs { warden_capacity: 1 << 16, entity_capacity: 1 << 12, ..FormatArgs::default() };
        let device = options(recorder, DurabilityMode::default());
        format_on(&self.config(), &args, NewDisk::First, &domains(), &device)
            .map_err(|error| error.to_string())?;
        recorder.note(Entry::Formatted);
        Ok(())
    }
}

/// A replica whose clients may come. Stopped when it goes out of scope.
pub struct Running {
    pub address: String,
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts it on a directory and waits until it serves.
    pub fn start(site: &Site, recorder: &Arc<Recorder>, mode: DurabilityMode) -> Result<Running, String> {
        let (stop, stopped) = bounded(1);
        let (serving, served) = bounded(1);
        let (config, device) = (site.config(), options(recorder, mode));
        let thread = thread::spawn(move || run(&config, &device, &serving, &stopped));
        match served.recv_timeout(DEADLINE) {
            Ok(Ok(address)) => Ok(Running { address, stop, thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(format!("it does not serve: {error}")),
        }
    }

    /// Stops it in good order.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It is gone already if it failed.
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the replica failed");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(
    config: &ConfigFile,
    device: &DeviceOptions,
    serving: &Sender<Result<String, String>>,
    stop: &Receiver<()>,
) {
    let replica = match start_on(config, domains(), device, None) {
        Ok(replica) => replica,
        Err(error) => return drop(serving.send(Err(error.to_string()))),
    };
    let (mut served, mut halted) = (0, 0);
    while halted < replica.mailboxes.len() {
        crossbeam_channel::select! {
            default(DEADLINE) => panic!("nothing was heard of it for {DEADLINE:?}: a core's thread is gone"),
            recv(stop) -> _ => replica.stop(),
            recv(replica.notices) -> notice => match notice.expect("a core lives until it halts") {
                Notice::Serving(_) => {
                    served += 1;
                    if served == replica.mailboxes.len() {
                        let _ = serving.send(Ok(replica.addresses[0].to_string()));
                    }
                }
                Notice::Replayed(slot) => replica.handle_replayed(slot),
                Notice::Checkpoint(end) => drop(end.result.expect("a checkpoint is taken")),
                Notice::Peer(_)
                | Notice::Alarm(_)
                | Notice::ClockContradicted(_)
                | Notice::Quarantined(_)
                | Notice::StartAgain(_)
                | Notice::Rejoin(_)
                | Notice::HandOver(..)
                | Notice::LogicMissing(..) => panic!("it has no peers"),
                Notice::Halted { .. } => halted += 1,
                Notice::Failed(core, failure) => {
                    let _ = serving.send(Err(failure.to_string()));
                    panic!("core {core}: {failure}");
                }
            },
        }
    }
    replica.join();
}

fn options(recorder: &Arc<Recorder>, mode: DurabilityMode) -> DeviceOptions {
    DeviceOptions { mode, tracer: Some(Arc::clone(recorder) as Arc<_>) }
}

/// What the replica has.
pub fn domains() -> DomainRegistry {
    let mut domains = DomainRegistry::new();
    domains.register(InventoryDomain).expect("its id is free");
    domains
}

/// A client that waits long.
pub fn client(address: &str) -> Client {
    let options = Options { connect_timeout: DEADLINE, call_timeout: DEADLINE, ..Options::default() };
    Client::connect(&[address], options).unwrap_or_else(|error| panic!("{address}: {error}"))
}

/// Two clients, now with one event, now with many under way; every answer is recorded as it comes.
pub fn load(address: &str, recorder: &Arc<Recorder>, rounds: u64, rng: &mut Rng) {
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let (address, recorder, mut rng) = (address.to_owned(), Arc::clone(recorder), rng.fork());
            thread::spawn(move || work(&mut client(&address), &recorder, rounds, &mut rng))
        })
        .collect();
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
}

fn work(client: &mut Client, recorder: &Recorder, rounds: u64, rng: &mut Rng) {
    let mut under_way = HashMap::new();
    let until = Instant::now() + DEADLINE;
    for _ in 0..rounds {
        let deadline = StreamTime(client.stream_time().0 + 3_600_000_000_000);
        for _ in 0..1 + rng.below(16) {
            let event = draw(rng, deadline);
            under_way.insert(client.enqueue(&event).expect("an event that fits"), event);
        }
        // Sometimes everything is answered before more comes, so that the logs fall idle.
        let most = [0, 40][rng.below(2) as usize];
        while under_way.len() > most {
            take_answers(client, recorder, &mut under_way);
            assert!(Instant::now() < until, "{} events stay without an answer", under_way.len());
        }
    }
    while !under_way.is_empty() {
        take_answers(client, recorder, &mut under_way);
        assert!(Instant::now() < until, "{} events stay without an answer", under_way.len());
    }
}

fn take_answers(
    client: &mut Client,
    recorder: &Recorder,
    under_way: &mut HashMap<assize_tools::client::Ticket, NewEvent>,
) {
    for done in client.poll(Duration::from_millis(200)).expect("polling sockets") {
        let event = under_way.remove(&done.ticket).expect("it was enqueued");
        let Outcome::Answered(answer) = done.outcome else { panic!("{event:?} may live for an hour") };
        assert_eq!(answer.status, Status::Applied, "{event:?}");
        recorder.note(Entry::Answered(Answered { event: bytes_of(&event), answer }));
    }
}

fn draw(rng: &mut Rng, deadline: StreamTime) -> NewEvent {
    let key = EventKey(u128::from(rng.next()) << 64 | u128::from(rng.next()));
    let mut payload = Vec::new();
    let (item, delta) = (item_id(1, rng.below(ITEMS)), 1 + rng.below(9).cast_signed());
    InventoryEvent::Adjust { item, delta, reason: 0 }.encode_payload(&mut payload);
    NewEvent::new(INVENTORY, VERSION, payload).with_key(key).with_deadline(deadline)
}

fn bytes_of(event: &NewEvent) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (key, deadline) = (event.key.expect("drawn"), event.deadline.expect("drawn"));
    encode_event(&mut bytes, key, deadline, event.domain, event.version, &event.payload)
        .expect("it was sent");
    bytes
}

fn event_of(bytes: &[u8]) -> NewEvent {
    let (event, _) = assize_wire::event::Event::parse(bytes).expect("it was encoded here");
    NewEvent::new(event.domain(), event.version(), event.payload().to_vec())
        .with_key(event.key())
        .with_deadline(event.deadline())
}

/// Submits all of these again. What was `answered` has the same answer; the rest is applied now or was before; and then
/// every item holds each event once.
pub fn resubmit(address: &str, all: &[Answered], answered: usize) {
    let mut client = client(address);
    let mut expected: HashMap<u64, u64> = HashMap::new();
    for (at, chunk) in all.chunks(500).enumerate() {
        let events: Vec<NewEvent> = chunk.iter().map(|known| event_of(&known.event)).collect();
        let answers = client.submit(&events).expect("answers");
        for (index, (known, again)) in chunk.iter().zip(answers).enumerate() {
            assert_eq!(again.first_status, Status::Applied, "{again:?}");
            if at * 500 + index < answered {
                let first = &known.answer;
                assert_eq!(again.status, Status::Duplicate, "{first:?} is evaluated again");
                assert_eq!((again.position, &again.response), (first.position, &first.response));
            }
        }
        for event in &events {
            let Ok(InventoryEvent::Adjust { item, delta, .. }) = InventoryEvent::parse(&event.payload) else {
                panic!("{event:?} is not of this test");
            };
            let number = (0..ITEMS).find(|number| item_id(1, *number) == item).expect("an item of this test");
            *expected.entry(number).or_default() += delta.cast_unsigned();
        }
    }
    let numbers: Vec<u64> = (0..ITEMS).collect();
    let ids: Vec<_> = numbers.iter().map(|number| item_id(1, *number)).collect();
    for (number, state) in numbers.iter().zip(client.read(INVENTORY, &ids).expect("states")) {
        let found = state.map_or(0, |state| ItemState::parse(&state).expect("an item").quantity);
        assert_eq!(found, expected.get(number).copied().unwrap_or(0), "item {number}: an event counts twice");
    }
}
