//! An allocator that counts, to say how much memory something takes and that a packet takes none.

#![allow(unsafe_code, reason = "an allocator cannot be written without; this one hands everything on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator with counters, for `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting;

impl Counting {
    /// Bytes that are allocated now, as they were asked for.
    pub fn live_bytes() -> usize {
        LIVE.load(Ordering::Relaxed)
    }

    /// Allocations and growths so far.
    pub fn calls() -> usize {
        CALLS.load(Ordering::Relaxed)
    }
}

// SAFETY: every call goes to `System` with the arguments it came with, so its guarantees are this one's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(block, layout) }
    }
}
