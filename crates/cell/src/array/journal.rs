//! The words of an array, and what they say of a writer that is gone.

use core::ptr::NonNull;

use shmkit_atomic::Ordering::{Relaxed, Release};
use shmkit_atomic::{AtomicU32, AtomicU64};
use shmkit_layout::{Shared, ShmSafe};
use shmkit_sync::RawMutex;

use crate::in_program_order;

/// The words of an array; the journal's slot and the elements follow.
///
/// ```text
///  0 mutex  16 pending  24 mark  28 reserved  32 … padding to T's alignment … journal | element 0 | element 1 | …
/// ```
///
/// All of them are stored by the holder of the lock only.
#[repr(C)]
pub(crate) struct RawArray {
    pub(crate) mutex: RawMutex,
    /// 1 + the index of the element that the journal's value is for; 0 if the journal holds nothing.
    pending: AtomicU64,
    /// What became of the last bulk write: [`CLEAN`], [`WRITING`] or [`PANICKED`].
    mark: AtomicU32,
    reserved: AtomicU32,
}

// SAFETY: `repr(C)`, a `Shared` mutex and atomics; every bit pattern of `pending` and `mark` has a meaning (`enter`).
unsafe impl Shared for RawArray {}

const _: () = assert!(size_of::<RawArray>() == 32, "part of the segment format");

/// Every element is whole.
pub(crate) const CLEAN: u32 = 0;
/// A bulk write is going on; found by somebody who has just taken the lock: its writer is dead.
pub(crate) const WRITING: u32 = 1;
/// A bulk write ended in a panic.
pub(crate) const PANICKED: u32 = 2;

impl RawArray {
    /// To be called by whoever has just taken the lock: carries out what a dead owner had decided, and returns the
    /// mark. `journal` is the slot before the elements, of which there are `len`.
    ///
    /// Whoever is killed in here leaves the same to the next one.
    ///
    /// # Safety
    ///
    /// The caller holds the lock, and one slot and `len` elements are mapped from `journal` on.
    pub(crate) unsafe fn enter<T: ShmSafe>(&self, journal: NonNull<T>, len: usize) -> u32 {
        let pending = self.pending.load(Relaxed);
        if pending != 0 {
            match usize::try_from(pending - 1) {
                Ok(index) if index < len => {
                    // SAFETY: in the array: `index < len`, and the elements begin after one slot.
                    let element = unsafe { journal.add(1 + index) };
                    // SAFETY: both mapped and aligned, and the lock is held (caller); any bytes are a `T` (`Pod`).
                    unsafe { element.copy_from_nonoverlapping(journal, 1) };
                }
                // No peer of this version writes such an index: somebody has written over these words.
                _ => self.mark.store(WRITING, Relaxed),
            }
            // Release: the element is whole, or the mark set, before the journal is empty.
            self.pending.store(0, Release);
            in_program_order();
        }
        match self.mark.load(Relaxed) {
            CLEAN => CLEAN,
            PANICKED => PANICKED,
            _ => WRITING,
        }
    }

    /// Writes the journal's value as an element, of which a killed writer leaves the old value or the new one.
    ///
    /// # Safety
    ///
    /// The lock must be held; `journal` must be the slot before the elements, and `index` that of an element.
    pub(crate) unsafe fn commit<T: ShmSafe>(&self, journal: NonNull<T>, index: usize) {
        // Release: the journal is whole before it counts. From here on the write has happened: pairs with the load of
        // an heir in `enter`, which learned of this process's death from the kernel.
        self.pending.store(index as u64 + 1, Release);
        in_program_order();
        // SAFETY: in the array, by the caller's promise; the elements begin after one slot.
        let element = unsafe { journal.add(1 + index) };
        // SAFETY: both mapped and aligned, and nobody else uses them: the lock is held (caller).
        unsafe { journal.copy_to_nonoverlapping(element, 1) };
        // Release: the element is whole before the journal is empty; pairs as above.
        self.pending.store(0, Release);
        // The next write's journal stays behind this.
        in_program_order();
    }

    /// Sets the mark, before the first and after the last step of a bulk write.
    pub(crate) fn mark(&self, mark: u32) {
        // Release: all elements are written before the mark is taken away; pairs with the load of an heir in `enter`.
        self.mark.store(mark, Release);
        // And it is set before the first of them.
        in_program_order();
    }
}
