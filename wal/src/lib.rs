//! assize-wal.
