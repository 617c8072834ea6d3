//! What an image must hold once it is recovered by the production code.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use assize::config::Agreed;
use assize_node::boot::restore_shard;
use assize_shards::{PanicGuard, ShardConfig};
use assize_wal::log::check_record;
use assize_wal::recovery::{AcceptRead, LogDecision, Peers, Recovered, recover};
use assize_wal::superblock::{Superblock, find};
use assize_wal::{BLOCK_BYTES, Block, BlockBuffer, LogIdentity, RecordLocation, SegmentReader};
use assize_wire::published::PublishedStripe;
use assize_wire::routing::Routing;
use assize_wire::stripe::Stripe;
use assize_wire::{Hash, LogId, ShardId, Slot, StripeId};

use crate::disk::Image;
use crate::record::Answered;
use crate::running::domains;

/// The stripes that were read, by what they are: each is read and taken apart once.
#[derive(Default)]
pub struct Stripes(HashMap<StripeId, Vec<Vec<u8>>>);

/// What was recovered of an image.
pub struct Found {
    /// The slot of the active checkpoint, 0 if there is none.
    pub checkpoint: Slot,
    /// Manifests by slot, above the checkpoint.
    pub manifests: BTreeMap<Slot, Hash>,
    /// Answered events at or below the checkpoint.
    pub below: usize,
    /// The end of some log was torn, or void.
    pub torn: bool,
}

/// Recovers an image: no loss, all of `answered` at its place, and every slot and stripe once. What was answered at or
/// below the checkpoint has its outcome, to the byte, in the outcome stream, and every shard is restored. The error
/// says what is wrong.
pub fn check<'a>(
    image: &mut Image,
    answered: impl Iterator<Item = &'a Answered>,
    stripes: &mut Stripes,
) -> Result<Found, String> {
    let copies = [image.read_superblock(0), image.read_superblock(1)].map(|copy| copy.expect("it is read"));
    let superblock = find(copies).map_err(|error| error.to_string())?.superblock;
    // L5: every start records its cuts with its incarnation.
    if let Some(cut) = superblock.cuts.iter().find(|cut| cut.incarnation != superblock.incarnation) {
        return Err(format!("{cut:?} is not of incarnation {}, the last one begun", superblock.incarnation));
    }
    let recovered = recover(image, &superblock, &mut AcceptRead::parse, Peers::None);
    let recovered = recovered.map_err(|error| error.to_string())?;
    check_slots(&recovered)?;
    check_restored(image, &superblock, &recovered)?;
    let checkpoint = superblock.checkpoint.map_or(Slot::ZERO, |checkpoint| checkpoint.slot);
    let mut places = HashMap::new();
    for slot in &recovered.accepted {
        for (id, location) in &slot.stripes {
            places.insert((slot.slot, id.shard), *id);
            stripes.0.entry(*id).or_insert_with(|| read(image, &superblock, *location));
        }
    }
    let (mut outcomes, mut below) = (HashMap::new(), 0);
    for Answered { event, answer } in answered {
        let position = answer.position;
        if position.slot <= checkpoint {
            below += 1;
            let Some(location) = recovered.outcomes.locate(position.shard, position.slot) else {
                return Err(format!("{position:?} was answered and its outcome is in no log"));
            };
            let chunk =
                outcomes.entry(location).or_insert_with(|| read_responses(image, &superblock, location));
            if chunk.get(&(position.slot, position.index)) != Some(&answer.response) {
                return Err(format!("{position:?} has another outcome than the one that was answered"));
            }
            continue;
        }
        let stripe = places.get(&(position.slot, position.shard)).and_then(|id| stripes.0.get(id));
        let stripe =
            stripe.ok_or_else(|| format!("{position:?} was answered and there is no such stripe"))?;
        if stripe.get(position.index as usize) != Some(event) {
            return Err(format!("another event is at {position:?} than the one that was answered"));
        }
    }
    let torn = |decision| matches!(decision, LogDecision::CutTornTail | LogDecision::IgnoreVoid);
    Ok(Found {
        checkpoint,
        below,
        manifests: recovered.accepted.iter().map(|slot| (slot.slot, slot.manifest)).collect(),
        torn: recovered.logs.iter().any(|log| torn(log.decision)),
    })
}

fn check_slots(recovered: &Recovered) -> Result<(), String> {
    let mut once = HashSet::new();
    let first = recovered.checkpoint.as_ref().map_or(Slot::ZERO, |checkpoint| checkpoint.at.slot).next();
    for (number, slot) in (first.0..).zip(&recovered.accepted) {
        if slot.slot != Slot(number) {
            return Err(format!("slot {} stands where slot {number} belongs", slot.slot));
        }
        if let Some((id, _)) = slot.stripes.iter().find(|(id, _)| !once.insert(*id)) {
            return Err(format!("slot {} orders {id:?} a second time", slot.slot));
        }
    }
    Ok(())
}

/// Every shard comes out of the checkpoint as its head says.
fn check_restored(image: &mut Image, superblock: &Superblock, recovered: &Recovered) -> Result<(), String> {
    let agreed = Agreed::decode(&superblock.parameters).map_err(|error| error.to_string())?;
    for shard in 0..agreed.shard_count {
        let config = ShardConfig {
            shard: ShardId(shard),
            replica: superblock.replica,
            routing: Routing { seed: agreed.routing_seed, shards: agreed.shard_count },
            body_seed: agreed.body_seed,
            ttl_ns: agreed.warden_ttl_ns,
            warden_capacity: agreed.warden_capacity as u32,
            entity_capacity: agreed.entity_capacity as u32,
            replicas: 1,
            copies: agreed.copies,
            logic: agreed.logic(),
        };
        let identity = identity(superblock, LogId(0));
        let checkpoint = recovered.checkpoint.as_ref();
        restore_shard(image, identity, checkpoint, config, Arc::new(domains()), Arc::new(Unguarded))
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// No event is evaluated here.
struct Unguarded;

impl PanicGuard for Unguarded {
    fn run(&self, body: &mut dyn FnMut()) -> bool {
        body();
        true
    }
}

/// The events of a stripe.
fn read(image: &mut Image, superblock: &Superblock, location: RecordLocation) -> Vec<Vec<u8>> {
    let buffer = read_record(image, superblock, location);
    let stripe = Stripe::parse(buffer.payload()).expect("its hash is right");
    stripe.events().map(|event| event.expect("the Usher sealed it").bytes().to_vec()).collect()
}

/// The responses of a chunk of the outcome stream.
fn read_responses(
    image: &mut Image,
    superblock: &Superblock,
    location: RecordLocation,
) -> HashMap<(Slot, u32), Vec<u8>> {
    let buffer = read_record(image, superblock, location);
    let mut rest = buffer.payload();
    let mut responses = HashMap::new();
    while !rest.is_empty() {
        let (stripe, after) = PublishedStripe::parse(rest).expect("it was published");
        let outcomes = (0..).map_while(|index| Some((index, stripe.outcome(index).ok()?)));
        responses.extend(outcomes.map(|(index, outcome)| ((stripe.slot, index), outcome.response.to_vec())));
        rest = after;
    }
    responses
}

fn read_record(image: &mut Image, superblock: &Superblock, location: RecordLocation) -> BlockBuffer {
    let identity = identity(superblock, location.log);
    let mut blocks = vec![Block::ZERO; location.bytes as usize / BLOCK_BYTES];
    image.read(location.log, location.segment, location.offset, &mut blocks).expect("recovery read it");
    let offset = identity.start_of(location.segment) + location.offset;
    check_record(&identity, offset, blocks).expect("recovery found it whole").buffer
}

fn identity(superblock: &Superblock, log: LogId) -> LogIdentity {
    let Superblock { cluster, record_key, replica, segment_bytes, .. } = *superblock;
    LogIdentity { cluster, record_key, replica, log, segment_bytes }
}
