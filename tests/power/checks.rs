//! What an image must hold once it is recovered by the production code.

use std::collections::{BTreeMap, HashMap, HashSet};

use assize_wal::log::check_record;
use assize_wal::recovery::{LogDecision, Recovered, recover};
use assize_wal::superblock::{Superblock, find};
use assize_wal::{BLOCK_BYTES, Block, LogIdentity, RecordLocation, SegmentReader};
use assize_wire::accept::Accept;
use assize_wire::stripe::Stripe;
use assize_wire::{Hash, Slot, StripeId};

use crate::disk::Image;
use crate::record::Answered;

/// The stripes that were read, by what they are: each is read and taken apart once.
#[derive(Default)]
pub struct Stripes(HashMap<StripeId, Vec<Vec<u8>>>);

/// What was recovered of an image.
pub struct Found {
    /// Manifests by slot.
    pub manifests: BTreeMap<Slot, Hash>,
    /// The end of some log was torn, or void.
    pub torn: bool,
}

/// Recovers an image: no loss, all of `answered` at its place, and every slot and stripe once. The error says what is
/// wrong.
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
    let recovered = recover(image, &superblock, &mut |payload| {
        let accept = Accept::parse(payload).ok()?;
        Some(accept.manifest.stripes.iter().map(|stripe| stripe.id).collect())
    });
    let recovered = recovered.map_err(|error| error.to_string())?;
    check_slots(&recovered)?;
    let mut places = HashMap::new();
    for slot in &recovered.accepted {
        for (id, location) in &slot.stripes {
            places.insert((slot.slot, id.shard), *id);
            stripes.0.entry(*id).or_insert_with(|| read(image, &superblock, *location));
        }
    }
    for Answered { event, answer } in answered {
        let position = answer.position;
        let stripe = places.get(&(position.slot, position.shard)).and_then(|id| stripes.0.get(id));
        let stripe =
            stripe.ok_or_else(|| format!("{position:?} was answered and there is no such stripe"))?;
        if stripe.get(position.index as usize) != Some(event) {
            return Err(format!("another event is at {position:?} than the one that was answered"));
        }
    }
    let torn = |decision| matches!(decision, LogDecision::CutTornTail | LogDecision::IgnoreVoid);
    Ok(Found {
        manifests: recovered.accepted.iter().map(|slot| (slot.slot, slot.manifest)).collect(),
        torn: recovered.logs.iter().any(|log| torn(log.decision)),
    })
}

fn check_slots(recovered: &Recovered) -> Result<(), String> {
    let mut once = HashSet::new();
    for (number, slot) in (1..).zip(&recovered.accepted) {
        if slot.slot != Slot(number) {
            return Err(format!("slot {} stands where slot {number} belongs", slot.slot));
        }
        if let Some((id, _)) = slot.stripes.iter().find(|(id, _)| !once.insert(*id)) {
            return Err(format!("slot {} orders {id:?} a second time", slot.slot));
        }
    }
    Ok(())
}

/// The events of a stripe.
fn read(image: &mut Image, superblock: &Superblock, location: RecordLocation) -> Vec<Vec<u8>> {
    let identity = LogIdentity {
        cluster: superblock.cluster,
        replica: superblock.replica,
        log: location.log,
        segment_bytes: superblock.segment_bytes,
    };
    let mut blocks = vec![Block::ZERO; location.bytes as usize / BLOCK_BYTES];
    image.read(location.log, location.segment, location.offset, &mut blocks).expect("recovery read it");
    let offset = identity.start_of(location.segment) + location.offset;
    let record = check_record(&identity, offset, blocks).expect("recovery found it whole");
    let stripe = Stripe::parse(record.buffer.payload()).expect("its hash is right");
    stripe.events().map(|event| event.expect("the Usher sealed it").bytes().to_vec()).collect()
}
