//! Work between two processes or threads: a second one at the other end, started and ended outside the time measured.

use std::cell::Cell;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use crate::Shared;

/// The moment at which both are ready.
#[derive(Debug)]
pub struct Start<'a> {
    ready: &'a AtomicU32,
    at: Cell<Instant>,
}

impl<'a> Start<'a> {
    fn new(ready: &'a AtomicU32) -> Self {
        Self { ready, at: Cell::new(Instant::now()) }
    }

    /// Waits until both have called this: what comes after it is measured.
    pub fn together(&self) {
        // AcqRel: pairs with the Acquire below; what either did to prepare lies before.
        self.ready.fetch_add(1, AcqRel);
        // Acquire: pairs with the other's addition.
        while self.ready.load(Acquire) < 2 {
            std::hint::spin_loop();
        }
        self.at.set(Instant::now());
    }
}

/// Forks a child that runs `theirs` while this process runs `ours`, and returns how long `ours` took from the moment
/// at which the child was there.
///
/// # Errors
///
/// If either fails, or no child can be forked.
pub fn time_with_child(
    theirs: impl FnOnce() -> Result<()>,
    ours: impl FnOnce() -> Result<()>,
) -> Result<Duration> {
    time_processes(
        |start| {
            start.together();
            theirs()
        },
        |start| {
            start.together();
            ours()
        },
    )
}

/// Forks a child that runs `theirs` while this process runs `ours`, and returns how long `ours` took from the moment
/// at which both called [`Start::together`].
///
/// # Errors
///
/// If either fails, or no child can be forked.
pub fn time_processes(
    theirs: impl FnOnce(&Start<'_>) -> Result<()>,
    ours: impl FnOnce(&Start<'_>) -> Result<()>,
) -> Result<Duration> {
    // SAFETY: an atomic number.
    let ready: Shared<AtomicU32> = unsafe { Shared::new() }?;
    let start = Start::new(&ready);
    // SAFETY: the child runs `theirs` and ends by `_exit`; no other thread of this process holds a lock (the only one
    // is parked).
    match unsafe { fork() }.context("fork")? {
        ForkResult::Child => {
            let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
            let status = match theirs(&start) {
                Ok(()) => 0,
                Err(error) => {
                    eprintln!("the child: {error:#}");
                    1
                }
            };
            // SAFETY: ends the child at once; it has nothing to clean up.
            unsafe { libc::_exit(status) }
        }
        ForkResult::Parent { child } => {
            let done = ours(&start);
            let took = start.at.get().elapsed();
            if done.is_err() {
                let _ = nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL);
            }
            let status = waitpid(child, None).context("waitpid")?;
            done?;
            ensure!(matches!(status, WaitStatus::Exited(_, 0)), "the child ended with {status:?}");
            Ok(took)
        }
    }
}

/// As [`time_processes`], with a thread instead of a child: for peers that know no processes.
///
/// # Errors
///
/// If either fails, or no thread can be started.
pub fn time_threads(
    theirs: impl FnOnce(&Start<'_>) -> Result<()> + Send,
    ours: impl FnOnce(&Start<'_>) -> Result<()>,
) -> Result<Duration> {
    let ready = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().spawn_scoped(scope, || theirs(&Start::new(&ready)))?;
        let start = Start::new(&ready);
        ours(&start)?;
        let took = start.at.get().elapsed();
        thread.join().expect("it does not panic")?;
        Ok(took)
    })
}
