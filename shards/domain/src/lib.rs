//! assize-domain.
