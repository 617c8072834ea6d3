//! assize-inventory.
