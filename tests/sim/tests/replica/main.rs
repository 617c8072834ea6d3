//! A whole replica in one thread, with virtual time: what one core does is checked by what clients see, by the log that
//! is left, and by a plain serial model.

mod boundaries;
mod checkpoint;
mod crash;
mod duplicates;
mod load;
mod one_request;
mod room;
mod stop;
mod swarm;
