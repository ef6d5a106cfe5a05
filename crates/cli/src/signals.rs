//! The one place that hears signals: Ctrl-C, a request to end, a terminal that is gone.
//!
//! A thread of its own waits for them, and all others have them blocked: nothing is ever cut short in the middle. While
//! something is [tidied up after](tidily), a signal is only noted, and whoever does the work looks for it; at any other
//! time it ends the process at once. Either way the status is that of a shell: 128 and the signal's number.

use std::fmt;
use std::fs;
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::sys::signal::{SigSet, Signal};

/// What asks a program to end.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

static STATE: Mutex<State> = Mutex::new(State { tidying: false, seen: None });

struct State {
    /// Whether something would be left behind if the process ended now.
    tidying: bool,
    seen: Option<Signal>,
}

/// A signal ended what was being done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interrupted(Signal);

impl Interrupted {
    /// By Ctrl-C on a terminal that makes no signal of it.
    pub(crate) const BY_KEY: Self = Self(Signal::SIGINT);

    /// The exit status that says so.
    pub(crate) fn status(self) -> u8 {
        128 + self.0 as u8
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ended by {}", self.0)
    }
}

impl std::error::Error for Interrupted {}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hears signals from now on. To be called before any thread is started, which inherits what is blocked.
///
/// # Errors
///
/// If the thread that hears them cannot be started.
pub(crate) fn hear() -> anyhow::Result<()> {
    let signals = to_hear();
    signals.thread_block()?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        while let Ok(signal) = signals.wait() {
            let mut state = state();
            if !state.tidying {
                // The lock is kept: nobody begins what would have to be tidied up after.
                process::exit(Interrupted(signal).status().into());
            }
            state.seen.get_or_insert(signal);
        }
    })?;
    Ok(())
}

/// Does what must be tidied up after: no signal ends the process until `work` has come back.
///
/// # Errors
///
/// [`Interrupted`], if one would have; else those of `work`.
pub(crate) fn tidily<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    state().tidying = true;
    let done = work();
    let mut state = state();
    state.tidying = false;
    match state.seen.take() {
        Some(signal) => Err(Interrupted(signal).into()),
        None => done,
    }
}

/// Says whether a signal asks what is done [tidily] to come to its end.
///
/// # Errors
///
/// [`Interrupted`] if so.
pub(crate) fn look() -> Result<(), Interrupted> {
    state().seen.map_or(Ok(()), |signal| Err(Interrupted(signal)))
}

/// The signals to hear: without those that were ignored when we were started, as `nohup` has it. The kernel gives them
/// to who waits for them all the same.
fn to_hear() -> SigSet {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let heard = |signal: &Signal| ignored >> (*signal as i32 - 1) & 1 == 0;
    ENDING.into_iter().filter(heard).collect()
}
