//! Hints to the processor about memory that will be read soon.
//!
//! A worker's sessions do not fit its caches, and one client-tick reads a dozen separate pieces of memory:
//! waiting for each of them costs more than the work. So the memory of the next sessions is prefetched
//! while the current one is served. These are only hints: nothing is read, and no result depends on them.

#![expect(unsafe_code, reason = "the instruction has no safe wrapper")]

use std::ops::Range;

/// Bytes of a cache line, which the processor loads as a whole.
const LINE_BYTES: usize = 64;

/// Hints that all of `value` will be read.
#[inline(always)]
pub fn prefetch<T: ?Sized>(value: &T) {
    prefetch_part(value, 0..size_of_val(value));
}

/// Hints that these bytes of `value` will be read.
#[inline(always)]
pub fn prefetch_part<T: ?Sized>(value: &T, bytes: Range<usize>) {
    let start = std::ptr::from_ref(value).cast::<u8>();
    let first = start.wrapping_add(bytes.start);
    // Rounds down to the first cache line, then takes one step for each line that the bytes touch.
    let into_line = first.addr() % LINE_BYTES;
    for offset in (0..bytes.len() + into_line).step_by(LINE_BYTES) {
        prefetch_line(first.wrapping_sub(into_line).wrapping_add(offset));
    }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn prefetch_line(line: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch reads nothing; it may be given any address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn prefetch_line(_: *const u8) {}
