//! Work between two processes: a forked child at the other end, started and ended outside the time measured.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use crate::Shared;

/// Forks a child that runs `theirs` while this process runs `ours`, and returns how long `ours` took from the moment
/// at which both were ready.
///
/// # Errors
///
/// If either fails, or no child can be forked.
pub fn time_with_child(
    theirs: impl FnOnce() -> Result<()>,
    ours: impl FnOnce() -> Result<()>,
) -> Result<Duration> {
    // SAFETY: an atomic number.
    let ready: Shared<AtomicU32> = unsafe { Shared::new() }?;
    // SAFETY: the child runs `theirs` and ends by `_exit`; no other thread of this process holds a lock (the only one
    // is parked).
    match unsafe { fork() }.context("fork")? {
        ForkResult::Child => {
            let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
            // Release: pairs with the Acquire below; the child's start-up lies before.
            ready.store(1, Release);
            let status = match theirs() {
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
            // Acquire: pairs with the child's Release.
            while ready.load(Acquire) == 0 {
                std::hint::spin_loop();
            }
            let began = Instant::now();
            let done = ours();
            let took = began.elapsed();
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
