//! Random events of every kind, and histories of them in stream time.

use assize_domain::EntityId;
use assize_telemetry::{LINES_MAX, Line, TelemetryEvent, command_id, sensor_id};
use proptest::prelude::*;

/// An event that owns its lines.
#[derive(Clone, Debug)]
pub enum Ask {
    Lines(Vec<Line>),
    Other(TelemetryEvent<'static>),
}

impl Ask {
    /// The event.
    pub fn event(&self) -> TelemetryEvent<'_> {
        match self {
            Ask::Lines(lines) => TelemetryEvent::Report { lines },
            Ask::Other(event) => *event,
        }
    }
}

/// What events are made of.
#[derive(Clone, Debug)]
pub struct Parts {
    pub sensor: BoxedStrategy<EntityId>,
    pub command: BoxedStrategy<EntityId>,
    pub length_ns: BoxedStrategy<u64>,
    pub reading: BoxedStrategy<i32>,
    pub sequence: BoxedStrategy<u64>,
    pub lines_max: usize,
}

/// An event of any kind, of these.
pub fn ask_of(parts: &Parts) -> impl Strategy<Value = Ask> + use<> {
    let Parts { sensor, command, length_ns, reading, sequence, lines_max } = parts.clone();
    let (sensor, command) = (|| sensor.clone(), || command.clone());
    let (length_ns, reading) = (|| length_ns.clone(), || reading.clone());
    let configure = (sensor(), length_ns(), length_ns(), reading(), reading()).prop_map(
        |(sensor, window_ns, silence_ns, raise_at, clear_at)| TelemetryEvent::Configure {
            sensor,
            window_ns,
            silence_ns,
            raise_at,
            clear_at,
        },
    );
    let issue = (sensor(), command(), any::<u64>(), length_ns()).prop_map(
        |(sensor, command, instruction, time_to_live_ns)| TelemetryEvent::Issue {
            sensor,
            command,
            instruction,
            time_to_live_ns,
        },
    );
    let other = prop_oneof![
        2 => configure,
        3 => issue,
        2 => command().prop_map(|command| TelemetryEvent::Deliver { command }),
        2 => (sensor(), command(), any::<u16>())
            .prop_map(|(sensor, command, result)| TelemetryEvent::Acknowledge { sensor, command, result }),
        2 => (sensor(), command()).prop_map(|(sensor, command)| TelemetryEvent::Collect { sensor, command }),
        2 => sensor().prop_map(|sensor| TelemetryEvent::CheckSilence { sensor }),
        1 => prop_oneof![sensor(), command()].prop_map(|entity| TelemetryEvent::Inspect { entity }),
    ];
    let line = (sensor(), sequence, reading())
        .prop_map(|(sensor, sequence, reading)| Line::new(sensor, sequence, reading));
    let lines = prop::collection::vec(line, 1..=lines_max).prop_map(|mut lines| {
        lines.sort_by_key(Line::sensor);
        lines.dedup_by_key(|line| line.sensor());
        lines
    });
    let lines = lines.prop_shuffle();
    prop_oneof![
        3 => other.prop_map(Ask::Other),
        2 => lines.prop_map(Ask::Lines),
    ]
}

/// Few entities and short times, so that histories meet; and now and then the edges of what there is.
pub fn ask() -> impl Strategy<Value = Ask> {
    ask_of(&Parts {
        sensor: (0u64..2, 0u64..2).prop_map(|(device, channel)| sensor_id(device, channel)).boxed(),
        command: (0u128..4).prop_map(command_id).boxed(),
        length_ns: prop_oneof![
            12 => 1u64..20,
            2 => Just(0u64),
            1 => (u64::MAX - 3)..=u64::MAX,
            1 => any::<u64>(),
        ]
        .boxed(),
        reading: prop_oneof![
            12 => -6i32..=6,
            1 => i32::MIN..i32::MIN + 3,
            1 => (i32::MAX - 3)..=i32::MAX,
        ]
        .boxed(),
        sequence: prop_oneof![12 => 0u64..30, 1 => Just(u64::MAX - 1)].boxed(),
        lines_max: 4,
    })
}

/// Any event that has an encoding.
pub fn any_ask() -> impl Strategy<Value = Ask> {
    let edges =
        || prop_oneof![any::<u64>(), (1u64 << 53) - 3..(1 << 53) + 3, 0u64..5, (u64::MAX - 3)..=u64::MAX];
    ask_of(&Parts {
        sensor: (0u64..1 << 63, any::<u64>())
            .prop_map(|(device, channel)| sensor_id(device, channel))
            .boxed(),
        command: (0u128..1 << 127).prop_map(command_id).boxed(),
        length_ns: edges().boxed(),
        reading: any::<i32>().boxed(),
        sequence: edges().boxed(),
        lines_max: LINES_MAX,
    })
}

/// How much later the next event comes: often at once or soon, sometimes ages.
fn step() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => Just(0u64),
        8 => 1u64..12,
        4 => 12u64..100,
        1 => any::<u64>().prop_map(|step| step / 8),
    ]
}

/// Events at the stream times at which they are evaluated, which never move back and may end where time does.
pub fn history(
    asks: impl Strategy<Value = Ask>,
    length: core::ops::Range<usize>,
) -> impl Strategy<Value = Vec<(u64, Ask)>> {
    let start = prop_oneof![3 => 0u64..30, 1 => any::<u64>()];
    (start, prop::collection::vec((step(), asks), length)).prop_map(|(start, steps)| {
        let mut now = start;
        let at = |(step, ask): (u64, Ask)| {
            now = now.saturating_add(step);
            (now, ask)
        };
        steps.into_iter().map(at).collect()
    })
}
