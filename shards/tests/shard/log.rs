//! A log for tests: slots with their manifests and stripes, made by hand or from a seed.

use assize_kit::Dice;
use assize_kit::drive::{LogSlot, SlotDraft, StripeDraft};
use assize_wire::event::encode_event;
use assize_wire::routing::Routing;
use assize_wire::{Control, DomainId, EntityId, EventKey, StreamTime};

use super::bank::{BANK, NEXT_VERSION, OPS, Op, VERSION, bank_logic, payload};

/// What is agreed in a test.
#[derive(Clone, Copy, Debug)]
pub struct Agreed {
    pub routing: Routing,
    pub ttl: u64,
    pub keys: u32,
    pub entities: u32,
}

/// One event, before it is encoded.
#[derive(Clone, Debug)]
pub struct Draft {
    pub key: u128,
    pub deadline: u64,
    pub domain: DomainId,
    pub version: u16,
    pub op: Op,
    pub amount: u64,
    pub accounts: Vec<u128>,
}

impl Draft {
    pub fn new(key: u128, deadline: u64, op: Op, amount: u64, accounts: &[u128]) -> Draft {
        Draft { key, deadline, domain: BANK, version: VERSION, op, amount, accounts: accounts.to_vec() }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let payload = payload(self.op, self.amount, &self.accounts);
        encode_event(out, EventKey(self.key), StreamTime(self.deadline), self.domain, self.version, &payload)
            .unwrap();
    }

    fn mask(&self, routing: &Routing) -> u64 {
        let homes = self.accounts.iter().map(|id| routing.home_of(self.domain, EntityId(*id)));
        homes.fold(0, |mask, home| mask | 1 << home.0)
    }
}

/// A slot as it is put together.
pub struct Drafts {
    pub time: u64,
    /// By shard: events and what to do to the mask.
    pub stripes: Vec<Option<(Vec<Draft>, u64, u64)>>,
    /// The version of the bank's logic that it switches to (R5).
    pub switch: Option<u16>,
}

impl Drafts {
    pub fn new(time: u64, shards: u16) -> Drafts {
        Drafts { time, stripes: (0..shards).map(|_| None).collect(), switch: None }
    }

    /// Events of one shard's stripe.
    pub fn stripe(mut self, shard: usize, events: Vec<Draft>) -> Drafts {
        self.stripes[shard] = Some((events, 0, !0));
        self
    }

    /// Encodes it as the slot after `log`.
    pub fn append(self, log: &mut Vec<LogSlot>, routing: &Routing, spoil: impl Fn(usize, &mut Vec<u8>)) {
        let stripe = |(events, more, keep): (Vec<Draft>, u64, u64)| {
            let mut stripe = StripeDraft { home_mask: more, events: events.len() as u32, body: Vec::new() };
            for event in &events {
                event.encode(&mut stripe.body);
                stripe.home_mask |= event.mask(routing);
            }
            stripe.home_mask &= keep;
            stripe
        };
        let stripes = self.stripes.into_iter().map(|drafts| drafts.map(stripe)).collect();
        let controls = self.switch.map(|version| Control::SwitchLogic(bank_logic(version)));
        let slot =
            SlotDraft { time: StreamTime(self.time), controls: controls.into_iter().collect(), stripes };
        slot.append(log, spoil);
    }
}

/// A log of every kind of event, some of its masks and bytes spoiled.
pub fn random(dice: &mut Dice, agreed: &Agreed, slots: u64) -> Vec<LogSlot> {
    let mut log = Vec::new();
    // Most logs switch, in the midst of everything; a switch to what is in force is one as well.
    let mut switches = dice.below(3);
    for mut drafts in random_drafts(dice, agreed, slots) {
        if switches > 0 && dice.once_in(slots.div_ceil(3)) {
            switches -= 1;
            drafts.switch = Some(NEXT_VERSION);
        }
        for stripe in drafts.stripes.iter_mut().flatten() {
            if dice.once_in(3) {
                stripe.1 = dice.below(1 << 16);
            }
            if dice.once_in(8) {
                stripe.2 = dice.below(1 << 16);
            }
        }
        let (spoiled, how, at) = (dice.below(20) as usize, dice.below(3), dice.below(1 << 16) as usize);
        drafts.append(&mut log, &agreed.routing, |shard, bytes| {
            if shard != spoiled {
                return;
            }
            match how {
                0 => bytes.truncate(at % bytes.len()),
                1 => bytes[at % 48] ^= 0xff,
                _ => {
                    let at = at % bytes.len();
                    bytes[at] ^= 0xff;
                }
            }
        });
    }
    log
}

/// Slots with every kind of event, with few keys and accounts, so that everything meets.
pub fn random_drafts(dice: &mut Dice, agreed: &Agreed, slots: u64) -> Vec<Drafts> {
    let shards = agreed.routing.shards;
    let (keys, accounts) = (5 + dice.below(60), 2 + dice.below(30));
    let mut time = 1_000_000;
    let mut all = Vec::new();
    for _ in 0..slots {
        time += match dice.below(8) {
            0 | 1 => 0,
            2 => agreed.ttl + dice.below(3),
            3 => agreed.ttl / 2,
            _ => dice.below(agreed.ttl / 4),
        };
        let mut drafts = Drafts::new(time, shards);
        for _ in 0..dice.below(30) {
            let draft = random_event(dice, agreed, time, keys, accounts);
            let mut shard = usize::from(agreed.routing.shard_of_key(EventKey(draft.key)).0);
            if dice.once_in(50) {
                shard = dice.below(shards.into()) as usize;
            }
            let stripe = drafts.stripes[shard].get_or_insert((Vec::new(), 0, !0));
            stripe.0.push(draft);
        }
        all.push(drafts);
    }
    all
}

fn random_event(dice: &mut Dice, agreed: &Agreed, time: u64, keys: u64, accounts: u64) -> Draft {
    let op = match dice.below(40) {
        0..4 => OPS[dice.below(OPS.len() as u64) as usize],
        4..14 => Op::Open,
        14..17 => Op::Close,
        17..21 => Op::Spread,
        21 => Op::Answer,
        22 => Op::Inspect,
        23..25 => Op::Refuse,
        _ => Op::Transfer,
    };
    let count = match op {
        Op::Transfer => 2,
        Op::Spread if dice.once_in(20) => 17,
        Op::Spread => 1 + dice.below(6.min(accounts)),
        _ => 1,
    };
    let mut named: Vec<u128> = Vec::new();
    while named.len() < count as usize {
        let id = u128::from(dice.below(accounts.max(count)));
        if !named.contains(&id) || dice.once_in(200) {
            named.push(id);
        }
    }
    let amount = match op {
        Op::Answer | Op::Refuse => dice.below(40),
        _ => dice.below(100),
    };
    let deadline = match dice.below(12) {
        0 => time,
        1 => time + agreed.ttl + 1,
        2 => time + agreed.ttl,
        3 => time + 1,
        4 => u64::MAX,
        _ => time + 1 + dice.below(agreed.ttl),
    };
    // A key mostly means the same event, so that it is often a duplicate.
    let key = u128::from(dice.below(keys));
    let mut draft = Draft::new(key, deadline, op, amount, &named);
    if dice.below(3) > 0 {
        (draft.op, draft.amount) = match key % 7 {
            0 => (Op::Refuse, key as u64 % 40),
            1 => (Op::Answer, key as u64 % 40),
            2 => (Op::Inspect, 0),
            _ => (Op::Spread, 0),
        };
        draft.accounts = vec![key % u128::from(accounts)];
    }
    if dice.once_in(60) {
        draft.domain = DomainId(8);
    }
    if dice.once_in(60) {
        draft.version += 1;
    }
    draft
}
