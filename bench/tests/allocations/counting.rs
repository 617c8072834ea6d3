//! The system's allocator, counting what the threads of a test ask of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Calls that took new memory, growth in place included, by this thread so far.
pub fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// Counts, and leaves the work to the system.
pub struct Counting;

thread_local! {
    // Without a destructor and initialized at compile time, so it is there from a thread's first to its last
    // allocation.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

// SAFETY: every call is passed on as it came to the system's allocator, which keeps the contract; counting touches no
// memory but a cell of the thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above; `pointer` came from the system's allocator, as everything does.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
