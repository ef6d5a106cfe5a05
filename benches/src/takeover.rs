//! From the death of an owner to its heir's having the lock.

use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use shmkit::{LockError, Objects, Slices};
use shmkit_benches::{Candidate, Group, Sample, Shared};
use shmkit_segment::Options;

use crate::pthread::PthreadMutex;

/// The most that we allow ourselves, in milliseconds.
const LIMIT: f64 = 20.0;
/// How long the heir sleeps before the owner is killed, at least: long enough for every slice to have its full length.
const SLEEP: Duration = Duration::from_millis(80);
/// Two slices: the kill falls at any moment of them.
const SPREAD: Duration = Duration::from_millis(64);
/// The golden ratio: the parts after the point of its multiples lie evenly between 0 and 1, however many there are.
const GOLDEN: f64 = 0.618_033_988_749_895;

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    Ok(vec![
        Group::new("death to takeover, by a waiter long asleep", 1, ours("Mutex", None))
            .against(robust()?)
            .fact_at_most("takeover, ms", LIMIT),
        Group::new(
            "death to takeover, slices of 1 ms",
            1,
            ours("Mutex", Some(Duration::from_millis(1))),
        )
        .against(robust()?)
        .fact_at_most("takeover, ms", LIMIT),
    ])
}

fn ours(name: &'static str, longest: Option<Duration>) -> Candidate<'static> {
    let mut rounds = 0..;
    Candidate::new(name, move |_| {
        let segment = Options::new(1 << 16).anonymous()?;
        let mutex = segment.mutex("mutex", 0_u64)?;
        takeover(
            rounds.next().unwrap_or(0),
            || {
                segment.join_after_fork()?;
                let guard = mutex.lock().map_err(|error| anyhow!("{error}"))?;
                std::mem::forget(guard);
                Ok(())
            },
            || {
                segment.join_after_fork()?;
                if let Some(longest) = longest {
                    Slices::set_longest(longest);
                }
                match mutex.lock() {
                    Err(LockError::OwnerDied(_)) => Ok(()),
                    Err(error) => Err(anyhow!("{error}")),
                    Ok(_) => Err(anyhow!("it was not told of the death")),
                }
            },
        )
    })
}

fn robust() -> Result<Candidate<'static>> {
    let mut rounds = 0..;
    Ok(Candidate::new("glibc robust process-shared", move |_| {
        let mutex = PthreadMutex::new(true)?;
        takeover(
            rounds.next().unwrap_or(0),
            || {
                ensure!(mutex.lock(), "pthread_mutex_lock failed");
                Ok(())
            },
            || {
                ensure!(mutex.lock_of_the_dead(), "pthread_mutex_lock did not tell of the death");
                Ok(())
            },
        )
    }))
}

/// What the processes share. All zero is fresh.
#[repr(C)]
struct Times {
    held: AtomicU32,
    /// When the heir had the lock, in nanoseconds since the director began.
    taken: AtomicU64,
}

/// Kills who has locked, when another has slept for it for a while, and returns how long that one then took. The kills
/// of the rounds, of which this is number `round`, spread evenly over the slices.
fn takeover(
    round: u32,
    lock: impl Fn() -> Result<()>,
    inherit: impl Fn() -> Result<()>,
) -> Result<Sample> {
    // SAFETY: atomic numbers.
    let times: Shared<Times> = unsafe { Shared::new() }?;
    let began = Instant::now();
    let owner = child(|| {
        lock()?;
        // Release: pairs with the Acquire below.
        times.held.store(1, Release);
        loop {
            nix::unistd::pause();
        }
    })?;
    // Acquire: pairs with the Release above.
    while times.held.load(Acquire) == 0 {
        std::thread::yield_now();
    }
    let heir = child(|| {
        inherit()?;
        // Release: pairs with the wait for the child's end.
        times.taken.store(began.elapsed().as_nanos() as u64, Release);
        Ok(())
    })?;
    std::thread::sleep(SLEEP + SPREAD.mul_f64((f64::from(round) * GOLDEN).fract()));
    let killed = began.elapsed();
    kill(owner, Signal::SIGKILL).context("kill")?;
    let status = waitpid(heir, None).context("waitpid")?;
    waitpid(owner, None).context("waitpid")?;
    ensure!(matches!(status, WaitStatus::Exited(_, 0)), "the heir ended with {status:?}");
    // Acquire: pairs with the Release above.
    let taken = Duration::from_nanos(times.taken.load(Acquire));
    let took = taken.saturating_sub(killed);
    Ok(Sample { took, facts: vec![("takeover, ms", took.as_secs_f64() * 1e3)] })
}

fn child(play: impl FnOnce() -> Result<()>) -> Result<Pid> {
    // SAFETY: the child plays and ends by `_exit`; the only other thread of this process is parked.
    if let ForkResult::Parent { child } = unsafe { fork() }.context("fork")? {
        return Ok(child);
    }
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    let status = match play() {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("a process of the benchmark: {error:#}");
            1
        }
    };
    // SAFETY: ends the child at once; it has nothing to clean up.
    unsafe { libc::_exit(status) }
}
