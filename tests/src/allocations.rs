//! A counting allocator, for tests that the steady state does not allocate and that memory does not grow.
//!
//! It counts requests only inside [`counted`], and only those of the calling thread. All counts are zero in a program
//! in which [`CountingAllocator`] is not the global allocator.
#![expect(unsafe_code, reason = "a global allocator cannot be written without it")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    static COUNTING: Cell<bool> = const { Cell::new(false) };
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static HELD_BYTES: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator with counters.
#[derive(Debug)]
pub struct CountingAllocator;

// A thread that ends has no thread-locals any more. Its last requests are not counted.

fn note_request() {
    let _ = COUNTING.try_with(|counting| {
        if counting.get() {
            ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        }
    });
}

fn note_bytes(bytes: i64) {
    let _ = HELD_BYTES.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: every call goes to the system's allocator with unchanged arguments.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note_request();
        note_bytes(layout.size() as i64);
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note_bytes(-(layout.size() as i64));
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note_request();
        note_bytes(size as i64 - layout.size() as i64);
        // SAFETY: the caller's guarantees are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Runs `work` and returns its result and the number of its allocations and reallocations.
pub fn counted<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = ALLOCATIONS.get();
    let outer = COUNTING.replace(true);
    let result = work();
    COUNTING.set(outer);
    (result, ALLOCATIONS.get() - before)
}

/// Returns the bytes that this thread has allocated, less those that it has freed.
#[must_use]
pub fn held_bytes() -> i64 {
    HELD_BYTES.get()
}
