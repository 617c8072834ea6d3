//! Three replicas as processes, under steady load, while something is done to them. Afterwards every answered event is
//! there exactly once, every outcome is the one that a plain model gives it, and all replicas hold the same state.
//!
//! | file | asks or holds |
//! |---|---|
//! | `kills.rs` | kill -9 of the leader, of a follower, of two, of all, and again while they recover |
//! | `leadership.rs` | an operator who has leadership moved, there and back |
//! | `rolling.rs` | all stopped and started in turn, and no call fails |
//! | `upgrade.rs` | all started again with a program that has the next version of their domain's logic |
//! | `stopped.rs` | a leader that stands still, and goes on when another one leads |
//! | `network.rs` | bytes that are late, connections that are cut, replicas that do not hear each other |
//! | `partitions.rs` | packets that vanish |
//! | `taken_over.rs` | a checkpoint taken over from the others: by one that was gone for long, by one that was wrong |
//! | `two_domains.rs` | both bundled domains under load at once, by either way in, and their books |
//! | `http.rs` | events and reads by HTTP, of whichever replica; and how each sees the others |
//! | `disks.rs` | a changed byte in a log, and disks that are full |
//! | `lost_disk.rs` | a data directory that is gone, and what brings its replica back |
//! | `replicas.rs` | the data directories of a cluster; its processes, and who of them leads |
//! | `steady.rs` | the load, and what must hold when it is over |
//! | `devices.rs` | clients of the telemetry domain, and what must hold of their sensors |
//! | `model.rs` | transfers between items, one after the other, with nothing but a map |
//! | `proxy.rs` | what makes a network bad |
//! | `namespaces.rs` | networks and disks that are a test's own; only root may, others are told what was not run |
//!
//! `ASSIZE_PROCESS_EVENTS=10000000` makes long runs: so many events under each of the faults (default 100000 for kills,
//! fewer for the others).

mod devices;
mod disks;
mod http;
mod kills;
mod leadership;
mod lost_disk;
mod model;
mod namespaces;
mod network;
mod partitions;
mod proxy;
mod replicas;
mod rolling;
mod steady;
mod stopped;
mod taken_over;
mod two_domains;
mod upgrade;

pub use devices::telemetry;
pub use replicas::{Cluster, Running, make_secret, one_cluster_at_a_time};
pub use steady::{Steady, check_all, events};
