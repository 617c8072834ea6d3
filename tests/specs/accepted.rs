//! Warnings of the analysis that stay, each with its reason. An entry that no longer applies fails the test.

/// One warning that stays.
pub struct Accepted {
    /// The spec, from the top of the tree.
    pub file: &'static str,
    /// The analysis's code for it.
    pub code: &'static str,
    /// A part of its message, to tell it from others of its code. Empty: every one of that code in the file.
    pub about: &'static str,
    /// Why it stays.
    pub reason: &'static str,
}

/// All of them, by file.
pub const ACCEPTED: &[Accepted] = &[];
