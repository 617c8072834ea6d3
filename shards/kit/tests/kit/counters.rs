//! A domain for tests: counters that events add to, and everything that is wrong with it.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::SystemTime;

use assize_domain::notation::{number_from_json, number_from_text};
use assize_domain::{
    Domain, DomainId, DomainRegistry, ENGINE_REASONS, Entities, EntityId, Event, InvalidEvent, Notation,
    NotationError, Payload, Response, States, StreamTime, Verdict,
};
use assize_kit::{Dice, Draft};
use serde_json::{Value, json};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    Nothing,
    MapOrder,
    Clock,
    Randomness,
    StaticCounter,
    NamesByMapOrder,
    RemembersFirst,
    Thread,
    Address,
    /// This instance and all that are made later.
    Instances(usize),
    Panics,
    PanicsEarly,
    RunsAway,
    Endless,
    LongState,
    FalseReason,
    NoWords,
    OtherBytes,
    NoJson,
    Slash,
    OtherName,
    NoState,
    NoAnswer,
    JsonPanics,
    InspectionAdds,
}

/// Counters, in a version of their logic: the second one counts twice.
pub struct Counters {
    wrong: Wrong,
    version: u16,
    instance: usize,
    first: OnceLock<u64>,
}

pub const COUNTERS: DomainId = DomainId(9);
pub const ZERO: u16 = 1;
pub const MALFORMED: u16 = 2;

/// Lets the endless one end.
pub static ENOUGH: AtomicBool = AtomicBool::new(false);

/// What makes the domains of a kit.
pub fn made(wrong: Wrong, versions: u16) -> impl Fn() -> DomainRegistry + Send + Sync + 'static {
    let instances = AtomicU64::new(0);
    move || {
        let instance = instances.fetch_add(1, Ordering::Relaxed) as usize;
        let mut domains = DomainRegistry::new();
        for version in 1..=versions {
            domains.register(Counters { wrong, version, instance, first: OnceLock::new() }).unwrap();
        }
        domains
    }
}

/// One of few counters, and a small number.
pub fn draw(dice: &mut Dice, _now: StreamTime) -> Draft {
    add(dice.below(6), dice.below(20))
}

pub fn add(counter: u64, number: u64) -> Draft {
    Draft { domain: COUNTERS, version: 1, payload: payload(counter, number) }
}

/// A counter is 8 bytes, a number 8 more; a counter alone is an inspection.
fn payload(counter: u64, number: u64) -> Vec<u8> {
    [counter.to_le_bytes(), number.to_le_bytes()].concat()
}

fn read(payload: &[u8]) -> Option<(u64, Option<u64>)> {
    match payload.as_chunks::<8>() {
        ([counter], []) => Some((u64::from_le_bytes(*counter), None)),
        ([counter, number], []) => Some((u64::from_le_bytes(*counter), Some(u64::from_le_bytes(*number)))),
        _ => None,
    }
}

impl Domain for Counters {
    fn id(&self) -> DomainId {
        COUNTERS
    }

    fn name(&self) -> &'static str {
        "counters"
    }

    fn version(&self) -> u16 {
        self.version
    }

    fn reads(&self, version: u16) -> bool {
        (1..=self.version).contains(&version)
    }

    fn state_bytes_max(&self) -> usize {
        8
    }

    fn entities(&self, event: &Event<'_>, entities: &mut Entities) -> Result<(), InvalidEvent> {
        let (counter, _) = read(event.payload()).ok_or(InvalidEvent { reason: MALFORMED })?;
        if self.wrong == Wrong::PanicsEarly {
            panic!("asked too early");
        }
        entities.push(EntityId(counter.into()));
        if self.wrong == Wrong::NamesByMapOrder {
            let more: HashMap<u128, ()> = (100..104).map(|id| (id, ())).collect();
            more.into_keys().for_each(|id| entities.push(EntityId(id)));
        }
        Ok(())
    }

    fn evaluate(
        &self,
        event: &Event<'_>,
        _now: StreamTime,
        states: &mut States<'_>,
        response: &mut Response,
    ) -> Verdict {
        let (_, number) = read(event.payload()).expect("its entities were named");
        let before = states.get(0).map_or(0, |state| u64::from_le_bytes(state.try_into().unwrap()));
        let Some(number) = number else {
            response.extend_from_slice(&[states.get(0).is_some().into()]);
            response.extend_from_slice(states.get(0).unwrap_or(&[]));
            if self.wrong == Wrong::InspectionAdds {
                states.set(0, &(before + 1).to_le_bytes());
            }
            return Verdict::Applied;
        };
        if number == 0 {
            return Verdict::Rejected(if self.wrong == Wrong::FalseReason { ENGINE_REASONS } else { ZERO });
        }
        let sum =
            before.wrapping_add(number * u64::from(self.version)).wrapping_add(self.more(number, states));
        states.set(0, &sum.to_le_bytes());
        if self.wrong == Wrong::LongState {
            states.set(0, &[0; 9]);
        }
        response.extend_from_slice(&sum.to_le_bytes());
        Verdict::Applied
    }

    fn reason(&self, reason: u16) -> Option<&'static str> {
        match reason {
            ZERO if self.wrong != Wrong::NoWords => Some("nothing is to be added"),
            MALFORMED => Some("not two numbers"),
            _ => None,
        }
    }

    fn notation(&self) -> Option<&dyn Notation> {
        Some(self)
    }
}

impl Counters {
    /// What is wrongly added beside the number.
    fn more(&self, number: u64, states: &States<'_>) -> u64 {
        static COUNTED: AtomicU64 = AtomicU64::new(0);
        match self.wrong {
            Wrong::MapOrder => {
                let map: HashMap<u64, ()> = (0..4).map(|key| (key, ())).collect();
                map.into_keys().next().unwrap()
            }
            Wrong::Clock => {
                SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos().into()
            }
            Wrong::Randomness => RandomState::new().build_hasher().finish(),
            Wrong::StaticCounter => COUNTED.fetch_add(1, Ordering::Relaxed),
            Wrong::RemembersFirst => *self.first.get_or_init(|| number),
            Wrong::Thread => {
                let mut hasher = std::hash::DefaultHasher::new();
                std::hash::Hash::hash(&thread::current().id(), &mut hasher);
                hasher.finish()
            }
            Wrong::Address => (&raw const number).addr() as u64,
            Wrong::Instances(from) => u64::from(self.instance >= from),
            Wrong::Panics => panic!("no counter counts to {number}"),
            Wrong::RunsAway => loop {
                let _ = states.get(0);
            },
            Wrong::Endless => {
                while !ENOUGH.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
                0
            }
            _ => 0,
        }
    }
}

impl Notation for Counters {
    fn event_from_json(&self, json: &Value) -> Result<Payload, NotationError> {
        let counter = number_from_json(&json["counter"])?;
        let bytes = match json.get("add") {
            Some(number) => payload(counter, number_from_json::<u64>(number)? / self.half()),
            None => counter.to_le_bytes().to_vec(),
        };
        Ok(Payload { version: self.version, bytes })
    }

    fn event_to_json(&self, _version: u16, payload: &[u8]) -> Option<Value> {
        assert!(self.wrong != Wrong::JsonPanics, "no JSON today");
        let (counter, number) = read(payload).filter(|_| self.wrong != Wrong::NoJson)?;
        Some(match number {
            Some(number) => json!({"counter": counter, "add": number}),
            None => json!({"counter": counter}),
        })
    }

    fn entity_from_text(&self, text: &str) -> Result<EntityId, NotationError> {
        let number: u128 = number_from_text(text.trim_start_matches("a/"))?;
        Ok(EntityId(number + u128::from(self.wrong == Wrong::OtherName)))
    }

    fn entity_to_text(&self, entity: EntityId) -> String {
        format!("{}{}", if self.wrong == Wrong::Slash { "a/" } else { "" }, entity.0)
    }

    fn state_to_json(&self, _entity: EntityId, state: &[u8]) -> Option<Value> {
        let state = state.try_into().ok().filter(|_| self.wrong != Wrong::NoState)?;
        Some(json!(u64::from_le_bytes(state)))
    }

    fn response_to_json(&self, _: Verdict, event: Option<(u16, &[u8])>, response: &[u8]) -> Option<Value> {
        (event.is_some() || self.wrong != Wrong::NoAnswer).then(|| json!(response))
    }

    fn inspection(&self, entity: EntityId) -> Option<Payload> {
        Some(Payload { version: self.version, bytes: (entity.0 as u64).to_le_bytes().to_vec() })
    }

    fn inspected<'a>(&self, response: &'a [u8]) -> Option<Option<&'a [u8]>> {
        match response {
            [0] => Some(None),
            [1, state @ ..] => Some(Some(state)),
            _ => None,
        }
    }
}

impl Counters {
    fn half(&self) -> u64 {
        if self.wrong == Wrong::OtherBytes { 2 } else { 1 }
    }
}
