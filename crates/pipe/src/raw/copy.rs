//! A copy of a small item that travels with the position.

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::{AtomicU64, const_unless_loom, fence};
#[cfg(not(loom))]
use shmkit_layout::Shared;

/// Words of the largest item of which a copy can travel with the position ([`RawEnd::copy`](crate::RawEnd::copy)).
pub const COPIED: usize = 6;
/// No item has this position: it would be the last one of 2^64.
const NONE: u64 = u64::MAX;

/// The copy, and which item it is of: a sequence lock whose sequence is the item's position.
///
/// Without it an item that was sent alone moves two lines to a receiver that waits for it: that of the position, and
/// then its own. (A receiver that has more than one item to read takes them from the ring.)
///
/// The sender writes it before it publishes the item, and may be writing the next one while a receiver reads:
///
/// ```text
/// sender                                  receiver
/// item := n   |fence(Release)|            tail == n + 1, with Acquire
/// words := …                              read the words
/// tail := n + 1, with Release             |fence(Acquire)|   item == n?
/// ```
///
/// Is `item` still `n` afterwards, no word is of a later item; and each is of `n`, because of the tail. *If a peer
/// dies* with half of a copy written, the tail has not moved, and its successor says that there is none before it moves
/// the tail.
#[repr(C)]
pub(super) struct Copied {
    /// Position of the item, or [`NONE`].
    item: AtomicU64,
    words: [AtomicU64; COPIED],
}

// SAFETY: repr(C) of atomics.
#[cfg(not(loom))]
unsafe impl Shared for Copied {}

impl Copied {
    const_unless_loom! {
        /// Makes a copy of nothing. (All zero bytes are one, too: item 0 is not published.)
        pub(super) fn new() -> Copied {
            Copied {
                item: AtomicU64::new(NONE),
                words: [
                    AtomicU64::new(0),
                    AtomicU64::new(0),
                    AtomicU64::new(0),
                    AtomicU64::new(0),
                    AtomicU64::new(0),
                    AtomicU64::new(0),
                ],
            }
        }
    }

    /// Says that there is none. By the sender.
    pub(super) fn clear(&self) {
        // Relaxed: whoever sees the tail that the caller moves next, with Release, sees this.
        self.item.store(NONE, Relaxed);
    }

    /// Writes the copy of `item`, which the caller publishes next. By the sender.
    #[inline(always)]
    pub(super) fn write(&self, item: u64, words: &[u64]) {
        self.item.store(item, Relaxed);
        // Release: pairs with the Acquire fence in `read`: who reads one of the words below sees that they are not of
        // an older item.
        fence(Release);
        for (to, word) in self.words.iter().zip(words) {
            to.store(*word, Relaxed);
        }
    }

    /// Reads the copy of `item`, which the caller has seen to be published; returns whether there is one. By the
    /// receiver.
    #[inline(always)]
    pub(super) fn read(&self, item: u64, words: &mut [u64]) -> bool {
        for (word, from) in words.iter_mut().zip(&self.words) {
            *word = from.load(Relaxed);
        }
        // Acquire: pairs with the Release fence in `write`.
        fence(Acquire);
        self.item.load(Relaxed) == item
    }
}
