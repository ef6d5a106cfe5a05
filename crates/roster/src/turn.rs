//! One at a time, where nothing can be locked for writing: by a folder.

use std::io;
use std::os::fd::BorrowedFd;

use crate::range::{self, Range};

/// The right to do something alone, by one byte of a description; given back by drop, and by the kernel at the latest
/// when its owner is gone.
///
/// A folder cannot be open for writing, and so has no write locks. Whoever wants the byte takes a *read* lock and then
/// looks whether somebody else has one: of two that do so at once each sees the other, and both give up.
#[derive(Debug)]
#[must_use = "the right is given back at once"]
pub struct Turn<'f> {
    file: BorrowedFd<'f>,
    range: Range,
}

/// Positions of turns: below 2^31 of them, so that they mean the same to every process.
const BYTES: u64 = 1 << 31;

impl<'f> Turn<'f> {
    /// Takes the turn of a number; numbers that are equal in their last 31 bits exclude each other. `None` if somebody
    /// has it, or wants it at this very moment: try again after a pause that is not the same for all.
    ///
    /// `file` must be open for reading, and be of a *fresh* description: what one description holds does not exclude
    /// itself.
    ///
    /// # Errors
    ///
    /// The file system has no such locks.
    ///
    /// # If a peer dies
    ///
    /// Its turn is over. A child that it had forked while it had the turn keeps it to its exec or end.
    pub fn take(file: BorrowedFd<'f>, number: u64) -> io::Result<Option<Self>> {
        let turn = Self { file, range: Range::byte(number % BYTES) };
        range::share(file, turn.range)?;
        // Locked first, looked second: of two at least one sees the other.
        Ok(range::conflict(file, turn.range)?.is_none().then_some(turn))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Told to the kernel, so that it is over in a forked child's copy of the description, too.
        let _ = range::unlock(self.file, self.range);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;
    use crate::testing::in_child;

    fn folder() -> File {
        File::open("/dev/shm").unwrap()
    }

    /// A number that other tests do not use at this moment.
    fn number() -> u64 {
        u64::from(std::process::id()) << 4
    }

    #[test]
    fn one_at_a_time_has_the_turn_of_a_folder() {
        let (one, two) = (folder(), folder());
        let turn = Turn::take(one.as_fd(), number()).unwrap().unwrap();
        assert!(Turn::take(two.as_fd(), number()).unwrap().is_none());
        assert!(Turn::take(two.as_fd(), number() + (1 << 31)).unwrap().is_none());
        assert!(Turn::take(two.as_fd(), number() + 1).unwrap().is_some(), "another turn");
        drop(turn);
        assert!(Turn::take(two.as_fd(), number()).unwrap().is_some());
    }

    #[test]
    fn who_did_not_get_the_turn_is_in_nobodys_way() {
        let (one, two) = (folder(), folder());
        let number = number() + 2;
        let turn = Turn::take(one.as_fd(), number).unwrap().unwrap();
        assert!(Turn::take(two.as_fd(), number).unwrap().is_none());
        drop(turn);
        assert!(Turn::take(one.as_fd(), number).unwrap().is_some());
    }

    #[test]
    fn the_turn_of_the_dead_is_over() {
        let number = number() + 3;
        in_child(|| {
            let folder = folder();
            std::mem::forget(Turn::take(folder.as_fd(), number).unwrap().unwrap());
            std::mem::forget(folder);
        });
        assert!(Turn::take(folder().as_fd(), number).unwrap().is_some());
    }

    #[test]
    fn of_many_one_has_the_turn() {
        let number = number() + 4;
        let inside = shmkit_atomic::AtomicU32::new(0);
        let go = || {
            let folder = folder();
            for round in 0..200 {
                if let Some(_turn) = Turn::take(folder.as_fd(), number).unwrap() {
                    let others = inside.fetch_add(1, shmkit_atomic::Ordering::SeqCst);
                    assert_eq!(others, 0, "in round {round}");
                    std::thread::yield_now();
                    inside.fetch_sub(1, shmkit_atomic::Ordering::SeqCst);
                }
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(go))));
    }
}
