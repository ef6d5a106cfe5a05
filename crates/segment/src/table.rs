//! The segments of this process: one mapping, one descriptor and one place in the roster each.
//!
//! Whoever opens a segment again shares what is here. Forks are held off while the table is locked
//! ([`NoForks`]), so that a child never inherits it locked, and always inherits it whole: it finds its parent's
//! segments here, and joins them anew.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use shmkit_roster::NoForks;

use crate::inspect::Identity;
use crate::segment::Shared;

static TABLE: List<(Identity, Weak<Shared>)> = List::new();

/// A list that a forked child finds whole and unlocked. Nothing allocates or frees while it is locked: an allocator's
/// own fork handlers might wait for us, and we for it.
pub(crate) struct List<T>(Mutex<Vec<T>>);

/// Forks are held off first and let go last. Nothing is called under the lock that could take it again: a `Shared` is
/// never dropped here.
pub(crate) struct Locked<'l, T> {
    entries: MutexGuard<'l, Vec<T>>,
    /// `None` if the process has not even the memory to register a handler; then the lock alone must do.
    _no_forks: Option<NoForks>,
}

impl<T> List<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub(crate) fn lock(&self) -> Locked<'_, T> {
        let no_forks = NoForks::hold().ok();
        // A poisoned list is whole: every change to it is one call.
        Locked {
            entries: self.0.lock().unwrap_or_else(PoisonError::into_inner),
            _no_forks: no_forks,
        }
    }

    /// As [`lock`](Self::lock), with room for one more entry.
    pub(crate) fn lock_with_room(&self) -> Locked<'_, T> {
        loop {
            let locked = self.lock();
            if locked.len() < locked.capacity() {
                return locked;
            }
            let needed = 2 * locked.len() + 4;
            drop(locked);
            let mut spare = Vec::with_capacity(needed);
            let mut locked = self.lock();
            if locked.len() < spare.capacity() {
                spare.append(&mut locked);
                std::mem::swap(&mut spare, &mut *locked);
            }
            // Unlocked first: `spare` is freed here.
            drop(locked);
        }
    }
}

impl<T> Deref for Locked<'_, T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.entries
    }
}

impl<T> DerefMut for Locked<'_, T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.entries
    }
}

/// Returns the segment, if this process has it open.
pub(crate) fn find(identity: Identity) -> Option<Arc<Shared>> {
    among(&TABLE.lock(), identity)
}

fn among(entries: &[(Identity, Weak<Shared>)], identity: Identity) -> Option<Arc<Shared>> {
    entries.iter().find_map(|(key, shared)| (*key == identity).then(|| shared.upgrade())?)
}

/// Enters a segment, and returns it; or the one that another thread entered in the meantime.
pub(crate) fn enter(new: Arc<Shared>) -> Arc<Shared> {
    let found = {
        let mut table = TABLE.lock_with_room();
        let found = among(&table, new.identity());
        if found.is_none() {
            table.push((new.identity(), Arc::downgrade(&new)));
        }
        found
    };
    // Unlocked: `new` may be dropped here, which takes the lock.
    found.unwrap_or(new)
}

/// Takes a segment out that is being dropped.
pub(crate) fn forget(this: *const Shared) {
    let mut table = TABLE.lock();
    let at = table.iter().position(|(_, shared)| std::ptr::eq(shared.as_ptr(), this));
    let entry = at.map(|at| table.swap_remove(at));
    // Unlocked first: the last `Weak` frees.
    drop(table);
    drop(entry);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_room_before_it_is_locked_for_a_push() {
        let list = List::new();
        for n in 0..100 {
            let mut locked = list.lock_with_room();
            let capacity = locked.capacity();
            locked.push(n);
            assert_eq!(locked.capacity(), capacity, "at {n}");
        }
        assert!(list.lock().iter().copied().eq(0..100));
    }
}
