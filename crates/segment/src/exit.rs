//! An orderly leave at exit, for what is still joined then: what was leaked, stands in a `static`, or is on the stack of
//! a function that called `exit`.
//!
//! An exit handler runs while the other threads of the process go on, to its last instruction. So nothing is unmapped
//! here, and no place is given up that another thread may use: to the others it would be dead, and what it holds
//! theirs, while it still writes. There are two cases:
//!
//! * **This thread is the only one.** Nobody uses what the process holds any more: it leaves as at a drop, its place
//!   first and then, if it was the last one, the name. The mapping stays, for handlers that run later; they find
//!   themselves in nothing.
//! * **There are others.** The place stays until the kernel has ended them. The name is removed now if nobody *else*
//!   lives there, with the lock that keeps joiners out of all other places. Two such processes that exit in the same
//!   moment each see the other, and leave the name to the next visitor.

use shmkit_atomic::AtomicU32;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_roster::is_alone;

use crate::shared::Shared;
use crate::table;

/// Has the process leave in order when it exits; once.
pub(crate) fn register() {
    // Not a `Once`: a child that is forked in the middle would wait for ever for the thread that is not there. Two
    // threads may both register, which does no harm.
    static REGISTERED: AtomicU32 = AtomicU32::new(0);
    // Relaxed, both: nothing is published.
    if REGISTERED.load(Relaxed) == 0 {
        // SAFETY: a function that lives as long as the program, and does not panic. If it cannot be registered, exits
        // are as kills.
        unsafe { libc::atexit(leave_all) };
        REGISTERED.store(1, Relaxed);
    }
}

extern "C" fn leave_all() {
    let alone = is_alone();
    for shared in table::all::<Shared>() {
        shared.leave_at_exit(alone);
        // Not dropped here, should it be the last handle: what a drop does is done.
        std::mem::forget(shared);
    }
}
