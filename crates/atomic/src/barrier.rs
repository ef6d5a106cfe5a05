//! A fence between two processes that only one of them pays for: [membarrier(2)].
//!
//! Whoever tells a sleeper that something has happened must do it in the order *publish, fence, look whether
//! somebody sleeps*; whoever goes to sleep does *say so, fence, look whether something was published*. One of the two
//! sees the other. The first runs for every message, the second only before a sleep: [`heavy`] makes the kernel put
//! the first one's fence in for it, on every processor that runs a process that called [`register`], and leaves it
//! [`light`]: no instruction at all.
//!
//! Under loom there is no such thing, and [`register`] says so: what is modelled is the way with two fences.
//!
//! [membarrier(2)]: https://man7.org/linux/man-pages/man2/membarrier.2.html

/// Lets [`heavy`] of any process reach the threads of this one, and returns whether the system can do it.
///
/// To be called before the first [`light`]; calling it again is one cheap system call. The first call in a process
/// that already has threads waits for the kernel to have seen them all: some milliseconds, once. A forked child
/// inherits it; `exec` ends it.
pub fn register() -> bool {
    imp::register()
}

/// A full fence in this thread, and in every running thread of every process that called [`register`].
///
/// What such a thread did before its [`light`] is visible after this, or what this thread did before this is visible
/// to it after its `light`. Some microseconds at most. Returns whether that was done; it always is where `register`
/// returned true, unless a sandbox came into force since.
pub fn heavy() -> bool {
    imp::heavy()
}

/// The other half of [`heavy`], in a process that called [`register`]: keeps the compiler from moving accesses across.
#[inline(always)]
pub fn light() {
    imp::light();
}

/// A full fence behind a read-modify-write of this thread that has succeeded. Where such an operation is a fence itself, as on
/// x86, it takes no instruction.
#[inline(always)]
pub fn after_exchange() {
    // SeqCst, both: in the order of all fences, or, where the processor has made one, kept there by the compiler.
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    crate::compiler_fence(crate::Ordering::SeqCst);
    #[cfg(not(all(target_arch = "x86_64", not(loom))))]
    crate::fence(crate::Ordering::SeqCst);
}

#[cfg(not(loom))]
mod imp {
    use crate::Ordering::SeqCst;
    use crate::{compiler_fence, fence};

    /// `MEMBARRIER_CMD_GLOBAL_EXPEDITED` of `linux/membarrier.h`.
    const GLOBAL_EXPEDITED: i32 = 1 << 1;
    /// `MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED` of `linux/membarrier.h`.
    const REGISTER_GLOBAL_EXPEDITED: i32 = 1 << 2;

    pub(super) fn register() -> bool {
        membarrier(REGISTER_GLOBAL_EXPEDITED)
    }

    pub(super) fn heavy() -> bool {
        // SeqCst: the kernel fences the other threads; this one is fenced whatever the kernel answers.
        fence(SeqCst);
        membarrier(GLOBAL_EXPEDITED)
    }

    #[inline(always)]
    pub(super) fn light() {
        // SeqCst: the compiler's half; `heavy` brings the processor's.
        compiler_fence(SeqCst);
    }

    fn membarrier(command: i32) -> bool {
        // SAFETY: membarrier takes two numbers and a processor (ignored without its flag), and touches no memory.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }
}

#[cfg(loom)]
mod imp {
    use crate::Ordering::SeqCst;
    use crate::fence;

    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn heavy() -> bool {
        fence(SeqCst); // SeqCst: this thread's half of the way with two fences.
        false
    }

    pub(super) fn light() {
        fence(SeqCst); // SeqCst: never reached, since `register` says no; a real fence does no harm.
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn who_is_let_in_is_reached() {
        assert_eq!(register(), heavy(), "the kernel knows both commands or neither");
        assert_eq!(register(), register(), "again is no error");
    }
}
