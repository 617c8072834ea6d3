//! What the benchmarks share: the host they ran on, numbers out of samples, work to be measured, the peers of the A/B
//! runs. It measures and records; the engine depends on nothing here.
//!
//! | module | is |
//! |---|---|
//! | [`host`] | what a record says of the machine and the moment |
//! | [`summary`] | medians, percentiles and ratios |
//! | [`kernel`] | limits, pinning and epoll, which no safe crate of this workspace offers |
//! | [`durable`] | the ways of appending durably that `disk_ab` compares |
//! | [`echo`] | the servers that `echo_ab` compares, and its client |
//! | [`replica`] | a whole replica in one thread, and what its cores did |
//! | [`work`] | slots of transfers for the benches of evaluation |

pub mod durable;
pub mod echo;
pub mod host;
pub mod kernel;
pub mod replica;
pub mod summary;
pub mod work;
