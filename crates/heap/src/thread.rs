//! Which of its process's threads this is.

/// A thread of a process beside those that use heaps at the same time: no other one has the number until this one has ended.
///
/// `None` if there are too many, or if it is about to end.
#[inline]
pub(crate) fn number() -> Option<u32> {
    imp::number()
}

/// How many threads have a number at a time.
pub(crate) const NUMBERS: u32 = 64;

#[cfg(not(loom))]
mod imp {
    use core::cell::Cell;

    use shmkit_atomic::AtomicU64;
    use shmkit_atomic::Ordering::{AcqRel, Relaxed, Release};

    use super::NUMBERS;

    /// In place of a number: not asked for yet.
    const UNKNOWN: u32 = u32::MAX;
    /// In place of a number: there is none for this thread.
    const NONE: u32 = NUMBERS;

    /// The numbers that threads have. (A forked child keeps those of threads that it does not have.)
    static TAKEN: AtomicU64 = AtomicU64::new(0);

    thread_local! {
        /// A cell without a destructor: to be had in the destructors of other thread-locals as well.
        static NUMBER: Cell<u32> = const { Cell::new(UNKNOWN) };
        static GUARD: Guard = const { Guard };
    }

    struct Guard;

    impl Drop for Guard {
        fn drop(&mut self) {
            let number = NUMBER.replace(NONE);
            if number < NUMBERS {
                // Release: pairs with the Acquire in `take`: what this thread did with it comes first.
                TAKEN.fetch_and(!(1 << number), Release);
            }
        }
    }

    #[inline]
    pub(super) fn number() -> Option<u32> {
        match NUMBER.get() {
            UNKNOWN => take(),
            NONE => None,
            number => Some(number),
        }
    }

    #[cold]
    fn take() -> Option<u32> {
        let lowest = |taken: u64| (taken != u64::MAX).then(|| taken | (taken + 1));
        // AcqRel: Acquire pairs with the Release in the guard's drop, also of who took another number in between.
        let taken = match GUARD.try_with(|_| ()) {
            Ok(()) => TAKEN.fetch_update(AcqRel, Relaxed, lowest).ok(),
            Err(_) => None,
        };
        NUMBER.set(taken.map_or(NONE, |taken| taken.trailing_ones()));
        taken.map(|taken| taken.trailing_ones())
    }
}

/// In a model threads have the numbers that it gives them, from 1.
#[cfg(loom)]
mod imp {
    use shmkit_roster::ThreadToken;

    pub(super) fn number() -> Option<u32> {
        let number = ThreadToken::current().get() - 1;
        (number < super::NUMBERS).then_some(number)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn no_two_living_threads_have_one_number_and_it_is_given_again() {
        for _ in 0..4 {
            let threads = NUMBERS as usize + 8;
            let (all, numbers) = (Barrier::new(threads), |all: &Barrier| {
                all.wait();
                let mine = (number(), number());
                all.wait();
                mine
            });
            let found: Vec<_> = thread::scope(|scope| {
                let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| numbers(&all))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert!(found.iter().all(|(first, second)| first == second));
            let some: Vec<u32> = found.iter().filter_map(|(number, _)| *number).collect();
            // The test's own threads may have some.
            assert!(some.len() > 32, "{some:?}");
            assert_eq!(some.iter().collect::<BTreeSet<_>>().len(), some.len(), "{some:?}");
        }
    }
}
