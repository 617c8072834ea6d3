//! assize-shards.
