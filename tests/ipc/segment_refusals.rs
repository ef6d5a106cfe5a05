//! The system refuses one call, whichever: a process that makes, opens or leaves a segment gets an error that says so, and
//! leaves nothing behind.
//!
//! A child is driven from system call to system call ([ptrace(2)]); the *k*-th that may be refused so is not carried out,
//! and answers with the error. Then the next child, up to *k* + 1.
//!
//! [ptrace(2)]: https://man7.org/linux/man-pages/man2/ptrace.2.html
#![cfg(target_arch = "x86_64")]

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options as Tracing};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use shmkit_roster::Verdict;
use shmkit_segment::{
    ErrorKind, Leave, ObjectError, ObjectErrorKind, OpenOptions, RemoveOutcome, SegmentError,
};
use shmkit_tests::directory::{Spec, Words};
use shmkit_tests::growth::Sparse;
use shmkit_tests::segment::small;

use crate::segment::directory;

/// More calls than any of the operations makes.
const MANY: u32 = 200;

/// What the child says by its status: it got through, it got the right error, or one of another kind.
const THROUGH: i32 = 0;
const REFUSED: i32 = 1;
const ASTRAY: i32 = 2;

/// How an operation fails.
#[derive(Debug)]
enum Failed {
    Segment(SegmentError),
    Object(ObjectError),
}

impl From<SegmentError> for Failed {
    fn from(error: SegmentError) -> Self {
        Self::Segment(error)
    }
}

impl From<ObjectError> for Failed {
    fn from(error: ObjectError) -> Self {
        Self::Object(error)
    }
}

impl Failed {
    /// Returns whether it says of itself what it is to say.
    fn says(&self, errno: Errno) -> bool {
        match self {
            Self::Segment(error) => kind(errno) == Some(error.kind()),
            Self::Object(error) => {
                matches!(errno, Errno::ENOSPC | Errno::ENOMEM)
                    && error.kind() == ObjectErrorKind::NoRoom
            }
        }
    }
}

/// What an error is to say of itself.
fn kind(errno: Errno) -> Option<ErrorKind> {
    match errno {
        Errno::ENOSPC => Some(ErrorKind::NoSpace),
        Errno::EMFILE => Some(ErrorKind::TooManyFiles),
        Errno::ENOMEM | Errno::ENOLCK => Some(ErrorKind::NoMemory),
        // It is called again.
        _ => None,
    }
}

/// Returns whether the kernel may answer this call with this error.
fn may_fail(call: &libc::user_regs_struct, errno: Errno) -> bool {
    let number = call.orig_rax.cast_signed();
    let is = |calls: &[libc::c_long]| calls.contains(&number);
    let has = |flags: u64, flag: libc::c_int| flags & flag as u64 == flag as u64;
    let opens = is(&[libc::SYS_open, libc::SYS_openat, libc::SYS_memfd_create]);
    let makes = number == libc::SYS_openat && has(call.rdx, libc::O_TMPFILE);
    match errno {
        Errno::EMFILE => opens,
        Errno::ENOSPC => makes || is(&[libc::SYS_fallocate, libc::SYS_linkat]),
        Errno::EINTR => opens || is(&[libc::SYS_fallocate, libc::SYS_getrandom, libc::SYS_futex]),
        Errno::ENOLCK => number == libc::SYS_fcntl && call.rsi == libc::F_OFD_SETLK as u64,
        _ => {
            let looks = is(&[libc::SYS_newfstatat]) && !has(call.r10, libc::AT_EMPTY_PATH);
            let names = is(&[libc::SYS_linkat, libc::SYS_unlinkat, libc::SYS_readlink]);
            let maps = is(&[libc::SYS_mmap, libc::SYS_madvise, libc::SYS_fallocate]);
            opens || looks || names || maps
        }
    }
}

/// What a child prepares, and then does while it is driven.
type Scene<'s> = dyn Fn() -> Box<dyn FnOnce() -> Result<(), Failed> + 's> + 's;

/// What became of a child of which a call was refused.
struct End {
    errno: Errno,
    /// The call's number.
    call: u64,
    /// Which in the row it was.
    nth: u32,
    status: i32,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { errno, call, nth, status } = self;
        write!(
            f,
            "status {status} after call {call}, refusable number {nth}, was refused with {errno:?}"
        )
    }
}

/// Has a child do it, of whose calls the `nth` that may be is refused; `None` if it makes no more.
fn refuse(nth: u32, errno: Errno, scene: &Scene<'_>) -> Option<End> {
    // SAFETY: the child runs the scene and ends by `_exit`; glibc's malloc is usable in it, and the scene uses no lock that
    // another test's thread might hold.
    let child = match unsafe { fork() }.unwrap() {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let ended = catch_unwind(AssertUnwindSafe(|| {
                let act = scene();
                ptrace::traceme().unwrap();
                raise(Signal::SIGSTOP).unwrap();
                act()
            }));
            let status = match ended {
                Ok(Ok(())) => THROUGH,
                Ok(Err(error)) if error.says(errno) => REFUSED,
                Ok(Err(error)) => {
                    eprintln!("{errno:?} became {error:?}");
                    ASTRAY
                }
                Err(_) => ASTRAY,
            };
            // SAFETY: ends the process at once, without the parent's exit handlers.
            unsafe { libc::_exit(status) }
        }
    };
    assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Stopped(child, Signal::SIGSTOP));
    ptrace::setoptions(child, Tracing::PTRACE_O_EXITKILL | Tracing::PTRACE_O_TRACESYSGOOD).unwrap();
    let mut seen = 0;
    let mut refused = None;
    let status = loop {
        let at_exit = match stop(child) {
            Ok(()) => {
                let call = ptrace::getregs(child).unwrap();
                let is_refused = refused.is_none() && may_fail(&call, errno) && {
                    seen += 1;
                    seen == nth
                };
                if is_refused {
                    refused = Some(call.orig_rax);
                    set(child, |regs| regs.orig_rax = u64::MAX);
                }
                is_refused
            }
            Err(status) => break status,
        };
        match stop(child) {
            Ok(()) if at_exit => {
                set(child, |regs| regs.rax = (-i64::from(errno as i32)).cast_unsigned());
            }
            Ok(()) => {}
            Err(status) => break status,
        }
    };
    refused.map(|call| End { errno, call, nth, status })
}

/// Lets a child run to where it enters or leaves a system call, or to its end, whose status it returns then.
fn stop(child: Pid) -> Result<(), i32> {
    let mut signal = None;
    loop {
        ptrace::syscall(child, signal).unwrap();
        match waitpid(child, None).unwrap() {
            WaitStatus::PtraceSyscall(_) => return Ok(()),
            WaitStatus::Exited(_, status) => return Err(status),
            // A signal is the child's own business.
            WaitStatus::Stopped(_, its) => signal = Some(its),
            WaitStatus::Signaled(..) => return Err(ASTRAY),
            other => panic!("{other:?}"),
        }
    }
}

fn set(child: Pid, change: impl FnOnce(&mut libc::user_regs_struct)) {
    let mut regs = ptrace::getregs(child).unwrap();
    change(&mut regs);
    ptrace::setregs(child, regs).unwrap();
}

/// Refuses one call after the other; `after` looks at what is left each time.
fn each(errno: Errno, scene: &Scene<'_>, after: &dyn Fn(&End)) {
    for nth in 1..MANY {
        let Some(end) = refuse(nth, errno, scene) else {
            assert!(nth > 1 || errno == Errno::EINTR, "nothing can be refused with {errno:?}");
            return;
        };
        assert_ne!(end.status, ASTRAY, "{end}");
        after(&end);
    }
    panic!("it never ends");
}

const REFUSALS: [Errno; 5] =
    [Errno::ENOSPC, Errno::EMFILE, Errno::ENOMEM, Errno::EINTR, Errno::ENOLCK];

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().next().is_none()
}

#[test]
fn whichever_call_is_refused_what_is_not_made_leaves_nothing() {
    let directory = directory();
    let options = small(directory.path());
    let create = || -> Box<dyn FnOnce() -> Result<(), Failed>> {
        let options = options.clone();
        Box::new(move || Ok(options.create("it").map(std::mem::forget)?))
    };
    let open = OpenOptions::new().directory(directory.path());
    for errno in REFUSALS {
        each(errno, &create, &|end| {
            if end.status == THROUGH {
                // It ended without leaving.
                assert_eq!(open.remove_if_dead("it").unwrap(), RemoveOutcome::Removed, "{end}");
            }
            assert!(is_empty(directory.path()), "{end}");
        });
        let _ = open.remove_if_dead("it");
    }
}

#[test]
fn whichever_call_is_refused_who_does_not_join_leaves_the_segment_whole() {
    let directory = directory();
    let ours = small(directory.path()).create("it").unwrap();
    let open = OpenOptions::new().directory(directory.path());
    let attach = || -> Box<dyn FnOnce() -> Result<(), Failed>> {
        let open = open.clone();
        Box::new(move || Ok(open.open("it").map(std::mem::forget)?))
    };
    for errno in &REFUSALS[1..] {
        each(*errno, &attach, &|end| {
            let them = ours.participant().roster().participants(ours.file().unwrap());
            let alive = them.iter().filter(|them| them.verdict == Verdict::Alive).count();
            assert_eq!((alive, ours.is_linked()), (1, true), "{end}");
        });
    }
}

#[test]
fn whichever_call_is_refused_a_segment_that_does_not_grow_is_what_it_was() {
    let directory = directory();
    let options = small(directory.path()).max(16 << 20);
    // Memory at its beginning, and at its end.
    let spec = (100_000, 40_000);
    let grow = || -> Box<dyn FnOnce() -> Result<(), Failed>> {
        let segment = options.create("it").unwrap();
        let _: Words = segment.make("before", Spec::new(8, 3)).unwrap();
        Box::new(move || {
            let made = segment.make::<Sparse>("large", spec).map(std::mem::forget);
            std::mem::forget(segment);
            Ok(made?)
        })
    };
    let open = OpenOptions::new().directory(directory.path());
    let blocks = |path: &Path| std::fs::metadata(path).unwrap().blocks();
    let segment = options.create("it").unwrap();
    let _: Words = segment.make("before", Spec::new(8, 3)).unwrap();
    let (len, memory) = (segment.len(), blocks(segment.path().unwrap()));
    drop(segment);
    for errno in [Errno::ENOSPC, Errno::ENOMEM, Errno::EINTR] {
        each(errno, &grow, &|end| {
            // It ended without leaving.
            let segment = open.open("it").unwrap();
            if end.status == REFUSED {
                assert_eq!((segment.len(), segment.objects().unwrap().len()), (len, 1), "{end}");
                assert_eq!(blocks(segment.path().unwrap()), memory, "{end}: nothing was lost");
            }
            let large: Sparse = segment.object("large", spec).unwrap();
            large.grow(100_000).unwrap();
            assert!(large.are(0, 0) && segment.find::<Words>("before").unwrap().are(3), "{end}");
        });
        let _ = open.remove_if_dead("it");
    }
}

#[test]
fn whichever_call_is_refused_the_last_one_out_removes_the_name_or_says_why_not() {
    let directory = directory();
    let options = small(directory.path());
    let leave = || -> Box<dyn FnOnce() -> Result<(), Failed>> {
        let segment = options.create("it").unwrap();
        Box::new(move || Ok(segment.leave().map(|left| assert_eq!(left, Leave::Removed))?))
    };
    let open = OpenOptions::new().directory(directory.path());
    for errno in &REFUSALS[1..] {
        each(*errno, &leave, &|end| {
            if end.status != THROUGH {
                assert_eq!(open.remove_if_dead("it").unwrap(), RemoveOutcome::Removed, "{end}");
            }
            assert!(is_empty(directory.path()), "{end}");
        });
    }
}
