//! The real binary as a process: real disk, real sockets, kill -9. Nothing here knows the engine's inside.
//!
//! | file | asks |
//! |---|---|
//! | `crash.rs` | is every answered event there exactly once after a kill at any moment |
//! | `checkpoints.rs` | the same when it starts from checkpoints, on other cores, and is killed in all of it |
//! | `bounded.rs` | does the data directory stay within its bounds, whatever comes |
//! | `bad_input.rs`, `bad_manners.rs` | is malformed, slow and half-open input refused, and everyone else served |
//! | `answers.rs` | what is a client told when there is no room, no time, or another body |
//! | `cluster/` | what holds of three replicas under load when they are killed, cut off, or their disks fail |
//! | `ctl/` | what `assizectl` tells of a running cluster, and of a stopped replica |
//! | `federation.rs` | do three processes find each other by themselves, and refuse whom they do not know |
//! | `faces.rs` | what it says of itself by HTTP |
//! | `metrics/` | is every metric moved by something, and is who looks on free of charge |
//! | `outcomes.rs` | is everything that was answered in the outcomes that it gives out, once and in order |
//! | `replay.rs` | does a replayed file end as its lines expect, once, and as duplicates from then on |
//! | `quarantine.rs` | is a replica that computes wrongly found out, and kept out |
//! | `start.rs`, `damage.rs` | what is refused at a start, in which words; how does a good process end |
//! | `demo.rs` | do three fresh processes become a cluster, and survive the death of their leader |
//! | `site.rs`, `engine.rs` | a data directory with its configuration; a running process |
//! | `load.rs`, `rng.rs` | clients that keep the same keys through restarts, and remember every answer |
//! | `raw.rs` | the protocol by hand, without manners |

mod answers;
mod bad_input;
mod bad_manners;
mod bounded;
mod checkpoints;
mod cluster;
mod crash;
mod ctl;
mod damage;
mod demo;
mod engine;
mod faces;
mod federation;
mod http_limits;
mod interrupted;
mod load;
mod metrics;
mod outcomes;
mod quarantine;
mod raw;
mod replay;
mod rng;
mod site;
mod start;
