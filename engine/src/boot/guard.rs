//! A domain's panic becomes the outcome `fault` (D4): caught here, where threads and unwinding are.

use std::panic::{AssertUnwindSafe, catch_unwind};

use assize_shards::PanicGuard;

use crate::logging::DomainGuard;

/// Catches the panics of domains. The engine's own panics are not caught anywhere: they end the process.
#[derive(Debug)]
pub struct CatchUnwind;

impl PanicGuard for CatchUnwind {
    fn run(&self, body: &mut dyn FnMut()) -> bool {
        let _entered = DomainGuard::enter();
        // What the body leaves half done is thrown away by the Arbiter: states are written back only when it completes.
        catch_unwind(AssertUnwindSafe(body)).is_ok()
    }
}
