//! assize-node.
