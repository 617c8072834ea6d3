//! assize-consensus.
