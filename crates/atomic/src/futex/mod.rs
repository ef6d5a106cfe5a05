//! Waiting in the kernel until a word changes: [futex(2)].
//!
//! No call here passes `FUTEX_PRIVATE_FLAG`: a private futex is keyed by virtual address, so a waiter in another
//! process would never be woken.
//!
//! [futex(2)]: https://man7.org/linux/man-pages/man2/futex.2.html

use crate::{AtomicU32, Deadline};

#[cfg(not(loom))]
mod kernel;
#[cfg(not(loom))]
mod several;
#[cfg(not(loom))]
use kernel as imp;

#[cfg(loom)]
pub mod model;
#[cfg(loom)]
use model as imp;

#[cfg(not(loom))]
pub use self::several::{MOST, Waiter, WakeAny, wait_any};

/// Why [`wait`] returned. All but `TimedOut` mean: look at the word again.
///
/// Closed: what the kernel answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Somebody woke us; or nobody did (the kernel may wake for no reason).
    Woken,
    /// The word was not what the caller expected: it did not sleep.
    Changed,
    /// A signal handler ran.
    Interrupted,
    /// The deadline passed.
    TimedOut,
}

/// What [`wake_op`] does to the word: one read-modify-write in the kernel, in the same step as the wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    kind: Kind,
    arg: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Set,
    Add,
    Or,
    AndNot,
}

impl Op {
    /// `word = value`.
    pub const fn set(value: u32) -> Self {
        Self::new(Kind::Set, value)
    }

    /// `word += n`, wrapping.
    pub const fn add(n: u32) -> Self {
        Self::new(Kind::Add, n)
    }

    /// `word |= bits`.
    pub const fn or(bits: u32) -> Self {
        Self::new(Kind::Or, bits)
    }

    /// `word &= !bits`.
    pub const fn and_not(bits: u32) -> Self {
        Self::new(Kind::AndNot, bits)
    }

    /// # Panics
    ///
    /// If the kernel cannot encode the argument: it has 12 signed bits, or the number of a bit. All uses are
    /// constants, so that this is a compile-time error.
    const fn new(kind: Kind, arg: u32) -> Self {
        assert!(
            is_short(arg) || arg.is_power_of_two(),
            "neither 12 signed bits nor one single bit of 32"
        );
        Self { kind, arg }
    }

    /// Returns what the word becomes.
    const fn apply(self, word: u32) -> u32 {
        match self.kind {
            Kind::Set => self.arg,
            Kind::Add => word.wrapping_add(self.arg),
            Kind::Or => word | self.arg,
            Kind::AndNot => word & !self.arg,
        }
    }
}

/// Returns whether these are 12 bits, sign-extended.
const fn is_short(arg: u32) -> bool {
    arg <= 0x7ff || arg >= 0xffff_f800
}

/// Sleeps while `*word == expected`, until woken or until `deadline`. May return for no reason.
///
/// *If a peer dies*: nobody wakes us for it. Callers sleep in slices and ask who is alive between them.
#[inline]
pub fn wait(word: &AtomicU32, expected: u32, deadline: Deadline) -> Wake {
    imp::wait(word, expected, deadline)
}

/// Wakes at most `n` waiters of `word`, in any process, and returns how many it woke.
#[inline]
pub fn wake(word: &AtomicU32, n: u32) -> u32 {
    if n == 0 {
        return 0; // The kernel would wake one.
    }
    imp::wake(word, clamp(n))
}

/// Changes `word` by `op` and wakes at most `n` of its waiters, in one system call; returns how many it woke.
///
/// There is no instant at which the word has changed and a killed caller has not woken anybody: that is what makes
/// it the release of every lock that somebody waits for. Everything the caller wrote before happens before the change
/// (the call begins with a Release fence; the kernel's own read-modify-write may be relaxed).
#[inline]
pub fn wake_op(word: &AtomicU32, op: Op, n: u32) -> u32 {
    imp::wake_op(word, op, clamp(n))
}

/// Returns how many threads, in any process, sleep on `word` at this moment, if that is to be had: `None` if the word is
/// not `expected`, or the kernel does not say.
///
/// Whoever is counted lives. Who is not counted may be awake, stopped or dead. It takes a tenth of a microsecond for each
/// sleeper, where asking about each takes some for each *participant*.
///
/// [`FUTEX_CMP_REQUEUE`](https://man7.org/linux/man-pages/man2/FUTEX_CMP_REQUEUE.2const.html), from the word to itself:
/// it wakes nobody, moves nobody, and returns how many it has moved.
#[inline]
pub fn sleepers(word: &AtomicU32, expected: u32) -> Option<u32> {
    imp::count(word, expected)
}

/// Every waiter, for [`wake`] and [`wake_op`].
pub const ALL: u32 = i32::MAX as u32;

/// The kernel takes the count as a signed number, and one that is zero or negative wakes *one*.
const fn clamp(n: u32) -> u32 {
    if n > ALL { ALL } else { n }
}
