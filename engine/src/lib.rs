//! assize.
