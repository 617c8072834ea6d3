//! Devices that report while something is done to the replicas: clients of the telemetry domain over the wire protocol,
//! and their books.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use assize_telemetry::{
    Line, NO_SILENCE_LIMIT, SensorState, TELEMETRY, TelemetryAnswer, TelemetryEvent, VERSION, command_id,
    sensor_id,
};
use assize_tools::client::{AnswerOwned, Client, NewEvent};
use assize_tools::load::JournalEntry;
use assize_wire::event::encode_event;
use assize_wire::outcome::Status;
use assize_wire::{EntityId, EventKey, StreamTime};

use super::replicas::Cluster;
use crate::load::check_journal;
use crate::rng::Rng;

/// Devices under way, each on a thread of its own.
pub struct Devices {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<JournalEntry>>>,
}

impl Devices {
    /// Sets their sensors up and lets them report.
    pub fn start(cluster: &Cluster, rng: &mut Rng) -> Devices {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |device: u64| {
            let (client, rng, stop) = (cluster.client(), rng.fork(), Arc::clone(&stop));
            let device = Device { number: device, client, rng, journal: Vec::new() };
            thread::spawn(move || device.run(&stop))
        };
        let threads = (1..=DEVICES).map(start).collect();
        Devices { stop, threads }
    }

    /// Ends them, and holds every sensor against the answers.
    pub fn finish(self, client: &mut Client) {
        self.stop.store(true, Ordering::Relaxed);
        let mut journal = Vec::new();
        for thread in self.threads {
            journal.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        check_journal(client, &journal);
        check_books(client, journal);
    }
}

/// One of them.
struct Device {
    number: u64,
    client: Client,
    rng: Rng,
    journal: Vec<JournalEntry>,
}

impl Device {
    fn run(mut self, stop: &AtomicBool) -> Vec<JournalEntry> {
        let sensors: Vec<EntityId> = (0..SENSORS).map(|channel| sensor_id(self.number, channel)).collect();
        let settings = sensors.iter().map(|sensor| TelemetryEvent::Configure {
            sensor: *sensor,
            window_ns: ALL_TIME_NS,
            silence_ns: NO_SILENCE_LIMIT,
            raise_at: RAISE_AT,
            clear_at: CLEAR_AT,
        });
        self.submit(&settings.collect::<Vec<_>>(), Status::Applied);
        for round in 1.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            self.report(&sensors, round);
            let sensor = sensors[self.rng.below(SENSORS) as usize];
            self.command(sensor, u128::from(self.number) << 64 | u128::from(round));
        }
        self.journal
    }

    /// A reading of every sensor, each in one event: two events of a batch may change places. A few come late.
    fn report(&mut self, sensors: &[EntityId], round: u64) {
        let mut rest: Vec<Line> = Vec::new();
        for sensor in sensors {
            let sequence = if self.rng.below(12) == 0 { round / 2 } else { round };
            rest.push(Line::new(*sensor, sequence, self.rng.below(200) as i32));
        }
        let mut reports = Vec::new();
        while !rest.is_empty() {
            let count = (1 + self.rng.below(16) as usize).min(rest.len());
            reports.push(rest.split_off(rest.len() - count));
        }
        let events: Vec<_> = reports.iter().map(|lines| TelemetryEvent::Report { lines }).collect();
        let first = self.submit_any(&events);
        // The same again, under the same keys: nothing is counted twice.
        let again: Vec<NewEvent> = self.journal[self.journal.len() - events.len()..]
            .iter()
            .map(JournalEntry::resubmission)
            .collect();
        for (again, first) in self.client.submit(&again).expect("answers").into_iter().zip(first) {
            assert_eq!(again, AnswerOwned { status: Status::Duplicate, ..first });
        }
    }

    /// A command from its issue to its end: it may live long, so nobody may collect it.
    fn command(&mut self, sensor: EntityId, number: u128) {
        let (command, instruction) = (command_id(number), self.rng.next());
        let issue = TelemetryEvent::Issue { sensor, command, instruction, time_to_live_ns: ALL_TIME_NS / 8 };
        self.submit(&[issue], Status::Applied);
        self.submit(&[TelemetryEvent::Collect { sensor, command }], Status::Rejected);
        let told = self.submit(&[TelemetryEvent::Deliver { command }], Status::Applied);
        let told = TelemetryAnswer::parse(&told[0].response);
        assert_eq!(told, Some(TelemetryAnswer::Delivered { instruction }));
        let done = TelemetryEvent::Acknowledge { sensor, command, result: 7 };
        let done = self.submit(&[done], Status::Applied);
        let done = TelemetryAnswer::parse(&done[0].response);
        assert_eq!(done, Some(TelemetryAnswer::Acknowledged { commands_open: 0 }));
    }

    fn submit(&mut self, events: &[TelemetryEvent<'_>], status: Status) -> Vec<AnswerOwned> {
        let answers = self.submit_any(events);
        answers.iter().zip(events).for_each(|(answer, event)| {
            assert_eq!(answer.first_status, status, "{event:?} is answered {answer:?}");
        });
        answers
    }

    /// Submits until each is decided, and remembers all of it.
    fn submit_any(&mut self, events: &[TelemetryEvent<'_>]) -> Vec<AnswerOwned> {
        let deadline = StreamTime(self.client.stream_time().0 + KEY_LIFETIME_NS);
        let keyed = |event: &TelemetryEvent<'_>| {
            let key = u128::from(self.rng.next()) << 64 | u128::from(self.rng.next());
            telemetry(event).with_key(EventKey(key)).with_deadline(deadline)
        };
        let events: Vec<NewEvent> = events.iter().map(keyed).collect();
        let answers = self.client.submit(&events).unwrap_or_else(|error| panic!("{error}"));
        for (event, answer) in events.iter().zip(&answers) {
            let (mut bytes, key) = (Vec::new(), event.key.expect("it was given one"));
            encode_event(&mut bytes, key, deadline, event.domain, event.version, &event.payload)
                .expect("it was sent");
            self.journal.push(JournalEntry { event: bytes, answer: answer.clone() });
        }
        answers
    }
}

/// What the answers say of a sensor.
#[derive(Debug, Default, PartialEq, Eq)]
struct Booked {
    count: u32,
    sum: i64,
    sequence: u64,
    reading: i32,
    raised: bool,
    raises: u64,
}

/// Goes through the journal in the log's order, and holds every sensor against what that makes of it.
fn check_books(client: &mut Client, mut journal: Vec<JournalEntry>) {
    journal.sort_by_key(|entry| entry.answer.position);
    let mut booked: BTreeMap<u128, Booked> = BTreeMap::new();
    let (mut taken, mut refused) = (0, 0);
    for entry in &journal {
        let event = entry.resubmission();
        let event = TelemetryEvent::parse(&event.payload).expect("an event of this test");
        let TelemetryEvent::Report { lines } = event else { continue };
        let Some(TelemetryAnswer::Reported(effects)) = TelemetryAnswer::parse(&entry.answer.response) else {
            panic!("{entry:?} is no answer to a report")
        };
        for (line, effect) in lines.iter().zip(effects.iter()) {
            let sensor = booked.entry(line.sensor().0).or_default();
            let Ok(effect) = effect else {
                assert!(line.sequence() <= sensor.sequence, "{line:?} was refused at {sensor:?}");
                refused += 1;
                continue;
            };
            assert!(line.sequence() > sensor.sequence, "{line:?} was taken at {sensor:?}");
            let was_raised = sensor.raised;
            sensor.raised = line.reading() >= RAISE_AT || (was_raised && line.reading() > CLEAR_AT);
            sensor.raises += u64::from(sensor.raised && !was_raised);
            let told = (effect.alarm_raised, effect.alarm_changed);
            assert_eq!(told, (sensor.raised, sensor.raised != was_raised), "{line:?} at {sensor:?}");
            sensor.count += 1;
            sensor.sum += i64::from(line.reading());
            (sensor.sequence, sensor.reading) = (line.sequence(), line.reading());
            taken += 1;
        }
    }
    println!("{taken} readings were taken, {refused} refused, of {} sensors", booked.len());
    assert!(refused > 0 && booked.len() as u64 == DEVICES * SENSORS, "the devices show too little");
    let ids: Vec<EntityId> = booked.keys().map(|id| EntityId(*id)).collect();
    let states = client.read(TELEMETRY, &ids).unwrap_or_else(|error| panic!("reading the sensors: {error}"));
    for (id, state) in ids.iter().zip(states) {
        let state = SensorState::parse(&state.expect("it exists")).expect("a sensor");
        let latest = state.latest.expect("it was heard");
        let found = Booked {
            count: state.windows.current.count,
            sum: state.windows.current.sum,
            sequence: latest.sequence,
            reading: latest.reading,
            raised: state.alarm.raised,
            raises: state.alarm.raises,
        };
        assert_eq!(found, booked[&id.0], "the books of sensor {id} do not hold");
        assert_eq!(state.commands_open, 0, "sensor {id}");
    }
}

/// An event of the domain without a key.
pub fn telemetry(event: &TelemetryEvent<'_>) -> NewEvent {
    let mut payload = Vec::new();
    event.encode_payload(&mut payload);
    NewEvent::new(TELEMETRY, VERSION, payload)
}

const DEVICES: u64 = 2;
const SENSORS: u64 = 24;
const RAISE_AT: i32 = 120;
const CLEAR_AT: i32 = 80;

/// One window for all times there are: what it counts is all that was ever taken.
const ALL_TIME_NS: u64 = 1 << 63;

const KEY_LIFETIME_NS: u64 = 3_600_000_000_000;
