//! How a call ended, as a number and in words.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use shmkit::{ObjectError, ObjectErrorKind};

/// How a call ended. What is above 0 and below 10 has given what was asked for, and has something to say beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum shmkit_status {
    /// It was done.
    Ok = 0,
    /// The lock is held, and was taken from somebody who died: what it guards may be half changed. Make it good, and say so by the
    /// function whose name ends in `_make_consistent`; unlocked without, the next one is told `NOT_RECOVERABLE`.
    OwnerDied = 1,
    /// The lock is held; somebody inherited it from the dead and gave up on what it guards.
    NotRecoverable = 2,
    /// The lock is held; a thread of a Rust program panicked while it held it.
    Poisoned = 3,
    /// It did not come about in the time that was given.
    TimedOut = 10,
    /// There is nothing of this name.
    NotFound = 11,
    /// There is something of this name already.
    Exists = 12,
    /// An argument is none: a null pointer, a name that is no UTF-8, a number out of range, an object of another kind or type.
    Invalid = 13,
    /// The buffer is too short for what is there, which is still there; the length was told.
    TooShort = 14,
    /// What is to be put is longer than there can ever be room for.
    TooLong = 15,
    /// The other side has ended in good order, or the queue was closed: there is nothing more.
    Closed = 16,
    /// Somebody died whom this depends on.
    PeerDied = 17,
    /// The barrier is broken, or the wait was told to stop.
    Aborted = 18,
    /// This process does not hold what it wants to give back.
    NotOwner = 19,
    /// This thread would wait for itself.
    Deadlock = 20,
    /// Somebody else has it: the end of a pipe.
    Busy = 21,
    /// The system does not allow it.
    Denied = 22,
    /// There is no memory, no room in the segment, or no room where segments are.
    NoSpace = 23,
    /// What lies in shared memory is none: another program has written there.
    Corrupt = 24,
    /// Something else; the text says what.
    Other = 25,
    /// A defect of the library itself. Nothing is known of what was to be done.
    Internal = 26,
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: shmkit_status,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(status: shmkit_status, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::new(shmkit_status::Invalid, text)
    }
}

/// Every error of ours is one of `io`, whose kind says what it is.
impl<E: Into<io::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let status = match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => shmkit_status::TimedOut,
            ErrorKind::NotFound => shmkit_status::NotFound,
            ErrorKind::AlreadyExists => shmkit_status::Exists,
            ErrorKind::InvalidInput => shmkit_status::Invalid,
            ErrorKind::BrokenPipe => shmkit_status::Closed,
            ErrorKind::ConnectionReset => shmkit_status::PeerDied,
            ErrorKind::ConnectionAborted | ErrorKind::Interrupted => shmkit_status::Aborted,
            ErrorKind::Deadlock => shmkit_status::Deadlock,
            ErrorKind::ResourceBusy => shmkit_status::Busy,
            ErrorKind::PermissionDenied => shmkit_status::Denied,
            ErrorKind::OutOfMemory | ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                shmkit_status::NoSpace
            }
            // It is what another one asked for.
            ErrorKind::InvalidData if is_of_another_type(&error) => shmkit_status::Invalid,
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => shmkit_status::Corrupt,
            _ => shmkit_status::Other,
        };
        Self { status, text: in_full(&error) }
    }
}

fn is_of_another_type(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ObjectError>());
    inner.is_some_and(|error| error.kind() == ObjectErrorKind::WrongShape)
}

/// An error with all its sources, none of which repeats another.
fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

thread_local! {
    /// What went wrong last in this thread.
    static LAST: RefCell<Option<CString>> = const { RefCell::new(None) };
}

/// Does what a function of C is to do. Nothing unwinds into C.
pub(crate) fn call(work: impl FnOnce() -> Result<shmkit_status, Failure>) -> shmkit_status {
    let done = catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(Failure::new(shmkit_status::Internal, said(&*panic))));
    match done {
        Ok(status) => status,
        Err(Failure { status, text }) => {
            // There is no NUL in a text of ours; of a name that had one, the rest is left out.
            let text = text.split('\0').next().unwrap_or_default();
            // A thread that is ending has none any more.
            let _ = LAST.try_with(|last| *last.borrow_mut() = CString::new(text).ok());
            status
        }
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}

/// Returns what went wrong in the last call of this thread that failed, in words: what was found, what was expected, and what to
/// do. Valid until the next call that fails. Null if none has.
#[unsafe(no_mangle)]
pub extern "C" fn shmkit_last_error() -> *const c_char {
    let text =
        LAST.try_with(|last| last.borrow().as_ref().map_or(ptr::null(), |text| text.as_ptr()));
    text.unwrap_or(ptr::null())
}

/// Returns a status in words: for a number that is none, too.
#[unsafe(no_mangle)]
pub extern "C" fn shmkit_status_text(status: i32) -> *const c_char {
    let text = match status {
        0 => c"done",
        1 => c"held, taken from a dead owner",
        2 => c"held, given up on by an heir",
        3 => c"held, poisoned by a panic",
        10 => c"timed out",
        11 => c"not found",
        12 => c"exists already",
        13 => c"invalid argument",
        14 => c"buffer too short",
        15 => c"too long",
        16 => c"closed",
        17 => c"a peer died",
        18 => c"aborted",
        19 => c"not the owner",
        20 => c"would deadlock",
        21 => c"busy",
        22 => c"permission denied",
        23 => c"no space",
        24 => c"corrupt",
        25 => c"failed",
        26 => c"a defect of the library",
        _ => c"unknown status",
    };
    text.as_ptr()
}
