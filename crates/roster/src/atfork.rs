//! No fork in the middle of a join.
//!
//! While a description that holds locks also has a descriptor, a child forked at that moment would inherit it and keep
//! its parent alive for as long as it lives. So a join excludes forks: both take one lock, the fork in a handler of
//! [pthread_atfork(3)].
//!
//! Nothing under the lock allocates: an allocator whose own fork handlers come before ours would wait for us, and we
//! for it.
//!
//! No signal handler runs in a thread that has the lock, or that is about to take it or to give it back: it might fork.
//!
//! Who forgets a [`NoForks`] keeps the lock for ever. So both wait for seconds at most: a join fails then, and a fork takes
//! place beside whatever it is.
//!
//! What this does *not* see: a raw `clone` and `_Fork` run no handlers. A child made so during the microseconds of a
//! join, that neither executes nor exits, keeps its parent's place until it ends.
//!
//! [pthread_atfork(3)]: https://man7.org/linux/man-pages/man3/pthread_atfork.3.html

use core::cell::Cell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use std::io;
use std::time::Duration;

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::{AtomicPtr, AtomicU32, Deadline, futex};

use crate::{birth, person};

/// The join lock.
static LOCK: AtomicU32 = AtomicU32::new(FREE);

/// Nobody joins or forks.
const FREE: u32 = 0;
/// Some thread joins or forks.
const HELD: u32 = 1;
/// And another may sleep on the word.
const CONTENDED: u32 = 2;

/// How long a thread waits for others that join or fork, which takes them microseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// 1 when the handlers are registered.
static REGISTERED: AtomicU32 = AtomicU32::new(0);

/// What every forked child is to do, a `fn()`; or null.
static CHILD: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// How many forks this process is away from the first that registered the handlers.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// A process, to be told from its children: for what a child inherits and must leave alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Tells the children of a raw `clone`, which runs no handlers.
    pid: u32,
    /// Tells the others, even if a new PID namespace calls one by the same number.
    forks: u32,
}

impl Process {
    /// Returns the calling process.
    pub(crate) fn current() -> Self {
        // Relaxed: changed in a child alone, by its only thread.
        Self { pid: std::process::id(), forks: FORKS.load(Relaxed) }
    }
}

thread_local! {
    /// How often this thread holds the join lock. A fork keeps it, as the child's thread is a copy of ours.
    static DEPTH: Cell<u32> = const { Cell::new(0) };

    /// Whether `DEPTH` stands for the lock, and not for a fork that waited for it in vain.
    static HAS_LOCK: Cell<bool> = const { Cell::new(true) };

    /// The signals that were blocked before this thread took the join lock. Means nothing while `DEPTH` is 0.
    static MASK: Cell<Option<libc::sigset_t>> = const { Cell::new(None) };
}

unsafe extern "C" {
    // Not in the `libc` crate for Linux.
    fn pthread_atfork(
        prepare: extern "C" fn(),
        parent: extern "C" fn(),
        child: extern "C" fn(),
    ) -> libc::c_int;
}

/// For as long as it lives no thread of this process forks or joins, and no signal handler runs in this one.
///
/// For the microseconds in which a description that holds, or is about to hold, record locks has a descriptor.
/// A thread may hold it more than once, and let go in any order.
#[derive(Debug)]
#[must_use = "forks are held off only as long as this lives"]
pub struct NoForks {
    /// It belongs to the thread: `MASK` and `DEPTH` are the thread's.
    _thread: PhantomData<*const ()>,
}

impl NoForks {
    /// Waits until no thread joins or forks, and keeps it so.
    ///
    /// # Errors
    ///
    /// The handlers that forks need could not be registered: no memory. Or another thread joins or forks for seconds
    /// already: it has forgotten a `NoForks`, or what holds one.
    ///
    /// # If a peer dies
    ///
    /// The lock is this process's own.
    pub fn hold() -> io::Result<Self> {
        Self::hold_within(PATIENCE)
    }

    fn hold_within(patience: Duration) -> io::Result<Self> {
        register()?;
        if enter(patience) {
            return Ok(Self { _thread: PhantomData });
        }
        leave();
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "another thread of this process keeps forks and joins off: it has forgotten a guard (`NoForks`, `Removal`)",
        ))
    }
}

impl Drop for NoForks {
    fn drop(&mut self) {
        leave();
    }
}

/// Sets what every child that is forked from now on does in the thread that forked, before the call returns there: to
/// take places of its own, above all. It replaces what was set before.
///
/// In the parent the call returns when that is done, or the child has ended: what the parent lets go of after a fork, the child
/// has by then.
///
/// It runs as what follows a fork does: the other threads are gone, and what they held stays held. It must not panic.
///
/// # Errors
///
/// Those of [`NoForks::hold`].
pub fn in_every_child(run: Option<fn()>) -> io::Result<()> {
    register()?;
    let run = run.map_or(core::ptr::null_mut(), |run| run as *mut ());
    // Release: pairs with the Acquire in `child`, so that `run` sees what its caller did before.
    CHILD.store(run, Release);
    Ok(())
}

/// Blocks signals and takes the lock, if this thread has not; `false` if it was not to be had, but the signals are blocked.
fn enter(patience: Duration) -> bool {
    let depth = DEPTH.get();
    if depth > 0 {
        DEPTH.set(depth + 1);
        return HAS_LOCK.get();
    }
    // A handler that runs before this call has left again, whatever it did: `depth` is still right.
    let mask = block_signals();
    MASK.set(Some(mask));
    DEPTH.set(1);
    HAS_LOCK.set(take(patience));
    HAS_LOCK.get()
}

/// Takes the lock; `false` if it was not to be had.
fn take(patience: Duration) -> bool {
    // Acquire: pairs with the Release in `leave`.
    if LOCK.compare_exchange(FREE, HELD, Acquire, Relaxed).is_ok() {
        return true;
    }
    let deadline = Deadline::after(patience);
    // Acquire: as above. Whoever waited once leaves CONTENDED behind: others may still sleep.
    while LOCK.swap(CONTENDED, Acquire) != FREE {
        if deadline.has_passed() {
            return false;
        }
        futex::wait(&LOCK, CONTENDED, deadline);
    }
    true
}

/// Gives the lock back and lets signals in again, if this was the last hold.
fn leave() {
    let depth = DEPTH.get() - 1;
    DEPTH.set(depth);
    if depth > 0 {
        return;
    }
    // Release: pairs with the Acquire in `take`, so that the next thread sees what this one did.
    if HAS_LOCK.get() && LOCK.swap(FREE, Release) == CONTENDED {
        futex::wake(&LOCK, 1);
    }
    // The last step: a handler that runs from here on finds the lock not held, and may overwrite the mask.
    if let Some(mask) = MASK.get() {
        restore_signals(&mask);
    }
}

/// Registers the handlers once. Two threads may both do it: the lock nests.
fn register() -> io::Result<()> {
    // Relaxed, both: the handlers are the C library's from the moment its call returned, and it has its own lock.
    if REGISTERED.load(Relaxed) == 1 {
        return Ok(());
    }
    // SAFETY: three functions that live as long as this library, and do what is safe in a forking thread, and in a
    // signal handler that forks: atomics, futex, signal mask and descriptor calls, and thread-locals without destructors.
    let error = unsafe { pthread_atfork(prepare, parent, child) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    REGISTERED.store(1, Relaxed);
    Ok(())
}

extern "C" fn prepare() {
    enter(PATIENCE);
    // Relaxed: whoever sets it at this moment has this fork be one of those before or after.
    if !CHILD.load(Relaxed).is_null() {
        birth::expect();
    }
}

extern "C" fn parent() {
    birth::wait();
    leave();
}

extern "C" fn child() {
    // Relaxed: the child has one thread.
    FORKS.fetch_add(1, Relaxed);
    person::forget();
    if !HAS_LOCK.get() {
        // Whoever has the lock stayed behind. Release: as in `leave`.
        LOCK.store(FREE, Release);
    }
    leave();
    // Acquire: pairs with the Release in `in_every_child`.
    let run = CHILD.load(Acquire);
    if !run.is_null() {
        // SAFETY: not null, so it is a function that `in_every_child` stored.
        let run = unsafe { core::mem::transmute::<*mut (), fn()>(run) };
        run();
    }
    birth::done();
}

/// Blocks the signals whose handlers might fork, and returns the mask as it was. Those that a thread's own
/// instruction raises stay as they are: blocked, they would kill.
pub(crate) fn block_signals() -> libc::sigset_t {
    const OWN: [libc::c_int; 6] =
        [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: a place for a signal set, which the call fills.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    for signal in OWN {
        // SAFETY: filled above, and the numbers are signals.
        unsafe { libc::sigdelset(all.as_mut_ptr(), signal) };
    }
    let mut old = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: a filled set to read, and a place for one to write.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr()) };
    // SAFETY: the call writes it, and can fail only for an unknown first argument.
    unsafe { old.assume_init() }
}

pub(crate) fn restore_signals(mask: &libc::sigset_t) {
    // SAFETY: a set that `block_signals` got from the kernel; null asks for nothing back.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, core::ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::testing::in_child;

    #[test]
    fn holding_nests_and_a_child_has_it_free() {
        let outer = NoForks::hold().unwrap();
        let inner = NoForks::hold().unwrap();
        drop(inner);
        assert_ne!(LOCK.load(Relaxed), FREE);
        drop(outer);
        in_child(|| {
            assert_eq!(LOCK.load(Relaxed), FREE);
            drop(NoForks::hold().unwrap());
            assert_eq!(DEPTH.get(), 0);
        });
    }

    #[test]
    fn a_fork_waits_for_a_join() {
        let hold = NoForks::hold().unwrap();
        let fork = std::thread::spawn(|| {
            in_child(|| ());
            Instant::now()
        });
        // Not for order: a fork that does not wait has this long to show it.
        std::thread::sleep(Duration::from_millis(30));
        let released = Instant::now();
        drop(hold);
        assert!(fork.join().unwrap() > released);
    }

    fn blocked() -> bool {
        let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: null changes nothing; the place is for the mask.
        unsafe { libc::pthread_sigmask(0, core::ptr::null(), mask.as_mut_ptr()) };
        // SAFETY: written by the call.
        unsafe { libc::sigismember(mask.as_ptr(), libc::SIGALRM) == 1 }
    }

    /// What a handler did that ran in this process; 0 before.
    static HANDLED: AtomicU32 = AtomicU32::new(0);

    /// Notes the depth at which it runs, and how its child ended.
    extern "C" fn fork_in_a_handler(_: libc::c_int) {
        let depth = DEPTH.get();
        // SAFETY: the child ends at once.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let whole = DEPTH.get() == depth && !(depth == 0 && LOCK.load(Relaxed) != FREE);
            // SAFETY: ends the process without the parent's exit handlers.
            unsafe { libc::_exit(i32::from(!whole)) };
        }
        let mut status = 0;
        // SAFETY: our child, and a place for its status.
        let pid = unsafe { libc::waitpid(child, &raw mut status, 0) };
        let ended = child > 0 && pid == child && status == 0;
        HANDLED.store(if ended { 1 + depth } else { u32::MAX }, Relaxed);
    }

    #[test]
    fn a_handler_that_forks_runs_before_or_after_a_fork_and_not_within() {
        drop(NoForks::hold().unwrap());
        let handler = fork_in_a_handler as extern "C" fn(libc::c_int);
        // SAFETY: nothing else in these tests uses this signal; the handler does what handlers may do.
        let before = unsafe { libc::signal(libc::SIGUSR2, handler as libc::sighandler_t) };
        assert_ne!(before, libc::SIG_ERR);
        for leave in [parent, child] {
            HANDLED.store(0, Relaxed);
            prepare();
            assert!(blocked());
            // SAFETY: a signal to this thread, which handles it.
            assert_eq!(unsafe { libc::raise(libc::SIGUSR2) }, 0);
            assert_eq!(HANDLED.load(Relaxed), 0, "the lock is held");
            leave();
            assert_eq!(HANDLED.load(Relaxed), 1, "at depth 0, and the child was whole");
            assert!(!blocked());
        }
    }

    #[test]
    fn nobody_waits_for_ever_for_what_was_forgotten() {
        let patience = Duration::from_millis(20);
        // A process of its own: nobody can join here any more.
        in_child(|| {
            std::thread::spawn(|| core::mem::forget(NoForks::hold().unwrap())).join().unwrap();
            for _ in 0..2 {
                let error = NoForks::hold_within(patience).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                assert!(!blocked());
                // What a fork does, on both sides.
                assert!(!enter(patience));
                parent();
                assert!(!blocked());
            }
            assert!(!enter(patience));
            child();
            assert!(!blocked());
            drop(NoForks::hold_within(patience).unwrap());
        });
    }

    #[test]
    fn guards_are_dropped_in_any_order() {
        let outer = NoForks::hold().unwrap();
        let inner = NoForks::hold().unwrap();
        drop(outer);
        assert!(blocked(), "the lock is still held");
        assert_ne!(LOCK.load(Relaxed), FREE);
        drop(inner);
        assert!(!blocked());
    }

    #[test]
    fn signals_are_blocked_and_back_again() {
        assert!(!blocked());
        let hold = NoForks::hold().unwrap();
        assert!(blocked());
        let inner = NoForks::hold().unwrap();
        drop(inner);
        assert!(blocked());
        drop(hold);
        assert!(!blocked());
    }
}
