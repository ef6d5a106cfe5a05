//! What a thread has learnt of its spins for what others do.

use core::cell::Cell;

/// So many spins in vain, one after the other, and the thread stops.
pub(super) const PATIENCE: u32 = 8;
/// Then one wait in so many is tried with a spin again: the others may run elsewhere by now. It costs a
/// hundredth of the time of waits that sleep and are woken at once.
pub(super) const RARE: u32 = 512;
/// The kernel is asked for a thread's processors once in so many times.
pub(super) const SAID: u32 = 256;
/// Nothing yet.
const FRESH: u32 = u32::MAX;

thread_local! {
    /// How many spins in vain are left, [`FRESH`] at first; and how many waits ago the last spin was.
    ///
    /// Of the thread: so nobody shares a cache line for it, and a thread that waits for long has no say in what others do
    /// who hand over quickly. A forked child begins with what its parent's thread had learnt.
    static HOPE: Cell<(u32, u32)> = const { Cell::new((FRESH, 0)) };
}

thread_local! {
    /// Whether this thread may run on one processor only, and how often that is still said.
    static ONE: Cell<(bool, u32)> = const { Cell::new((false, 0)) };
}

/// Returns whether this thread may run on one processor only, as of one of the last few times when it was asked: that may change.
#[inline]
pub(super) fn has_one_processor() -> bool {
    let (one, left) = match ONE.get() {
        (_, 0) => (shmkit_atomic::processors() == 1, SAID),
        known => known,
    };
    ONE.set((one, left - 1));
    one
}

/// On so many processors this thread may run.
#[cfg(test)]
pub(super) fn found(processors: u32) {
    ONE.set((processors == 1, SAID));
}

/// Returns whether to spin.
#[inline]
pub(super) fn hopes() -> bool {
    match HOPE.get() {
        (FRESH, _) => {
            begin_with(shmkit_atomic::processors());
            hopes()
        }
        (0, waits) if waits + 1 < RARE => {
            HOPE.set((0, waits + 1));
            false
        }
        _ => true,
    }
}

/// A spin has ended in a sleep.
pub(super) fn in_vain() {
    HOPE.set((HOPE.get().0.saturating_sub(1), 0));
}

/// A spin has found what it looked for.
#[inline]
pub(super) fn paid() {
    HOPE.set((PATIENCE, 0));
}

/// A thread that may run on one processor only shares it, most probably, with who it waits for.
pub(super) fn begin_with(processors: u32) {
    HOPE.set((if processors == 1 { 0 } else { PATIENCE }, 0));
}
