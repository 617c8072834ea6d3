//! Stripes that manifests name and that are not here: of whom each is asked, in which order, and how much at once.
//!
//! 1. A replica starts again and lacks hundreds of stripes of 1 MiB. Were it to ask for all of them at once, its peers
//!    would read them all from their disks, and drop what the connection has no room for.
//! 2. What was dropped is asked for again, of the next peer, and read again; and so on.
//! 3. The disks do little else. A leader's own writes wait behind all that for longer than an election timeout.
//!
//! So few are asked for at a time, those that were wanted first. More would not bring them faster.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use assize_wire::{ReplicaId, StripeId};

use crate::limits::{STRIPE_ASK_AGAIN_NS, STRIPES_ASKED_BYTES_MAX, STRIPES_ASKED_MAX};

/// Stripes of one core's shards that are not here.
///
/// Invariants: each is either in `waiting` or in `asked`; those in `asked` are at most [`STRIPES_ASKED_MAX`] with at
/// most [`STRIPES_ASKED_BYTES_MAX`] bytes, or one.
#[derive(Debug, Default)]
pub(crate) struct WantedStripes {
    stripes: BTreeMap<StripeId, Wanted>,
    /// By when they are to be asked for, then by when they were wanted.
    waiting: BTreeMap<Turn, StripeId>,
    asked: Vec<StripeId>,
    asked_bytes: u64,
    wanted_so_far: u64,
    /// Nothing is asked for before.
    paused_until: u64,
}

/// When a stripe is asked for: not before this time, and then in the order of the second number.
type Turn = (u64, u64);

#[derive(Debug)]
struct Wanted {
    bytes: u32,
    /// Whom to ask next.
    from: ReplicaId,
    state: State,
}

#[derive(Debug)]
enum State {
    Waiting(Turn),
    /// It was asked for so often, and will be again at `due`.
    Asked {
        due: u64,
        times: u8,
    },
}

impl WantedStripes {
    /// A manifest names a stripe of so many bytes and it is not here: to be asked for if it has not come by `due`,
    /// first of `from`.
    pub(crate) fn want(&mut self, id: StripeId, bytes: u32, from: ReplicaId, due: u64) {
        if !self.stripes.contains_key(&id) {
            let state = State::Waiting(self.queue(id, due));
            self.stripes.insert(id, Wanted { bytes, from, state });
        }
    }

    /// Whether it was asked for, or will be.
    pub(crate) fn contains(&self, id: StripeId) -> bool {
        self.stripes.contains_key(&id)
    }

    /// It is here, or nothing names it any more.
    pub(crate) fn forget(&mut self, id: StripeId) {
        let Some(wanted) = self.stripes.remove(&id) else { return };
        match wanted.state {
            State::Waiting(turn) => drop(self.waiting.remove(&turn)),
            State::Asked { .. } => self.take_back(id, wanted.bytes),
        }
    }

    /// A peer does not have it: the next one is asked soon.
    pub(crate) fn handle_missing(&mut self, id: StripeId, now: u64) {
        if let Some(Wanted { state: State::Asked { due, .. }, .. }) = self.stripes.get_mut(&id) {
            // Not in the same turn, so that peers that lack it are not asked in a circle without a pause.
            *due = (*due).min(now + STRIPE_ASK_AGAIN_NS / 8);
        }
    }

    /// The next stripe that is to be asked for, and of whom: each peer in turn, this replica never.
    pub(crate) fn poll(&mut self, own: ReplicaId, replicas: u8, now: u64) -> Option<(StripeId, ReplicaId)> {
        if now < self.paused_until {
            return None;
        }
        let late = self
            .asked
            .iter()
            .copied()
            .find(|id| self.stripes[id].asked_until().is_some_and(|due| due <= now));
        if let Some(id) = late {
            let wanted = self.stripes.get_mut(&id).expect("it is asked for");
            let State::Asked { due, times } = &mut wanted.state else { unreachable!("it is asked for") };
            if *times < 2 * (replicas - 1) || self.waiting.is_empty() {
                (*due, *times) = (now + STRIPE_ASK_AGAIN_NS, times.saturating_add(1));
                return Some((id, wanted.take_turn(own, replicas)));
            }
            // Nobody has it, as it seems. Others are not to wait for that.
            let bytes = wanted.bytes;
            self.take_back(id, bytes);
            let turn = self.queue(id, now);
            self.stripes.get_mut(&id).expect("it is wanted").state = State::Waiting(turn);
        }
        let (turn, id) = self.waiting.first_key_value().map(|(turn, id)| (*turn, *id))?;
        let wanted = self.stripes.get_mut(&id).expect("it is wanted");
        if turn.0 > now || !has_room(self.asked.len(), self.asked_bytes, wanted.bytes) {
            return None;
        }
        wanted.state = State::Asked { due: now + STRIPE_ASK_AGAIN_NS, times: 1 };
        let from = wanted.take_turn(own, replicas);
        self.waiting.pop_first();
        self.asked.push(id);
        self.asked_bytes += u64::from(wanted.bytes);
        Some((id, from))
    }

    /// Nothing is asked for for a while.
    pub(crate) fn ask_later(&mut self, now: u64) {
        self.paused_until = now + STRIPE_ASK_AGAIN_NS;
    }

    /// When [`WantedStripes::poll`] has something next.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let again = self.asked.iter().filter_map(|id| self.stripes[id].asked_until()).min();
        let first = self.waiting.first_key_value().filter(|(_, id)| {
            let bytes = self.stripes[*id].bytes;
            has_room(self.asked.len(), self.asked_bytes, bytes)
        });
        let due = again.into_iter().chain(first.map(|((due, _), _)| *due)).min()?;
        Some(due.max(self.paused_until))
    }

    /// Panics, with the values, when a promise at the head of this type is broken.
    pub(crate) fn check_invariants(&self) {
        let (waiting, asked) = (self.waiting.len(), self.asked.len());
        assert_eq!(waiting + asked, self.stripes.len(), "{waiting} wait and {asked} were asked for");
        for (turn, id) in &self.waiting {
            let state = &self.stripes[id].state;
            assert!(
                matches!(state, State::Waiting(of) if of == turn),
                "{id:?} waits for {turn:?}: {state:?}"
            );
        }
        let bytes: u64 = self.asked.iter().map(|id| u64::from(self.stripes[id].bytes)).sum();
        assert_eq!(bytes, self.asked_bytes, "of {asked} stripes");
        assert!(
            asked <= STRIPES_ASKED_MAX && (asked <= 1 || bytes <= STRIPES_ASKED_BYTES_MAX),
            "{asked}: {bytes}"
        );
    }

    fn queue(&mut self, id: StripeId, due: u64) -> Turn {
        self.wanted_so_far += 1;
        let turn = (due, self.wanted_so_far);
        self.waiting.insert(turn, id);
        turn
    }

    fn take_back(&mut self, id: StripeId, bytes: u32) {
        self.asked.retain(|asked| *asked != id);
        self.asked_bytes -= u64::from(bytes);
    }
}

impl Wanted {
    fn asked_until(&self) -> Option<u64> {
        match self.state {
            State::Asked { due, .. } => Some(due),
            State::Waiting(_) => None,
        }
    }

    /// Whom to ask now; the next one is next.
    fn take_turn(&mut self, own: ReplicaId, replicas: u8) -> ReplicaId {
        let after = |from: ReplicaId| {
            let next = ReplicaId((from.0 + 1) % replicas);
            if next == own { ReplicaId((next.0 + 1) % replicas) } else { next }
        };
        let from = if self.from == own { after(own) } else { self.from };
        self.from = after(from);
        from
    }
}

fn has_room(asked: usize, asked_bytes: u64, bytes: u32) -> bool {
    asked == 0 || (asked < STRIPES_ASKED_MAX && asked_bytes + u64::from(bytes) <= STRIPES_ASKED_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use assize_wire::{Hash, ShardId};

    use super::*;

    const OWN: ReplicaId = ReplicaId(1);

    fn id(number: u8) -> StripeId {
        StripeId { shard: ShardId(0), hash: Hash([number; 32]) }
    }

    /// What is asked for now, of whom.
    fn ask(wanted: &mut WantedStripes, now: u64) -> Vec<(u8, u8)> {
        let asked = core::iter::from_fn(|| {
            let next = wanted.poll(OWN, 3, now);
            wanted.check_invariants();
            next
        });
        asked.map(|(id, from)| (id.hash.0[0], from.0)).collect()
    }

    /// Each peer is asked in turn, and none twice without a pause.
    #[test]
    fn p8_a_stripe_is_asked_of_every_peer_and_never_of_oneself() {
        let mut wanted = WantedStripes::default();
        wanted.want(id(9), 1, OWN, 5);
        assert_eq!(ask(&mut wanted, 4), []);
        let mut now = 5;
        for peer in [2, 0, 2, 0, 2, 0] {
            assert_eq!(ask(&mut wanted, now), [(9, peer)]);
            now = wanted.next_due().expect("it is asked for again");
        }
        wanted.handle_missing(id(9), now - STRIPE_ASK_AGAIN_NS);
        assert_eq!(wanted.next_due(), Some(now - STRIPE_ASK_AGAIN_NS + STRIPE_ASK_AGAIN_NS / 8));
        wanted.forget(id(9));
        wanted.check_invariants();
        assert_eq!(wanted.next_due(), None);
    }

    /// StripeAskedInTurn: few are under way at once, in the order in which they were wanted; and what nobody has does
    /// not stand in the way of the others.
    #[test]
    fn p8_few_stripes_are_asked_for_at_once_and_none_waits_for_one_that_nobody_has() {
        let mut wanted = WantedStripes::default();
        let half = (STRIPES_ASKED_BYTES_MAX / 2) as u32;
        for number in [4, 3, 2, 1] {
            wanted.want(id(number), half, ReplicaId(0), 0);
        }
        assert_eq!(ask(&mut wanted, 0), [(4, 0), (3, 0)]);
        wanted.forget(id(4));
        assert_eq!(ask(&mut wanted, 1), [(2, 0)]);
        // Nobody has 3 and 2.
        let mut now = 1;
        let mut asked = Vec::new();
        while !asked.contains(&1) {
            now = wanted.next_due().expect("two are asked for");
            asked.extend(ask(&mut wanted, now).into_iter().map(|(number, _)| number));
        }
        assert!(now < 10 * STRIPE_ASK_AGAIN_NS, "{now} ns");
        assert!(wanted.contains(id(3)) && wanted.contains(id(2)));
        // One that is larger than all that may be under way comes alone.
        let mut wanted = WantedStripes::default();
        wanted.want(id(1), u32::MAX, ReplicaId(0), 0);
        wanted.want(id(2), 1, ReplicaId(0), 0);
        assert_eq!(ask(&mut wanted, 0), [(1, 0)]);
    }

    #[test]
    fn nothing_is_asked_for_while_it_could_not_be_kept() {
        let mut wanted = WantedStripes::default();
        wanted.want(id(1), 1, ReplicaId(0), 0);
        wanted.ask_later(7);
        assert_eq!(ask(&mut wanted, 7), []);
        let due = wanted.next_due().expect("it is wanted still");
        assert_eq!((due, ask(&mut wanted, due)), (7 + STRIPE_ASK_AGAIN_NS, alloc::vec![(1, 0)]));
    }
}
