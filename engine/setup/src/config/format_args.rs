//! The options of `assize format` that set the agreed parameters.

use super::units;
use assize_node::agreed::{Agreed, AgreedError, DomainVersion, default_copies};
use assize_wire::ClusterId;
use clap::Args;

/// Agreed parameters as options. They are stored in the data directory and must be the same on every replica;
/// for a cluster, give the cluster id and both seeds that the first `format` printed to the others.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct FormatArgs {
    /// Voting replicas of the cluster: 1, 3 or 5
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub replicas: u8,

    /// Equal digests that release an outcome [default: 1 for one replica, else a majority]
    #[arg(long, value_name = "N")]
    pub copies: Option<u8>,

    /// Shards, 1 to 64, fixed for the life of the cluster [default: as many as the configuration assigns]
    #[arg(long, value_name = "N")]
    pub shards: Option<u16>,

    /// How long an idempotency key is remembered, such as 24h
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = units::duration_ns)]
    pub warden_ttl: u64,

    /// Idempotency keys that one shard remembers: rate per shard times the TTL, such as 10M
    #[arg(long, value_name = "COUNT", default_value = "1Mi", value_parser = units::count)]
    pub warden_capacity: u64,

    /// Entities that one shard is home to
    #[arg(long, value_name = "COUNT", default_value = "1Mi", value_parser = units::count)]
    pub entity_capacity: u64,

    /// Largest payload of one event
    #[arg(long, value_name = "BYTES", default_value = "1KiB", value_parser = units::bytes)]
    pub event_payload_bytes_max: u64,

    /// Entities that one event may touch
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    pub event_entities_max: u32,

    /// Largest stripe in bytes
    #[arg(long, value_name = "BYTES", default_value = "2MiB", value_parser = units::bytes)]
    pub stripe_bytes_max: u64,

    /// Largest stripe in events
    #[arg(long, value_name = "COUNT", default_value_t = 8_190)]
    pub stripe_events_max: u32,

    /// Largest pipeline window in slots
    #[arg(long, value_name = "SLOTS", default_value_t = 8)]
    pub window_max: u32,

    /// Slots by which room for new entities is decided in advance [default: the largest window]
    #[arg(long, value_name = "SLOTS")]
    pub capacity_window: Option<u32>,

    /// How far the clocks of a majority may be from a proposed time
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = units::duration_ns)]
    pub clock_skew: u64,

    /// How far clock rates may be off, in parts per million
    #[arg(long, value_name = "PPM", default_value_t = 500)]
    pub clock_rate_error_ppm: u32,

    /// Identity of the cluster, 32 hexadecimal digits [default: drawn at random]
    #[arg(long, value_name = "HEX", value_parser = hex_u128)]
    pub cluster: Option<u128>,

    /// Key of the routing hash, 16 hexadecimal digits [default: drawn at random]
    #[arg(long, value_name = "HEX", value_parser = hex_u64)]
    pub routing_seed: Option<u64>,

    /// Key of the body hash, 16 hexadecimal digits [default: drawn at random]
    #[arg(long, value_name = "HEX", value_parser = hex_u64)]
    pub body_seed: Option<u64>,
}

impl FormatArgs {
    /// The agreed parameters that these options ask for. Pure: `entropy` fills what was not given, and
    /// `shards_assigned` is what the replica's `[cores]` section assigns.
    ///
    /// # Errors
    /// A parameter out of its bounds.
    pub fn agreed(
        &self,
        shards_assigned: u16,
        mut domains: Vec<DomainVersion>,
        entropy: &Entropy,
    ) -> Result<Agreed, AgreedError> {
        domains.sort_by_key(|domain| domain.id);
        let agreed = Agreed {
            cluster: self.cluster.map_or(entropy.cluster, ClusterId),
            replicas: self.replicas,
            copies: self.copies.unwrap_or_else(|| default_copies(self.replicas)),
            shard_count: self.shards.unwrap_or(shards_assigned),
            warden_ttl_ns: self.warden_ttl,
            warden_capacity: self.warden_capacity,
            entity_capacity: self.entity_capacity,
            // Saturating, so that the bound is refused by name in `check`.
            event_payload_bytes_max: u32::try_from(self.event_payload_bytes_max).unwrap_or(u32::MAX),
            event_entities_max: self.event_entities_max,
            stripe_bytes_max: self.stripe_bytes_max,
            stripe_events_max: self.stripe_events_max,
            window_max: self.window_max,
            capacity_window: self.capacity_window.unwrap_or(self.window_max),
            clock_skew_ns_max: self.clock_skew,
            clock_rate_error_ppm_max: self.clock_rate_error_ppm,
            routing_seed: self.routing_seed.unwrap_or(entropy.routing_seed),
            body_seed: self.body_seed.unwrap_or(entropy.body_seed),
            domains,
        };
        agreed.check()?;
        Ok(agreed)
    }
}

impl Default for FormatArgs {
    /// What no options at all mean. A test holds this equal to what the command line yields.
    fn default() -> FormatArgs {
        FormatArgs {
            replicas: 1,
            copies: None,
            shards: None,
            warden_ttl: 86_400_000_000_000,
            warden_capacity: 1 << 20,
            entity_capacity: 1 << 20,
            event_payload_bytes_max: 1 << 10,
            event_entities_max: 16,
            stripe_bytes_max: 2 << 20,
            stripe_events_max: 8_190,
            window_max: 8,
            capacity_window: None,
            clock_skew: 500_000_000,
            clock_rate_error_ppm: 500,
            cluster: None,
            routing_seed: None,
            body_seed: None,
        }
    }
}

/// Randomness for what `format` draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entropy {
    /// Identity of a new cluster.
    pub cluster: ClusterId,
    /// Key of the routing hash.
    pub routing_seed: u64,
    /// Key of the body hash.
    pub body_seed: u64,
    /// Key of this replica's records: each replica draws its own, and it leaves no machine.
    pub record_key: u128,
}

impl Entropy {
    /// Draws from the operating system.
    ///
    /// # Errors
    /// The system has no random source.
    pub fn draw() -> Result<Entropy, getrandom::Error> {
        Ok(Entropy {
            cluster: ClusterId(draw_u128()?),
            routing_seed: getrandom::u64()?,
            body_seed: getrandom::u64()?,
            record_key: draw_u128()?,
        })
    }
}

fn draw_u128() -> Result<u128, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(u128::from_le_bytes(bytes))
}

fn hex_u128(text: &str) -> Result<u128, String> {
    u128::from_str_radix(text, 16)
        .map_err(|error| format!("{error}; accepted are up to 32 hexadecimal digits"))
}

fn hex_u64(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text, 16)
        .map_err(|error| format!("{error}; accepted are up to 16 hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        format: FormatArgs,
    }

    fn parse(line: &[&str]) -> Result<FormatArgs, clap::Error> {
        let words = std::iter::once("format").chain(line.iter().copied());
        Line::try_parse_from(words).map(|line| line.format)
    }

    const ENTROPY: Entropy = Entropy { cluster: ClusterId(1), routing_seed: 2, body_seed: 3, record_key: 4 };

    #[test]
    fn no_options_are_the_defaults() {
        assert_eq!(parse(&[]).unwrap(), FormatArgs::default());
        let agreed = FormatArgs::default().agreed(2, Vec::new(), &ENTROPY).unwrap();
        assert_eq!((agreed.shard_count, agreed.copies, agreed.capacity_window), (2, 1, 8));
        assert_eq!((agreed.cluster, agreed.routing_seed, agreed.body_seed), (ClusterId(1), 2, 3));
    }

    #[test]
    fn people_write_sizes_and_durations() {
        let line = ["--warden-ttl", "1h", "--warden-capacity", "10M", "--replicas", "3", "--cluster", "ff"];
        let agreed = parse(&line).unwrap().agreed(1, Vec::new(), &ENTROPY).unwrap();
        assert_eq!(agreed.warden_ttl_ns, 3_600_000_000_000);
        assert_eq!(agreed.warden_capacity, 10_000_000);
        assert_eq!((agreed.copies, agreed.cluster), (2, ClusterId(255)));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(parse(&["--warden-ttl", "24"]).is_err());
        assert!(parse(&["--cluster", "xyz"]).is_err());
        for line in [["--shards", "0"], ["--shards", "65"], ["--copies", "2"], ["--replicas", "2"]] {
            assert!(parse(&line).unwrap().agreed(1, Vec::new(), &ENTROPY).is_err(), "{line:?}");
        }
    }

    #[test]
    fn entropy_differs_between_draws() {
        assert_ne!(Entropy::draw().unwrap(), Entropy::draw().unwrap());
    }
}
