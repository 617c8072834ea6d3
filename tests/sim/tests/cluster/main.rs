//! Several replicas, simulated: see `README.md` beside this crate's manifest.

mod copies;
mod hand_over;
mod leases;
mod liveness;
mod quarantine;
mod skeleton;
mod swarm;
mod upgrade;
