//! What is excused from the style, each with what it may have. These lists may only become shorter, except that a
//! file which must call the kernel may join `UNSAFE_FILES`.

/// Files over the limit of lines, and what they may have.
pub const LONG_FILES: &[(&str, usize)] = &[];

/// Functions over the limit of lines, and what they may have.
pub const LONG_FUNCTIONS: &[(&str, usize)] = &[];

/// Files with unsafe code: system calls that no safe crate offers.
pub const UNSAFE_FILES: &[&str] = &[
    "bench/src/echo/ring.rs",
    "bench/src/kernel.rs",
    // Counts allocations: a global allocator is an unsafe trait.
    "bench/tests/allocations/counting.rs",
    "engine/src/doctor/syscalls.rs",
    // Advises them: a global allocator, too.
    "engine/src/huge_pages.rs",
    "engine/src/reactor/ring.rs",
    "engine/src/reactor/sockets.rs",
    "engine/src/reactor/wake.rs",
    "engine/src/signals.rs",
    "wal/device/src/preparer.rs",
    "wal/device/src/ring.rs",
];

/// Tests that sleep, and why.
pub const SLEEPING_TESTS: &[(&str, &str)] = &[];
