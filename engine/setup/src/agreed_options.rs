//! What a cluster agreed on, as the options of `format` that mean it.

use assize_node::agreed::Agreed;

use crate::config::show_duration_ns;

/// Every option with its value, so that nothing depends on a default or is drawn. The domains and the versions that the
/// cluster began with are no options: the program has them.
#[must_use]
pub fn format_options(agreed: &Agreed) -> Vec<(&'static str, String)> {
    let Agreed { cluster, replicas, copies, shard_count, .. } = agreed;
    vec![
        ("--cluster", cluster.to_string()),
        ("--routing-seed", format!("{:016x}", agreed.routing_seed)),
        ("--body-seed", format!("{:016x}", agreed.body_seed)),
        ("--replicas", replicas.to_string()),
        ("--copies", copies.to_string()),
        ("--shards", shard_count.to_string()),
        ("--warden-ttl", show_duration_ns(agreed.warden_ttl_ns)),
        ("--warden-capacity", agreed.warden_capacity.to_string()),
        ("--entity-capacity", agreed.entity_capacity.to_string()),
        ("--event-payload-bytes-max", agreed.event_payload_bytes_max.to_string()),
        ("--event-entities-max", agreed.event_entities_max.to_string()),
        ("--stripe-bytes-max", agreed.stripe_bytes_max.to_string()),
        ("--stripe-events-max", agreed.stripe_events_max.to_string()),
        ("--window-max", agreed.window_max.to_string()),
        ("--capacity-window", agreed.capacity_window.to_string()),
        ("--clock-skew", show_duration_ns(agreed.clock_skew_ns_max)),
        ("--clock-rate-error-ppm", agreed.clock_rate_error_ppm_max.to_string()),
    ]
}

#[cfg(test)]
pub(crate) mod tests {
    use assize_wire::{ClusterId, DomainId};
    use clap::{CommandFactory, Parser};
    use proptest::prelude::*;

    use super::*;
    use crate::config::{DomainVersion, Entropy, FormatArgs};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        format: FormatArgs,
    }

    /// Nothing of it is drawn where every option is given.
    const ENTROPY: Entropy = Entropy { cluster: ClusterId(1), routing_seed: 2, body_seed: 3, record_key: 4 };

    /// Anything that can be agreed on.
    pub(crate) fn any_agreed() -> impl Strategy<Value = Agreed> {
        let sizes = (1u64..1 << 32, 1u64..1 << 32, 16u32..=4096, 1u32..=16, 1u32..=8190);
        let times = (1_000_000_000u64..=86_400_000_000_000, 1_000_000u64..=60_000_000_000, 1u32..=100_000);
        let seeds = (any::<u128>(), any::<u64>(), any::<u64>());
        let counts = (prop::sample::select(vec![1u8, 3, 5]), any::<u8>(), 1u16..=64, 1u32..=256, 0u32..2000);
        (sizes, times, seeds, counts).prop_map(|(sizes, times, seeds, counts)| {
            let (replicas, copies, shard_count, window_max, wider) = counts;
            Agreed {
                cluster: ClusterId(seeds.0),
                replicas,
                copies: 1 + copies % replicas,
                shard_count,
                warden_ttl_ns: times.0,
                warden_capacity: sizes.0,
                entity_capacity: sizes.1,
                event_payload_bytes_max: sizes.2,
                event_entities_max: sizes.3,
                stripe_bytes_max: 1 << 20,
                stripe_events_max: sizes.4,
                window_max,
                capacity_window: window_max + wider,
                clock_skew_ns_max: times.1,
                clock_rate_error_ppm_max: times.2,
                routing_seed: seeds.1,
                body_seed: seeds.2,
                domains: vec![DomainVersion { id: DomainId(7), version: 2, name: "bank".to_owned() }],
            }
        })
    }

    proptest! {
        #[test]
        fn the_options_mean_what_was_agreed(agreed in any_agreed()) {
            let options = format_options(&agreed).into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
            let words = std::iter::once("format".to_owned()).chain(options);
            let args = Line::try_parse_from(words).map_err(|error| TestCaseError::fail(error.to_string()))?.format;
            let again = args.agreed(9, agreed.domains.clone(), &ENTROPY);
            prop_assert_eq!(again.map_err(|error| TestCaseError::fail(error.to_string()))?, agreed);
        }
    }

    /// Where an option is added, it is added here.
    #[test]
    fn every_option_of_format_is_there() {
        let command = Line::command();
        let known =
            command.get_arguments().filter_map(|option| option.get_long()).filter(|name| *name != "help");
        let mut known: Vec<String> = known.map(|name| format!("--{name}")).collect();
        let agreed = FormatArgs::default().agreed(1, Vec::new(), &ENTROPY).expect("the defaults are allowed");
        let mut there: Vec<String> =
            format_options(&agreed).into_iter().map(|(name, _)| name.to_owned()).collect();
        known.sort();
        there.sort();
        assert_eq!(there, known);
    }
}
