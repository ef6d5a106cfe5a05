//! The mapping that carries the locks.

use core::ffi::c_void;
use core::mem;
use core::num::NonZeroUsize;
use core::ptr::NonNull;
use std::io;
use std::os::fd::BorrowedFd;

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap};

/// A mapping of a private description that nobody reads or writes through.
///
/// It keeps the description, and with it the description's locks, for exactly as long as this *address space* exists:
/// no `close` and no `close_range` can drop them, as they would a descriptor's; no forked or raw-cloned child inherits
/// them (`MADV_DONTFORK`); a `vfork` child, which can still write to our memory, holds them; SIGKILL, exit and `exec`
/// release them.
#[derive(Debug)]
pub(crate) struct Anchor {
    addr: NonNull<c_void>,
    /// In bytes.
    len: usize,
}

impl Anchor {
    /// Maps the description behind `file`, of which the file system's block has `block` bytes. To be done before the
    /// description holds a lock: there is no moment at which a child inherits both.
    pub(crate) fn map(file: BorrowedFd<'_>, block: usize) -> io::Result<Self> {
        // A block: huge pages are unmapped whole only. Other kernels' pages are larger than blocks: rounded up.
        let len = NonZeroUsize::new(block).unwrap_or(NonZeroUsize::MIN);
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice changes no memory that anybody uses.
        let addr = unsafe { mmap(None, len, ProtFlags::PROT_NONE, flags, file, 0) }?;
        let this = Self { addr, len: len.get() };
        // SAFETY: the mapping just made; the advice changes only what a child sees.
        unsafe { madvise(addr, len.get(), MmapAdvise::MADV_DONTFORK) }?;
        Ok(this)
    }

    /// Returns address and length, for [`from_raw`](Self::from_raw).
    pub(crate) fn into_raw(self) -> (NonNull<c_void>, usize) {
        let raw = (self.addr, self.len);
        mem::forget(self);
        raw
    }

    /// Owns an anchor again.
    ///
    /// # Safety
    ///
    /// Both must come from [`into_raw`](Self::into_raw) in this address space, and be given back once only.
    pub(crate) unsafe fn from_raw(addr: NonNull<c_void>, len: usize) -> Self {
        Self { addr, len }
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        // SAFETY: mapped in `map`, in this address space (`from_raw`); nothing was ever read or written through it.
        let unmapped = unsafe { munmap(self.addr, self.len) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}
