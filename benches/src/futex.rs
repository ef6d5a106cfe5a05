//! A bare futex: what any wait has to do at least.

use std::sync::atomic::AtomicU32;

/// Sleeps while the word is `expected`; may return for no reason.
pub(crate) fn wait(word: &AtomicU32, expected: u32) {
    // SAFETY: the address of an atomic number; the kernel only reads it. No time limit is given.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            expected,
            std::ptr::null::<libc::timespec>(),
        )
    };
}

/// Wakes one.
pub(crate) fn wake(word: &AtomicU32) {
    // SAFETY: the address of an atomic number, which names a queue.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}
