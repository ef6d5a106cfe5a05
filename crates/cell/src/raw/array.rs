//! The words of an array, and what they say of a writer that is gone.

use shmkit_atomic::Ordering::{Relaxed, Release};
use shmkit_atomic::crash::{in_program_order, step};
use shmkit_atomic::{AtomicU32, AtomicU64};
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_sync::RawMutex;

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
#[cfg(not(loom))]
unsafe impl Shared for RawArray {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawArray>() == 32, "part of the segment format");

/// Every element is whole.
pub(crate) const CLEAN: u32 = 0;
/// A bulk write is going on; found by somebody who has just taken the lock: its writer is dead.
pub(crate) const WRITING: u32 = 1;
/// A bulk write ended in a panic.
pub(crate) const PANICKED: u32 = 2;

impl RawArray {
    /// To be called by whoever has just taken the lock: carries out what a dead owner had decided, and returns the
    /// mark. `carry_out` copies the journal's value to an element, of which there are `len`.
    ///
    /// Whoever is killed in here leaves the same to the next one.
    pub(crate) fn enter(&self, len: usize, carry_out: impl FnOnce(usize)) -> u32 {
        let pending = self.pending.load(Relaxed);
        if pending != 0 {
            match usize::try_from(pending - 1) {
                Ok(index) if index < len => carry_out(index),
                // No peer of this version writes such an index: somebody has written over these words.
                _ => self.mark.store(WRITING, Relaxed),
            }
            step();
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

    /// Writes the journal's value as element `index`, of which a killed writer leaves the old value or the new one:
    /// `carry_out` copies it there. Under the lock.
    pub(crate) fn commit(&self, index: usize, carry_out: impl FnOnce(usize)) {
        step();
        // Release: the journal is whole before it counts. From here on the write has happened: pairs with the load of
        // an heir in `enter`, which learned of this process's death from the kernel.
        self.pending.store(index as u64 + 1, Release);
        in_program_order();
        carry_out(index);
        step();
        // Release: the element is whole before the journal is empty; pairs as above.
        self.pending.store(0, Release);
        // The next write's journal stays behind this.
        in_program_order();
    }

    /// Sets the mark, before the first and after the last step of a bulk write.
    pub(crate) fn mark(&self, mark: u32) {
        step();
        // Release: all elements are written before the mark is taken away; pairs with the load of an heir in `enter`.
        self.mark.store(mark, Release);
        // And it is set before the first of them.
        in_program_order();
    }
}

#[cfg(all(test, loom))]
mod model;
