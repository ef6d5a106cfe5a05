//! The words of a ring in shared memory, and what they say.

mod end;

use core::fmt;

use shmkit_atomic::Ordering::{Acquire, Relaxed};
use shmkit_atomic::{AtomicU32, AtomicU64, const_unless_loom};
use shmkit_layout::CachePadded;
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_roster::OwnerId;
use shmkit_sync::Doorbell;

pub use self::end::{Peer, RawEnd};

/// In a role word: the holder closed its end. The id above it says who that was.
const CLOSED: u32 = 1 << 30;
/// In a role word: the holder calls [`heavy`](shmkit_atomic::barrier::heavy) before it sleeps, so that whoever wakes
/// it may do without a fence.
const HEAVY: u32 = 1 << 31;

/// The sender's place in the pairs below.
const SENDER: usize = 0;
/// The receiver's place in the pairs below.
const RECEIVER: usize = 1;

/// The words of a single-producer single-consumer ring, without its items. All zero is an unmade one.
///
/// ```text
/// byte   0  capacity   u64      items, a power of two; stored once, before anybody else sees the ring
///        8  role[2]    u32      HEAVY(31) | CLOSED(30) | owner id, or 0: of the sender, of the receiver
///       16  bell[2]    u32      where the sender sleeps (full), where the receiver sleeps (empty)
///      128  head       u64      next item to read, counted from the ring's making; stored by the receiver only
///      256  tail       u64      next item to write, likewise; stored by the sender only
///      384  items                item n lies at n mod capacity (aligned to the item, if it wants more than 128)
/// ```
///
/// The first line changes only when somebody comes, goes or sleeps, so that both sides keep it in their caches: a
/// message moves the line of its item and that of `tail`, and nothing else.
#[repr(C)]
pub struct RawRing {
    control: CachePadded<Control>,
    /// Position of the next item to read, in items. Stored by the receiver only.
    head: CachePadded<AtomicU64>,
    /// Position of the next item to write, in items. Stored by the sender only.
    tail: CachePadded<AtomicU64>,
}

#[repr(C)]
struct Control {
    /// In items, a power of two; 0 in a ring that is not made yet.
    capacity: AtomicU64,
    /// Who holds each side, by [`SENDER`] and [`RECEIVER`].
    role: [AtomicU32; 2],
    /// Where each side sleeps, rung by the other.
    bell: [Doorbell; 2],
}

// SAFETY: repr(C) of atomics and doorbells, which are `Shared`; padding is never read.
#[cfg(not(loom))]
unsafe impl Shared for Control {}

// SAFETY: repr(C) of `Shared` types.
#[cfg(not(loom))]
unsafe impl Shared for RawRing {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawRing>() == 384, "part of the segment format");
#[cfg(not(loom))]
const _: () = assert!(size_of::<Control>() == 24, "part of the segment format");

impl RawRing {
    const_unless_loom! {
        /// Makes a ring that [`set_capacity`](Self::set_capacity) must complete.
        pub fn new() -> Self {
            Self {
                control: CachePadded::new(Control {
                    capacity: AtomicU64::new(0),
                    role: [AtomicU32::new(0), AtomicU32::new(0)],
                    bell: [Doorbell::new(), Doorbell::new()],
                }),
                head: CachePadded::new(AtomicU64::new(0)),
                tail: CachePadded::new(AtomicU64::new(0)),
            }
        }
    }

    /// Completes a ring that nobody else uses yet.
    ///
    /// # Panics
    ///
    /// If the capacity is not a power of two.
    pub fn set_capacity(&self, items: u64) {
        assert!(items.is_power_of_two(), "a ring's capacity is a power of two");
        // Relaxed: whoever publishes the ring to others orders this before.
        self.control.capacity.store(items, Relaxed);
    }

    /// Returns the capacity that stands in shared memory, in items: an input, to be checked.
    pub fn capacity(&self) -> u64 {
        self.control.capacity.load(Relaxed)
    }

    /// Returns who holds the sender's end, if somebody does.
    pub fn sender(&self) -> Option<OwnerId> {
        self.holder(SENDER)
    }

    /// Returns who holds the receiver's end, if somebody does.
    pub fn receiver(&self) -> Option<OwnerId> {
        self.holder(RECEIVER)
    }

    /// Returns how many items lie in the ring: a guess while it is in use, and never more than the capacity.
    pub fn len(&self) -> u64 {
        // Acquire: orders the load of `tail` after this one, so that the difference is not negative.
        let head = self.head.load(Acquire);
        self.tail.load(Relaxed).wrapping_sub(head).min(self.capacity())
    }

    /// Returns whether no item lies in the ring, as [`len`](Self::len) does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn holder(&self, side: usize) -> Option<OwnerId> {
        let word = self.control.role[side].load(Relaxed);
        if word & CLOSED != 0 { None } else { OwnerId::from_word(word) }
    }

    /// Returns the position that `side` stores.
    #[inline(always)]
    fn position(&self, side: usize) -> &AtomicU64 {
        if side == SENDER { &self.tail } else { &self.head }
    }
}

#[cfg(not(loom))]
impl Default for RawRing {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRing")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .field("sender", &self.sender())
            .field("receiver", &self.receiver())
            .finish()
    }
}
