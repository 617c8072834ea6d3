//! No allocation per event on the hot path: from a client's frame through sealing, log, Docket, Warden, exchange,
//! evaluation, digest and outcome stream to the answers, as many allocations for 8,000 events as for 4,000.
//!
//! What is allocated for each request, stripe, slot or message is allowed, and printed:
//! `cargo test -p assize-bench --test allocations -- --nocapture`.

mod counting;

use assize_bench::replica::{Replica, Shape};
use counting::{Counting, allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn nothing_is_allocated_for_an_event_with_one_shard() {
    nothing_per_event(Shape::new(1, 1));
}

#[test]
fn nothing_is_allocated_for_an_event_with_two_shards_of_one_core() {
    nothing_per_event(Shape::new(1, 2));
}

/// Half of each request is forwarded to the other core.
#[test]
fn nothing_is_allocated_for_an_event_with_two_shards_of_two_cores() {
    nothing_per_event(Shape::new(2, 2));
}

fn nothing_per_event(shape: Shape) {
    let mut replica = Replica::serving(shape, allocations);
    // Buffers grow to what the larger requests need, and as many keys leave the Warden as come.
    for _ in 0..WARM_UP {
        replica.transfers(2 * EVENTS);
    }
    let [few, many, of_one] = [EVENTS, 2 * EVENTS, 1].map(|events| {
        replica.take_counted();
        (0..REQUESTS).for_each(|_| replica.transfers(events));
        replica.take_counted().meter as f64 / f64::from(REQUESTS)
    });
    let events = f64::from(EVENTS) * f64::from(shape.cores);
    let per_event = (many - few) / events;
    println!(
        "{shape:?}: allocations a round of one request a core: {of_one:.1} with 1 event each, {few:.1} with {EVENTS}, \
         {many:.1} with {}: {per_event:.6} an event",
        2 * EVENTS
    );
    // A buffer that starts small doubles once more for twice the events, and a chunk of the outcome stream is full
    // twice as often: a few for thousands of events.
    assert!(per_event < 0.005, "{few} allocations for {events} events, {many} for twice as many");
}

const EVENTS: u32 = 4000;
const REQUESTS: u32 = 20;
const WARM_UP: u32 = 20;
