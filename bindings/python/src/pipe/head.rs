//! What lies ahead of a ring's bytes, in shared memory.

use shmkit::layout::Shared;
use shmkit::sync::RawLock;
use shmkit_atomic::{AtomicU32, AtomicU64};

/// What lies ahead of a ring's bytes. All zero it is an empty one.
///
/// Everything but `ends` is changed by who has the turn, and no turn lasts longer than a copy.
#[repr(C)]
pub(crate) struct Head {
    /// Of who changes anything here.
    pub(super) turn: RawLock,
    /// Of who sends a message in pieces; others who send wait for it as long as `begun` says so.
    pub(super) sending: RawLock,
    /// Of who receives one; others who receive wait for it as long as `taking` says so.
    pub(super) receiving: RawLock,
    /// Who is told of the next message: one of the numbers below.
    pub(super) bell: AtomicU32,
    /// What has become of the message in pieces that was begun last: one of the numbers below.
    pub(super) begun: AtomicU32,
    /// Whether somebody is about to take a message in pieces.
    pub(super) taking: AtomicU32,
    /// Whether somebody sleeps until there is room.
    pub(super) wanted: AtomicU32,
    /// 63 .. 32 the first free word | 31 .. 0 the first one to be received: both only grow, modulo 2^32, or are 0 when nothing is there.
    pub(super) ends: AtomicU64,
    /// Until when a [`LOOKED_FOR`] is to be believed, in nanoseconds of the monotonic clock.
    pub(super) until: AtomicU64,
    /// How many bytes of the ring are had.
    pub(super) had: AtomicU64,
    /// Changes when somebody has made room.
    pub(super) room: AtomicU32,
    _rest: AtomicU32,
    _rest_of_line: [AtomicU64; 4],
}

const _: () = assert!(size_of::<Head>() == 128);

// SAFETY: `repr(C)`, locks and atomic words, of which any value is handled.
unsafe impl Shared for Head {}

/// `bell`: the socket is not readable. Whoever puts a message makes it so.
pub(super) const QUIET: u32 = 0;
/// `bell`: the socket is readable, by one byte.
pub(super) const RUNG: u32 = 1;
/// `bell`: somebody looks at the ring just now, and takes the next message; of that one nobody else is told.
pub(super) const LOOKED_FOR: u32 = 2;
/// `bell`: somebody is about to make it readable, or not; or was killed at that.
pub(super) const RINGING: u32 = 3;

/// `begun`: it was sent to its end.
pub(super) const DONE: u32 = 0;
/// `begun`: it is being sent, by who has `sending`.
pub(super) const BEGUN: u32 = 1;
/// `begun`: who has sent some of it was told that it is not sent.
pub(super) const GIVEN_UP: u32 = 2;

/// Where messages begin and end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) head: u32,
    pub(super) tail: u32,
}

impl Ends {
    pub(super) fn of(word: u64) -> Self {
        Self { head: word as u32, tail: (word >> 32) as u32 }
    }

    pub(super) fn used(self) -> u32 {
        self.tail.wrapping_sub(self.head)
    }

    pub(super) fn word(self) -> u64 {
        u64::from(self.tail) << 32 | u64::from(self.head)
    }
}
