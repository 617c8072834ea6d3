//! The system calls of the host check that the standard library does not wrap: the only unsafe code of `doctor`.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Alignment of O_DIRECT transfers within the file at `path`, in bytes. `None` if the kernel or the filesystem does
/// not tell (before Linux 6.1), 0 if it says that O_DIRECT is not supported.
pub(super) fn direct_alignment(path: &Path) -> Option<u32> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut statx = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: `path` is NUL-terminated and outlives the call; `statx` is writable memory of the size of the struct
    // that the kernel fills.
    let result =
        unsafe { libc::statx(libc::AT_FDCWD, path.as_ptr(), 0, libc::STATX_DIOALIGN, statx.as_mut_ptr()) };
    if result != 0 {
        return None;
    }
    // SAFETY: all fields are integers, for which the zeroes written above are valid, whatever part was filled.
    let statx = unsafe { statx.assume_init() };
    (statx.stx_mask & libc::STATX_DIOALIGN != 0).then_some(statx.stx_dio_offset_align)
}

/// Bytes that this user may still write on the filesystem of `path`.
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    let mut statvfs = MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: `path` is NUL-terminated and outlives the call; `statvfs` is writable memory of the struct's size.
    let result = unsafe { libc::statvfs(path.as_ptr(), statvfs.as_mut_ptr()) };
    if result != 0 {
        return None;
    }
    // SAFETY: the call succeeded, which fills the struct; its fields are integers and were zeroed besides.
    let statvfs = unsafe { statvfs.assume_init() };
    statvfs.f_bavail.checked_mul(statvfs.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_there_is_none() {
        assert_eq!(direct_alignment(Path::new("/nonexistent/x")), None);
        assert_eq!(free_bytes(Path::new("/nonexistent/x")), None);
        assert!(free_bytes(Path::new("/")).is_some());
    }
}
