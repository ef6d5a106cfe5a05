//! Waiting for each other, there and back: both sides sleep.

use std::hint::black_box;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use shmkit::{Count, CountingSemaphore, Objects};
use shmkit_benches::{Candidate, Group, Shared, time_with_child};
use shmkit_segment::{Options, Segment};

use crate::futex;
use crate::pthread::{PthreadBarrier, PthreadCondvar, PthreadMutex, PthreadSemaphore};

/// Round trips of a sample.
const TRIPS: u32 = 1500;

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    Ok(vec![
        Group::new("blocking ping-pong: events", TRIPS, events()?)
            .at_most(1.15, bare("bare futex")?)
            .against(semaphores_of_posix()?),
        Group::new("blocking ping-pong: counting semaphores", TRIPS, semaphores()?)
            .at_most(1.15, bare("bare futex")?)
            .against(semaphores_of_posix()?),
        Group::new("blocking ping-pong: condition variables", TRIPS, condvars()?)
            .against(condvars_of_posix()?),
        Group::new("uncontended acquire + release: Semaphore", 100_000, owned()?)
            .against(uncontended_of_posix()?),
        Group::new("uncontended acquire + release: CountingSemaphore", 100_000, uncontended()?)
            .against(uncontended_of_posix()?),
        Group::new("barrier of two", TRIPS, barrier()?).against(barrier_of_posix()?),
    ])
}

pub(crate) fn segment() -> Result<&'static Segment> {
    Ok(Options::new(1 << 16).participants(1024).anonymous()?.leak())
}

pub(crate) fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("{error}")
}

/// Two sides that call each other: `call(n)` wakes side n, `wait(n)` is what it waits by.
fn ping_pong(
    trips: u32,
    join: impl Fn() -> Result<()>,
    call: impl Fn(usize) -> Result<()>,
    wait: impl Fn(usize) -> Result<()>,
) -> Result<Duration> {
    time_with_child(
        || {
            join()?;
            for _ in 0..trips {
                wait(1)?;
                call(0)?;
            }
            Ok(())
        },
        || {
            for _ in 0..trips {
                call(1)?;
                wait(0)?;
            }
            Ok(())
        },
    )
}

pub(crate) fn events() -> Result<Candidate<'static>> {
    let segment = segment()?;
    let events = [segment.event("ping")?, segment.event("pong")?];
    Ok(Candidate::new("Event", move |trips| {
        ping_pong(
            trips,
            || Ok(segment.join_after_fork().map(|_| ())?),
            |side| events[side].set().map_err(failed),
            |side| {
                events[side].wait().map_err(failed)?;
                events[side].clear().map_err(failed)
            },
        )
    }))
}

fn semaphores() -> Result<Candidate<'static>> {
    counting("CountingSemaphore", Count::unbounded(0))
}

/// Two of a kind, of value 0 when it begins.
pub(crate) fn counting(name: &'static str, count: Count) -> Result<Candidate<'static>> {
    let segment = segment()?;
    let semaphores = [
        segment.object::<CountingSemaphore>("ping", count)?,
        segment.object::<CountingSemaphore>("pong", count)?,
    ];
    for semaphore in &semaphores {
        while semaphore.try_acquire().is_ok() {}
    }
    Ok(Candidate::new(name, move |trips| {
        ping_pong(
            trips,
            || Ok(segment.join_after_fork().map(|_| ())?),
            |side| semaphores[side].release(1).map_err(failed),
            |side| semaphores[side].acquire().map_err(failed),
        )
    }))
}

/// A word for each side: 1 is a call, which the side takes back.
fn bare(name: &'static str) -> Result<Candidate<'static>> {
    #[repr(align(128))]
    struct Line(AtomicU32);
    // SAFETY: atomic numbers.
    let words: Shared<[Line; 2]> = unsafe { Shared::new() }?;
    Ok(Candidate::new(name, move |trips| {
        ping_pong(
            trips,
            || Ok(()),
            |side| {
                // Release: pairs with the Acquire of the other side.
                words[side].0.store(1, Release);
                futex::wake(&words[side].0);
                Ok(())
            },
            |side| {
                let word = &words[side].0;
                // Acquire: pairs with the Release above.
                while word.swap(0, Acquire) == 0 {
                    futex::wait(word, 0);
                }
                Ok(())
            },
        )
    }))
}

/// A number says whose turn it is, 0 or 1.
fn condvars() -> Result<Candidate<'static>> {
    let segment = segment()?;
    let turn = segment.mutex("turn", 0_u64)?;
    let changed = [segment.condvar("ping")?, segment.condvar("pong")?];
    let side = move |me: u64, trips: u32| -> Result<()> {
        for _ in 0..trips {
            let guard = turn.lock().map_err(failed)?;
            let mine = changed[me as usize].wait_while(guard, |turn| *turn != me);
            let mut turn = mine.map_err(failed)?;
            *turn = 1 - me;
            changed[1 - me as usize].notify_one(&turn).map_err(failed)?;
        }
        Ok(())
    };
    Ok(Candidate::new("Condvar", move |trips| {
        let other = || {
            segment.join_after_fork()?;
            side(1, trips)
        };
        time_with_child(other, || side(0, trips))
    }))
}

fn condvars_of_posix() -> Result<Candidate<'static>> {
    let mutex = PthreadMutex::new(false)?;
    let changed = [PthreadCondvar::new()?, PthreadCondvar::new()?];
    // SAFETY: an atomic number.
    let turn: Shared<AtomicU32> = unsafe { Shared::new() }?;
    Ok(Candidate::new("pthread_cond_t", move |trips| {
        let side = |me: u32| -> Result<()> {
            for _ in 0..trips {
                ensure!(mutex.lock(), "pthread_mutex_lock failed");
                // Relaxed: under the lock.
                while turn.load(Relaxed) != me {
                    ensure!(changed[me as usize].wait(&mutex), "pthread_cond_wait failed");
                }
                turn.store(1 - me, Relaxed);
                ensure!(changed[1 - me as usize].signal(), "pthread_cond_signal failed");
                ensure!(mutex.unlock(), "pthread_mutex_unlock failed");
            }
            Ok(())
        };
        time_with_child(|| side(1), || side(0))
    }))
}

fn owned() -> Result<Candidate<'static>> {
    let semaphore = segment()?.semaphore("semaphore", 3)?;
    Ok(Candidate::new("Semaphore", move |n| {
        let began = Instant::now();
        for _ in 0..n {
            drop(black_box(&semaphore).acquire().map_err(failed)?);
        }
        Ok(began.elapsed())
    }))
}

fn uncontended() -> Result<Candidate<'static>> {
    let semaphore = segment()?.counting_semaphore("semaphore", 3)?;
    Ok(Candidate::new("CountingSemaphore", move |n| {
        let began = Instant::now();
        for _ in 0..n {
            black_box(&semaphore).acquire().map_err(failed)?;
            semaphore.release(1).map_err(failed)?;
        }
        Ok(began.elapsed())
    }))
}

fn uncontended_of_posix() -> Result<Candidate<'static>> {
    let semaphore = PthreadSemaphore::new()?;
    Ok(Candidate::new("sem_t", move |n| {
        let began = Instant::now();
        for _ in 0..n {
            let semaphore = black_box(&semaphore);
            ensure!(semaphore.post() && semaphore.wait(), "sem_post or sem_wait failed");
        }
        Ok(began.elapsed())
    }))
}

pub(crate) fn semaphores_of_posix() -> Result<Candidate<'static>> {
    let semaphores = [PthreadSemaphore::new()?, PthreadSemaphore::new()?];
    Ok(Candidate::new("sem_t", move |trips| {
        ping_pong(
            trips,
            || Ok(()),
            |side| {
                ensure!(semaphores[side].post(), "sem_post failed");
                Ok(())
            },
            |side| {
                ensure!(semaphores[side].wait(), "sem_wait failed");
                Ok(())
            },
        )
    }))
}

fn barrier() -> Result<Candidate<'static>> {
    let segment = segment()?;
    let barrier = segment.barrier("barrier", 2)?;
    Ok(Candidate::new("Barrier", move |trips| {
        time_with_child(
            || {
                segment.join_after_fork()?;
                (0..trips).try_for_each(|_| barrier.wait().map(drop).map_err(failed))
            },
            || (0..trips).try_for_each(|_| barrier.wait().map(drop).map_err(failed)),
        )
    }))
}

fn barrier_of_posix() -> Result<Candidate<'static>> {
    let barrier = PthreadBarrier::new(2)?;
    Ok(Candidate::new("pthread_barrier_t", move |trips| {
        let wait = |_| {
            ensure!(barrier.wait(), "pthread_barrier_wait failed");
            Ok(())
        };
        time_with_child(|| (0..trips).try_for_each(wait), || (0..trips).try_for_each(wait))
    }))
}
