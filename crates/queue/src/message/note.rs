//! What a slot holds of a message.

use core::ptr::{self, NonNull};
use core::slice;

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_heap::BlockId;
use shmkit_layout::Shared;

use crate::places::Places;

/// Most bytes of a message that lies in its slot.
pub(crate) const INSIDE: usize = 104;

/// The bytes of a note, as an item of a ring.
pub(crate) type Item = [u64; 15];

/// What a slot holds beside its word: two cache lines with it.
///
/// ```text
/// byte  0  block   u64    a `BlockId`, or 0: the message lies inside
///       8  length  u64    of the message, in bytes
///      16  inside         104 bytes
/// ```
///
/// In an empty slot the block is 0, or one that a dead process was about to give to the queue, or to take from it: whoever puts
/// there next frees it, and so does who finds no memory. Its id has a generation, so that one that was freed before is no
/// other's.
#[derive(Clone, Copy)]
pub(crate) struct Note<'q> {
    words: &'q Words,
    inside: NonNull<u8>,
}

#[repr(C)]
struct Words {
    block: AtomicU64,
    length: AtomicU64,
}

// SAFETY: `repr(C)`, two atomic words.
unsafe impl Shared for Words {}

const _: () = assert!(size_of::<Words>() + INSIDE == size_of::<Item>(), "all of it");

impl<'q> Note<'q> {
    /// Finds that of a slot.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[inline]
    pub(crate) fn at(places: &'q Places<Item>, slot: u32) -> Self {
        let first = places.at(slot);
        // SAFETY: aligned and valid for as long as the region (`Places::at`), which the queue keeps; its first two words are used as
        // atomics only.
        let words = unsafe { first.cast::<Words>().as_ref() };
        // SAFETY: inside of the item, which is as long as both (the assertion above).
        let inside = unsafe { first.cast::<u8>().add(size_of::<Words>()) };
        Self { words, inside }
    }

    /// Returns the block that stands there.
    pub(crate) fn block(self) -> BlockId {
        // Acquire: pairs with the Release in `refer`, for who has no claim of the slot; see `Ring::read_empty`.
        BlockId::from_number(self.words.block.load(Acquire))
    }

    /// Returns the length of the message.
    pub(crate) fn length(self) -> u64 {
        self.words.length.load(Relaxed) // Relaxed: ordered by the slot's word.
    }

    /// Says where the message lies, or nowhere. For who has claimed the slot, or leaves it.
    pub(crate) fn refer(self, block: BlockId) {
        shmkit_atomic::crash::step();
        self.words.block.store(block.get(), Release); // Release: see `block`.
    }

    /// Says how long the message is.
    pub(crate) fn measure(self, length: usize) {
        self.words.length.store(length as u64, Relaxed); // Relaxed: published by the slot's word.
    }

    /// Writes a message inside.
    ///
    /// # Panics
    ///
    /// If it does not fit.
    ///
    /// # Safety
    ///
    /// The slot is claimed.
    #[inline]
    pub(crate) unsafe fn write(self, message: &[u8]) {
        assert!(message.len() <= INSIDE, "it lies in a block");
        // SAFETY: so many bytes are there (`at`), nobody else uses them (caller), and they are not the message's.
        unsafe { ptr::copy_nonoverlapping(message.as_ptr(), self.inside.as_ptr(), message.len()) };
    }

    /// Returns the first bytes of those inside.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    ///
    /// # Safety
    ///
    /// The slot is held as long as they are used.
    #[inline]
    pub(crate) unsafe fn read(self, length: usize) -> &'q [u8] {
        assert!(length <= INSIDE, "it lies in a block");
        // SAFETY: so many bytes are there (`at`), and nobody writes to them (caller).
        unsafe { slice::from_raw_parts(self.inside.as_ptr(), length) }
    }
}
