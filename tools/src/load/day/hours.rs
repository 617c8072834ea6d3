//! When things happen: more in the evening than in the morning, and in a few minutes more than in hours.

use super::super::rng::Rng;

/// So many times of a day, ascending, in milliseconds since six in the morning.
pub(super) fn times(events: u32, seed: u64) -> Vec<u64> {
    let mut through: u64 = 0;
    let through: Vec<u64> = (0..MINUTES)
        .map(|minute| {
            through += weight(minute);
            through
        })
        .collect();
    let all = through[through.len() - 1];
    let mut rng = Rng::new(seed ^ SALT);
    let mut times: Vec<u64> = (0..events)
        .map(|_| {
            let drawn = rng.below(all);
            let minute = through.partition_point(|through| *through <= drawn) as u64;
            minute * MS_PER_MINUTE + rng.below(MS_PER_MINUTE)
        })
        .collect();
    times.sort_unstable();
    times
}

/// Whether the sale is on.
pub(super) fn is_sale(at_ms: u64) -> bool {
    SALE.contains(&(at_ms / MS_PER_MINUTE))
}

/// How much happens in a minute.
fn weight(minute: u64) -> u64 {
    let of_hour = HOURS[(minute / 60) as usize];
    match minute {
        _ if SALE.contains(&minute) => of_hour * 40,
        _ if NEWSLETTER.contains(&minute) => of_hour * 8,
        _ => of_hour,
    }
}

const MS_PER_MINUTE: u64 = 60_000;
const MINUTES: u64 = HOURS.len() as u64 * 60;

/// What a minute weighs, from six in the morning to ten in the evening.
const HOURS: [u64; 16] = [2, 3, 5, 6, 8, 9, 10, 9, 8, 8, 9, 12, 14, 13, 8, 4];

/// Ten minutes from noon on.
const SALE: std::ops::Range<u64> = 360..370;

/// Five minutes from half past seven on.
const NEWSLETTER: std::ops::Range<u64> = 810..815;

/// Apart from what else is drawn from the seed.
const SALT: u64 = 0x686f_7572_7300_0000;
