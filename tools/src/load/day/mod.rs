//! A retailer's day as a file for [`super::replay`]: made from two numbers, and the same for the same two everywhere.
//!
//! From six in the morning to ten in the evening a central warehouse takes orders from the web and two stores sell at
//! their tills. Some goods are asked for far more often than others; a sale at noon sells the two of them out within
//! minutes, and a newsletter in the evening brings a second wave. Whoever hears nothing asks again under the same key,
//! now and then with something else under it; and people make mistakes of all kinds that the inventory knows.
//!
//! | file | is |
//! |---|---|
//! | `hours.rs` | when things happen |
//! | `shop.rs` | what happens, and what follows from it |
//! | `mistakes.rs` | what people do wrong |
//! | `stock.rs` | what becomes of it, as the domain itself says |
//!
//! No floating point, and no map that is walked through: the same bytes on every machine.

mod hours;
mod mistakes;
mod shop;
mod stock;

use std::io::{self, Write};

use self::hours::times;
use self::shop::Shop;

/// Writes a day of `events` lines, drawn from a seed.
///
/// # Errors
/// What `out` says.
///
/// # Panics
/// When there are no events, or more than [`DAY_EVENTS_MAX`].
pub fn write_day(events: u32, seed: u64, out: &mut dyn Write) -> io::Result<()> {
    assert!((1..=DAY_EVENTS_MAX).contains(&events), "a day of {events} events");
    let mut shop = Shop::new(events, seed);
    let opening = shop.opening_lines().min(events);
    let before = std::iter::repeat_n(0, opening as usize);
    for at_ms in before.chain(times(events - opening, seed)) {
        let line = shop.next_line(at_ms);
        serde_json::to_writer(&mut *out, &line)?;
        writeln!(out)?;
    }
    Ok(())
}

/// Two gigabytes of text, or so.
pub const DAY_EVENTS_MAX: u32 = 10_000_000;

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;

    fn day(events: u32, seed: u64) -> Vec<Value> {
        let mut bytes = Vec::new();
        write_day(events, seed, &mut bytes).unwrap();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    #[test]
    fn a_day_is_the_same_for_the_same_numbers_and_meets_no_other() {
        assert_eq!(day(300, 7), day(300, 7));
        let keys = |lines: Vec<Value>| -> BTreeSet<String> {
            lines.iter().map(|line| line["key"].to_string()).collect()
        };
        assert!(keys(day(300, 7)).is_disjoint(&keys(day(300, 8))));
        assert!(keys(day(300, 7)).is_disjoint(&keys(day(301, 7))));
    }

    #[test]
    fn a_day_has_as_many_lines_as_were_asked_for_in_the_order_of_their_times() {
        for events in [1, 2, 40, 1000] {
            let lines = day(events, 1);
            assert_eq!(lines.len(), events as usize);
            let times: Vec<u64> = lines.iter().map(|line| line["at_ms"].as_u64().unwrap()).collect();
            assert!(times.is_sorted() && times[times.len() - 1] < 16 * 3_600_000, "{events}: {times:?}");
        }
    }

    /// The parts that make it a day: a burst, hot items, retries, mistakes of every kind, returns, restocking.
    #[test]
    fn a_day_has_all_that_belongs_to_one() {
        let lines = day(5000, 3);
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        let mut items: BTreeMap<String, usize> = BTreeMap::new();
        for line in &lines {
            let reason = line.get("reason").map_or(String::new(), |reason| format!(" {reason}"));
            *outcomes.entry(format!("{}{reason}", line["expect"].as_str().unwrap())).or_default() += 1;
            let (kind, members) = line["event"].as_object().unwrap().iter().next().unwrap();
            *kinds.entry(kind.clone()).or_default() += 1;
            if let Some(item) = members["item"].as_str() {
                *items.entry(item.to_owned()).or_default() += 1;
            }
        }
        for outcome in ["applied", "duplicate", "conflict"] {
            assert!(outcomes.get(outcome).is_some_and(|count| *count >= 5), "{outcome}: {outcomes:?}");
        }
        for reason in [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12] {
            assert!(outcomes.contains_key(&format!("rejected {reason}")), "{reason}: {outcomes:?}");
        }
        assert!(outcomes["applied"] > lines.len() / 2, "{outcomes:?}");
        for kind in
            ["adjust", "set_limits", "transfer", "transfer_lines", "reserve", "confirm", "release", "inspect"]
        {
            assert!(kinds.get(kind).is_some_and(|count| *count >= 5), "{kind}: {kinds:?}");
        }
        let mut counts: Vec<usize> = items.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        assert!(counts[..2].iter().sum::<usize>() > lines.len() / 5, "two hot items: {counts:?}");
        let noon = |line: &&Value| (21_600_000..22_200_000).contains(&line["at_ms"].as_u64().unwrap());
        let at_noon = lines.iter().filter(noon).count();
        assert!(at_noon > lines.len() / 5, "ten minutes of sixteen hours have {at_noon} events");
    }
}
