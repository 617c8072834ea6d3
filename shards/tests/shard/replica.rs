//! The kit's replica with the bank in it.

use std::sync::Arc;

use assize_domain::DomainRegistry;
use assize_kit::Dice;
use assize_kit::drive::{self, Guard, LogSlot, Replica};
use assize_shards::{ReadEntity, RestoreError};
use assize_wire::{EntityId, StreamTime};

use super::bank::{BANK, Bank, NEXT_VERSION, VERSION, bank_logic};
use super::log::Agreed;

fn domains() -> Arc<DomainRegistry> {
    let mut domains = DomainRegistry::new();
    for version in [VERSION, NEXT_VERSION] {
        domains.register(Bank(version)).unwrap();
    }
    Arc::new(domains)
}

fn all_agreed(agreed: Agreed) -> drive::Agreed {
    drive::Agreed {
        routing: agreed.routing,
        ttl_ns: agreed.ttl,
        keys: agreed.keys,
        entities: agreed.entities,
        logic: [bank_logic(VERSION)].into_iter().collect(),
        keeps_pieces: false,
    }
}

pub fn replica(agreed: Agreed) -> Replica {
    Replica::new(all_agreed(agreed), &domains(), &Guard::default())
}

/// A replica that starts from the checkpoint that another one took.
pub fn restored(agreed: Agreed, of: &Replica, time: StreamTime) -> Result<Replica, RestoreError> {
    Replica::restored(all_agreed(agreed), &domains(), &Guard::default(), of, time)
}

/// Runs a whole log, and reads accounts in between.
pub fn run_and_read(replica: &mut Replica, log: &[LogSlot], dice: &mut Dice, window: u64) {
    replica.run(log, dice, window, &accounts(0..32));
}

/// Accounts to be read, each under its number.
pub fn accounts(ids: impl IntoIterator<Item = u32>) -> Vec<ReadEntity> {
    let read = |id: u32| ReadEntity { index: id, domain: BANK, entity: EntityId(id.into()) };
    ids.into_iter().map(read).collect()
}
