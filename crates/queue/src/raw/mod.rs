//! The words of a queue in shared memory, and what is done with them.

mod burial;
mod hint;
mod look;
mod position;
mod put;
#[cfg(not(loom))]
mod ready;
mod span;
mod take;
mod wait;
mod word;
mod words;

use core::fmt;

use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shmkit_atomic::{AtomicU32, AtomicU64, barrier, const_unless_loom, crash, fence};
use shmkit_layout::CachePadded;
#[cfg(not(loom))]
use shmkit_layout::{NameWords, Shared};
use shmkit_sync::{Doorbell, Watch};

use self::burial::Burial;
use self::hint::Hint;
use self::position::Position;
use self::word::{State, Word};
use crate::{Delivery, QueueError, Stats};

pub(crate) use self::burial::MOST_DEATHS;
pub use self::span::{Claim, Held};
#[cfg(not(loom))]
pub(crate) use self::wait::Tried;
pub(crate) use self::wait::{REST, given_up};
pub use self::words::Words;

/// The most slots that a queue can have: as many as can be swept of names.
#[cfg(not(loom))]
pub(crate) const MAX_CAPACITY: u32 = (1 << 24) - 1;

/// Where in the policy the number of deaths begins.
const DEATHS: u32 = 8;

/// The words of a queue, without its slots. All zeros is an unmade one.
///
/// ```text
/// byte   0  capacity   u64    slots, 1 to 2^24 - 1; stored once, before anybody else sees the queue
///        8  policy     u32    bit 0: the item of a taker that died goes to another; or is lost, and counted
///                          11 .. 8: after so many deaths it goes to the dead letters; 0: never
///       12  closed     u32    1 when somebody has closed it, else 0; never taken back
///       16  items      u32    bell: those who take sleep there
///       20  space      u32    bell: those who put
///       24  idle       u32    bell: those who wait until all is done
///       28  watch      u32    when somebody has to look through the slots again
///       32  returned   u64    63..32 how often something was returned | 31..0 about how many Returned slots there are
///       40  lost       u64    items whose taker died, and that nobody gets
///       48  discarded  u64    puts that a death has cut
///       56  redelivered u64   items that came back: their taker died, or gave them back
///       64  given_up   u64    items that went to the dead letters
///      128  head       u64    a position: everything before it was taken
///      256  tail       u64    a position: everything before it was claimed, to be put
///      384  slots             see `Words`
/// ```
///
/// The truth is in the slots' words; `head` and `tail` are where to look, and may lag, by whole laps even: whoever finds a slot
/// that one of them should have passed moves it on. They are moved by stores, so that they may also go back to where they were
/// when somebody was stopped who now goes on.
#[repr(C)]
pub struct RawQueue {
    control: CachePadded<Control>,
    head: CachePadded<AtomicU64>,
    tail: CachePadded<AtomicU64>,
}

#[repr(C)]
struct Control {
    capacity: AtomicU64,
    policy: AtomicU32,
    closed: AtomicU32,
    items: Doorbell,
    space: Doorbell,
    idle: Doorbell,
    watch: Watch,
    returned: AtomicU64,
    lost: AtomicU64,
    discarded: AtomicU64,
    redelivered: AtomicU64,
    given_up: AtomicU64,
}

// SAFETY: repr(C) of atomics and of what is `Shared`.
#[cfg(not(loom))]
unsafe impl Shared for Control {}

// SAFETY: repr(C) of `Shared` types.
#[cfg(not(loom))]
unsafe impl Shared for RawQueue {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawQueue>() == 384, "part of the segment format");
#[cfg(not(loom))]
const _: () = assert!(size_of::<Control>() == 72, "part of the segment format");

impl RawQueue {
    const_unless_loom! {
        /// Makes the words of a queue that [`make`](Self::make) must complete.
        pub fn new() -> RawQueue {
            RawQueue {
                control: CachePadded::new(Control {
                    capacity: AtomicU64::new(0),
                    policy: AtomicU32::new(0),
                    closed: AtomicU32::new(0),
                    items: Doorbell::new(),
                    space: Doorbell::new(),
                    idle: Doorbell::new(),
                    watch: Watch::new(),
                    returned: AtomicU64::new(0),
                    lost: AtomicU64::new(0),
                    discarded: AtomicU64::new(0),
                    redelivered: AtomicU64::new(0),
                    given_up: AtomicU64::new(0),
                }),
                head: CachePadded::new(AtomicU64::new(0)),
                tail: CachePadded::new(AtomicU64::new(0)),
            }
        }
    }

    /// The words of the slots that name participants, `stride` bytes from one to the next.
    #[cfg(not(loom))]
    pub(crate) fn names(at: u32, stride: u32, count: u32) -> NameWords {
        NameWords::lowers(at, stride, count)
    }

    /// Completes a queue that nobody else uses yet. It gives an item up after so many deaths, 1 to 15; after 0 never.
    pub fn make(&self, capacity: u32, delivery: Delivery, deaths: u32) {
        let policy = delivery as u32 | deaths.min(MOST_DEATHS) << DEATHS;
        // Relaxed, both: whoever publishes the queue to others orders this before.
        self.control.policy.store(policy, Relaxed);
        self.control.capacity.store(capacity.into(), Relaxed);
    }

    /// Returns the capacity that stands in shared memory: an input, to be checked.
    pub fn capacity(&self) -> u64 {
        self.control.capacity.load(Relaxed)
    }

    /// Returns what becomes of the item of a taker that died.
    pub fn delivery(&self) -> Delivery {
        match self.control.policy.load(Relaxed) & 1 {
            0 => Delivery::AtLeastOnce,
            _ => Delivery::AtMostOnce,
        }
    }

    /// Returns after how many deaths it gives an item up, 0 to 15: after 0 never.
    pub fn deaths(&self) -> u32 {
        self.control.policy.load(Relaxed) >> DEATHS & MOST_DEATHS
    }

    /// Returns whether somebody has closed it.
    pub fn is_closed(&self) -> bool {
        // Acquire: pairs with the Release in `close`: who finds it closed and then nothing in it has seen all.
        self.control.closed.load(Acquire) != 0
    }

    /// Closes it: nothing can be put any more, and who takes is told when nothing is left.
    pub fn close(&self) {
        crash::step();
        self.control.closed.swap(1, Release);
        // Each wakes all, and has a fence of its own.
        self.control.items.ring_all();
        self.control.space.ring_all();
    }

    /// Returns about how many items stand in line, by the two hints: for people. Nothing if they are none.
    pub fn in_line(&self) -> Option<u64> {
        let capacity = u32::try_from(self.capacity()).ok()?;
        // Relaxed, both: hints.
        let head = Position::found(self.head.load(Relaxed), capacity, "head").ok()?;
        let tail = Position::found(self.tail.load(Relaxed), capacity, "tail").ok()?;
        Some(tail.after(head, capacity)).filter(|&count| count <= capacity.into())
    }

    /// Returns about how many items were put so far, by a hint: for people. It begins anew after 2^31 laps; nothing if it is none.
    pub fn put_about(&self) -> Option<u64> {
        let capacity = u32::try_from(self.capacity()).ok()?;
        // Relaxed: a hint.
        let tail = Position::found(self.tail.load(Relaxed), capacity, "tail").ok()?;
        Some(u64::from(tail.lap) * u64::from(capacity) + u64::from(tail.slot))
    }

    /// Returns what was lost, cut and brought back so far.
    pub fn stats(&self) -> Stats {
        let Control { lost, discarded, redelivered, given_up, .. } = &*self.control;
        let [lost, discarded, redelivered, given_up] =
            [lost, discarded, redelivered, given_up].map(|count| count.load(Relaxed));
        Stats { lost, discarded, redelivered, given_up }
    }
}

#[cfg(not(loom))]
impl Default for RawQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawQueue")
            .field("capacity", &self.capacity())
            .field("delivery", &self.delivery())
            .field("closed", &self.is_closed())
            .field("stats", &self.stats())
            .finish()
    }
}

/// The machine of a queue: its words and those of its slots, without the items.
///
/// Who puts [claims](Self::claim) slots, writes the items and [commits](Self::commit) them; who takes gets slots
/// [held](Self::take), reads them, and is [done](Self::done) or [gives them back](Self::give_back).
///
/// ```text
/// slot word   lap | state | owner            slot of a position p: p mod capacity, its lap: p / capacity
///
/// put   P1 look at tail and its slot
///       P2 Empty of tail's lap:          CAS -> Writing(me)            the claim
///          anything of it or after it:   tail on, again                help: its mover is slow or dead
///          of the lap before:            full
///       P3 closed? CAS -> Empty of the next lap      P4 tail on, if it is there still      P5 write the item
///       P6 CAS Writing(me) -> Ready                                    the commit        P7 ring(items)
/// take  G0 returned > 0: look for Returned, CAS -> Reading(me)
///       G1 look at head and its slot
///       G2 Ready of head's lap:          CAS -> Reading(me)            the lease
///          Reading, Returned, Leaving of it,
///          anything of those after it:   head on, again
///          Writing of it:                wait
///          Empty of it, or Reading, Returned, Leaving of the lap before: empty
///       G3 head on      G4 read the item
/// get   G0, G1, copy the item, and if it is Ready of head's lap: CAS -> Empty of the next lap      G3      D2
/// done  D1 CAS Reading(me) -> Empty of the next lap      D2 ring(space)
///       of an item that refers to more: CAS Reading(me) -> Leaving(me), give that back, CAS -> Empty of the next lap
/// give back      CAS Reading(me) -> Returned, returned + 1, ring(items)
/// look  through all slots: Writing of the dead -> Empty of the next lap, discarded + 1;
///       Reading of the dead -> Returned, GivenUp, or Empty of the next lap and lost + 1; Leaving of the dead -> Empty of the
///       next lap; Returned and GivenUp are counted
/// bury  what is GivenUp, once it is Reading(me): claim a dead letter, write there where it comes from, and the item;
///       Reading(me) -> Leaving(me) commits it; the letter's Writing(me) -> Ready, by whoever finds us dead as well; Leaving(me)
///       -> Empty of the next lap
/// ```
///
/// Who gets an item at once copies it before it knows that it is the one who gets it: if the exchange comes to nothing, so does
/// the copy, which may be of an item that is being written over. So items are written and copied word by word.
///
/// Whatever is only a hint (`head`, `tail`, the count of what was returned) is moved by others if its mover dies. Who waits
/// looks through all slots now and then, one for all who wait, so that what the dead held does not stay with them.
#[derive(Clone, Copy)]
pub struct Ring<'q> {
    queue: &'q RawQueue,
    words: Words<'q>,
    burial: Burial<'q>,
}

impl<'q> Ring<'q> {
    /// Makes the machine of a queue and the words of its slots.
    pub fn new(queue: &'q RawQueue, words: Words<'q>) -> Self {
        Self { queue, words, burial: Burial::None }
    }

    /// Returns the words that are not slots'.
    pub fn queue(&self) -> &'q RawQueue {
        self.queue
    }

    /// Returns how many slots there are: our own copy.
    pub fn capacity(&self) -> u32 {
        self.words.count()
    }

    fn control(&self) -> &'q Control {
        &self.queue.control
    }

    /// Returns a slot's word, and what it says.
    ///
    /// # Errors
    ///
    /// [`QueueError::Corrupt`] if its state is none.
    #[inline]
    fn load(&self, slot: u32) -> Result<(Word, State), QueueError> {
        // Acquire: pairs with the Release in `exchange`: what was done with the slot before is visible.
        let word = Word::found(self.words.at(slot).load(Acquire));
        match word.state() {
            Some(state) => Ok((word, state)),
            None => Err(QueueError::Corrupt { field: "slot's word", found: word.bits() }),
        }
    }

    /// Changes a slot's word, if it still is `from`.
    #[inline]
    fn exchange(&self, slot: u32, from: Word, to: Word) -> bool {
        crash::step();
        // AcqRel: publishes our id, an item, or that we have read it; pairs with the Acquire in `load` and here.
        // Relaxed: who fails looks again.
        self.words.at(slot).compare_exchange(from.bits(), to.bits(), AcqRel, Relaxed).is_ok()
    }
}

impl fmt::Debug for Ring<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("queue", &self.queue)
            .field("head", &self.head())
            .field("tail", &self.tail())
            .finish_non_exhaustive()
    }
}

/// Counts looks at what no peer leaves so for long.
struct Odd(u32);

impl Odd {
    /// So many looks in vain, and it is corrupt.
    const MOST: u32 = 64;

    fn new() -> Self {
        Self(0)
    }

    /// After a look at a slot's word that goes with no position: it was a late one, or it is corrupt.
    ///
    /// # Errors
    ///
    /// [`QueueError::Corrupt`] in the second case.
    #[cold]
    fn look(&mut self, word: Word) -> Result<(), QueueError> {
        self.0 += 1;
        if self.0 > Self::MOST {
            return Err(QueueError::Corrupt { field: "slot's lap", found: word.bits() });
        }
        shmkit_atomic::hint::spin_loop();
        Ok(())
    }
}
