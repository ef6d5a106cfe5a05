//! A page that a forked child finds empty.

use core::ffi::c_void;
use core::fmt;
use core::num::{NonZeroU32, NonZeroUsize};
use core::ptr::{self, NonNull};
use std::io;

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};
use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shmkit_atomic::{AtomicPtr, AtomicU32, AtomicUsize};

use crate::OwnerId;
use crate::anchor::Anchor;

/// The page of the last participant that left, empty, for the next: to map one and to touch it takes as long as the
/// rest of a join. A child inherits the mapping, wiped, and may use it.
static SPARE: AtomicPtr<Page> = AtomicPtr::new(ptr::null_mut());

/// The kernel rounds a length up to whole pages.
const ONE_PAGE: NonZeroUsize = NonZeroUsize::MIN;

/// All that a participant knows of itself. All of it lies in a page that is marked [`MADV_WIPEONFORK`], so that a
/// child, however it was forked, reads 0: it has no name, has lost nothing, and has no anchor to unmap.
///
/// [`MADV_WIPEONFORK`]: https://man7.org/linux/man-pages/man2/madvise.2.html
pub(crate) struct Identity {
    page: NonNull<Page>,
}

#[repr(C)]
struct Page {
    /// Unused. A load that lies 4096 bytes times anything from a store waits for it on many processors, and lock
    /// words lie at multiples of 128 from the start of a page: the id, loaded beside them, does not.
    _aside: [u8; 64],
    /// The id, or 0. Changed under the join lock.
    id: AtomicU32,
    /// 1 after the place was lost.
    lost: AtomicU32,
    /// Where the anchor lies, or null. Changed under the join lock.
    anchor: AtomicPtr<c_void>,
    /// Length of the anchor, in bytes.
    anchor_len: AtomicUsize,
}

// SAFETY: the address of atomics that stay mapped until drop.
unsafe impl Send for Identity {}
// SAFETY: as above.
unsafe impl Sync for Identity {}

impl Identity {
    /// Finds or maps an empty page.
    pub(crate) fn new() -> io::Result<Self> {
        // Acquire: pairs with the Release half of the swap in `drop`, so that the page is seen empty.
        if let Some(page) = NonNull::new(SPARE.swap(ptr::null_mut(), Acquire)) {
            return Ok(Self { page });
        }
        let (prot, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE);
        // SAFETY: a new mapping at an address of the kernel's choice changes no memory that anybody uses.
        let page = unsafe { mmap_anonymous(None, ONE_PAGE, prot, flags) }?;
        // SAFETY: the page just mapped; the advice changes only what a child sees.
        if let Err(error) = unsafe { madvise(page, ONE_PAGE.get(), MmapAdvise::MADV_WIPEONFORK) } {
            unmap(page.cast());
            return Err(error.into());
        }
        Ok(Self { page: page.cast() })
    }

    /// Returns the participant's name; `None` before it joined, in a forked child, and after its place was lost.
    #[inline]
    pub(crate) fn id(&self) -> Option<OwnerId> {
        // Acquire: pairs with the Release in `settle`: who sees the name sees the anchor that keeps it, and everything
        // that its thread did to join. The kernel's wiping of a child's page is ordered by the fork.
        NonZeroU32::new(self.page().id.load(Acquire)).map(OwnerId::from_own)
    }

    /// Returns the word in which the name stands, or 0. It stays where it is until this is dropped.
    pub(crate) fn word(&self) -> &AtomicU32 {
        &self.page().id
    }

    /// Takes a name and the anchor that keeps it.
    pub(crate) fn settle(&self, id: OwnerId, anchor: Anchor) {
        drop(self.take_anchor());
        let (addr, len) = anchor.into_raw();
        let page = self.page();
        page.anchor.store(addr.as_ptr(), Relaxed);
        page.anchor_len.store(len, Relaxed);
        page.lost.store(0, Relaxed);
        // Release: pairs with the Acquire in `id`.
        page.id.store(id.get(), Release);
    }

    /// Gives up the name, since the kernel no longer keeps it: nothing may be done in it any more. Under the join lock.
    pub(crate) fn lose(&self, id: OwnerId) {
        let page = self.page();
        if page.id.load(Relaxed) == id.get() {
            page.id.store(0, Relaxed);
            page.lost.store(1, Relaxed);
            // Whatever lies there now is not ours to unmap.
            page.anchor.store(ptr::null_mut(), Relaxed);
        }
    }

    /// Gives up the name, and has the kernel forget it. Under the join lock.
    pub(crate) fn leave(&self) {
        self.page().id.store(0, Relaxed);
        drop(self.take_anchor());
    }

    /// Returns whether the name was [lost](Self::lose).
    pub(crate) fn is_lost(&self) -> bool {
        self.page().lost.load(Relaxed) != 0
    }

    #[cfg(test)]
    pub(crate) fn unmap_anchor_behind_its_back(&self) {
        drop(self.take_anchor());
    }

    /// Returns the addresses of the anchor, by whole pages, if there is one.
    pub(crate) fn anchor(&self) -> Option<core::ops::Range<usize>> {
        let start = NonNull::new(self.page().anchor.load(Relaxed))?.as_ptr().addr();
        // SAFETY: asks for a constant of the system.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).ok()?;
        let end = start.checked_add(self.page().anchor_len.load(Relaxed))?;
        Some(start..end.checked_next_multiple_of(page)?)
    }

    fn take_anchor(&self) -> Option<Anchor> {
        let addr = NonNull::new(self.page().anchor.swap(ptr::null_mut(), Relaxed))?;
        let len = self.page().anchor_len.load(Relaxed);
        // SAFETY: `settle` stored both, from `into_raw`, and the swap gave them to nobody else. Where the mapping does
        // not exist, it reads null: in a forked child (the page is wiped), and after `lose`.
        Some(unsafe { Anchor::from_raw(addr, len) })
    }

    #[inline]
    fn page(&self) -> &Page {
        // SAFETY: mapped in `new`, aligned to a page, and ours until drop; all bytes are atomics, valid as zeros.
        unsafe { self.page.as_ref() }
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        self.page().id.store(0, Relaxed);
        self.page().lost.store(0, Relaxed);
        drop(self.take_anchor());
        // AcqRel: the Release half pairs with the Acquire in `new`, and with the Acquire half here of the next drop:
        // whoever takes the page, to use or to unmap it, does so after all that was done to it.
        if let Some(other) = NonNull::new(SPARE.swap(self.page.as_ptr(), AcqRel)) {
            unmap(other);
        }
    }
}

/// Unmaps a page that `new` mapped and nobody uses.
fn unmap(page: NonNull<Page>) {
    // SAFETY: a mapping of `new`'s, of this length, that only the caller knows.
    let unmapped = unsafe { munmap(page.cast(), ONE_PAGE.get()) };
    debug_assert!(unmapped.is_ok(), "{unmapped:?}");
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id() {
            Some(id) => write!(f, "{id}"),
            None if self.is_lost() => f.write_str("lost"),
            None => f.write_str("not joined"),
        }
    }
}
