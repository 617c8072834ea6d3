//! `echo_ab`: a bare echo over epoll, over a ring shaped as the engine's reactor, and over glommio's sockets, side by
//! side in one run.
//!
//! One client thread on one CPU, the servers on another; only one server has work at a time, and rounds are
//! interleaved. Compare ratios, not rates of different runs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use assize_bench::echo::{Client, MESSAGE_BYTES, servers};
use assize_bench::summary::{median, median_ratio};
use assize_bench::{host, kernel};
use clap::Parser;
use serde_json::{Value, json};

/// Compares servers by a 128-byte echo, closed loop.
#[derive(Parser)]
struct Arguments {
    /// Connections, each with one message under way
    #[arg(long, default_value_t = 64)]
    connections: usize,

    /// Rounds of each server, interleaved
    #[arg(long, default_value_t = 15)]
    rounds: usize,

    /// Length of a round
    #[arg(long, default_value_t = 500)]
    millis: u64,

    /// The client's CPU
    #[arg(long, default_value_t = 0)]
    client_cpu: usize,

    /// The servers' CPU
    #[arg(long, default_value_t = 1)]
    server_cpu: usize,

    /// Append the record of this run to a file, one JSON object a line
    #[arg(long)]
    record: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo_ab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    kernel::raise_memlock()?;
    let mut record = host::describe(None);
    record.insert("bench".into(), json!("echo_ab"));
    record.insert("rounds".into(), json!(arguments.rounds));
    record.insert("connections".into(), json!(arguments.connections));
    record.insert("message_bytes".into(), json!(MESSAGE_BYTES));
    let servers = servers(arguments.server_cpu)?;
    kernel::pin(arguments.client_cpu)?;
    let mut clients = Vec::new();
    for (_, address) in &servers {
        clients.push(Client::connect(*address, arguments.connections)?);
    }
    let mut rates = vec![Vec::new(); servers.len()];
    // The first round warms up and is not counted.
    for round in 0..=arguments.rounds {
        for (client, rates) in clients.iter_mut().zip(&mut rates) {
            let rate = client.run(Duration::from_millis(arguments.millis))?;
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    println!(
        "{MESSAGE_BYTES}-byte echo, {} connections, {} rounds\n",
        arguments.connections, arguments.rounds
    );
    println!("  server       echoes/s      ratio");
    let mut results = Vec::new();
    for ((name, _), taken) in servers.iter().zip(&rates) {
        let (rate, ratio) = (median(taken), median_ratio(taken, &rates[0]));
        println!("  {name:<10} {rate:>10.0} {ratio:>10.2}");
        let ratio = (ratio * 100.0).round() / 100.0;
        results.push(json!({ "server": name, "echoes_per_s": rate.round(), "ratio": ratio }));
    }
    record.insert("load_average_end".into(), json!(host::load_average()));
    println!("\nload average {} -> {}", record["load_average"], record["load_average_end"]);
    record.insert("results".into(), Value::Array(results));
    if let Some(path) = &arguments.record {
        host::append(path, &record)?;
    }
    Ok(())
}
