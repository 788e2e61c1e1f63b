//! An allocator that counts, for the examples and tests that say what a call allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counted. Make it the `#[global_allocator]`.
#[derive(Debug)]
pub(crate) struct Counting;

impl Counting {
    /// What this thread has allocated so far: how often.
    pub(crate) fn count(&self) -> u64 {
        ALLOCATIONS.get()
    }
}

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe to write; this one only counts and hands every call on unchanged"
)]
// SAFETY: both methods pass their arguments on to `System` as they came, which upholds the contract. The counter
// needs neither memory nor a destructor, so that counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's obligations are `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` through `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
