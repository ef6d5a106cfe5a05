//! Sleeping on several words at once: [futex_waitv], Linux 5.16.
//!
//! [futex_waitv]: https://docs.kernel.org/userspace-api/futex2.html

use core::ptr;

use super::kernel::{errno, timespec};
use crate::{AtomicU32, Deadline};

/// Most words of one [`wait_any`]: `FUTEX_WAITV_MAX`.
pub const MOST: usize = 128;
/// `FUTEX2_SIZE_U32`, and neither `FUTEX2_NUMA` nor private.
const SIZE_U32: u32 = 2;

/// A word to sleep on, and what it is as long as there is nothing to wake up for: `struct futex_waitv`.
///
/// It is an address that the kernel looks at, and nothing here does. So it may outlive the word: once that is unmapped, it
/// counts as changed, and if something else is mapped there, a sleep is one for nothing.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Waiter {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

impl Waiter {
    /// Sleeps on `word` while it is `expected`.
    pub fn new(word: &AtomicU32, expected: u32) -> Self {
        let address = word.as_ptr().expose_provenance() as u64;
        Self { value: expected.into(), address, flags: SIZE_U32, reserved: 0 }
    }

    /// Returns whether the word is not (any more) what was expected, or is not mapped. One system call.
    pub fn has_changed(&self) -> bool {
        let past = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: an address that the kernel checks and reads, and a live timespec; the time is over, so that it returns.
        let result = unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.address as usize,
                libc::FUTEX_WAIT_BITSET,
                self.value as u32,
                ptr::from_ref(&past),
                ptr::null::<u32>(),
                libc::FUTEX_BITSET_MATCH_ANY,
            )
        };
        // It looks at the word first. A signal is no news.
        result == 0 || !matches!(errno(), libc::ETIMEDOUT | libc::EINTR)
    }
}

/// Why [`wait_any`] returned. All but `TimedOut` mean: look at all words again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WakeAny {
    /// Somebody has woken the one at this place; others may have been, too.
    Woken(usize),
    /// One of the words was not what was expected, or is not mapped.
    Changed,
    /// A signal handler ran.
    Interrupted,
    /// The deadline passed.
    TimedOut,
    /// The kernel is older than 5.16, or does not let this process; or these are not 1 to [`MOST`] words.
    Unsupported,
}

/// Sleeps while each of 1 to [`MOST`] words is what its waiter expects, until one is woken or until `deadline`. May return
/// for no reason.
///
/// *If a peer dies*: as with [`wait`](super::wait).
pub fn wait_any(waiters: &[Waiter], deadline: Deadline) -> WakeAny {
    let until = timespec(deadline);
    let until = until.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: so many live waiters, which the kernel reads, and null or a live timespec. It checks the addresses in them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            waiters.as_ptr(),
            waiters.len(),
            0,
            until,
            libc::CLOCK_MONOTONIC,
        )
    };
    if let Ok(index) = usize::try_from(result) {
        return WakeAny::Woken(index);
    }
    match errno() {
        libc::EAGAIN | libc::EFAULT => WakeAny::Changed,
        libc::ETIMEDOUT => WakeAny::TimedOut,
        // A sandbox answers EPERM or ENOSYS; EINVAL is said of more words than it takes.
        libc::ENOSYS | libc::EPERM | libc::EINVAL => WakeAny::Unsupported,
        _ => WakeAny::Interrupted,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{ALL, wake};
    use super::*;
    use crate::Ordering::Relaxed;

    fn soon() -> Deadline {
        Deadline::after(Duration::from_millis(5))
    }

    #[test]
    fn a_wait_for_several_ends_at_its_deadline() {
        let words = [AtomicU32::new(1), AtomicU32::new(2)];
        let waiters = [Waiter::new(&words[0], 1), Waiter::new(&words[1], 2)];
        assert_eq!(wait_any(&waiters, soon()), WakeAny::TimedOut);
        assert!(!waiters[0].has_changed());
    }

    #[test]
    fn a_word_that_has_changed_ends_it_at_once() {
        let words = [AtomicU32::new(1), AtomicU32::new(2)];
        let waiters = [Waiter::new(&words[0], 1), Waiter::new(&words[1], 3)];
        assert_eq!(wait_any(&waiters, Deadline::NEVER), WakeAny::Changed);
        assert_eq!(waiters.map(|waiter| waiter.has_changed()), [false, true]);
    }

    #[test]
    fn who_is_woken_learns_by_which() {
        let words: [AtomicU32; MOST] = core::array::from_fn(|_| AtomicU32::new(0));
        let waiters: Vec<_> = words.iter().map(|word| Waiter::new(word, 0)).collect();
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| wait_any(&waiters, Deadline::NEVER));
            // Relaxed: about this number alone.
            words[100].store(1, Relaxed);
            while wake(&words[100], ALL) == 0 && !sleeper.is_finished() {
                std::thread::yield_now();
            }
            let woken = sleeper.join().unwrap();
            assert!(matches!(woken, WakeAny::Woken(100) | WakeAny::Changed), "{woken:?}");
        });
    }

    #[test]
    fn what_is_unmapped_has_changed() {
        let gone = Waiter { value: 0, address: 4096, flags: SIZE_U32, reserved: 0 };
        assert!(gone.has_changed());
        assert_eq!(wait_any(&[gone], soon()), WakeAny::Changed);
    }

    #[test]
    fn too_many_are_refused() {
        let word = AtomicU32::new(0);
        let waiters = vec![Waiter::new(&word, 0); MOST + 1];
        assert_eq!(wait_any(&waiters, soon()), WakeAny::Unsupported);
    }
}
