//! The words of a snapshot: a value that one writer changes while any number of readers copy it.

use core::time::Duration;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::crash::step;
use shmkit_atomic::{AtomicU32, Deadline, futex};
#[cfg(not(loom))]
use shmkit_layout::Shared;
use shmkit_roster::{Judge, OwnerId};
use shmkit_sync::{Doorbell, GivenUp, Patience, Wait};

use super::value::RawValue;

/// The words of a snapshot; its two slots follow.
///
/// ```text
///  0 mutex  16 commits  24 bell  28 still  32 … padding to T's alignment … slot 0 | slot 1
/// ```
///
/// The mutex is the writer's role: held for as long as somebody is the writer, and inherited from a dead one.
#[repr(C)]
pub(crate) struct RawSnapshot {
    pub(crate) value: RawValue,
    /// Rung after each commit.
    bell: Doorbell,
    /// [`ASKED`] if a reader that was overtaken asks the writer to stand still, else 0. Whoever asks is in nobody's debt:
    /// the writer waits for a moment only.
    still: AtomicU32,
}

// SAFETY: `repr(C)`, words of a value, a `Shared` bell and an atomic, any bit pattern of which is as good as `ASKED` or 0.
#[cfg(not(loom))]
unsafe impl Shared for RawSnapshot {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<RawSnapshot>() == 32, "part of the segment format");

const ASKED: u32 = 1;

/// How often a reader looks before it asks the writer to stand still, and after each time that it has asked.
#[cfg(not(loom))]
const LOOKS: u32 = 20;
/// How often it asks. Each time the writer stands still for longer than a copy takes, so that nearly all get through the
/// first time: who does not was itself stopped meanwhile.
#[cfg(not(loom))]
const PLEAS: u32 = 50;
/// How long a writer stands still at most, besides a nanosecond for each byte of the value.
const STILL: Duration = Duration::from_millis(1);

impl RawSnapshot {
    /// The slot to write to, by the writer, after a reader has had time to copy the other one if one has asked for it.
    #[inline]
    pub(crate) fn begin(&self, bytes: usize) -> usize {
        // Relaxed: nothing hangs on it.
        if self.still.load(Relaxed) == ASKED {
            self.stand_still(bytes);
        }
        self.value.begin()
    }

    #[cold]
    fn stand_still(&self, bytes: usize) {
        let limit = STILL + Duration::from_nanos(bytes as u64);
        futex::wait(&self.still, ASKED, Deadline::after(limit));
        // One write comes between two rests, whoever asks.
        self.still.store(0, Relaxed);
    }

    /// Makes the spare slot the value and tells who waits for that.
    #[inline]
    pub(crate) fn commit(&self) {
        self.value.commit();
        step();
        // Killed before it: they look again at the end of a slice.
        self.bell.ring_all();
    }

    /// Copies the value without a lock, as [`RawValue::peek`] does; a participant, if it is overtaken again and again, asks the
    /// writer to stand still meanwhile.
    #[inline]
    #[cfg(not(loom))]
    pub(crate) fn load<T>(
        &self,
        joined: impl FnOnce() -> bool,
        mut copy: impl FnMut(usize) -> T,
    ) -> Option<(u64, T)> {
        if let Some(found) = self.value.peek(&mut copy) {
            return Some(found);
        }
        self.look_again(joined, copy)
    }

    #[cold]
    #[cfg(not(loom))]
    fn look_again<T>(
        &self,
        joined: impl FnOnce() -> bool,
        mut copy: impl FnMut(usize) -> T,
    ) -> Option<(u64, T)> {
        let mut look = || (0..LOOKS).find_map(|_| self.value.peek(&mut copy));
        let found = look();
        // Who is no participant must not write to the memory, and may not be able to.
        if found.is_some() || !joined() {
            return found;
        }
        for _ in 0..PLEAS {
            self.still.store(ASKED, Relaxed);
            let found = look();
            if found.is_some() {
                // Others who still copy ask again.
                self.still.store(0, Relaxed);
                futex::wake(&self.still, 1);
                return found;
            }
        }
        None
    }

    /// Waits until the value was written oftener than `seen` times, or by another count, and returns how often it was.
    ///
    /// *If a peer dies* between its commit and the bell, who waits finds the commit at the end of a slice.
    pub(crate) fn wait<J: Judge + ?Sized>(
        &self,
        seen: u64,
        me: OwnerId,
        judge: &J,
        patience: Patience<'_>,
    ) -> Result<u64, GivenUp> {
        let mut wait = Wait::new(patience, me, judge);
        loop {
            let armed = self.bell.arm();
            let commits = self.value.commits();
            if commits != seen {
                return Ok(commits);
            }
            wait.check()?;
            let over = wait.slept(self.bell.sleep(armed, wait.until()))?;
            if over {
                // There is nobody to ask about: another writer may come.
                wait.heard(None);
            }
        }
    }
}

#[cfg(all(test, loom))]
mod model;

#[cfg(all(test, not(loom)))]
mod tests {
    use core::cell::Cell;
    use std::thread;

    use super::*;

    fn raw() -> RawSnapshot {
        RawSnapshot { value: RawValue::new(), bell: Doorbell::new(), still: AtomicU32::new(0) }
    }

    /// Writes without rest while `read` runs, whose panic comes out of here.
    fn beside_a_writer(raw: &RawSnapshot, read: impl FnOnce() + Send) {
        thread::scope(|scope| {
            let reader = scope.spawn(read);
            while !reader.is_finished() {
                raw.begin(0);
                raw.commit();
            }
        });
    }

    /// A copy that is overtaken, unless the writer has been asked to stand still.
    fn slow_copy(raw: &RawSnapshot) {
        let before = raw.value.commits();
        while raw.still.load(Relaxed) != ASKED && raw.value.commits() < before + 2 {
            thread::yield_now();
        }
    }

    #[test]
    fn a_reader_that_is_slower_than_the_writer_asks_it_to_stand_still() {
        let raw = raw();
        // The writer comes in the midst of each copy, and writes unless that is done when it has stood still.
        let found = raw.load(
            || true,
            |_| {
                let is_asked = raw.still.load(Relaxed) == ASKED;
                raw.begin(0);
                let has_stood_still = is_asked && raw.still.load(Relaxed) != ASKED;
                if !has_stood_still {
                    raw.commit();
                }
            },
        );
        assert_eq!(found, Some((u64::from(LOOKS) + 1, ())), "the first copy that it has asked for");
        assert_eq!(raw.still.load(Relaxed), 0);
    }

    #[test]
    fn who_is_no_participant_asks_for_nothing_and_looks_no_oftener_than_it_may() {
        let raw = raw();
        beside_a_writer(&raw, || {
            let looks = Cell::new(0);
            let slow = |_| {
                looks.set(looks.get() + 1);
                slow_copy(&raw);
            };
            assert!(raw.load(|| false, slow).is_none());
            assert_eq!(looks.get(), LOOKS + 1);
            assert_eq!(raw.still.load(Relaxed), 0);
        });
    }
}
