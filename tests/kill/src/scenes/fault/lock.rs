//! The lock of the workspace, made small, and made wrong in one place at a time.

use std::time::Duration;

use shmkit_atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shmkit_atomic::futex::{self, Op, Wake};
use shmkit_atomic::{AtomicU32, AtomicU64, Deadline};
use shmkit_layout::Offset;
use shmkit_roster::{OwnerId, Participant, Verdict, ask};

use crate::scenes::lock::{Gate, Inside, Kind, Use};
use crate::scenes::locks::{Words, data};
use crate::{Arena, Fault};

/// Bit of the word: somebody sleeps.
const WAITERS: u32 = 1 << 31;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slip {
    /// Nothing.
    None,
    /// `unlock` frees the word and then wakes; a waiter that nobody woke looks only at whether the owner died.
    ReleaseThenWake,
    /// A waiter that waited for three slices takes the owner for dead.
    Lease,
    /// An heir is not told.
    Untold,
}

/// The same lock without a mistake: the harness must find nothing in it.
pub(crate) const SOUND: Kind = kind("sound", |arena, then| open(arena, then, Slip::None));
pub(crate) const RELEASE_THEN_WAKE: Kind =
    kind("release-then-wake", |arena, then| open(arena, then, Slip::ReleaseThenWake));
pub(crate) const LEASE: Kind = kind("lease", |arena, then| open(arena, then, Slip::Lease));
pub(crate) const UNTOLD: Kind = kind("untold-heir", |arena, then| open(arena, then, Slip::Untold));

const fn kind(name: &'static str, open: fn(&Arena, Use<'_>) -> Result<(), Fault>) -> Kind {
    Kind { name, make: |_| Ok(()), open, tells: true, floors: [20, 30, 10, 20] }
}

fn open(arena: &Arena, then: Use<'_>, slip: Slip) -> Result<(), Fault> {
    let me = arena.join()?;
    let id = me.id().ok_or_else(|| Fault::broken("joined and nobody"))?;
    let word = arena.object().get(Offset::ZERO).map_err(|e| Fault::broken(e.to_string()))?;
    then(&Lock { word, data: data(arena.object())?, me: &me, id, slip })
}

struct Lock<'a> {
    word: &'a AtomicU32,
    data: &'a [AtomicU64],
    me: &'a Participant<'a>,
    id: OwnerId,
    slip: Slip,
}

impl Lock<'_> {
    /// Returns whether the owner died.
    fn lock(&self) -> bool {
        let mut slices = 0;
        loop {
            let now = self.word.load(Relaxed);
            let Some(owner) = OwnerId::from_word(now) else {
                if self.take(now) {
                    return false;
                }
                continue;
            };
            let dead = ask(self.me, self.id, owner) == Verdict::Dead;
            if dead || self.slip == Slip::Lease && slices >= 3 {
                if self.take(now) {
                    return self.slip != Slip::Untold;
                }
                continue;
            }
            if now & WAITERS == 0
                && self.word.compare_exchange(now, now | WAITERS, Relaxed, Relaxed).is_err()
            {
                continue;
            }
            self.sleep(now | WAITERS);
            slices += 1;
        }
    }

    fn sleep(&self, mut expected: u32) {
        let slice = Duration::from_millis(1);
        while futex::wait(self.word, expected, Deadline::after(slice)) != Wake::Woken {
            expected = self.word.load(Relaxed);
            if self.slip != Slip::ReleaseThenWake || expected & OwnerId::MASK != 0 {
                return;
            }
        }
    }

    fn take(&self, now: u32) -> bool {
        let mine = self.id.get() | now & WAITERS;
        // AcqRel: Acquire pairs with the Release in `unlock`, Release publishes the id.
        self.word.compare_exchange(now, mine, AcqRel, Relaxed).is_ok()
    }

    fn unlock(&self) {
        // Release: pairs with the Acquire in `take`.
        if self.word.compare_exchange(self.id.get(), 0, Release, Relaxed).is_ok() {
            return;
        }
        let woken = if self.slip == Slip::ReleaseThenWake {
            // Release: as above.
            self.word.swap(WAITERS, Release);
            futex::wake(self.word, 1)
        } else {
            futex::wake_op(self.word, Op::set(WAITERS), 1)
        };
        if woken == 0 {
            futex::wake_op(self.word, Op::and_not(WAITERS), futex::ALL);
        }
    }
}

impl Gate for Lock<'_> {
    fn pass(&self, inside: Inside<'_>) -> Result<(), Fault> {
        let told = self.lock();
        inside(&mut Words { data: self.data, told: Some(told) })?;
        self.unlock();
        Ok(())
    }

    fn try_pass(&self, inside: Inside<'_>) -> Result<bool, Fault> {
        // Acquire: pairs with the Release in `unlock`.
        let now = self.word.load(Acquire);
        if now & OwnerId::MASK != 0 || !self.take(now) {
            return Ok(false);
        }
        inside(&mut Words { data: self.data, told: Some(false) })?;
        self.unlock();
        Ok(true)
    }
}
