//! The telemetry's set-up and its books: what the answers say of every sensor, against what it holds.

use assize_telemetry::{NO_SILENCE_LIMIT, SensorState, TELEMETRY, TelemetryEvent, VERSION, sensor_id};
use assize_wire::EntityId;
use assize_wire::outcome::Status;
use serde::Serialize;

use super::super::error::LoadError;
use crate::client::{Client, NewEvent, Outcome};

/// What is known of one sensor: by reading it, or by adding up answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct SensorBook {
    /// Readings that were taken.
    count: u64,
    sum: i64,
    /// Of the latest of them.
    pub(super) sequence: u64,
    reading: i32,
    alarm_raised: bool,
    pub(super) commands_open: i64,
}

impl SensorBook {
    /// Books a reading that was taken. Answers may come in another order than the log's; numbers rise in the log's.
    pub(super) fn take(&mut self, sequence: u64, reading: i32, alarm_raised: bool) {
        self.count += 1;
        self.sum += i64::from(reading);
        if sequence > self.sequence {
            (self.sequence, self.reading, self.alarm_raised) = (sequence, reading, alarm_raised);
        }
    }

    /// Adds what was told of the same sensor elsewhere.
    pub(super) fn add(&mut self, other: &SensorBook) {
        self.count += other.count;
        self.sum += other.sum;
        self.commands_open += other.commands_open;
        if other.sequence > self.sequence {
            self.sequence = other.sequence;
            (self.reading, self.alarm_raised) = (other.reading, other.alarm_raised);
        }
    }

    /// What a state says, if all readings were counted in one window.
    fn of(state: &SensorState) -> SensorBook {
        let (window, latest) = (&state.windows.current, state.latest);
        SensorBook {
            count: window.count.into(),
            sum: window.sum,
            sequence: latest.map_or(0, |latest| latest.sequence),
            reading: latest.map_or(0, |latest| latest.reading),
            alarm_raised: state.alarm.raised,
            commands_open: state.commands_open.into(),
        }
    }

    /// Whether the alarm is what the latest reading leaves open.
    fn alarm_holds(&self) -> bool {
        match self.alarm_raised {
            true => self.reading > CLEAR_AT,
            false => self.reading < RAISE_AT,
        }
    }
}

/// Whether the telemetry's books balance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SensorBooks {
    /// Every sensor holds exactly what the answers say.
    pub ok: bool,
    /// Sensors that were compared.
    pub sensors: u64,
    /// Readings that were answered as taken, earlier runs' included.
    pub expected_readings: u64,
    /// Readings that the sensors have counted.
    pub found_readings: u64,
    /// Sensors that hold something else than expected, or cannot be read.
    pub wrong_sensors: u64,
    /// Sensors whose alarm contradicts their latest reading.
    pub wrong_alarms: u64,
    /// The first wrong sensor, if any: its id, what it must hold, what it holds.
    pub first_wrong: Option<String>,
}

impl SensorBooks {
    /// Compares, sensor by sensor.
    pub(super) fn close(device: u64, expected: &[SensorBook], found: &[Option<SensorBook>]) -> SensorBooks {
        let wrong = |sensor: &usize| found[*sensor].as_ref() != Some(&expected[*sensor]);
        let wrong_sensors = (0..expected.len()).filter(wrong).count() as u64;
        let first_wrong = (0..expected.len()).find(wrong).map(|sensor| {
            let id = sensor_id(device, sensor as u64);
            format!("{id} must hold {:?}, found {:?}", expected[sensor], found[sensor])
        });
        let known = || found.iter().flatten();
        let wrong_alarms = known().filter(|sensor| !sensor.alarm_holds()).count() as u64;
        SensorBooks {
            ok: wrong_sensors == 0 && wrong_alarms == 0,
            sensors: expected.len() as u64,
            expected_readings: expected.iter().map(|sensor| sensor.count).sum(),
            found_readings: known().map(|sensor| sensor.count).sum(),
            wrong_sensors,
            wrong_alarms,
            first_wrong,
        }
    }
}

/// Configures the sensors that are not there, or count in other windows than these books need, and returns what all
/// hold then.
pub(super) fn set_up(client: &mut Client, device: u64, sensors: usize) -> Result<Vec<SensorBook>, LoadError> {
    let states = read_states(client, device, sensors)?;
    let is_fit = |state: &SensorState| {
        let settings = &state.settings;
        let thresholds = (settings.thresholds.raise_at(), settings.thresholds.clear_at());
        settings.window_ns.get() == ALL_TIME_NS && thresholds == (RAISE_AT, CLEAR_AT)
    };
    let unfit = (0..sensors).filter(|sensor| !states[*sensor].as_ref().is_some_and(is_fit));
    let unfit: Vec<usize> = unfit.collect();
    for chunk in unfit.chunks(CHUNK_EVENTS) {
        let events: Vec<NewEvent> = chunk.iter().map(|sensor| configuration(device, *sensor)).collect();
        let answers = client
            .submit(&events)
            .map_err(|source| LoadError::Client { doing: "configuring the sensors", source })?;
        if let Some(answer) = answers.into_iter().find(|answer| answer.first_status != Status::Applied) {
            return Err(LoadError::SetUp { outcome: Outcome::Answered(answer) });
        }
    }
    let books = read(client, device, sensors)?;
    Ok(books.into_iter().map(Option::unwrap_or_default).collect())
}

/// What every sensor holds; nothing where it is absent or its bytes are not a sensor's.
pub(super) fn read(
    client: &mut Client,
    device: u64,
    sensors: usize,
) -> Result<Vec<Option<SensorBook>>, LoadError> {
    let states = read_states(client, device, sensors)?;
    Ok(states.iter().map(|state| state.as_ref().map(SensorBook::of)).collect())
}

fn read_states(
    client: &mut Client,
    device: u64,
    sensors: usize,
) -> Result<Vec<Option<SensorState>>, LoadError> {
    let ids: Vec<EntityId> = (0..sensors as u64).map(|sensor| sensor_id(device, sensor)).collect();
    let states = client
        .read(TELEMETRY, &ids)
        .map_err(|source| LoadError::Client { doing: "reading the sensors", source })?;
    Ok(states.into_iter().map(|state| SensorState::parse(&state?)).collect())
}

fn configuration(device: u64, sensor: usize) -> NewEvent {
    let event = TelemetryEvent::Configure {
        sensor: sensor_id(device, sensor as u64),
        window_ns: ALL_TIME_NS,
        silence_ns: NO_SILENCE_LIMIT,
        raise_at: RAISE_AT,
        clear_at: CLEAR_AT,
    };
    let mut payload = Vec::new();
    event.encode_payload(&mut payload);
    NewEvent::new(TELEMETRY, VERSION, payload)
}

/// The number of a run's sensor.
pub(super) fn number_of(sensor: EntityId) -> usize {
    // Its channel, in the low half of its id.
    sensor.0 as u64 as usize
}

/// Readings are below this, at random: some cross a threshold, some come to lie between the two.
pub(super) const READING_MAX: u64 = 1000;
const RAISE_AT: i32 = 900;
const CLEAR_AT: i32 = 700;

/// One window for every time there is: what it counts is all that was ever taken.
const ALL_TIME_NS: u64 = 1 << 63;

const CHUNK_EVENTS: usize = 8190;

#[cfg(test)]
mod tests {
    use super::*;

    fn told(readings: &[(u64, i32, bool)]) -> SensorBook {
        let mut book = SensorBook::default();
        readings.iter().for_each(|(sequence, reading, raised)| book.take(*sequence, *reading, *raised));
        book
    }

    #[test]
    fn the_latest_reading_is_that_of_the_highest_number_whatever_order_answers_come_in() {
        let rising = told(&[(1, 10, false), (2, 950, true), (4, 800, true)]);
        assert_eq!(rising, told(&[(4, 800, true), (1, 10, false), (2, 950, true)]));
        let mut sum = told(&[(2, 950, true)]);
        sum.add(&told(&[(4, 800, true)]));
        sum.add(&told(&[(1, 10, false)]));
        assert_eq!(sum, rising);
    }

    #[test]
    fn a_reading_that_is_lost_counted_twice_or_misjudged_is_seen() {
        let expected = [told(&[(1, 10, false), (2, 950, true)])];
        let close = |found: Option<SensorBook>| SensorBooks::close(7, &expected, &[found]);
        assert!(close(Some(expected[0].clone())).ok);
        for found in [
            told(&[(2, 950, true)]),
            told(&[(1, 10, false), (2, 950, true), (2, 950, true)]),
            told(&[(1, 10, false), (2, 951, true)]),
        ] {
            let books = close(Some(found));
            assert!(!books.ok && books.wrong_sensors == 1 && books.first_wrong.is_some());
        }
        assert!(!close(None).ok);
        let quiet = close(Some(told(&[(1, 10, false), (2, 950, false)])));
        assert!(!quiet.ok && quiet.wrong_alarms == 1);
    }
}
