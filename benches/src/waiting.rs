//! Waiting for each other, there and back: both sides sleep.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use shmkit::Objects;
use shmkit_benches::{Candidate, Group, Shared, time_with_child};
use shmkit_segment::{Options, Segment};

use crate::futex;
use crate::pthread::{PthreadBarrier, PthreadSemaphore};

/// Round trips of a sample.
const TRIPS: u32 = 1500;

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    Ok(vec![
        Group::new("blocking ping-pong: events", TRIPS, events()?)
            .at_most(1.15, bare("bare futex")?)
            .against(semaphores_of_posix()?),
        Group::new("blocking ping-pong: counting semaphores", TRIPS, counting()?)
            .at_most(1.15, bare("bare futex")?)
            .against(semaphores_of_posix()?),
        Group::new("barrier of two", TRIPS, barrier()?).against(barrier_of_posix()?),
    ])
}

fn segment() -> Result<&'static Segment> {
    Ok(Options::new(1 << 16).participants(1024).anonymous()?.leak())
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
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

fn events() -> Result<Candidate<'static>> {
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

fn counting() -> Result<Candidate<'static>> {
    let segment = segment()?;
    let semaphores =
        [segment.counting_semaphore("ping", 0)?, segment.counting_semaphore("pong", 0)?];
    Ok(Candidate::new("CountingSemaphore", move |trips| {
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

fn semaphores_of_posix() -> Result<Candidate<'static>> {
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
