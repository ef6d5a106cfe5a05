//! What all threads of a process share, and a forked child finds whole.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use shmkit_roster::NoForks;

/// A collection that a forked child finds whole and unlocked. Nothing allocates or frees while it is locked: an
/// allocator's own fork handlers might wait for us, and we for it.
pub(crate) struct List<C>(Mutex<C>);

/// Forks are held off first and let go last. Nothing is called under the lock that could take it again: a segment is
/// never dropped here.
pub(crate) struct Locked<'l, C> {
    entries: MutexGuard<'l, C>,
    /// `None` if the process has not even the memory to register a handler; then the lock alone must do.
    no_forks: Option<NoForks>,
}

/// A collection that can be asked for its room.
pub(crate) trait Room {
    /// How many entries there are, and how many there can be before it allocates.
    fn room(&self) -> (usize, usize);

    /// Makes an empty one, like this, with room for so many.
    fn like(&self, room: usize) -> Self;

    /// Takes all entries of another, for which there is room.
    fn take_all(&mut self, other: &mut Self);
}

impl<C> List<C> {
    pub(crate) const fn new(empty: C) -> Self {
        Self(Mutex::new(empty))
    }

    pub(crate) fn lock(&self) -> Locked<'_, C> {
        let no_forks = NoForks::hold().ok();
        // A poisoned collection is whole: every change to it is one call.
        Locked { entries: self.0.lock().unwrap_or_else(PoisonError::into_inner), no_forks }
    }

    /// As [`lock`](Self::lock), with room for one more entry.
    pub(crate) fn lock_with_room(&self) -> Locked<'_, C>
    where
        C: Room,
    {
        loop {
            let locked = self.lock();
            let (len, room) = locked.room();
            if len < room {
                return locked;
            }
            // Of the same kind, and empty: it allocates nothing yet.
            let empty = locked.like(0);
            drop(locked);
            let mut spare = empty.like(2 * len + 4);
            let mut locked = self.lock();
            if locked.room().0 < spare.room().1 {
                spare.take_all(&mut locked);
                std::mem::swap(&mut spare, &mut *locked);
            }
            // Unlocked first: `spare` is freed here.
            drop(locked);
        }
    }
}

impl<C> Locked<'_, C> {
    /// Lets other threads in, and holds forks off for longer.
    pub(crate) fn unlock(self) -> Option<NoForks> {
        self.no_forks
    }
}

impl<T> Room for Vec<T> {
    fn room(&self) -> (usize, usize) {
        (self.len(), self.capacity())
    }

    fn like(&self, room: usize) -> Self {
        Self::with_capacity(room)
    }

    fn take_all(&mut self, other: &mut Self) {
        self.append(other);
    }
}

impl<K: Eq + Hash, V, S: BuildHasher + Clone> Room for HashMap<K, V, S> {
    fn room(&self) -> (usize, usize) {
        (self.len(), self.capacity())
    }

    fn like(&self, room: usize) -> Self {
        Self::with_capacity_and_hasher(room, self.hasher().clone())
    }

    fn take_all(&mut self, other: &mut Self) {
        self.extend(other.drain());
    }
}

impl<C> Deref for Locked<'_, C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.entries
    }
}

impl<C> DerefMut for Locked<'_, C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_before_it_is_locked_for_another_entry() {
        let (list, map) = (List::new(Vec::new()), List::new(HashMap::new()));
        for n in 0..100 {
            let (mut list, mut map) = (list.lock_with_room(), map.lock_with_room());
            let room = (list.room().1, map.room().1);
            list.push(n);
            map.insert(n, n);
            assert_eq!(list.capacity(), room.0, "at {n}");
            // One that is removed may be found again later than its room.
            assert!((room.1..=room.1 + 1).contains(&map.capacity()), "at {n}");
            if n % 3 == 0 {
                map.remove(&n);
            }
        }
        assert!(list.lock().iter().copied().eq(0..100));
        assert_eq!(map.lock().len(), 66);
        assert!(map.lock().iter().all(|(key, n)| key == n && n % 3 != 0));
    }
}
