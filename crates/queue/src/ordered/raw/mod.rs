//! The words of an ordered queue in shared memory, and what is done with them.

mod heap;
mod wait;

use core::fmt;

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::{AtomicU32, AtomicU64, const_unless_loom, crash};
use shmkit_layout::CachePadded;
#[cfg(not(loom))]
use shmkit_layout::{NameWords, Shared};
use shmkit_roster::Judge;
use shmkit_sync::{Doorbell, LockFailure, Outcome, Patience, RawMutex, Watch};

use crate::QueueError;

/// The words of an ordered queue, without its line and its slots. All zeros is an unmade one.
///
/// ```text
/// byte   0  mutex           held for each operation
///       16  capacity  u64   slots; stored once, before anybody else sees the queue
///       24  next      u64   how many were ever put, and one more: the number of the next one
///       32  closed    u32   1 when somebody has closed it, else 0; never taken back
///       36  items     u32   bell: those who take sleep there
///       40  space     u32   bell: those who put
///       44  watch     u32   when somebody has to look again
///       48  len       u32   how many slots are full
///      128  line            u32 for each slot: the numbers of the full ones, as a heap, and behind them those of the empty ones
///           slots           16 bytes each: u64 number of the item, 0 if there is none | i64 its priority
///           items
/// ```
///
/// The truth is in the slots' numbers: each item comes, and goes, by one store to its slot's. `len` and `line` say where to look;
/// they are made anew by who finds that an owner of the lock has died.
#[repr(C)]
pub struct RawOrdered {
    control: CachePadded<Control>,
}

#[repr(C)]
struct Control {
    mutex: RawMutex,
    capacity: AtomicU64,
    next: AtomicU64,
    closed: AtomicU32,
    items: Doorbell,
    space: Doorbell,
    watch: Watch,
    len: AtomicU32,
}

/// What there is of an item beside itself.
#[repr(C)]
pub struct OrderedSlot {
    /// Which item is in it, in the order of putting, from 1; 0 if none is.
    number: AtomicU64,
    /// The item's priority, while there is one: the bits of an `i64`.
    priority: AtomicU64,
}

// SAFETY: repr(C) of atomics and of what is `Shared`; padding is never read.
#[cfg(not(loom))]
unsafe impl Shared for Control {}
// SAFETY: as above.
#[cfg(not(loom))]
unsafe impl Shared for RawOrdered {}
// SAFETY: as above.
#[cfg(not(loom))]
unsafe impl Shared for OrderedSlot {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawOrdered>() == 128, "part of the segment format");
#[cfg(not(loom))]
const _: () = assert!(size_of::<OrderedSlot>() == 16, "part of the segment format");

impl OrderedSlot {
    const_unless_loom! {
        /// Makes an empty one. All zero bytes are one.
        pub fn new() -> OrderedSlot {
            OrderedSlot { number: AtomicU64::new(0), priority: AtomicU64::new(0) }
        }
    }
}

impl OrderedSlot {
    fn priority(&self) -> i64 {
        self.priority.load(Relaxed).cast_signed()
    }
}

#[cfg(not(loom))]
impl Default for OrderedSlot {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for OrderedSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number.load(Relaxed) {
            0 => f.write_str("empty"),
            number => write!(f, "{number} of {}", self.priority()),
        }
    }
}

impl RawOrdered {
    /// The words that name participants.
    #[cfg(not(loom))]
    pub(crate) const NAMES: NameWords = RawMutex::NAMES;

    const_unless_loom! {
        /// Makes the words of a queue that [`OrderedRing::make`] must complete.
        pub fn new() -> RawOrdered {
            RawOrdered {
                control: CachePadded::new(Control {
                    mutex: RawMutex::new(),
                    capacity: AtomicU64::new(0),
                    next: AtomicU64::new(1),
                    closed: AtomicU32::new(0),
                    items: Doorbell::new(),
                    space: Doorbell::new(),
                    watch: Watch::new(),
                    len: AtomicU32::new(0),
                }),
            }
        }
    }

    /// Returns the capacity that stands in shared memory: an input, to be checked.
    pub fn capacity(&self) -> u64 {
        self.control.capacity.load(Relaxed)
    }

    /// Returns whether somebody has closed it.
    pub fn is_closed(&self) -> bool {
        // Relaxed: under the lock, which orders it, where it decides something.
        self.control.closed.load(Relaxed) != 0
    }

    /// Closes it: nothing can be put any more, and who takes is told when nothing is left.
    pub fn close(&self) {
        crash::step();
        // Release: what was put before by who closes is seen by who sees this, and looks again under the lock.
        self.control.closed.swap(1, Release);
        // Each wakes all, and has a fence of its own.
        self.control.items.ring_all();
        self.control.space.ring_all();
    }

    /// Returns how many items there are: short by what somebody has just died over.
    pub fn len(&self) -> u32 {
        self.control.len.load(Relaxed)
    }

    /// Returns how many items were put so far.
    pub fn put(&self) -> u64 {
        self.control.next.load(Relaxed).saturating_sub(1)
    }

    /// Returns whether there is none, as [`len`](Self::len) does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(not(loom))]
impl Default for RawOrdered {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawOrdered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawOrdered")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// The machine of an ordered queue: its words, its line and its slots, without the items, which the caller moves.
///
/// ```text
/// put   P1 lock      P2 an empty slot: the item, its priority      P3 number = next: the commit      P4 line, len
///       P5 unlock    P6 ring(items)
/// take  T1 lock      T2 the slot that comes first: read the item   T3 number = 0: the commit         T4 line, len
///       T5 unlock    T6 ring(space)
/// ```
///
/// Killed before P3 or T3, nothing has happened; after it, it has. Whoever gets the lock from the dead counts the full slots and
/// puts them in line again: killed over that, the next one does.
#[derive(Clone, Copy)]
pub struct OrderedRing<'q> {
    raw: &'q RawOrdered,
    line: &'q [AtomicU32],
    slots: &'q [OrderedSlot],
    newest_first: bool,
}

impl<'q> OrderedRing<'q> {
    /// Makes the machine of a queue: what was put last comes first, or what has the least priority does, and of those what was
    /// put first.
    ///
    /// # Panics
    ///
    /// If line and slots are not as many.
    pub fn new(
        raw: &'q RawOrdered,
        line: &'q [AtomicU32],
        slots: &'q [OrderedSlot],
        newest_first: bool,
    ) -> Self {
        assert_eq!(line.len(), slots.len(), "a place in the line for each slot");
        Self { raw, line, slots, newest_first }
    }

    /// Completes a queue that nobody else uses yet.
    pub fn make(&self) {
        for (place, number) in self.line.iter().zip(0..) {
            place.store(number, Relaxed);
        }
        self.raw.control.next.store(1, Relaxed);
        // Relaxed, all: whoever publishes the queue to others orders this before.
        self.raw.control.capacity.store(self.slots.len() as u64, Relaxed);
    }

    /// Returns the words that are not the slots'.
    pub fn raw(&self) -> &'q RawOrdered {
        self.raw
    }

    /// Returns how many slots there are: our own copy.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Does `work` under the lock, after what the dead have left is put right. It must not panic.
    fn locked<J: Judge + ?Sized, R>(
        &self,
        judge: &J,
        patience: Patience<'_>,
        work: impl FnOnce() -> Result<R, QueueError>,
    ) -> Result<R, QueueError> {
        let mutex = &self.raw.control.mutex;
        match mutex.lock(judge, patience).map_err(unlocked)? {
            Outcome::Clean => {}
            Outcome::OwnerDied | Outcome::NotRecoverable => {
                self.repair();
                // Refused only to who does not hold it, and we have just taken it.
                let _ = mutex.make_consistent(judge);
            }
        }
        let done = work();
        // SAFETY: taken above, once, and nothing that it guards is borrowed any more.
        // Refused only if it is not ours, and then there is nothing to release.
        let _ = unsafe { mutex.unlock(judge) };
        done
    }

    /// Puts one item, under the lock: `write` writes it to the slot of a number, and says its priority. Returns whether there was
    /// room.
    fn put_one(&self, write: impl FnOnce(u32) -> i64) -> Result<bool, QueueError> {
        let control = &self.raw.control;
        let len = self.checked_len()?;
        if len == self.capacity() {
            return Ok(false);
        }
        let (number, slot) = self.in_line(len, false)?;
        let priority = write(number);
        crash::step();
        slot.priority.store(priority.cast_unsigned(), Relaxed);
        // Relaxed: changed under the lock only.
        let next = control.next.load(Relaxed).max(1);
        crash::step();
        control.next.store(next.wrapping_add(1), Relaxed);
        crash::step();
        // Release: pairs with the Acquire in `repair`, for the heir of who dies after this: the item and its priority are there.
        slot.number.store(next, Release);
        self.rise(len);
        crash::step();
        control.len.store(len as u32 + 1, Relaxed); // At most the capacity, a u32.
        Ok(true)
    }

    /// Takes the item that comes first, under the lock: `read` reads it from the slot of a number, with its priority. Returns
    /// whether there was one.
    fn take_one(&self, read: impl FnOnce(u32, i64)) -> Result<bool, QueueError> {
        let len = self.checked_len()?;
        if len == 0 {
            return Ok(false);
        }
        let (number, slot) = self.in_line(0, true)?;
        read(number, slot.priority());
        crash::step();
        // Release: pairs with the Acquire in `repair`, for the heir of who dies after this: the item has been read.
        slot.number.store(0, Release);
        self.sink(len - 1, number);
        crash::step();
        self.raw.control.len.store(len as u32 - 1, Relaxed); // As above.
        Ok(true)
    }

    /// Returns how many slots are full, under the lock.
    fn checked_len(&self) -> Result<usize, QueueError> {
        let len = self.raw.len();
        if len as usize > self.capacity() {
            return Err(QueueError::Corrupt { field: "length", found: len.into() });
        }
        Ok(len as usize)
    }
}

impl fmt::Debug for OrderedRing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}

/// What a lock that was not taken is to who uses the queue.
#[cold]
fn unlocked(failure: LockFailure) -> QueueError {
    match failure {
        LockFailure::Interrupted => QueueError::Interrupted,
        LockFailure::PeerDied(peer) => QueueError::PeerDied { peer },
        LockFailure::NotJoined => QueueError::NotJoined,
        LockFailure::CannotJudge => QueueError::CannotJudge,
        LockFailure::Corrupt { word } => QueueError::Corrupt { field: "lock", found: word.into() },
        _ => QueueError::TimedOut,
    }
}
