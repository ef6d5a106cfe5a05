//! A structure's change from one block to another.

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_layout::Shared;
use shmkit_roster::Judge;

use crate::{Block, BlockId, Heap, HeapError};

/// The journal of a structure that changes from one block to another: a kill between any two instructions loses neither.
///
/// It lies beside the structure's words, and is used under the structure's lock. The word that holds the block's id is the
/// truth: before the one store that changes it, the change never was, and after it, it is done.
///
/// ```text
/// 0 armed: 63 .. 1 which word, as the structure counts them, plus 1 | 0 the block after is new; 0 for no change
/// 8 before | 16 after
/// ```
///
/// All zero bytes are one at rest. *If a peer dies* in a change, whoever inherits the structure's lock calls
/// [`Heap::recover`] before anything else.
#[derive(Debug)]
#[repr(C)]
pub struct Swap {
    armed: AtomicU64,
    before: AtomicU64,
    after: AtomicU64,
}

// SAFETY: `repr(C)`, three atomic numbers.
unsafe impl Shared for Swap {}

impl Swap {
    /// Makes one at rest.
    pub const fn new() -> Self {
        Self { armed: AtomicU64::new(0), before: AtomicU64::new(0), after: AtomicU64::new(0) }
    }

    /// Returns which word was being changed when somebody died, if that is so.
    pub fn pending(&self) -> Option<u64> {
        // Acquire: pairs with the Release in `replace`, though the structure's lock has ordered it already.
        (self.armed.load(Acquire) >> 1).checked_sub(1)
    }
}

impl Default for Swap {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Judge> Heap<K> {
    /// Puts `block`, or [`NONE`](BlockId::NONE), into `word`, which the structure calls number `which`, below 2^63-1, and frees
    /// the block that was there. Under the structure's lock.
    ///
    /// # Errors
    ///
    /// [`HeapError`]: nothing was changed, but if the error is about the block before: then the change is done.
    ///
    /// # If a peer dies
    ///
    /// here, [`recover`](Self::recover) undoes or finishes it.
    #[inline]
    pub fn replace(
        &self,
        swap: &Swap,
        which: u64,
        word: &AtomicU64,
        block: Option<Block<'_, K>>,
    ) -> Result<(), HeapError> {
        let after = block.as_ref().map_or(BlockId::NONE, Block::id);
        self.change(swap, which, word, after, block)
    }

    /// Puts `after`, a block that the structure has already, into `word` in place of the one that was there, which is freed:
    /// so a link is taken out of a chain. Under the structure's lock.
    ///
    /// # Errors
    ///
    /// As [`replace`](Self::replace).
    ///
    /// # If a peer dies
    ///
    /// As with [`replace`](Self::replace).
    #[inline]
    pub fn unlink(
        &self,
        swap: &Swap,
        which: u64,
        word: &AtomicU64,
        after: BlockId,
    ) -> Result<(), HeapError> {
        self.change(swap, which, word, after, None)
    }

    #[inline]
    fn change(
        &self,
        swap: &Swap,
        which: u64,
        word: &AtomicU64,
        after: BlockId,
        new: Option<Block<'_, K>>,
    ) -> Result<(), HeapError> {
        // Relaxed, all but where it is said: under the structure's lock, and after a kill what was stored first was stored.
        let before = BlockId::from_number(word.load(Relaxed));
        swap.before.store(before.get(), Relaxed);
        swap.after.store(after.get(), Relaxed);
        // Release: a journal that is armed is whole.
        swap.armed.store((which + 1) << 1 | u64::from(new.is_some()), Release);
        if let Some(block) = new
            && let Err(error) = block.keep()
        {
            swap.armed.store(0, Release);
            return Err(error);
        }
        // Release: pairs with the Acquire of who reads the word without the lock: it finds the block filled. And not before
        // the block is kept: one that is in use is never taken for a dead one's.
        word.store(after.get(), Release);
        let freed = if before.is_none() { Ok(()) } else { self.free(before) };
        // Release: not before the block is free.
        swap.armed.store(0, Release);
        freed
    }

    /// Finishes or undoes the change in whose middle somebody was killed; `word` finds the word of a number. By who has
    /// inherited the structure's lock.
    ///
    /// # Errors
    ///
    /// [`HeapError::Corrupt`] if there is no such word, or a page's word is none.
    ///
    /// # If a peer dies
    ///
    /// here, the next one does it again.
    pub fn recover<'w>(
        &self,
        swap: &Swap,
        word: impl FnOnce(u64) -> Option<&'w AtomicU64>,
    ) -> Result<(), HeapError> {
        let Some(which) = swap.pending() else { return Ok(()) };
        let word = word(which).ok_or(HeapError::Corrupt { page: 0, found: which })?;
        let after = swap.after.load(Relaxed);
        let goes = BlockId::from_number(if word.load(Relaxed) == after {
            swap.before.load(Relaxed)
        } else if swap.armed.load(Relaxed) & 1 != 0 {
            after
        } else {
            // The block after is the structure's, whatever became of this.
            0
        });
        if !goes.is_none() {
            match self.reclaim(goes) {
                // Whoever died here before has done it, or others have: it was reserved.
                Ok(()) | Err(HeapError::Stale { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        swap.armed.store(0, Release); // Release: not before the block is free.
        Ok(())
    }
}
