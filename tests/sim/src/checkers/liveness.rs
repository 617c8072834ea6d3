//! Once faults stop, everything submitted ends within a bounded number of steps. A deadlock and an endless exchange
//! both end here.

use super::hold;

/// Steps that something may take.
pub struct Budget {
    what: &'static str,
    left: u64,
}

impl Budget {
    /// For `what` is waited for.
    #[must_use]
    pub fn new(what: &'static str, steps: u64) -> Budget {
        Budget { what, left: steps }
    }

    /// One more step was taken.
    ///
    /// # Panics
    /// When there were too many.
    pub fn spend(&mut self, state: impl FnOnce() -> String) {
        hold!("liveness", self.left > 0, "it never came that {}: {}", self.what, state());
        self.left -= 1;
    }
}
