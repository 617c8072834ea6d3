//! A replica whose memory is bad where nothing guards it: what it sends of a checkpoint has a wrong bit, under a
//! checksum that is right.

use assize_wal::memory::Random;
use assize_wire::limits::PEER_PAYLOAD_BYTES_MAX;
use assize_wire::peer::{CheckpointRecord, PartItem, PeerFrame, PeerMessage, PeerParsed};

/// Turns one bit over in each record of entities, and in each head, of the frames in `bytes`, which are whole.
pub(super) fn spoil_parts(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let (mut rest, mut spoiled) = (bytes, Vec::new());
    while !rest.is_empty() {
        let parsed = PeerFrame::parse(rest, PEER_PAYLOAD_BYTES_MAX).expect("a replica sends frames");
        let PeerParsed::Whole { frame, bytes } = parsed else { panic!("a replica sends whole frames") };
        match PeerMessage::parse(&frame) {
            Ok(PeerMessage::Part(record)) if is_digested(record.item) => {
                let mut wrong = record.bytes.to_vec();
                let bit = random.below(8 * wrong.len() as u64) as usize;
                wrong[bit / 8] ^= 1 << (bit % 8);
                PeerMessage::Part(CheckpointRecord { bytes: &wrong, ..record }).encode(&mut spoiled);
            }
            _ => spoiled.extend_from_slice(&rest[..bytes]),
        }
        rest = &rest[bytes..];
    }
    spoiled
}

/// Whether the digest of its checkpoint covers all of it.
fn is_digested(item: PartItem) -> bool {
    matches!(item, PartItem::Entities { .. } | PartItem::Head { .. })
}
