//! Several replicas, simulated: see `README.md` beside this crate's manifest.

mod liveness;
mod skeleton;
mod swarm;
