//! The events through a replica's shards: under several numbers of shards, in stripes cut by chance, with the messages
//! between shards in an order of a seed's choice, and from a checkpoint on.

use std::sync::Arc;
use std::thread;

use assize_shards::{Piece, Published, ReadEntity, Shard, StateDigest};
use assize_wire::outcome::Outcome;
use assize_wire::{Control, Hash, LogicVersions, Slot};

use crate::again::{Serial, differs};
use crate::drive::{Agreed, LogSlot, Replica, SlotDraft, StripeDraft, cut};
use crate::failure::{Failure, Kind};
use crate::kit::Run;
use crate::sequence::LIFETIME_NS;
use crate::teller::Teller;
use crate::{Change, Dice, Ending, Report};

/// Runs the events in all these ways and compares each with what they came to one after the other.
pub(crate) fn check(run: &Run, serial: &Serial, report: &mut Report) -> Result<(), Failure> {
    if run.sequence.entries.is_empty() {
        return Ok(());
    }
    for shards in SHARDS {
        let mut dice = Dice::new(run.sequence.seed << 8 | u64::from(shards));
        let agreed = agreed(run, serial, shards);
        let domains = Arc::new(run.domains());
        let mut first = Ran::new(run, serial, shards, &mut dice);
        let at = Slot(1 + dice.below(first.log.len() as u64));
        let mut replica = Replica::new(agreed, &domains, &run.guard);
        replica.checkpoint = Some(at);
        first.go(&mut replica, &mut dice);
        first.compare(run, serial, &mut replica, Slot::ZERO, Kind::Sharded, report)?;

        let time = first.log[at.0 as usize - 1].ordered.manifest.time;
        let fresh = Arc::new(run.domains());
        let restored = Replica::restored(agreed, &fresh, &run.guard, &replica, time);
        let mut restored =
            restored.unwrap_or_else(|error| panic!("a checkpoint that was just taken: {error}"));
        first.go(&mut restored, &mut dice);
        first.compare(run, serial, &mut restored, at, Kind::Restarted, report)?;
        report.restarts += 1;
        same(&replica, &restored);

        // Domains that have evaluated all this before, on another thread, other stripes.
        let mut again = Ran::new(run, serial, shards, &mut dice);
        let mut other = Replica::new(agreed, &domains, &run.guard);
        let ran = thread::scope(|scope| scope.spawn(|| again.go(&mut other, &mut dice)).join());
        ran.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        again.compare(run, serial, &mut other, Slot::ZERO, Kind::Sharded, report)?;
        assert_eq!(digest(&replica), digest(&other), "equal states have one digest");
    }
    Ok(())
}

/// Room for everything: what a full shard refuses is not its domains' doing.
fn agreed(run: &Run, serial: &Serial, shards: u16) -> Agreed {
    Agreed {
        routing: run.sequence.routing(shards),
        ttl_ns: 2 * LIFETIME_NS,
        keys: run.sequence.entries.len() as u32 + 1,
        entities: serial.names.len() as u32 + 1,
        logic: run.sequence.entries.first().map_or(LogicVersions::NONE, |entry| entry.logic),
        keeps_pieces: true,
    }
}

/// The events as a log.
struct Ran {
    shards: u16,
    log: Vec<LogSlot>,
    /// By slot and shard, the events' numbers.
    events: Vec<Vec<Vec<usize>>>,
}

impl Ran {
    /// Cuts the events into slots and stripes.
    fn new(run: &Run, serial: &Serial, shards: u16, dice: &mut Dice) -> Ran {
        let entries = &run.sequence.entries;
        let routing = run.sequence.routing(shards);
        let often = 2 + dice.below(40);
        let shard = |at: usize| usize::from(routing.shard_of_key(entries[at].key).0);
        let placed = (0..entries.len()).map(|at| (entries[at].time.0, shard(at), at));
        let cuts = cut(placed, shards, dice, often, |at| run.sequence.switches_after(*at));
        let (mut log, mut events) = (Vec::new(), Vec::new());
        for cut in cuts {
            let stripe = |events: &Vec<usize>| {
                let mut stripe = StripeDraft { events: events.len() as u32, ..StripeDraft::default() };
                for at in events {
                    stripe.body.extend_from_slice(&entries[*at].bytes);
                    let domain = entries[*at].draft.domain;
                    let homes = serial.evaluated[*at].entities.iter().map(|id| routing.home_of(domain, *id));
                    stripe.home_mask |= homes.fold(0, |mask, home| mask | 1 << home.0);
                }
                (!events.is_empty()).then_some(stripe)
            };
            let last = cut.stripes.iter().flatten().max();
            let draft = SlotDraft {
                time: assize_domain::StreamTime(cut.time),
                controls: last.map_or_else(Vec::new, |last| switches(run, *last)),
                stripes: cut.stripes.iter().map(stripe).collect(),
            };
            draft.append(&mut log, |_, _| {});
            events.push(cut.stripes);
        }
        Ran { shards, log, events }
    }

    fn go(&mut self, replica: &mut Replica, dice: &mut Dice) {
        let window = 1 + dice.below(14);
        replica.run(&self.log, dice, window, &[]);
    }

    /// The first event, in the order of all, that came to something else behind this slot.
    fn compare(
        &self,
        run: &Run,
        serial: &Serial,
        replica: &mut Replica,
        behind: Slot,
        kind: Kind,
        report: &mut Report,
    ) -> Result<(), Failure> {
        report.runs += 1;
        report.borrowed += replica.shards.iter().map(|shard| shard.counters().entities_borrowed).sum::<u64>();
        let domains = run.domains();
        for (number, stripes) in self.events.iter().enumerate().skip(behind.0 as usize) {
            let slot = Slot(number as u64 + 1);
            for (shard, events) in stripes.iter().enumerate().filter(|(_, events)| !events.is_empty()) {
                let published = replica.published[shard].iter().find(|published| published.slot == slot);
                let published =
                    published.unwrap_or_else(|| panic!("slot {slot} of shard {shard} is published"));
                for (at, found) in events.iter().zip(endings(published)) {
                    let expected = &serial.evaluated[*at].ending;
                    if *expected != found {
                        let mut failure = differs(run, kind, *at, &domains, expected, &found);
                        failure.text += &format!("\n  where    {}", self.place(slot, shard, behind));
                        return Err(failure);
                    }
                }
            }
        }
        self.compare_states(run, serial, replica, behind, kind)
    }

    fn place(&self, slot: Slot, shard: usize, behind: Slot) -> String {
        let from = match behind {
            Slot::ZERO => String::new(),
            behind => format!(", from a checkpoint at slot {behind}"),
        };
        format!("slot {slot} of {}, shard {shard} of {}{from}", self.log.len(), self.shards)
    }

    /// What the shards hold at the end.
    fn compare_states(
        &self,
        run: &Run,
        serial: &Serial,
        replica: &mut Replica,
        behind: Slot,
        kind: Kind,
    ) -> Result<(), Failure> {
        let names: Vec<_> = serial.names.iter().collect();
        let read = |(index, (domain, entity)): (usize, &&(_, _))| ReadEntity {
            index: index as u32,
            domain: *domain,
            entity: *entity,
        };
        let wanted: Vec<_> = names.iter().enumerate().map(read).collect();
        replica.answers.clear();
        for shard in 0..replica.shards.len() {
            replica.read(shard, &wanted);
            replica.drain(shard);
        }
        let states = replica.answers.iter().flat_map(|answer| &answer.states);
        let other = states
            .map(|(index, state)| (names[*index as usize], state))
            .find(|(name, state)| serial.states.get(name) != state.as_ref());
        let Some((name, state)) = other else { return Ok(()) };
        let (domains, last) = (run.domains(), run.sequence.entries.len() - 1);
        let teller = Teller { domains: &domains };
        let tell = |state: Option<&Vec<u8>>| teller.state(name.0, name.1, state.map(Vec::as_slice));
        let text = format!(
            "  after it {} is {}, and one after the other {}\n  where    {}",
            teller.entity(name.0, name.1),
            tell(state.as_ref()),
            tell(serial.states.get(name)),
            self.place(Slot(self.log.len() as u64), 0, behind)
        );
        Err(run.failure(kind, last, &domains, &text))
    }
}

/// What other logic is in force after an event.
fn switches(run: &Run, last: usize) -> Vec<Control> {
    let entries = &run.sequence.entries;
    let Some(next) = entries.get(last + 1) else { return Vec::new() };
    let in_force = entries[last].logic;
    let changed = next.logic.iter().filter(|logic| in_force.get(logic.domain) != Some(logic.version));
    changed.map(Control::SwitchLogic).collect()
}

/// What the events of a stripe came to, positions left out.
fn endings(published: &Published) -> impl Iterator<Item = Ending> {
    published.evaluated.pieces().map(|piece| {
        let (Piece { outcome, changes }, _) = Piece::parse(piece).expect("a piece that was encoded here");
        let Outcome { status, reason, response, .. } = outcome;
        let change = |(domain, entity, state): &(_, _, Option<&[u8]>)| Change {
            domain: *domain,
            entity: *entity,
            state: state.map(<[u8]>::to_vec),
        };
        Ending { status, reason, response: response.to_vec(), changes: changes.iter().map(change).collect() }
    })
}

/// What came of the same log is the same to the last byte.
fn same(replica: &Replica, restored: &Replica) {
    for (ours, theirs) in replica.published.iter().zip(&restored.published) {
        let digests = |published: &[Published]| -> Vec<(Slot, Hash)> {
            published.iter().map(|published| (published.slot, published.digest)).collect()
        };
        assert_eq!(digests(ours), digests(theirs), "equal outcomes have one digest");
    }
    assert_eq!(digest(replica), digest(restored), "equal states have one digest");
}

fn digest(replica: &Replica) -> Option<Hash> {
    let digests: Vec<_> = replica.shards.iter().map(Shard::state_digest).collect();
    StateDigest::of_all(&digests).map(|(_, digest)| digest)
}

/// The usual ones: one, few, and more than most machines have cores for.
const SHARDS: [u16; 5] = [1, 2, 3, 4, 8];
