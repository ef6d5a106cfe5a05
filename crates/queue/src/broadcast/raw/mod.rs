//! The words of a broadcast in shared memory, and what is done with them.

mod publisher;
mod role;
mod subscriber;

use core::fmt;

use shmkit_atomic::Ordering::{Acquire, Relaxed, SeqCst};
use shmkit_atomic::{AtomicU32, AtomicU64, const_unless_loom, crash, fence};
use shmkit_layout::CachePadded;
#[cfg(not(loom))]
use shmkit_layout::{NameWords, Names, Shared};
use shmkit_roster::OwnerId;
use shmkit_sync::{Doorbell, GivenUp, Spin, Watch};

use super::{BroadcastError, Overrun, Start};
use crate::raw::REST;

pub use self::publisher::RawPublisher;
pub use self::subscriber::RawSubscriber;

/// No tail comes so far: to publish so many items takes a thousand years.
const MOST: u64 = 1 << 62;

/// In a role: its holder has closed it. The id below says who that was.
const CLOSED: u32 = 1 << 30;
/// In a role: its holder calls [`heavy`](shmkit_atomic::barrier::heavy) before it sleeps, so that whoever wakes it may do
/// without a fence.
const HEAVY: u32 = 1 << 31;
/// In a cell: its position is none yet, and nobody waits for it.
const JOINING: u32 = 1 << 30;

/// The words of a broadcast, without its cells and items. All zeros is an unmade one.
///
/// ```text
/// byte   0  capacity   u64   items, a power of two; stored once, before anybody else sees it
///        8  overrun    u32   0: the publisher waits for the slowest subscriber; 1: it overwrites; likewise
///       12  cells      u32   how many subscribers there can be; likewise
///       16  role       u32   HEAVY(31) | CLOSED(30) | owner id of the publisher; 0 before the first one
///       20  used       u32   cells from the first on of which each has had a subscriber; only grows
///       24  items      u32   bell: subscribers sleep there
///       28  room       u32   bell: the publisher
///       32  fenced     u32   1 once a subscriber has come that brings no fence for the publisher; never taken back
///       36  watch      u32   when somebody has to ask again whether the publisher lives
///       40  mourned    u32   the role whose holder somebody has found dead: a hint to ask, for all who sleep
///      128  tail       u64   position of the next item; stored by the publisher only
///      136  reserved   u64   positions below may be written to without another look at the cells; likewise, never less
///      256  cells            128 bytes each: u32 JOINING(30) | owner id of the subscriber, or 0 | … | u64 its position
///           items            item n lies at n mod capacity
/// ```
///
/// A *position* counts items from the making on. An item is there from when `tail` has passed it, and to stay as long as
/// `reserved` is not more than a capacity ahead of it.
#[repr(C)]
pub struct RawBroadcast {
    control: CachePadded<Control>,
    ends: CachePadded<Ends>,
}

#[repr(C)]
struct Control {
    capacity: AtomicU64,
    overrun: AtomicU32,
    cells: AtomicU32,
    role: AtomicU32,
    used: AtomicU32,
    items: Doorbell,
    room: Doorbell,
    fenced: AtomicU32,
    watch: Watch,
    mourned: AtomicU32,
}

/// What the publisher stores.
#[repr(C)]
struct Ends {
    tail: AtomicU64,
    reserved: AtomicU64,
}

/// Where one subscriber says how far it is, in a line of its own.
#[repr(transparent)]
pub struct SubscriberCell(CachePadded<Cell>);

#[repr(C)]
struct Cell {
    /// Changes by compare-exchange only.
    who: AtomicU32,
    /// Stored by the subscriber only.
    position: AtomicU64,
}

// SAFETY: repr(C) of atomics and doorbells, which are `Shared`; padding is never read.
#[cfg(not(loom))]
unsafe impl Shared for Control {}
// SAFETY: as above.
#[cfg(not(loom))]
unsafe impl Shared for Ends {}
// SAFETY: as above.
#[cfg(not(loom))]
unsafe impl Shared for Cell {}
// SAFETY: as above.
#[cfg(not(loom))]
unsafe impl Shared for RawBroadcast {}
// SAFETY: as above.
#[cfg(not(loom))]
unsafe impl Shared for SubscriberCell {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawBroadcast>() == 256, "part of the segment format");
#[cfg(not(loom))]
const _: () = assert!(size_of::<SubscriberCell>() == 128, "part of the segment format");

impl SubscriberCell {
    const_unless_loom! {
        /// Makes a cell of nobody. All zero bytes are one.
        pub fn new() -> SubscriberCell {
            SubscriberCell(CachePadded::new(Cell { who: AtomicU32::new(0), position: AtomicU64::new(0) }))
        }
    }
}

#[cfg(not(loom))]
impl Default for SubscriberCell {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SubscriberCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match OwnerId::from_word(self.0.who.load(Relaxed)) {
            Some(who) => write!(f, "{who} at {}", self.0.position.load(Relaxed)),
            None => f.write_str("free"),
        }
    }
}

impl RawBroadcast {
    const_unless_loom! {
        /// Makes the words of a broadcast that [`make`](Self::make) must complete.
        pub fn new() -> RawBroadcast {
            RawBroadcast {
                control: CachePadded::new(Control {
                    capacity: AtomicU64::new(0),
                    overrun: AtomicU32::new(0),
                    cells: AtomicU32::new(0),
                    role: AtomicU32::new(0),
                    used: AtomicU32::new(0),
                    items: Doorbell::new(),
                    room: Doorbell::new(),
                    fenced: AtomicU32::new(0),
                    watch: Watch::new(),
                    mourned: AtomicU32::new(0),
                }),
                ends: CachePadded::new(Ends { tail: AtomicU64::new(0), reserved: AtomicU64::new(0) }),
            }
        }
    }

    /// The words that name participants: the role, alive or found dead, and the cells, which begin at byte `at`.
    #[cfg(not(loom))]
    pub(crate) fn names(at: u32, cells: u32) -> Names {
        let cells = NameWords::many(at, size_of::<SubscriberCell>() as u32, cells);
        [NameWords::one(16), NameWords::one(40), cells, NameWords::NONE]
    }

    /// Completes a broadcast that nobody else uses yet.
    pub fn make(&self, capacity: u64, cells: u32, overrun: Overrun) {
        // Relaxed, all: whoever publishes it to others orders this before.
        self.control.overrun.store(overrun as u32, Relaxed);
        self.control.cells.store(cells, Relaxed);
        self.control.capacity.store(capacity, Relaxed);
    }

    /// Returns the capacity that stands in shared memory: an input, to be checked.
    pub fn capacity(&self) -> u64 {
        self.control.capacity.load(Relaxed)
    }

    /// Returns how many subscribers there can be: an input as well.
    pub fn cells(&self) -> u32 {
        self.control.cells.load(Relaxed)
    }

    /// Returns what becomes of items that somebody has not received when their places are needed.
    pub fn overrun(&self) -> Overrun {
        match self.control.overrun.load(Relaxed) {
            0 => Overrun::Wait,
            _ => Overrun::Skip,
        }
    }

    /// Returns who is the publisher, dead or alive, if it has not closed.
    pub fn publishing(&self) -> Option<OwnerId> {
        let role = self.control.role.load(Relaxed);
        if role & CLOSED != 0 { None } else { OwnerId::from_word(role) }
    }

    /// Returns the position of the next item.
    pub fn tail(&self) -> u64 {
        // Acquire: pairs with the Release in `RawPublisher::publish`: the items before it are there.
        self.ends.tail.load(Acquire)
    }

    /// Returns the two ends: the position up to which places are reserved, and that of the next item.
    ///
    /// # Errors
    ///
    /// [`BroadcastError::Corrupt`] if they are more than `capacity` apart.
    fn ends(&self, capacity: u64) -> Result<(u64, u64), BroadcastError> {
        // Acquire: pairs with the Release in `RawPublisher::reserve`, and in this order: the tail is at least what it was when
        // that was reserved.
        let reserved = self.ends.reserved.load(Acquire);
        let tail = self.tail();
        if tail > MOST {
            return Err(BroadcastError::Corrupt { field: "tail", found: tail });
        }
        if reserved.saturating_sub(tail) > capacity {
            return Err(BroadcastError::Corrupt { field: "reserved position", found: reserved });
        }
        Ok((reserved, tail))
    }

    /// Returns the cells that have had a subscriber.
    fn used<'b>(&self, cells: &'b [SubscriberCell]) -> &'b [SubscriberCell] {
        // Relaxed: as each cell. A number that is too large is all of them.
        let used = self.control.used.load(Relaxed) as usize;
        &cells[..used.min(cells.len())]
    }

    /// Returns how many items the slowest of the subscribers in `cells` has still to receive: a guess while they are in use.
    /// Nothing if there is none.
    pub fn behind(&self, cells: &[SubscriberCell]) -> Option<u64> {
        let tail = self.tail();
        let who = |cell: &&SubscriberCell| {
            let who = cell.0.who.load(Relaxed);
            who != 0 && who & JOINING == 0
        };
        let of = |cell: &SubscriberCell| tail.saturating_sub(cell.0.position.load(Relaxed));
        self.used(cells).iter().filter(who).map(of).max()
    }

    /// Returns how many of `cells` have a subscriber, dead or alive.
    pub fn subscribers(&self, cells: &[SubscriberCell]) -> usize {
        self.used(cells).iter().filter(|cell| cell.0.who.load(Relaxed) != 0).count()
    }
}

#[cfg(not(loom))]
impl Default for RawBroadcast {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawBroadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawBroadcast")
            .field("capacity", &self.capacity())
            .field("overrun", &self.overrun())
            .field("publishing", &self.publishing())
            .field("tail", &self.tail())
            .finish()
    }
}

#[cold]
fn given_up(why: GivenUp) -> BroadcastError {
    match why {
        GivenUp::TimedOut => BroadcastError::TimedOut,
        GivenUp::Interrupted => BroadcastError::Interrupted,
        GivenUp::PeerDied(peer) => BroadcastError::PeerDied { peer },
        GivenUp::CannotJudge => BroadcastError::CannotJudge,
    }
}
