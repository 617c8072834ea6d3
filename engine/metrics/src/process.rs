//! What the system says of the process. Whoever serves the text asks for it: nothing here does I/O.

/// What the system says of the process; none where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessNumbers {
    /// When the program began, in seconds since the Unix epoch.
    pub start_seconds: f64,
    /// CPU time of all threads.
    pub cpu_seconds: Option<f64>,
    /// Memory in RAM.
    pub resident_bytes: Option<f64>,
    /// Address space.
    pub virtual_bytes: Option<f64>,
    /// Open file descriptors.
    pub open_fds: Option<f64>,
    /// File descriptors that may be opened.
    pub max_fds: Option<f64>,
}
