//! The same events in the same order at the same times, cut into slots and stripes by chance (D1).

use crate::Dice;

/// One slot's share: by shard its events.
pub struct Cut<T> {
    /// The time of all its events.
    pub time: u64,
    /// By shard.
    pub stripes: Vec<Vec<T>>,
}

/// Cuts events, each with its time and its shard, such that their (slot, shard, index) order is the one given: a slot
/// ends by chance, once in `often` events, and where the next event could not follow in it, being of a lower shard,
/// another time, or the first after a `stop`.
pub fn cut<T>(
    events: impl IntoIterator<Item = (u64, usize, T)>,
    shards: u16,
    dice: &mut Dice,
    often: u64,
    stop: impl Fn(&T) -> bool,
) -> Vec<Cut<T>> {
    let mut cuts: Vec<Cut<T>> = Vec::new();
    let (mut highest, mut stopped) = (0, false);
    for (time, shard, event) in events {
        let follows = !stopped && cuts.last().is_some_and(|last| last.time == time && shard >= highest);
        if !follows || dice.once_in(often) {
            cuts.push(Cut { time, stripes: (0..shards).map(|_| Vec::new()).collect() });
        }
        stopped = stop(&event);
        highest = shard;
        if let Some(last) = cuts.last_mut() {
            last.stripes[shard].push(event);
        }
    }
    cuts
}
