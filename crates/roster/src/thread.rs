//! Which thread it is, where a thread and not a process is the owner.

use core::fmt;
use core::marker::PhantomData;
use core::num::NonZeroU32;

/// The calling thread, as it is told from the other threads of its process.
///
/// It is a number that this process has given to one thread and gives to no other, whatever becomes of that thread:
/// unlike a thread id of the kernel, which is used again and differs between PID namespaces. Another process, a forked
/// child included, may give the same number: only together with the owner id does it name a thread.
///
/// It stays with its thread.
///
/// ```compile_fail
/// fn needs_send<T: Send>() {}
/// needs_send::<shmkit_roster::ThreadToken>();
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ThreadToken {
    number: NonZeroU32,
    _not_send: PhantomData<*const ()>,
}

impl ThreadToken {
    /// Returns the token of the calling thread.
    ///
    /// # Panics
    ///
    /// If this process has given tokens to 2^32-1 threads.
    #[inline]
    pub fn current() -> Self {
        Self { number: imp::current(), _not_send: PhantomData }
    }

    /// Returns the number that stands in words, from 1.
    #[inline]
    pub fn get(self) -> u32 {
        self.number.get()
    }

    /// From now on the calling thread of a model has this number; as long as it has none, it is 1.
    ///
    /// # Panics
    ///
    /// If the number is 0.
    #[cfg(loom)]
    pub fn pretend(number: u32) {
        imp::pretend(NonZeroU32::new(number).expect("from 1"));
    }
}

/// Returns whether the calling thread is the only one in its address space, as far as is known: whatever this process has
/// to do, it has to do. In a model it never is.
///
/// Where the kernel may not be asked (a filter of system calls, and no `/proc`) it is not known.
pub fn is_alone() -> bool {
    imp::is_alone()
}

impl fmt::Debug for ThreadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThreadToken({})", self.number)
    }
}

#[cfg(not(loom))]
mod imp {
    use core::cell::Cell;
    use core::num::NonZeroU32;

    use nix::errno::Errno;
    use nix::sys::stat::stat;
    use shmkit_atomic::AtomicU32;
    use shmkit_atomic::Ordering::Relaxed;

    /// How many threads have a token.
    static GIVEN: AtomicU32 = AtomicU32::new(0);

    thread_local! {
        /// This thread's token. A forked child's only thread keeps that of the thread it is a copy of, and those that it
        /// starts get others.
        static TOKEN: Cell<Option<NonZeroU32>> = const { Cell::new(None) };
    }

    #[inline]
    pub(super) fn current() -> NonZeroU32 {
        // A cell without a destructor: to be had in the destructors of other thread-locals as well.
        TOKEN.with(|token| token.get().unwrap_or_else(|| give(token)))
    }

    #[cold]
    fn give(token: &Cell<Option<NonZeroU32>>) -> NonZeroU32 {
        // Relaxed: only that no number is given twice.
        let given = GIVEN.fetch_update(Relaxed, Relaxed, |given| given.checked_add(1));
        let number = given.ok().and_then(|before| NonZeroU32::new(before + 1));
        let number = number.expect("this process has had 2^32-1 threads that lock");
        token.set(Some(number));
        number
    }

    pub(super) fn is_alone() -> bool {
        // SAFETY: to who shares its address space with nobody this does nothing, and others it is refused.
        // <https://man7.org/linux/man-pages/man2/unshare.2.html>
        if unsafe { libc::unshare(libc::CLONE_VM) } == 0 {
            return true;
        }
        // A filter, as many containers have one: two names of its own, and one of each thread's folder.
        Errno::last() != Errno::EINVAL
            && stat("/proc/self/task").is_ok_and(|folder| folder.st_nlink == 3)
    }
}

#[cfg(loom)]
mod imp {
    use core::cell::Cell;
    use core::num::NonZeroU32;

    loom::thread_local! {
        static TOKEN: Cell<NonZeroU32> = Cell::new(NonZeroU32::MIN);
    }

    pub(super) fn current() -> NonZeroU32 {
        TOKEN.with(Cell::get)
    }

    pub(super) fn pretend(number: NonZeroU32) {
        TOKEN.with(|token| token.set(number));
    }

    pub(super) fn is_alone() -> bool {
        false
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_its_token_and_no_other_has_it() {
        let mine = ThreadToken::current();
        assert_eq!(mine, ThreadToken::current());
        let mut numbers: Vec<u32> = (0..4)
            .map(|_| std::thread::spawn(|| ThreadToken::current().get()).join().unwrap())
            .collect();
        numbers.push(mine.get());
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 5, "given twice: {numbers:?}");
        assert!(!numbers.contains(&0));
    }

    #[test]
    fn a_thread_is_alone_when_the_others_have_ended() {
        crate::testing::in_child(|| {
            let (go, gone) = std::sync::mpsc::channel::<()>();
            // The child of a fork has one thread.
            let before = is_alone();
            let other = std::thread::spawn(move || gone.recv().is_err());
            let beside = is_alone();
            drop(go);
            let ended = other.join().is_ok();
            // Joined is not gone: the kernel takes a moment more.
            let after = (0..1000).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(1));
                is_alone()
            });
            assert!(before && !beside && ended && after);
        });
    }
}
