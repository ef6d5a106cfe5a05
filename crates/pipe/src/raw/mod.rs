//! The words of a ring in shared memory, and what they say.

mod copy;
mod end;
mod frame;
mod roles;

use core::fmt;

use shmkit_atomic::Ordering::{Acquire, Relaxed};
use shmkit_atomic::{AtomicU32, AtomicU64, const_unless_loom};
use shmkit_layout::CachePadded;
#[cfg(not(loom))]
use shmkit_layout::{NameWords, Names, Shared};
use shmkit_roster::OwnerId;
use shmkit_sync::Doorbell;

use self::copy::Copied;
use self::roles::{RECEIVER, Roles, SENDER};

pub use self::copy::COPIED;
pub use self::end::{Accepted, Peer, RawEnd};
pub use self::frame::{Part, Piece, Place, Words};

/// The words of a single-producer single-consumer ring, without its items. All zero is an unmade one.
///
/// ```text
/// byte   0  capacity   u64      items, a power of two; stored once, before anybody else sees the ring
///        8  roles      2 x u32  HEAVY(31) | CLOSED(30) | owner id; 0; or handed over: of the sender, of the receiver
///       16  bell[2]    u32      where the sender sleeps (full), where the receiver sleeps (empty)
///       24  eager      u32      1 while the receiver is faster than the sender: it gets each item alone
///       28  sessions[2] u32     how many have held the sender's, the receiver's side
///       36  told[2]    u32      the session at the other side whose end the sender, the receiver knows of;
///                             bit 31: it knows of no end, but has left in good order
///       44  served     u32      the sender's session that the receiver has accepted
///       48  begun      u64      position at which the sender's last session began; stored by its holder only
///       56  bound      u64      the same of the first session after the one that was accepted; likewise
///       64  who[2]     u32      by the session's parity: who has begun it; likewise
///      128  head       u64      next item to read, counted from the ring's making; stored by the receiver only
///      256  tail       u64      next item to write, likewise; stored by the sender only
///      264  copied     u64      which item the copy beside it is of; stored by the sender only
///      272  copy[6]    u64      a copy of that item, if it is small and was sent alone; likewise
///      384  returned   u64      what the sender knows of `head`; stored by the receiver only
///      512  items                item n lies at n mod capacity (aligned to the item, if it wants more than 128)
/// ```
///
/// The first line changes only when somebody comes, goes or sleeps, so that both sides keep it in their caches. The
/// receiver keeps `head` to itself: it stores it for each item, so that a successor receives none of them again, and
/// the sender looks there only before it gives up. What the sender looks at is `returned`, which the receiver moves up
/// when a quarter of the ring is free, or when it has nothing to do: lines that both sides write to at once are what a
/// ring pays for.
#[repr(C)]
pub struct RawRing {
    control: CachePadded<Control>,
    /// Position of the next item to read, in items. Stored by the receiver only.
    head: CachePadded<AtomicU64>,
    tail: CachePadded<Tail>,
    /// A former value of `head`: at most a quarter of the ring behind it, unless a receiver died. Stored by the receiver
    /// only.
    returned: CachePadded<AtomicU64>,
}

/// What the sender stores, in one line of 64 bytes.
#[repr(C)]
struct Tail {
    /// Position of the next item to write, in items. Stored by the sender only.
    position: AtomicU64,
    copied: Copied,
}

#[repr(C)]
struct Control {
    /// In items, a power of two; 0 in a ring that is not made yet.
    capacity: AtomicU64,
    /// Who holds each side.
    roles: Roles,
    /// Where each side sleeps, rung by the other; by [`SENDER`] and [`RECEIVER`].
    bell: [Doorbell; 2],
    /// 1 if the receiver wants a copy of each item that is sent alone, else 0; stored by the receiver only.
    eager: AtomicU32,
    /// By side: how many have claimed it; stored by its holder.
    sessions: [AtomicU32; 2],
    /// By side: the session at the other side whose end holders of this one were told of, or left; stored by its holder.
    told: [AtomicU32; 2],
    /// The session of the sender's side that the receiver has accepted, or 0; stored by the receiver only.
    served: AtomicU32,
    /// A [`Mark`](end::Mark): where the last session of the sender's side began; stored by its holder.
    begun: AtomicU64,
    /// A [`Mark`](end::Mark): where the first session after the accepted one began, if there is one; stored by its holder.
    bound: AtomicU64,
    /// By the parity of a session: who holds the sender's side in it; stored by that holder.
    who: [AtomicU32; 2],
}

// SAFETY: repr(C) of atomics and doorbells, which are `Shared`; padding is never read.
#[cfg(not(loom))]
unsafe impl Shared for Control {}

// SAFETY: repr(C) of atomics.
#[cfg(not(loom))]
unsafe impl Shared for Tail {}

// SAFETY: repr(C) of `Shared` types.
#[cfg(not(loom))]
unsafe impl Shared for RawRing {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawRing>() == 512, "part of the segment format");
#[cfg(not(loom))]
const _: () = assert!(size_of::<Control>() == 72, "part of the segment format");
#[cfg(not(loom))]
const _: () = assert!(size_of::<Tail>() == 64, "a copy moves with the line of its position");

impl RawRing {
    /// The words that name participants: both roles.
    #[cfg(not(loom))]
    pub(crate) const NAMES: Names = [
        NameWords::lower(8),
        NameWords::upper(8, 8, 1),
        NameWords::many(64, 4, 2),
        NameWords::NONE,
    ];

    const_unless_loom! {
        /// Makes a ring that [`set_capacity`](Self::set_capacity) must complete.
        pub fn new() -> Self {
            Self {
                control: CachePadded::new(Control {
                    capacity: AtomicU64::new(0),
                    roles: Roles::new(),
                    bell: [Doorbell::new(), Doorbell::new()],
                    eager: AtomicU32::new(0),
                    sessions: [AtomicU32::new(0), AtomicU32::new(0)],
                    told: [AtomicU32::new(0), AtomicU32::new(0)],
                    served: AtomicU32::new(0),
                    begun: AtomicU64::new(0),
                    bound: AtomicU64::new(0),
                    who: [AtomicU32::new(0), AtomicU32::new(0)],
                }),
                head: CachePadded::new(AtomicU64::new(0)),
                tail: CachePadded::new(Tail { position: AtomicU64::new(0), copied: Copied::new() }),
                returned: CachePadded::new(AtomicU64::new(0)),
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
        self.tail.position.load(Relaxed).wrapping_sub(head).min(self.capacity())
    }

    /// Returns how many items were sent since the ring was made.
    pub fn sent(&self) -> u64 {
        self.tail.position.load(Relaxed)
    }

    /// Returns whether no item lies in the ring, as [`len`](Self::len) does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn holder(&self, side: usize) -> Option<OwnerId> {
        roles::holder(self.control.roles.load(Relaxed).of(side))
    }

    /// Returns the position that `side` stores.
    #[inline(always)]
    fn position(&self, side: usize) -> &AtomicU64 {
        if side == SENDER { &self.tail.position } else { &self.head }
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
