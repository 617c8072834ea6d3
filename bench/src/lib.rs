//! assize-bench.
