//! The telemetry's part of the load: devices that number their readings upward, and are given commands.
//!
//! A sensor belongs to one lane, whose requests are answered by one shard in the order in which they were sent. So its
//! readings come in order, but for those that have to be sent again; a reading that comes too late is refused, which is
//! right, and is how the books take it.

use assize_telemetry::{Line, TELEMETRY, TelemetryAnswer, TelemetryEvent, command_id, sensor_id};
use assize_wire::EntityId;
use assize_wire::event::Event;
use assize_wire::message::Answer;
use assize_wire::outcome::Status;

use super::super::rng::Rng;
use super::super::zipf::Ranks;
use super::commands::Commands;
use super::sensors::{READING_MAX, SensorBook, number_of};

/// One thread's source of telemetry events.
pub(super) struct Fleet {
    ranks: Ranks,
    device: u64,
    sensors_each: usize,
    /// By sensor, the number of its latest reading that was sent.
    sent: Vec<u64>,
    commands: Vec<Commands>,
}

impl Fleet {
    /// Of these sensors, which are shared out among the lanes in their order.
    pub(super) fn new(ranks: Ranks, device: u64, lanes: usize, sensors: &[SensorBook]) -> Fleet {
        Fleet {
            ranks,
            device,
            sensors_each: sensors.len() / lanes,
            sent: sensors.iter().map(|sensor| sensor.sequence).collect(),
            commands: (0..lanes).map(|_| Commands::default()).collect(),
        }
    }

    /// Appends an event's payload.
    pub(super) fn draw(&mut self, rng: &mut Rng, lane: usize, payload: &mut Vec<u8>) {
        if rng.below(100) < COMMAND_PERCENT {
            let sensor = self.id(self.draw_sensor(rng, lane));
            let id = command_id(rng.next_u128() >> 1);
            if let Some(event) = self.commands[lane].draw(rng, sensor, id) {
                return event.encode_payload(payload);
            }
        }
        self.draw_report(rng, lane, payload);
    }

    /// Books what was decided of an event of this lane, if it is one of this domain.
    pub(super) fn settle(&mut self, lane: usize, event: &[u8], answer: &Answer<'_>, told: &mut [SensorBook]) {
        let (event, _) = Event::parse(event).expect("it was encoded here");
        if event.domain() != TELEMETRY {
            return;
        }
        let applied = answer.first_status == Status::Applied;
        match TelemetryEvent::parse(event.payload()).expect("it was encoded here") {
            TelemetryEvent::Report { lines } if answer.first_status.is_recorded() => {
                let Some(TelemetryAnswer::Reported(effects)) = TelemetryAnswer::parse(answer.response) else {
                    return;
                };
                for (line, effect) in lines.iter().zip(effects.iter()) {
                    if let Ok(effect) = effect {
                        told[number_of(line.sensor())].take(
                            line.sequence(),
                            line.reading(),
                            effect.alarm_raised,
                        );
                    }
                }
            }
            TelemetryEvent::Issue { sensor, command, .. } => {
                told[number_of(sensor)].commands_open += i64::from(applied);
                self.commands[lane].settle(command, answer);
            }
            TelemetryEvent::Deliver { command } => self.commands[lane].settle(command, answer),
            TelemetryEvent::Acknowledge { sensor, command, .. } => {
                told[number_of(sensor)].commands_open -= i64::from(applied);
                self.commands[lane].settle(command, answer);
            }
            TelemetryEvent::Collect { sensor, command } => {
                if let Some(TelemetryAnswer::Collected { ended, .. }) =
                    TelemetryAnswer::parse(answer.response)
                {
                    told[number_of(sensor)].commands_open -= i64::from(ended.is_open());
                }
                self.commands[lane].settle(command, answer);
            }
            _ => {}
        }
    }

    /// One reading, or some of different sensors; now and then one that was sent before, or that leaves numbers out.
    fn draw_report(&mut self, rng: &mut Rng, lane: usize, payload: &mut Vec<u8>) {
        let mut lines = [Line::new(EntityId(0), 0, 0); LINES_DRAWN_MAX];
        let most = self.sensors_each.min(LINES_DRAWN_MAX) as u64;
        let count = if rng.below(4) == 0 { 1 + rng.below(most) as usize } else { 1 };
        let first = self.draw_sensor(rng, lane) - lane * self.sensors_each;
        for (at, line) in lines[..count].iter_mut().enumerate() {
            // Neighbours, so that no sensor is there twice.
            let sensor = lane * self.sensors_each + (first + at) % self.sensors_each;
            self.sent[sensor] += match rng.below(32) {
                0 if self.sent[sensor] > 0 => 0,
                1 => 5,
                _ => 1,
            };
            *line = Line::new(self.id(sensor), self.sent[sensor], rng.below(READING_MAX) as i32);
        }
        TelemetryEvent::Report { lines: &lines[..count] }.encode_payload(payload);
    }

    fn draw_sensor(&self, rng: &mut Rng, lane: usize) -> usize {
        lane * self.sensors_each + self.ranks.draw(rng.next()) as usize
    }

    fn id(&self, sensor: usize) -> EntityId {
        sensor_id(self.device, sensor as u64)
    }
}

const COMMAND_PERCENT: u64 = 10;
const LINES_DRAWN_MAX: usize = 4;

const _: () = assert!(LINES_DRAWN_MAX <= assize_telemetry::LINES_MAX);
