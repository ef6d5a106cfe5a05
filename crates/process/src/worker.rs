//! The life of a process that was started to run a task.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use serde::Serialize;
use shmkit_parcel::{Incoming, Outgoing, Parcel, ParcelError};

use crate::mark::{Mark, stdin};
use crate::message::{ANSWER, ARRIVED, Answer, HELLO, Hello, MOST, PROTOCOL, Panic, START, Start};
use crate::task::{NotFound, Ran, Tasks, ran};

/// The exit status of a process whose task has panicked: that of any program that does.
const PANICKED: i32 = 101;

/// What this process was started as.
#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) daemon: bool,
    /// The other end: at its end, or the end of who has it.
    pub(crate) socket: UnixStream,
}

static ROLE: OnceLock<Role> = OnceLock::new();
/// That of a process that a nursery has forked, which has the nursery's as well.
static FORKED: OnceLock<Role> = OnceLock::new();

/// What this process was started as, if it was.
pub(crate) fn role() -> Option<&'static Role> {
    FORKED.get().or_else(|| ROLE.get())
}

fn set_role(role: Role) -> &'static Role {
    match ROLE.set(role) {
        Ok(()) => ROLE.get().expect("it was set a moment ago"),
        Err(role) => FORKED.get_or_init(|| role),
    }
}

thread_local! {
    /// What the last panic of the task's thread was.
    static PANIC: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Runs the task, answers, and ends the process.
pub(crate) fn run(mark: Mark) -> ! {
    match own_socket() {
        Ok(socket) => live(socket, mark.detached),
        Err(_) => leave(std::process::id(), 1),
    }
}

/// The same, with the socket that leads to who has started it.
pub(crate) fn live(socket: UnixStream, detached: bool) -> ! {
    let me = std::process::id();
    greet(me, &socket, detached);
    let Ok((START, mut parcel)) = Incoming::new(MOST).finish(&socket) else { leave(me, 1) };
    let Ok(start) = parcel.take::<Start>() else { leave(me, 1) };
    name_process(&start.task);
    let Start { name, daemon, task, print } = start;
    let role = set_role(Role { name, daemon, socket });

    let (answer, status) = answer(&task, print, &mut parcel, &role.socket);
    say_answer(me, answer, role);
    std::process::exit(status)
}

/// Runs a closure in a process that was forked, answers, and ends it.
pub(crate) fn run_here<T: Serialize>(
    socket: UnixStream,
    name: String,
    run: impl FnOnce() -> T,
) -> ! {
    let me = std::process::id();
    greet(me, &socket, false);
    let role = set_role(Role { name, daemon: false, socket });
    note_panics();
    // As in `answer`.
    let _ = Outgoing::new(ARRIVED, Parcel::new()).finish(&role.socket);
    let mut answer = Parcel::new();
    let ran = ran(&mut answer, run);
    let (packed, status) = packed(ran, &mut answer);
    say_answer(me, packed.map(|()| answer), role);
    let _ = std::io::Write::flush(&mut std::io::stdout());
    // The exit handlers are its parent's.
    // SAFETY: it does not return, and touches no memory.
    unsafe { libc::_exit(status) }
}

/// Says that this process is there, and sees to it that it ends with who has started it.
fn greet(me: u32, socket: &UnixStream, detached: bool) {
    if !detached {
        // SAFETY: two numbers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        // Who had died before that, signals nobody.
        if is_at_end(socket) {
            leave(me, 1);
        }
    }
    let mut hello = Parcel::new();
    let said = hello.add(&Hello { protocol: PROTOCOL, width: size_of::<usize>() as u8 });
    if said.is_err() || Outgoing::new(HELLO, hello).finish(socket).is_err() {
        leave(me, 1);
    }
}

/// Says what became of the task, in the process that was started for it.
fn say_answer(me: u32, answer: Result<Parcel, ParcelError>, role: &Role) {
    if std::process::id() != me {
        // A child that the task has forked, and that came back as well: its answer is nobody's.
        leave(me, 0);
    }
    if let Ok(answer) = answer {
        // Who started this may have died, or forgotten it: then nobody hears.
        let _ = Outgoing::new(ANSWER, answer).finish(&role.socket);
    }
}

/// Runs the task, and returns what to answer, with this process's exit status.
fn answer(
    task: &str,
    print: u64,
    parcel: &mut Parcel,
    socket: &UnixStream,
) -> (Result<Parcel, ParcelError>, i32) {
    let entry = match Tasks::all().find(print, task) {
        Ok(entry) => entry,
        Err(error) => return (only(&refusal(error)), 0),
    };
    note_panics();
    let mut arrived = || {
        // As above.
        let _ = Outgoing::new(ARRIVED, Parcel::new()).finish(socket);
    };
    let mut answer = Parcel::new();
    let ran = entry.run(parcel, &mut answer, &mut arrived);
    let (packed, status) = packed(ran, &mut answer);
    (packed.map(|()| answer), status)
}

/// Keeps what a panic says, for the answer, and has it said as usual.
fn note_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(note_panics_anew);
}

fn note_panics_anew() {
    let inner = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANIC.set(Some(told(info)));
        inner(info);
    }));
}

/// Runs something of many that this process does, and returns its panic if it panics.
pub fn catch<T>(run: impl FnOnce() -> T) -> Result<T, Panic> {
    note_panics();
    // Who calls says what is left half-changed.
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| PANIC.take().unwrap_or_default())
}

/// Packs what became of a task where its answer would be, and returns the exit status of a process that ran nothing else.
pub(crate) fn packed(ran: Ran, answer: &mut Parcel) -> (Result<(), ParcelError>, i32) {
    match ran {
        Ran::Returned => (Ok(()), 0),
        Ran::Panicked => {
            (answer.add(&Answer::Panicked(PANIC.take().unwrap_or_default())), PANICKED)
        }
        Ran::Undecodable(why) => (answer.add(&Answer::Undecodable(why)), 0),
        Ran::Unencodable(why) => (answer.add(&Answer::Unencodable(why)), 0),
    }
}

/// An answer with nothing behind it.
pub(crate) fn only(answer: &Answer) -> Result<Parcel, ParcelError> {
    let mut parcel = Parcel::new();
    parcel.add(answer)?;
    Ok(parcel)
}

/// Moves the socket away from the standard input, which is empty from then on.
fn own_socket() -> Result<UnixStream, Errno> {
    let number = fcntl(stdin(), FcntlArg::F_DUPFD_CLOEXEC(3))?;
    // SAFETY: the kernel has just made it for us.
    let socket = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(number) };
    let empty = open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    // SAFETY: two numbers; what 0 led to is ours, and nobody else in this process knows of it.
    Errno::result(unsafe { libc::dup2(empty.as_raw_fd(), 0) })?;
    Ok(socket.into())
}

/// Returns whether nobody has the other end of a socket.
pub(crate) fn is_at_end(socket: &UnixStream) -> bool {
    let mut asked = [PollFd::new(socket.as_fd(), PollFlags::empty())];
    let answered = poll(&mut asked, PollTimeout::ZERO);
    let gone = PollFlags::POLLHUP | PollFlags::POLLERR;
    answered.is_ok_and(|n| n > 0) && asked[0].revents().is_some_and(|found| found.intersects(gone))
}

/// Has lists of processes show the task's name, as much of it as the kernel keeps: its end, if it is long.
fn name_process(task: &str) {
    let task = task.rsplit("::").next().unwrap_or(task);
    if let Ok(name) = CString::new(task) {
        // SAFETY: text with a NUL at its end, of which the kernel copies 15 bytes.
        unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    }
}

fn told(info: &PanicHookInfo<'_>) -> Panic {
    let message =
        match (info.payload().downcast_ref::<&str>(), info.payload().downcast_ref::<String>()) {
            (Some(text), _) => (*text).to_owned(),
            (_, Some(text)) => text.clone(),
            _ => "something that is no text".to_owned(),
        };
    let at = info.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    let backtrace = match backtrace.status() {
        BacktraceStatus::Captured => backtrace.to_string(),
        _ => String::new(),
    };
    Panic { message, at, backtrace }
}

pub(crate) fn refusal(error: NotFound) -> Answer {
    match error {
        NotFound::Unknown(names) => Answer::Unknown(names.into_iter().map(Into::into).collect()),
        NotFound::Differs(signature) => Answer::Differs(signature.into()),
        NotFound::Twice(places) => Answer::Twice(places.map(Into::into)),
    }
}

/// Ends this process without a word: nobody would hear it. A forked child of the task runs no exit handlers of its parent's.
fn leave(me: u32, status: i32) -> ! {
    if std::process::id() == me {
        std::process::exit(status);
    }
    // SAFETY: it does not return, and touches no memory.
    unsafe { libc::_exit(status) }
}
