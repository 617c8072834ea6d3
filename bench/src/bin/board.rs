//! `board`: what writing to the board costs a core, for counting under callgrind (`bench/board` does that and prints
//! the table): a write of all its numbers, and the record of a stripe that was published.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;

use assize::reactor::Numbers;
use assize_bench::replica::{Replica, Shape, metered};
use assize_metrics::Board;
use assize_node::StripeStages;
use assize_wire::CoreId;
use clap::{Parser, ValueEnum};

/// Writes to the board so many times.
#[derive(Parser)]
struct Arguments {
    /// What is written
    #[arg(long)]
    what: What,

    /// Shards of the one core
    #[arg(long, default_value_t = 1)]
    shards: u16,

    /// How many times
    #[arg(long, default_value_t = 10_000)]
    times: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Nothing: what counting itself costs
    Nothing,
    /// All numbers of the core
    Numbers,
    /// The times of a published stripe
    Stripe,
}

fn main() -> ExitCode {
    let Arguments { what, shards, times } = Arguments::parse();
    if shards == 0 {
        eprintln!("board: at least one shard");
        return ExitCode::FAILURE;
    }
    let mut replica = Replica::serving(Shape::new(1, shards), || 0);
    (0..20).for_each(|_| replica.routed_transfers(100));
    let board = Arc::new(Board::new(1, shards.into()));
    let numbers = Numbers::new(Arc::clone(&board), CoreId(0));
    for time in 0..times {
        // Each stage took another time than before.
        let at = |stage: u64| 1_000_000_000 + stage * u64::from(time % 1_000) * 1_000;
        let stripe = StripeStages {
            events: 100,
            accepted: at(0),
            sealed: at(1),
            durable: at(3),
            chosen: at(6),
            evaluated: at(10),
            published: at(15),
        };
        let core = replica.core(0);
        metered(|| match black_box(what) {
            What::Nothing => {}
            What::Numbers => numbers.write(core),
            What::Stripe => numbers.record_stages(&stripe),
        });
    }
    let readings = board.read();
    let written = readings.shards.iter().map(assize_metrics::ShardNumbers::events).sum::<u64>();
    let recorded = readings.stages[0].events();
    let expected = match what {
        What::Nothing => (false, 0),
        What::Numbers => (true, 0),
        What::Stripe => (false, 100 * u64::from(times)),
    };
    assert_eq!((written > 0, recorded), expected, "what was to be written stands on the board");
    ExitCode::SUCCESS
}
