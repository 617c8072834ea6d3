//! The agreed parameters' bytes: round trip, layout, and what is refused.

use alloc::vec;

use super::*;

const SECOND: u64 = 1_000_000_000;

pub(crate) fn agreed() -> Agreed {
    let domains = vec![
        DomainVersion { id: DomainId(1), version: 3, name: "inventory".to_owned() },
        DomainVersion { id: DomainId(7), version: 1, name: "other".to_owned() },
    ];
    let agreed = Agreed {
        cluster: ClusterId(5),
        replicas: 1,
        copies: 1,
        shard_count: 4,
        warden_ttl_ns: 86_400 * SECOND,
        warden_capacity: 1 << 20,
        entity_capacity: 1 << 20,
        event_payload_bytes_max: 1 << 10,
        event_entities_max: 16,
        stripe_bytes_max: 2 << 20,
        stripe_events_max: 8_190,
        window_max: 8,
        capacity_window: 8,
        clock_skew_ns_max: SECOND / 2,
        clock_rate_error_ppm_max: 500,
        routing_seed: 6,
        body_seed: 7,
        domains,
    };
    assert_eq!(agreed.check(), Ok(()));
    agreed
}

#[test]
fn bytes_round_trip() {
    let agreed = agreed();
    assert_eq!(Agreed::decode(&agreed.encode()), Ok(agreed.clone()));
    let bare = Agreed { domains: Vec::new(), ..agreed };
    assert_eq!(Agreed::decode(&bare.encode()), Ok(bare));
}

#[test]
fn the_layout_is_pinned() {
    let bytes = agreed().encode();
    assert_eq!(&bytes[..12], b"AGRE\x01\x00\x04\x00\x01\x01\x02\x00");
    assert_eq!(bytes.len(), 12 + 4 + 16 + 56 + 24 + (6 + 9) + (6 + 5));
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = agreed().encode();
    for length in 0..bytes.len() {
        assert_eq!(Agreed::decode(&bytes[..length]), Err(AgreedError::Truncated { found: length }));
    }
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(Agreed::decode(&longer), Err(AgreedError::TrailingBytes { found: 1 }));
}

#[test]
fn foreign_bytes_are_typed_errors() {
    let bytes = agreed().encode();
    let changed = |at: usize, to: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = to;
        Agreed::decode(&bytes)
    };
    assert_eq!(changed(0, b'X'), Err(AgreedError::Magic { found: *b"XGRE" }));
    assert_eq!(changed(4, 9), Err(AgreedError::LayoutVersion { found: 9 }));
    assert!(matches!(changed(6, 65), Err(AgreedError::Value { name: "shards", .. })));
    assert!(matches!(changed(8, 2), Err(AgreedError::Value { name: "replicas", .. })));
    assert!(matches!(changed(9, 0), Err(AgreedError::Value { name: "copies", .. })));
    assert!(matches!(changed(108, 1), Err(AgreedError::Value { name: "reserved", .. })));
    assert_eq!(changed(118, 0xff), Err(AgreedError::DomainName { id: DomainId(1) }));
}

#[test]
fn the_hash_covers_every_byte_that_may_differ() {
    let agreed = agreed();
    let mut others = Vec::new();
    others.push(Agreed { body_seed: 8, ..agreed.clone() });
    others.push(Agreed { warden_ttl_ns: agreed.warden_ttl_ns + 1, ..agreed.clone() });
    let mut named = agreed.clone();
    named.domains[1].version = 2;
    others.push(named);
    for other in others {
        assert_ne!(other.hash(), agreed.hash());
    }
    assert_eq!(agreed.clone().hash(), agreed.hash());
}

#[test]
fn copies_default_to_a_majority_of_at_least_two() {
    let defaults: Vec<u8> = [1, 3, 5].into_iter().map(default_copies).collect();
    assert_eq!(defaults, [1, 2, 3]);
    let weak = Agreed { replicas: 3, copies: 1, ..agreed() };
    assert_eq!(weak.check(), Ok(()));
    assert_eq!(weak.warnings().len(), 1);
    assert!(agreed().warnings().is_empty());
}

#[test]
fn domains_are_listed_once_and_in_order() {
    let mut twice = agreed();
    twice.domains[1].id = DomainId(1);
    assert!(matches!(twice.check(), Err(AgreedError::Value { name: "domains", .. })));
}
