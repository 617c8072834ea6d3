//! Large tables lie in huge pages.
//!
//! The Warden's table is read at random: with pages of 4 KiB most look-ups miss the TLB as well as the cache, and a
//! table that fills up pays a page fault every 73 entries. So every large allocation of the process is advised to the
//! kernel as one for huge pages (`madvise`, which `doctor` checks is not switched off). Nothing else about it changes.

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, with that advice.
struct HugePages;

#[global_allocator]
static ALLOCATOR: HugePages = HugePages;

// SAFETY: every call is passed on as it came to the system's allocator, which keeps the contract; advice changes
// neither the content of memory nor whose it is.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        advised(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        advised(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above; `pointer` came from the system's allocator, as everything does.
        advised(unsafe { System.realloc(pointer, layout, size) }, size)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Advises the whole huge pages within an allocation, if there are any.
#[inline]
fn advised(pointer: *mut u8, size: usize) -> *mut u8 {
    if size >= LARGE_BYTES && !pointer.is_null() {
        advise(pointer, size);
    }
    pointer
}

#[cold]
fn advise(pointer: *mut u8, size: usize) {
    let from = pointer.align_offset(HUGE_PAGE_BYTES);
    let bytes = (size - from) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    // A kernel that does not know huge pages refuses, and nothing is lost by that.
    // SAFETY: the range lies within an allocation that was made just now, and advice does not change what it holds.
    let _ = unsafe { libc::madvise(pointer.add(from).cast(), bytes, libc::MADV_HUGEPAGE) };
}

const HUGE_PAGE_BYTES: usize = 2 << 20;
/// From here on an allocation is a table, and not a buffer.
const LARGE_BYTES: usize = 8 << 20;
