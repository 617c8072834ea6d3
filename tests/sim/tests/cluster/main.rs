//! Several replicas, simulated: see `README.md` beside this crate's manifest.

mod skeleton;
mod swarm;
