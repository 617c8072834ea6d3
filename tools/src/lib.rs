//! assize-tools.
