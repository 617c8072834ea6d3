//! The style of the tree as tests: what a reviewer would have to look for by eye otherwise. Each message says where
//! and what to do. What is excused stands, with its reason, in `allowances.rs`, and may only become less.

mod allowances;
mod layout;
mod lengths;
mod operating;
mod packaging;
mod purity;
mod readme;
mod references;
#[path = "../tree.rs"]
mod tree;
mod words;

/// Fails with every finding on a line of its own.
fn report(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}
