//! The Clerk's decision as a table: every input matches exactly one row.

/// What is seen of one stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where this replica's own digest stands.
    pub own: Own,
    /// How many other digests reached `copies`.
    pub others: Others,
}

/// Where this replica's own digest stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Not computed yet.
    Unknown,
    /// Computed; fewer than `copies` have it.
    Short,
    /// At least `copies` have it.
    Agreed,
}

/// How many digests other than this replica's own reached `copies`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// None.
    None,
    /// One.
    One,
    /// Two or more.
    Several,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Wait for copies.
    Hold,
    /// Release the outcomes; who has another digest has diverged.
    Publish,
    /// This replica is wrong: it publishes nothing any more.
    Quarantine,
    /// Two truths: the whole replica stops publishing.
    SplitBrain,
}

/// One row: which inputs it takes, and what follows.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    own: &'static [Own],
    others: &'static [Others],
    decision: Decision,
}

impl Row {
    /// Whether the row takes this input.
    #[must_use]
    pub fn takes(&self, seen: Seen) -> bool {
        self.own.contains(&seen.own) && self.others.contains(&seen.others)
    }
}

/// What follows from what is seen.
#[must_use]
pub fn decide(seen: Seen) -> Decision {
    let row = TABLE.iter().find(|row| row.takes(seen));
    row.unwrap_or_else(|| panic!("no row takes {seen:?}")).decision
}

/// The rows.
pub const TABLE: [Row; 6] = [
    row(&[Own::Agreed], &[Others::None], Decision::Publish),
    row(&[Own::Agreed], &[Others::One, Others::Several], Decision::SplitBrain),
    row(&[Own::Unknown, Own::Short], &[Others::Several], Decision::SplitBrain),
    row(&[Own::Short], &[Others::One], Decision::Quarantine),
    // The group may yet turn out to be ours.
    row(&[Own::Unknown], &[Others::One], Decision::Hold),
    row(&[Own::Unknown, Own::Short], &[Others::None], Decision::Hold),
];

const fn row(own: &'static [Own], others: &'static [Others], decision: Decision) -> Row {
    Row { own, others, decision }
}
