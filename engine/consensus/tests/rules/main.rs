//! The Docket's rules, one by one, by role. Each test names those of `docket.allium` that it holds.

mod bench;
mod candidate;
mod catch_up;
mod follower;
mod hand_over;
mod leader;
mod lease;
mod rejoin;
mod single;
