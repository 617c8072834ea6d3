//! SIGINT and SIGTERM while a backup is taken: it ends between two pieces, so that no segment stays pinned.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use super::BackupError;
use crate::exit::{Ended, Exit};

/// Which signal came, if one did.
pub(super) struct Signals {
    came: Arc<AtomicUsize>,
}

impl Signals {
    /// From here on the first one is only remembered. A second one ends the process where it is.
    pub(super) fn watch() -> Result<Signals, Ended> {
        let (came, again) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let watch = |signal: i32| -> io::Result<()> {
            flag::register_conditional_default(signal, Arc::clone(&again))?;
            flag::register(signal, Arc::clone(&again))?;
            flag::register_usize(signal, Arc::clone(&came), signal.unsigned_abs() as usize)?;
            Ok(())
        };
        let watched = [SIGINT, SIGTERM].into_iter().try_for_each(watch);
        watched.map_err(|error| Ended::Io("watching for signals".to_owned(), error))?;
        Ok(Signals { came })
    }

    /// To be asked between two pieces.
    pub(super) fn check(&self) -> Result<(), Ended> {
        match self.came() {
            None => Ok(()),
            Some(_) => Err(BackupError::Interrupted.into()),
        }
    }

    /// Ends the process as the signal would have: whoever started it sees of what it died, a shell 130 or 143.
    pub(super) fn end(&self) -> Exit {
        if let Some(signal) = self.came() {
            // Should it live on all the same, it has failed.
            let _ = low_level::emulate_default_handler(signal);
        }
        Exit::Internal
    }

    fn came(&self) -> Option<i32> {
        i32::try_from(self.came.load(Ordering::Relaxed)).ok().filter(|signal| *signal != 0)
    }
}
