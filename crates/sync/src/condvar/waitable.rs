//! The locks that a thread can wait with.

use shmkit_layout::ShmSafe;
use shmkit_roster::Judge;

use crate::{Lock, LockGuard, MutexGuard, Outcome, RLock, RLockGuard, ReentrantMutexGuard};

/// A lock that a thread holds, and can give up while it waits on a [`Condvar`](crate::Condvar): a [`MutexGuard`], a
/// [`ReentrantMutexGuard`], an [`RLockGuard`] or a [`LockGuard`]; or an [`RLock`] that this thread, or a [`Lock`] that this
/// process has acquired, or a reference to it.
///
/// An `RLock` is given up altogether, however often the thread has acquired it, and held as often again when the wait is
/// over. A `ReentrantMutexGuard` must be its thread's only one.
///
/// A `Lock` may be released by anybody. Whoever releases it beneath somebody who waits, notifies or holds it lets a second
/// one in: a notification may then reach nobody. So it is for conditions whose users release what they have acquired; and
/// who releases it for a dead one takes from the others that they are told of the death.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no lock that can be given up to wait for a condition",
    note = "the guard of a `Mutex` or `ReentrantMutex` is, and a `Lock` or an `RLock`, their guards and references to them",
    note = "who waits for an `RwLock`'s data to change keeps a `Mutex` beside it"
)]
pub trait Waitable: sealed::Lock {
    /// What a predicate looks at: a mutex's data; of the others the lock itself, which leads to what data it has.
    type Data: ?Sized;

    /// Returns what a predicate looks at.
    fn data(&mut self) -> &mut Self::Data;
}

impl<T: ShmSafe, K: Judge> Waitable for MutexGuard<'_, T, K> {
    type Data = T;

    fn data(&mut self) -> &mut T {
        self
    }
}

macro_rules! itself {
    ($K:ident, $lock:ty $(, $T:ident)?) => {
        impl<$($T: ShmSafe,)? $K: Judge> Waitable for $lock {
            type Data = Self;

            fn data(&mut self) -> &mut Self {
                self
            }
        }
    };
}

itself!(K, ReentrantMutexGuard<'_, T, K>, T);
itself!(K, LockGuard<'_, K>);
itself!(K, Lock<K>);
itself!(K, &Lock<K>);
itself!(K, RLockGuard<'_, K>);
itself!(K, RLock<K>);
itself!(K, &RLock<K>);

/// What is wrong with the data of a lock that was taken again; `Clean` stands for a panic. `None`: nothing.
pub(crate) type Complaint = Option<Outcome>;

pub(crate) mod sealed {
    use shmkit_roster::{Judge, OwnerId};

    use super::Complaint;
    use crate::condvar::monitor::Monitor;
    use crate::outcome::Taken;

    /// What nobody else can implement: who does is believed.
    pub trait Lock: Sized {
        /// Whoever knows the participants of its roster.
        type Judge: Judge;

        /// Returns the lock and who took it; `None` in a forked child of that one.
        fn monitor(&self) -> Option<(OwnerId, Monitor<'_>)>;

        /// Returns the judge in whose name it was taken, and who is to be asked about its owners: that of a condition
        /// variable may be of another roster, whose dead are not this one's.
        fn judge(&self) -> &Self::Judge;

        /// Returns whether nothing else of this thread borrows what the lock guards, so that it may be given up.
        fn is_alone(&self) -> bool {
            true
        }

        /// Learns that it was given up and taken again.
        fn retaken(&mut self, taken: Taken) -> Complaint;

        /// Ends after it was given up and could not be taken again: what this thread had may be another's, of this very
        /// process, by now. It releases nothing, but lets go of its keeper.
        fn lost(self);
    }
}
