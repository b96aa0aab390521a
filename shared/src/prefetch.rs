//! Tells the processor what will be read soon.
//!
//! A worker's sessions do not fit its caches, and what one client-tick reads lies in a dozen places: waiting
//! for memory at each of them costs more than the work. So the places of the next sessions are named while
//! the current one is served. Only hints: nothing is read, and leaving a hint out changes no result.

#![expect(unsafe_code, reason = "the instruction has no safe wrapper")]

use std::ops::Range;

/// Bytes that the processor moves at a time.
const LINE_BYTES: usize = 64;

/// Hints that all of `value` will be read.
#[inline(always)]
pub fn prefetch<T: ?Sized>(value: &T) {
    prefetch_part(value, 0..size_of_val(value));
}

/// Hints that `value` will be read from its beginning on; what follows there the processor foresees itself.
#[inline(always)]
pub fn prefetch_start<T>(value: &T) {
    prefetch_part(value, 0..size_of::<T>().min(2 * LINE_BYTES));
}

/// Hints that these bytes of `value` will be read.
#[inline(always)]
pub fn prefetch_part<T: ?Sized>(value: &T, bytes: Range<usize>) {
    let start = std::ptr::from_ref(value).cast::<u8>();
    let first = start.wrapping_add(bytes.start);
    let into_line = first.addr() % LINE_BYTES;
    for at in (0..bytes.len() + into_line).step_by(LINE_BYTES) {
        prefetch_line(first.wrapping_sub(into_line).wrapping_add(at));
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
