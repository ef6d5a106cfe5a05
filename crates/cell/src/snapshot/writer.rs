//! Who may change a snapshot.

use core::fmt;
use core::ops::Deref;

use shmkit_layout::ShmSafe;
use shmkit_roster::{Judge, Seat};
use shmkit_sync::NotOwner;

use crate::halves::Halves;
use crate::held::Held;
use crate::raw::snapshot::RawSnapshot;

/// The one who may change a [`Snapshot`](crate::Snapshot): there is at most one in all processes. Dropping it gives the role up.
///
/// It is the value in place, to be read. It may be sent to another thread; in a forked child an inherited one does nothing, and
/// must not be used.
#[must_use = "a writer that is dropped at once gives its role up at once"]
pub struct SnapshotWriter<T: ShmSafe, K: Judge = Seat> {
    raw: &'static RawSnapshot,
    halves: Halves<'static, T>,
    /// Has the keeper; so it is dropped last.
    held: Held<'static, K>,
}

// SAFETY: the role is the participant's and not the thread's: its word names an owner id, which all threads of the process have,
// and any of them may give it up. What else is in here may be sent, or is the keeper.
unsafe impl<T: ShmSafe, K: Judge + Send> Send for SnapshotWriter<T, K> {}

impl<T: ShmSafe, K: Judge> SnapshotWriter<T, K> {
    pub(super) fn new(
        raw: &'static RawSnapshot,
        halves: Halves<'static, T>,
        held: Held<'static, K>,
    ) -> Self {
        Self { raw, halves, held }
    }

    /// Makes `value` the value, and wakes who waits for a change.
    ///
    /// # Errors
    ///
    /// [`NotOwner`] in a forked child, which inherited the writer but not the role: nothing was stored.
    #[inline]
    pub fn store(&mut self, value: T) -> Result<(), NotOwner> {
        self.held.check()?;
        let slot = self.raw.begin(size_of::<T>());
        *self.halves.filling(slot, &self.held) = value;
        self.raw.commit();
        Ok(())
    }

    /// Changes a copy of the value, which becomes the value when `change` returns, and wakes who waits for a change. If it panics,
    /// or if the process is killed in it, the old value stays. It must not fork a child that goes on in it.
    ///
    /// # Errors
    ///
    /// As [`store`](Self::store).
    pub fn update<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> Result<R, NotOwner> {
        self.held.check()?;
        let slot = self.raw.begin(size_of::<T>());
        let result = change(self.halves.copied_to(slot, &self.held));
        // `change` may have forked, and this may be the child.
        self.held.check()?;
        self.raw.commit();
        Ok(result)
    }

    /// Returns how often the value was written.
    pub fn version(&self) -> u64 {
        self.raw.value.commits()
    }
}

impl<T: ShmSafe, K: Judge> Deref for SnapshotWriter<T, K> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.halves.current(&self.held)
    }
}

impl<T: ShmSafe + fmt::Debug, K: Judge> fmt::Debug for SnapshotWriter<T, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_tuple("SnapshotWriter");
        if self.held.check().is_ok() {
            debug.field(&**self);
        }
        debug.finish()
    }
}
