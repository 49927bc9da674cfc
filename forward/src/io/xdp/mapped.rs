//! The memory of a BPF array, mapped: read and written without a system call.

#![allow(unsafe_code, reason = "no crate of ours maps a map's memory")]

use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// All values of an array that was made with `BPF_F_MMAPABLE`, as words.
#[derive(Debug)]
pub(super) struct Mapped {
    first: NonNull<AtomicU64>,
    words: usize,
}

impl Mapped {
    /// Maps `words` words of the array, which has as many or more.
    ///
    /// # Errors
    /// The kernel's: `EINVAL` for an array that has fewer or cannot be mapped.
    pub(super) fn new(array: BorrowedFd<'_>, words: usize) -> io::Result<Self> {
        let length = words.checked_mul(size_of::<AtomicU64>()).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, at an address that the kernel chooses; it takes no memory that is in use.
        let at = unsafe {
            libc::mmap(std::ptr::null_mut(), length, protection, libc::MAP_SHARED, array.as_raw_fd(), 0)
        };
        match NonNull::new(at.cast()) {
            Some(first) if at != libc::MAP_FAILED => Ok(Self { first, words }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Deref for Mapped {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: so many words are mapped at a page's beginning while this lives. The kernel and other processes
        // write them too: they are looked at as atomics only.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.words) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        let length = self.words * size_of::<AtomicU64>();
        // SAFETY: the mapping is ours alone, and nobody has a reference into it any more.
        unsafe { libc::munmap(self.first.as_ptr().cast(), length) };
    }
}

// SAFETY: the memory belongs to no thread, and is looked at as atomics only.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}
