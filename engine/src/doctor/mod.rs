//! The host check: what would keep a replica from serving or slow it down, and the command that mends it.
//!
//! Collection reads /proc, /sys and the disk into [`HostFacts`]; judgement is pure. It never changes the host; the
//! only file it writes is its own measurement in the data directory, removed afterwards.
//!
//! | file | holds |
//! |---|---|
//! | `facts.rs` | what is known about the host, and the pure readers of /proc and /sys texts |
//! | `collect.rs`, `disk.rs` | collection: /proc, /sys and io_uring; the data directory and its disk |
//! | `judge.rs`, `judge/disk.rs` | findings from facts |
//! | `suggest.rs` | a `[cores]` section for this host |
//! | `report.rs` | the table and the JSON object |
//! | `syscalls.rs` | the system calls, the only unsafe code here |

mod collect;
mod disk;
mod facts;
mod judge;
mod report;
mod suggest;
mod syscalls;

pub use assize_setup::allowed_cpus;
pub use collect::collect;
pub use disk::filesystem;
pub use facts::{CpuFacts, DirectIo, DiskFacts, Filesystem, HostFacts, IoUringFacts, Latency, Limit};
pub use judge::{FILES_OWN, Finding, Needs, Verdict, fatal_findings, judge};
pub use report::{json, run, table};
pub use suggest::{cores_section, suggest_cores};

use io_uring::opcode;

/// Every io_uring operation that the reactor and the log device submit, by name and code. A kernel that lacks one
/// cannot serve.
pub const REQUIRED_OPCODES: &[(&str, u8)] = &[
    ("NOP", opcode::Nop::CODE),
    ("READ", opcode::Read::CODE),
    ("READV", opcode::Readv::CODE),
    ("READ_FIXED", opcode::ReadFixed::CODE),
    ("WRITE", opcode::Write::CODE),
    ("WRITEV", opcode::Writev::CODE),
    ("WRITE_FIXED", opcode::WriteFixed::CODE),
    ("FSYNC", opcode::Fsync::CODE),
    ("FALLOCATE", opcode::Fallocate::CODE),
    ("OPENAT", opcode::OpenAt::CODE),
    ("CLOSE", opcode::Close::CODE),
    ("STATX", opcode::Statx::CODE),
    ("POLL_ADD", opcode::PollAdd::CODE),
    ("POLL_REMOVE", opcode::PollRemove::CODE),
    ("ACCEPT", opcode::Accept::CODE),
    ("CONNECT", opcode::Connect::CODE),
    ("RECV", opcode::Recv::CODE),
    ("RECVMSG", opcode::RecvMsg::CODE),
    ("SEND", opcode::Send::CODE),
    ("SENDMSG", opcode::SendMsg::CODE),
    ("TIMEOUT", opcode::Timeout::CODE),
    ("TIMEOUT_REMOVE", opcode::TimeoutRemove::CODE),
    ("LINK_TIMEOUT", opcode::LinkTimeout::CODE),
    ("ASYNC_CANCEL", opcode::AsyncCancel::CODE),
];
