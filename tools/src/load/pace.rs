//! When an open loop's requests are due: at fixed intervals from the start, whatever the engine does.

use super::plan::{LoadPlan, Rate};

/// One thread's schedule. Times are nanoseconds of the run's clock.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    begin: f64,
    interval: f64,
    next: u64,
}

impl Pace {
    /// The schedule of thread `thread` of `plan.client_cores`, or none in closed loop. The threads' schedules
    /// interleave.
    pub(super) fn new(plan: &LoadPlan, thread: usize, begin: u64) -> Option<Pace> {
        let Rate::PerSecond(rate) = plan.rate else {
            return None;
        };
        let every = plan.batch as f64 / rate * 1e9;
        Some(Pace {
            begin: begin as f64 + every * thread as f64,
            interval: every * plan.client_cores as f64,
            next: 0,
        })
    }

    /// When the next request is due.
    pub(super) fn due(&self) -> u64 {
        (self.begin + self.interval * self.next as f64) as u64
    }

    /// It was sent.
    pub(super) fn advance(&mut self) {
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threads_of_an_open_loop_share_its_rate_evenly() {
        let mut plan = LoadPlan::new(Vec::new());
        plan.rate = Rate::PerSecond(1000.0);
        plan.client_cores = 2;
        let mut due: Vec<u64> = (0..2)
            .flat_map(|thread| {
                let mut pace = Pace::new(&plan, thread, 5_000).unwrap();
                (0..3).map(move |_| {
                    let due = pace.due();
                    pace.advance();
                    due
                })
            })
            .collect();
        due.sort_unstable();
        assert_eq!(due, [5_000, 1_005_000, 2_005_000, 3_005_000, 4_005_000, 5_005_000]);
    }
}
