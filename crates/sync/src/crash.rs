//! Crashes for models: a participant that dies before its *k*-th step, and faults seeded into the machines.
//!
//! Only in builds with `--cfg loom`. A *step* is every operation of a machine that others can see: a store, a
//! read-modify-write, a futex call. A model runs a participant once for every number of steps that it may survive:
//!
//! ```ignore
//! if crash::after(k, || mutex.lock(&judge, Deadline::NEVER)).is_err() {
//!     judge.die();
//! }
//! ```

use core::sync::atomic::{AtomicU8, Ordering};

pub use shmkit_atomic::crash::{Died, Lives, after, everywhere, step};

/// A mistake that a machine could contain, to show that the models find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// None.
    None,
    /// A lock is released in one step and its waiter woken in the next.
    WakeApart,
    /// The waiter is woken in one step and the lock released in the next.
    WakeFirst,
    /// Who takes a free word with waiters forgets that there are some.
    WaitersLost,
    /// A ring does not move a doorbell's sequence.
    RingUnseen,
    /// A doorbell's mark is taken away without moving its sequence.
    ClearUnseen,
    /// An event that is set already is not written to.
    SetSkipped,
    /// An event is cleared without moving its generation.
    PulseUnseen,
    /// Who releases a lock that it may take again leaves its names there.
    NamesLeft,
    /// Who raises a counting semaphore takes the mark of its waiters away.
    RaiseUnmarks,
    /// Who arrives at a barrier does not look again at which pass it is.
    ArriveUnchecked,
    /// The notification of a condition variable that was given to somebody who died goes to nobody.
    GrantVoid,
    /// Who sleeps on a condition variable does not care whether owners of the lock have died.
    DeathsIgnored,
}

static SEEDED: AtomicU8 = AtomicU8::new(Fault::None as u8);

/// Seeds a fault into every machine of this process. To be called before the model begins.
pub fn seed(fault: Fault) {
    SEEDED.store(fault as u8, Ordering::Relaxed);
}

fn has(fault: Fault) -> bool {
    SEEDED.load(Ordering::Relaxed) == fault as u8
}

/// What a compare-exchange of a mutex's or an event's word writes.
pub(crate) fn seeded(current: u32, new: u32) -> u32 {
    let cleared = current & 1 != 0 && new == (current + 1) & !(1 << 31);
    if cleared && has(Fault::PulseUnseen) {
        return current & !1 & !(1 << 31);
    }
    let raised = current >= 1 << 31 && new > current;
    if raised && has(Fault::RaiseUnmarks) {
        return new & !(1 << 31);
    }
    let taken_with_waiters = current == 1 << 31;
    if taken_with_waiters && has(Fault::WaitersLost) { new & !current } else { new }
}

/// Returns whether a word is not looked at again.
pub(crate) fn trusts() -> bool {
    has(Fault::ArriveUnchecked)
}

/// Returns whether a compare-exchange that changes nothing is left out.
pub(crate) fn skips(current: u32, new: u32) -> bool {
    current == new && has(Fault::SetSkipped)
}

/// Returns whether the notifications of the dead go to nobody.
pub(crate) fn voids_grants() -> bool {
    has(Fault::GrantVoid)
}

/// Returns whether sleepers do not care who has died.
pub(crate) fn ignores_deaths() -> bool {
    has(Fault::DeathsIgnored)
}

/// Whether a store of a number of 64 bits is forgotten.
pub(crate) fn forgets(value: u64) -> bool {
    value == 0 && has(Fault::NamesLeft)
}

/// The futex calls, in which faults can be seeded.
pub(crate) mod futex {
    use shmkit_atomic::futex;
    use shmkit_atomic::{AtomicU32, Deadline};

    use super::{Fault, has, step};
    use futex::{Op, Wake};

    pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline: Deadline) -> Wake {
        futex::wait(word, expected, deadline)
    }

    pub(crate) fn wake(word: &AtomicU32, n: u32) -> u32 {
        futex::wake(word, n)
    }

    pub(crate) fn wake_op(word: &AtomicU32, op: Op, n: u32) -> u32 {
        if has(Fault::WakeApart) {
            futex::wake_op(word, op, 0);
            step();
            return futex::wake(word, n);
        }
        if has(Fault::WakeFirst) {
            let woken = futex::wake(word, n);
            step();
            futex::wake_op(word, op, 0);
            return woken;
        }
        if has(Fault::RingUnseen) && op == Op::add(2) {
            return futex::wake_op(word, Op::add(0), n);
        }
        if has(Fault::ClearUnseen) && op == Op::add(1) {
            return futex::wake_op(word, Op::and_not(1), n);
        }
        futex::wake_op(word, op, n)
    }
}
