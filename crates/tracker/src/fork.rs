//! Forking with nothing but the call itself.

use nix::errno::Errno;

/// Forks without the program's own handlers, which do what a program needs that goes on in a child: they may join segments
/// there, or wait for locks. `None` in the child. Its end sends no signal, and only who asks for it by its number (`__WALL`)
/// reaps it: not what a program does that waits for all of its children.
///
/// # Safety
///
/// The child calls only what is safe in a signal handler, to its end: it is a copy of a process whose other threads, and
/// whatever they had locked, are gone.
pub(crate) unsafe fn fork() -> Result<Option<libc::pid_t>, Errno> {
    let no = 0_usize;
    // SAFETY: as `fork` does it: no new stack, nothing shared. The rest is the caller's word.
    let child = unsafe { libc::syscall(libc::SYS_clone, no, no, no, no, no) };
    Ok(match Errno::result(child)? {
        0 => None,
        child => Some(child as libc::pid_t),
    })
}
