//! assize-device.
