//! `scale`: what one event costs a replica with so many shards, by count: messages between cores, writes, the time of
//! each core; run under callgrind, instructions, too (`bench/scale` does that and prints the table).
//!
//! All cores run in this one thread, so the figures do not depend on how many CPUs there are. Each core has a client
//! that knows who owns a key. Half a millisecond of stream time passes with every turn.

use std::process::ExitCode;
use std::time::Duration;

use assize_bench::host;
use assize_bench::replica::{Counted, Replica, Shape};
use clap::Parser;
use serde_json::json;

/// Counts what one event costs a replica of so many shards.
#[derive(Parser)]
struct Arguments {
    /// Shards, spread evenly over the cores
    #[arg(long, default_value_t = 1)]
    shards: u16,

    /// Cores; one for each shard unless it is said
    #[arg(long)]
    cores: Option<u16>,

    /// Events of each request, one request on each core a round
    #[arg(long, default_value_t = 8190)]
    events: u32,

    /// Rounds that are counted
    #[arg(long, default_value_t = 20)]
    rounds: u32,

    /// Rounds before those
    #[arg(long, default_value_t = 5)]
    warm_up: u32,

    /// A program with the inventory alone: records of entities of 64 bytes instead of 192
    #[arg(long)]
    inventory_alone: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cores = arguments.cores.unwrap_or(arguments.shards);
    if cores == 0 || arguments.shards < cores || arguments.events == 0 || arguments.rounds == 0 {
        eprintln!("scale: at least one core, a shard for each, an event and a round");
        return ExitCode::FAILURE;
    }
    let shape = Shape { inventory_alone: arguments.inventory_alone, ..Shape::new(cores, arguments.shards) };
    let mut replica = Replica::serving(shape, || 0);
    (0..arguments.warm_up).for_each(|_| replica.routed_transfers(arguments.events));
    replica.take_counted();
    replica.measure();
    (0..arguments.rounds).for_each(|_| replica.routed_transfers(arguments.events));
    println!("{}", record(&arguments, cores, &replica.take_counted()));
    ExitCode::SUCCESS
}

fn record(arguments: &Arguments, cores: u16, counted: &Counted) -> serde_json::Value {
    let events = f64::from(arguments.events) * f64::from(arguments.rounds) * f64::from(cores);
    let per_event = |count: u64| count as f64 / events;
    let of_core = |busy: &Duration| busy.as_nanos() as f64 / (events / f64::from(cores));
    let slowest = counted.busy.iter().max().expect("there is a core");
    let mut record = host::describe(None);
    let mut put = |name: &str, value| drop(record.insert(name.to_owned(), value));
    put("bench", json!("scale"));
    put("shards", json!(arguments.shards));
    put("cores", json!(cores));
    put("inventory_alone", json!(arguments.inventory_alone));
    put("events_a_request", json!(arguments.events));
    put("rounds", json!(arguments.rounds));
    put("events", json!(events));
    put("exchanges_per_event", json!(per_event(counted.messages[0])));
    put("other_messages_per_event", json!(per_event(counted.messages[1])));
    put("wakes_per_event", json!(per_event(counted.wakes)));
    put("writes_per_event", json!(per_event(counted.writes)));
    put("written_bytes_per_event", json!(per_event(counted.written_bytes)));
    // Of its own events: the control core, which has the Docket's work as well, and the slowest of all.
    put("ns_per_event_control", json!(of_core(&counted.busy[0])));
    put("ns_per_event_slowest", json!(of_core(slowest)));
    let all: Duration = counted.busy.iter().sum();
    put("ns_per_event", json!(all.as_nanos() as f64 / events));
    serde_json::Value::Object(record)
}
