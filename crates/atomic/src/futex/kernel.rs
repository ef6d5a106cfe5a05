//! The real system calls.

use core::ptr;

use super::{Kind, Op, Wake};
use crate::Ordering::{Relaxed, Release};
use crate::{AtomicU32, Deadline, fence};

/// `FUTEX_OP_OPARG_SHIFT` of `linux/futex.h`: the argument is the number of a bit.
const OPARG_SHIFT: u32 = 8;
/// `FUTEX_OP_CMP_EQ`, compared with -1 (`0xfff`, sign-extended). Of our words only a doorbell's, an event's and a
/// counting semaphore's can be `0xffff_ffff`, once in its whole range: then the second wake of `FUTEX_WAKE_OP` wakes one
/// more, who looks and sleeps again. Compared with 0 it would do so on every fresh word.
const SELDOM_EQUAL: u32 = 0xfff;

pub(super) fn wait(word: &AtomicU32, expected: u32, deadline: Deadline) -> Wake {
    let until = timespec(deadline);
    let until = until.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `word` is a live, aligned u32 (a reference) and `until` is null or a live timespec; the kernel reads
    // both and writes neither.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT_BITSET,
            expected,
            until,
            ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
    if result == 0 {
        return Wake::Woken;
    }
    match errno() {
        libc::EAGAIN => Wake::Changed,
        libc::ETIMEDOUT => Wake::TimedOut,
        // EINTR, and what cannot happen to a valid word: the caller looks at the word again either way.
        _ => Wake::Interrupted,
    }
}

pub(super) fn wake(word: &AtomicU32, n: u32) -> u32 {
    let before = errno();
    // SAFETY: `word` is a live, aligned u32; the kernel uses only its address.
    let result = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, n) };
    u32::try_from(result).unwrap_or_else(|_| {
        set_errno(before);
        0
    })
}

pub(super) fn wake_op(word: &AtomicU32, op: Op, n: u32) -> u32 {
    // Release: pairs with the Acquire of whoever reads the word that the kernel is about to change.
    fence(Release);
    if n != 0 {
        let before = errno();
        // SAFETY: `word` is a live, aligned u32, given for both of the call's addresses; the kernel changes it
        // atomically. The fourth argument is a count for this operation, not a pointer.
        let result = unsafe {
            libc::syscall(
                libc::SYS_futex,
                word.as_ptr(),
                libc::FUTEX_WAKE_OP,
                n,
                ptr::null::<libc::timespec>(),
                word.as_ptr(),
                encode(op),
            )
        };
        if let Ok(woken) = u32::try_from(result) {
            return woken;
        }
        set_errno(before);
    }
    // A negative result means that nothing happened (a sandbox that answers ENOSYS, a page that could not be read
    // in): the same in two steps. Release: as the fence above.
    let mut now = word.load(Relaxed);
    while let Err(other) = word.compare_exchange_weak(now, op.apply(now), Release, Relaxed) {
        now = other;
    }
    super::wake(word, n)
}

pub(super) fn count(word: &AtomicU32, expected: u32) -> Option<u32> {
    let before = errno();
    // SAFETY: `word` is a live, aligned u32, given for both of the call's addresses; the kernel reads it. The third and
    // fourth arguments are counts for this operation: wake nobody, move everybody.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_CMP_REQUEUE,
            0,
            super::ALL as usize,
            word.as_ptr(),
            expected,
        )
    };
    u32::try_from(result).map_err(|_| set_errno(before)).ok()
}

/// Returns the operation as `FUTEX_WAKE_OP` wants it: operation, comparison, their arguments.
const fn encode(op: Op) -> u32 {
    let code = match op.kind {
        Kind::Set => 0,
        Kind::Add => 1,
        Kind::Or => 2,
        Kind::AndNot => 3,
    };
    // Otherwise the argument is one single bit (`Op::new`), of which the kernel is told the number.
    let (code, arg) = if super::is_short(op.arg) {
        (code, op.arg & 0xfff)
    } else {
        (code | OPARG_SHIFT, op.arg.trailing_zeros())
    };
    (code << 28) | (arg << 12) | SELDOM_EQUAL
}

/// Returns a deadline as the kernel wants it, if there is one.
pub(super) fn timespec(deadline: Deadline) -> Option<libc::timespec> {
    deadline.as_nanos().map(|nanos| libc::timespec {
        tv_sec: (nanos / 1_000_000_000) as libc::time_t,
        tv_nsec: (nanos % 1_000_000_000) as _,
    })
}

pub(super) fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Wakes may be done by a signal handler, which leaves `errno` as it was.
fn set_errno(number: i32) {
    // SAFETY: returns the address of this thread's `errno`, always.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: valid for as long as the thread, which is the only one to use it.
    unsafe { *place = number };
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{ALL, sleepers, wait, wake, wake_op};
    use super::*;

    #[test]
    fn the_encoding_is_the_kernels() {
        // FUTEX_OP(FUTEX_OP_SET | FUTEX_OP_OPARG_SHIFT, 31, FUTEX_OP_CMP_EQ, -1)
        assert_eq!(encode(Op::set(1 << 31)), (8 << 28) | (31 << 12) | 0xfff);
        // FUTEX_OP(FUTEX_OP_ADD, 2, FUTEX_OP_CMP_EQ, -1)
        assert_eq!(encode(Op::add(2)), (1 << 28) | (2 << 12) | 0xfff);
        // FUTEX_OP(FUTEX_OP_SET, -2, FUTEX_OP_CMP_EQ, -1)
        assert_eq!(encode(Op::set(u32::MAX - 1)), (0xffe << 12) | 0xfff);
    }

    #[test]
    fn every_operation_does_what_apply_says() {
        let ops = [
            Op::set(0),
            Op::set(1 << 31),
            Op::set(1 << 30),
            Op::set(u32::MAX - 1),
            Op::add(2),
            Op::or(1),
            Op::or(1 << 31),
            Op::and_not(1),
            Op::and_not(1 << 31),
        ];
        for op in ops {
            for before in [0, 1, 5, 1 << 30, (1 << 31) | 7, u32::MAX - 1] {
                for n in [0, 1, ALL, u32::MAX] {
                    let word = AtomicU32::new(before);
                    assert_eq!(wake_op(&word, op, n), 0, "nobody sleeps");
                    assert_eq!(word.load(Relaxed), op.apply(before), "{op:?} on {before:#x}");
                }
            }
        }
    }

    #[test]
    fn a_wait_ends_at_its_deadline() {
        let word = AtomicU32::new(7);
        assert_eq!(wait(&word, 7, Deadline::after(Duration::from_millis(5))), Wake::TimedOut);
        assert_eq!(wait(&word, 7, Deadline::PASSED), Wake::TimedOut);
    }

    #[test]
    fn a_wait_on_a_changed_word_does_not_sleep() {
        let word = AtomicU32::new(7);
        assert_eq!(wait(&word, 8, Deadline::NEVER), Wake::Changed);
    }

    #[test]
    fn who_sleeps_is_counted_and_sleeps_on() {
        let (word, other) = (AtomicU32::new(7), AtomicU32::new(7));
        assert_eq!((sleepers(&word, 7), sleepers(&word, 8)), (Some(0), None));
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..3).map(|_| scope.spawn(|| wait(&word, 7, Deadline::NEVER))).collect();
            while sleepers(&word, 7) != Some(3) {
                std::thread::yield_now();
            }
            assert_eq!((sleepers(&word, 7), sleepers(&other, 7)), (Some(3), Some(0)));
            assert_eq!((wake(&word, 1), sleepers(&word, 7)), (1, Some(2)));
            // Relaxed: about this number alone.
            word.store(8, Relaxed);
            assert_eq!((wake(&word, ALL), sleepers(&word, 8)), (2, Some(0)));
            for thread in threads {
                assert_eq!(thread.join().unwrap(), Wake::Woken);
            }
        });
    }

    #[test]
    fn waking_nobody_wakes_nobody() {
        assert_eq!(wake(&AtomicU32::new(0), 0), 0);
        assert_eq!(wake(&AtomicU32::new(0), u32::MAX), 0);
    }
}
