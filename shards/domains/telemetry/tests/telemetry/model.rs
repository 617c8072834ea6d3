//! What telemetry should do, written for clearness: every reading is kept, and whatever is asked is counted from the
//! whole past, in wide numbers.

use std::collections::BTreeMap;

use assize_domain::EntityId;
use assize_telemetry::{Effect, Line, Reason, Status, Tally, TelemetryEvent};

use crate::answers::Said;
use crate::books::Books;

/// A sensor as the list of what happened to it.
#[derive(Clone, Debug)]
struct Channel {
    window_ns: u128,
    silence_ns: u128,
    raise_at: i128,
    clear_at: i128,
    heard_at: u128,
    found_silent: bool,
    number: u64,
    /// The window in which windows of this length began.
    first_window: u128,
    /// By window, since then.
    readings: BTreeMap<u128, Vec<i128>>,
    /// Each time a reading met thresholds: when, the reading, where the alarm is raised and where it is cleared.
    judgements: Vec<(u128, i128, i128, i128)>,
}

#[derive(Clone, Debug)]
struct Order {
    sensor: EntityId,
    instruction: u64,
    issued: u128,
    over: u128,
    changed: u128,
    status: Status,
    result: u16,
}

/// Every sensor and every command.
#[derive(Clone, Debug, Default)]
pub struct Model {
    channels: BTreeMap<EntityId, Channel>,
    orders: BTreeMap<EntityId, Order>,
}

impl Model {
    /// Runs one event at this time: what it answers, or why it is rejected without an answer.
    pub fn run(&mut self, now: u64, event: &TelemetryEvent<'_>) -> Result<Said, Reason> {
        let time = u128::from(now);
        match *event {
            TelemetryEvent::Configure { sensor, window_ns, silence_ns, raise_at, clear_at } => {
                if window_ns == 0 {
                    return Err(Reason::ZeroWindow);
                }
                if clear_at >= raise_at {
                    return Err(Reason::ThresholdsMeet);
                }
                let thresholds = (raise_at.into(), clear_at.into());
                Ok(Said::Configured(self.configure(
                    sensor,
                    window_ns.into(),
                    silence_ns.into(),
                    thresholds,
                    time,
                )))
            }
            TelemetryEvent::Report { lines } => {
                Ok(Said::Lines(lines.iter().map(|line| self.take(line, time)).collect()))
            }
            TelemetryEvent::Issue { sensor, command, instruction, time_to_live_ns } => {
                self.issue(sensor, command, instruction, time_to_live_ns.into(), time)
            }
            TelemetryEvent::Deliver { command } => {
                let order = self.orders.get_mut(&command).ok_or(Reason::UnknownCommand)?;
                order.advance(Status::Delivered, 0, time)?;
                Ok(Said::Instruction(order.instruction))
            }
            TelemetryEvent::Acknowledge { sensor, command, result } => {
                self.order_of(sensor, command)?.advance(Status::Acknowledged, result, time)?;
                Ok(Said::Open(self.open(sensor)))
            }
            TelemetryEvent::Collect { sensor, command } => {
                let order = self.order_of(sensor, command)?;
                if time < order.over {
                    return Err(Reason::NotExpired);
                }
                let ended = order.status;
                self.orders.remove(&command);
                Ok(Said::Collected(ended, self.open(sensor)))
            }
            TelemetryEvent::CheckSilence { sensor } => {
                let channel = self.channels.get_mut(&sensor).ok_or(Reason::UnknownSensor)?;
                let quiet = time - channel.heard_at;
                match (channel.silence_ns, channel.found_silent) {
                    (0, _) => Err(Reason::NoSilenceLimit),
                    (_, true) => Err(Reason::AlreadySilent),
                    (limit, false) if quiet < limit => Err(Reason::NotSilent),
                    (_, false) => {
                        channel.found_silent = true;
                        Ok(Said::Silence(quiet as u64))
                    }
                }
            }
            TelemetryEvent::Inspect { .. } => panic!("what an inspection answers are the books"),
        }
    }

    /// Whether there is such a sensor or command.
    pub fn exists(&self, id: EntityId) -> bool {
        self.channels.contains_key(&id) || self.orders.contains_key(&id)
    }

    /// The domain's states say what the model says.
    pub fn check(&self, books: &Books) {
        assert_eq!(books.len(), self.channels.len() + self.orders.len());
        for (id, channel) in &self.channels {
            channel.check(*id, self.open(*id), books);
        }
        for (id, order) in &self.orders {
            let command = books.command(*id).expect("a command of the model");
            assert_eq!((command.sensor, command.instruction), (order.sensor, order.instruction));
            assert_eq!((command.status, command.result), (order.status, order.result));
            let times = [command.issued_at, command.changed_at, command.expires_at];
            assert_eq!(times.map(|time| u128::from(time.0)), [order.issued, order.changed, order.over]);
            assert!(order.issued <= order.changed && order.changed < order.over);
        }
    }

    fn configure(
        &mut self,
        sensor: EntityId,
        window_ns: u128,
        silence_ns: u128,
        (raise_at, clear_at): (i128, i128),
        time: u128,
    ) -> Effect {
        let before = self.channels.get(&sensor).cloned();
        let channel = self.channels.entry(sensor).or_insert(Channel {
            window_ns,
            silence_ns,
            raise_at,
            clear_at,
            heard_at: time,
            found_silent: false,
            number: 0,
            first_window: time / window_ns,
            readings: BTreeMap::new(),
            judgements: Vec::new(),
        });
        if channel.window_ns != window_ns {
            channel.first_window = time / window_ns;
            channel.readings.clear();
        }
        (channel.window_ns, channel.silence_ns) = (window_ns, silence_ns);
        (channel.raise_at, channel.clear_at) = (raise_at, clear_at);
        (channel.heard_at, channel.found_silent) = (time, false);
        if let Some((_, reading, _, _)) = channel.judgements.last().copied() {
            channel.judgements.push((time, reading, raise_at, clear_at));
        }
        effect(before.as_ref(), channel)
    }

    fn take(&mut self, line: &Line, time: u128) -> Result<Effect, Reason> {
        let channel = self.channels.get_mut(&line.sensor()).ok_or(Reason::UnknownSensor)?;
        if line.sequence() <= channel.number {
            return Err(Reason::OutOfOrder);
        }
        let before = channel.clone();
        let reading = i128::from(line.reading());
        channel.number = line.sequence();
        (channel.heard_at, channel.found_silent) = (time, false);
        channel.readings.entry(time / channel.window_ns).or_default().push(reading);
        channel.judgements.push((time, reading, channel.raise_at, channel.clear_at));
        Ok(effect(Some(&before), channel))
    }

    fn issue(
        &mut self,
        sensor: EntityId,
        command: EntityId,
        instruction: u64,
        life: u128,
        time: u128,
    ) -> Result<Said, Reason> {
        if life == 0 {
            return Err(Reason::ZeroTimeToLive);
        }
        if !self.channels.contains_key(&sensor) {
            return Err(Reason::UnknownSensor);
        }
        if self.orders.contains_key(&command) {
            return Err(Reason::CommandExists);
        }
        let over = time + life;
        if over > u64::MAX.into() {
            return Err(Reason::ExpiryTooFar);
        }
        if self.open(sensor) >= 16 {
            return Err(Reason::TooManyCommands);
        }
        let (issued, changed) = (time, time);
        let order = Order { sensor, instruction, issued, over, changed, status: Status::Pending, result: 0 };
        self.orders.insert(command, order);
        Ok(Said::Expiry(over as u64))
    }

    fn order_of(&mut self, sensor: EntityId, command: EntityId) -> Result<&mut Order, Reason> {
        let order = self.orders.get_mut(&command).ok_or(Reason::UnknownCommand)?;
        if order.sensor != sensor {
            return Err(Reason::OtherSensor);
        }
        Ok(order)
    }

    /// Commands for a sensor that nobody acknowledged.
    fn open(&self, sensor: EntityId) -> u8 {
        let open = |order: &&Order| order.sensor == sensor && order.status != Status::Acknowledged;
        self.orders.values().filter(open).count() as u8
    }
}

impl Order {
    fn advance(&mut self, to: Status, result: u16, time: u128) -> Result<(), Reason> {
        match (self.status, to) {
            (Status::Acknowledged, _) => return Err(Reason::AlreadyAcknowledged),
            (Status::Delivered, Status::Delivered) => return Err(Reason::AlreadyDelivered),
            _ if time >= self.over => return Err(Reason::CommandExpired),
            _ => {}
        }
        (self.status, self.result, self.changed) = (to, result, time);
        Ok(())
    }
}

impl Channel {
    /// Whether the alarm is raised, how often it was, and when it last changed: from its whole past.
    fn alarm(&self) -> (bool, u64, u128) {
        let mut alarm = (false, 0, 0);
        for (time, reading, raise_at, clear_at) in &self.judgements {
            if !alarm.0 && reading >= raise_at {
                alarm = (true, alarm.1 + 1, *time);
            } else if alarm.0 && reading <= clear_at {
                alarm = (false, alarm.1, *time);
            }
        }
        alarm
    }

    fn window(&self) -> u128 {
        self.heard_at / self.window_ns
    }

    fn tally(&self, window: Option<u128>) -> Tally {
        let Some(readings) = window.and_then(|window| self.readings.get(&window)) else {
            return Tally { count: 0, sum: 0, min: 0, max: 0 };
        };
        Tally {
            count: readings.len() as u32,
            sum: readings.iter().sum::<i128>() as i64,
            min: *readings.iter().min().expect("a window in which there was a reading") as i32,
            max: *readings.iter().max().expect("a window in which there was a reading") as i32,
        }
    }

    fn check(&self, id: EntityId, open: u8, books: &Books) {
        let sensor = books.sensor(id).expect("a sensor of the model");
        let settings = sensor.settings;
        assert_eq!(u128::from(settings.window_ns.get()), self.window_ns);
        assert_eq!(settings.silence_ns.map_or(0, |limit| limit.get().into()), self.silence_ns);
        let thresholds = (settings.thresholds.raise_at(), settings.thresholds.clear_at());
        assert_eq!((i128::from(thresholds.0), i128::from(thresholds.1)), (self.raise_at, self.clear_at));
        assert_eq!(sensor.latest.map_or(0, |latest| latest.sequence), self.number);
        let reading = self.judgements.last().map(|(_, reading, _, _)| *reading);
        assert_eq!(sensor.latest.map(|latest| latest.reading.into()), reading);
        assert_eq!((u128::from(sensor.heard_at.0), sensor.silent), (self.heard_at, self.found_silent));
        assert!(!sensor.silent || self.silence_ns > 0);

        let alarm = (sensor.alarm.raised, sensor.alarm.raises, sensor.alarm.changed_at.0.into());
        assert_eq!(alarm, self.alarm());
        if let Some(reading) = reading {
            let follows = if alarm.0 { reading > self.clear_at } else { reading < self.raise_at };
            assert!(follows, "{sensor:?}");
        }

        assert_eq!(sensor.windows.current, self.tally(Some(self.window())));
        assert_eq!(sensor.windows.last, self.tally(self.window().checked_sub(1)));
        let with_readings = self.readings.keys().filter(|window| **window < self.window()).count() as u128;
        let complete = self.window() - self.first_window;
        assert_eq!(u128::from(sensor.windows.empty), complete - with_readings);
        assert_eq!(sensor.commands_open, open);
        assert!(open <= 16);
    }
}

fn effect(before: Option<&Channel>, after: &Channel) -> Effect {
    Effect {
        alarm_raised: after.alarm().0,
        alarm_changed: before.is_some_and(|before| before.alarm().0 != after.alarm().0),
        silence_ended: before.is_some_and(|before| before.found_silent),
        window_began: before
            .is_none_or(|before| before.window() != after.window() || before.window_ns != after.window_ns),
    }
}
