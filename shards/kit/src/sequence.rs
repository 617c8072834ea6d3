//! Events in their total order, each with its key, its stream time and the logic in force: what a seed makes of drafts.

use assize_domain::{DomainRegistry, LogicVersions, StreamTime};
use assize_wire::EventKey;
use assize_wire::limits::EVENT_PAYLOAD_BYTES_MAX;
use assize_wire::routing::Routing;

use crate::books::encoded;
use crate::{Dice, Draft};

/// Where events come from.
pub(crate) enum Source<'a> {
    /// So many, drawn at their stream time; some of them with bytes spoiled.
    Drawn(&'a dyn Fn(&mut Dice, StreamTime) -> Draft, usize),
    /// These.
    Given(&'a [Draft]),
}

/// Events in their order.
pub(crate) struct Sequence {
    pub(crate) seed: u64,
    pub(crate) entries: Vec<Entry>,
}

/// One event.
pub(crate) struct Entry {
    pub(crate) draft: Draft,
    pub(crate) key: EventKey,
    pub(crate) time: StreamTime,
    pub(crate) logic: LogicVersions,
    pub(crate) bytes: Vec<u8>,
}

impl Sequence {
    /// What a seed makes of it.
    pub(crate) fn of(seed: u64, source: &Source<'_>, domains: &DomainRegistry) -> Sequence {
        let mut dice = Dice::new(seed);
        let count = match source {
            Source::Drawn(_, count) => *count,
            Source::Given(drafts) => drafts.len(),
        };
        let switches = switches(domains, count, &mut dice);
        let mut entries: Vec<Entry> = Vec::new();
        let mut time = StreamTime(BEGIN_NS);
        while entries.len() < count {
            time.0 += step(&mut dice);
            for key in keys(&mut dice, seed, count - entries.len()) {
                let at = entries.len();
                let draft = match source {
                    Source::Drawn(draw, _) => spoiled(draw(&mut dice, time), &mut dice),
                    Source::Given(drafts) => drafts[at].clone(),
                };
                let bytes = encoded(&draft, key, StreamTime(time.0 + LIFETIME_NS));
                let logic = logic_at(domains, &switches, at);
                entries.push(Entry { draft, key, time, logic, bytes });
            }
        }
        Sequence { seed, entries }
    }

    /// Keyed per seed, as per cluster.
    pub(crate) fn routing(&self, shards: u16) -> Routing {
        Routing { seed: self.seed, shards }
    }

    /// Whether other logic is in force from the next event on.
    pub(crate) fn switches_after(&self, at: usize) -> bool {
        self.entries.get(at + 1).is_some_and(|next| next.logic != self.entries[at].logic)
    }
}

/// The keys of events of one moment: whatever the number of shards, each belongs to the shard of the one before it or a
/// higher one, so that all of them can stand in one slot.
fn keys(dice: &mut Dice, seed: u64, most: usize) -> Vec<EventKey> {
    let count = (1 + dice.below(BURST_MAX)).min(most as u64);
    let finest = Routing { seed, shards: u16::MAX };
    let draw = |dice: &mut Dice| u128::from(dice.below(1 << 53)) << 64 | u128::from(dice.below(1 << 53));
    let mut keys: Vec<_> = (0..count).map(|_| EventKey(draw(dice))).collect();
    keys.sort_by_key(|key| finest.shard_of_key(*key));
    keys
}

/// How far stream time moves on: by nothing, a little, or far.
fn step(dice: &mut Dice) -> u64 {
    let second = 1_000_000_000;
    let most = *dice.one_of(&[1, 2, 1_000_000, second, 60 * second, 3600 * second, 100_000 * second]);
    dice.below(most)
}

/// Mostly as it is; sometimes cut off, longer, or with another byte.
fn spoiled(mut draft: Draft, dice: &mut Dice) -> Draft {
    if !dice.once_in(SPOILED_ONCE_IN) {
        return draft;
    }
    let length = draft.payload.len() as u64;
    match dice.below(4) {
        0 => draft.payload.truncate(dice.below(length + 1) as usize),
        1 if draft.payload.len() < EVENT_PAYLOAD_BYTES_MAX => draft.payload.push(dice.below(256) as u8),
        2 => draft.version = draft.version.wrapping_add(1),
        _ if length > 0 => draft.payload[dice.below(length) as usize] ^= 1 << dice.below(8),
        _ => {}
    }
    draft
}

/// By domain, the events from which on its next versions are in force.
fn switches(domains: &DomainRegistry, count: usize, dice: &mut Dice) -> Vec<usize> {
    let mut switches: Vec<usize> = Vec::new();
    let versions: Vec<_> = domains.versions().collect();
    for pair in versions.windows(2) {
        // As many as there are versions, in order within each domain.
        let from = if pair[0].domain == pair[1].domain { dice.below(count as u64 + 1) as usize } else { 0 };
        switches.push(from);
    }
    for (at, pair) in versions.windows(2).enumerate() {
        if at > 0 && pair[0].domain == pair[1].domain && versions[at - 1].domain == pair[0].domain {
            switches[at] = switches[at].max(switches[at - 1]);
        }
    }
    switches
}

fn logic_at(domains: &DomainRegistry, switches: &[usize], at: usize) -> LogicVersions {
    let from = |number: usize| if number == 0 { 0 } else { switches[number - 1] };
    domains.versions().enumerate().filter(|(number, _)| from(*number) <= at).map(|(_, logic)| logic).collect()
}

/// Some day in 2027.
const BEGIN_NS: u64 = 1_800_000_000_000_000_000;

/// No key is too old within a run.
pub(crate) const LIFETIME_NS: u64 = 1 << 61;

/// Events of one moment.
const BURST_MAX: u64 = 24;

const SPOILED_ONCE_IN: u64 = 12;
