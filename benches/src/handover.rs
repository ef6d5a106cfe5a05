//! Handing over by sleeping and waking, where the other side can run at the same time and where it cannot.

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use shmkit::{Count, Objects};
use shmkit_benches::{Candidate, Group, time_processes};

use crate::pthread::PthreadSemaphore;
use crate::waiting::{counting, events, failed, segment, semaphores_of_posix};

/// Round trips of a sample.
const TRIPS: u32 = 1500;
/// The most that we take of a `sem_t`'s time.
const LIMIT: f64 = 1.3;

/// The groups' names, on one processor and on two.
const NAMES: [[&str; 4]; 2] = [
    [
        "waiting: ping-pong of semaphores, one processor",
        "waiting: ping-pong of bounded semaphores, one processor",
        "waiting: ping-pong of events, one processor",
        "waiting: ping-pong of held permits, one processor",
    ],
    [
        "waiting: ping-pong of semaphores, two processors",
        "waiting: ping-pong of bounded semaphores, two processors",
        "waiting: ping-pong of events, two processors",
        "waiting: ping-pong of held permits, two processors",
    ],
];

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    let mut groups = Vec::new();
    for ([unbounded, bounded, event, held], processors) in NAMES.into_iter().zip(1..) {
        let all = [
            (
                unbounded,
                counting("CountingSemaphore", Count::unbounded(0))?,
                semaphores_of_posix()?,
            ),
            (bounded, counting("bounded", Count::bounded(1))?, semaphores_of_posix()?),
            (event, events()?, semaphores_of_posix()?),
            (held, permits()?, permits_of_posix()?),
        ];
        groups.extend(all.into_iter().map(|(name, ours, posix)| {
            Group::new(name, TRIPS, on(processors, ours)).at_most(LIMIT, on(processors, posix))
        }));
    }
    Ok(groups)
}

/// The same, with so many processors allowed to it and to its children.
fn on(processors: usize, candidate: Candidate<'static>) -> Candidate<'static> {
    candidate.within(move |run| {
        let this = Pid::from_raw(0);
        let all = sched_getaffinity(this).context("sched_getaffinity")?;
        let allowed = (0..CpuSet::count()).filter(|&at| all.is_set(at).unwrap_or(false));
        let few: Vec<usize> = allowed.take(processors).collect();
        ensure!(few.len() == processors, "only {} processors are allowed", few.len());
        let mut set = CpuSet::new();
        few.into_iter().try_for_each(|at| set.set(at))?;
        sched_setaffinity(this, &set).context("sched_setaffinity")?;
        let sample = run();
        sched_setaffinity(this, &all).context("sched_setaffinity")?;
        sample
    })
}

/// What only its holder gives back, passed there and back.
///
/// Each side holds two of its own. It calls by letting one go, which the other side takes and gives back; once the other
/// side has called after that, it takes it again. `take(n)` takes number n, and `give(n)` gives it back.
fn dance<T>(
    trips: u32,
    join: impl Fn() -> Result<()>,
    take: impl Fn(usize) -> Result<T>,
    give: impl Fn(T) -> Result<()>,
) -> Result<std::time::Duration> {
    let both = |first: usize| -> Result<[Option<T>; 2]> {
        Ok([Some(take(first)?), Some(take(first + 1)?)])
    };
    let call = |held: &mut [Option<T>; 2], trip: usize| {
        give(held[trip % 2].take().context("its turn has come too soon")?)
    };
    let wait = |first: usize, trip: usize| give(take(first + trip % 2)?);
    time_processes(
        |start| {
            join()?;
            let mut held = both(2)?;
            start.together();
            for trip in 0..trips as usize {
                wait(0, trip)?;
                if let Some(before) = trip.checked_sub(1) {
                    held[before % 2] = Some(take(2 + before % 2)?);
                }
                call(&mut held, trip)?;
            }
            held.into_iter().flatten().try_for_each(&give)
        },
        |start| {
            let mut held = both(0)?;
            start.together();
            for trip in 0..trips as usize {
                call(&mut held, trip)?;
                wait(2, trip)?;
                held[trip % 2] = Some(take(trip % 2)?);
            }
            held.into_iter().flatten().try_for_each(&give)
        },
    )
}

fn permits() -> Result<Candidate<'static>> {
    let segment = segment()?;
    let mut all = Vec::new();
    for name in ["ping", "ping too", "pong", "pong too"] {
        all.push(segment.semaphore(name, 1)?);
    }
    Ok(Candidate::new("Semaphore", move |trips| {
        dance(
            trips,
            || Ok(segment.join_after_fork().map(|_| ())?),
            |n| all[n].acquire().map_err(failed),
            |permit| {
                drop(permit);
                Ok(())
            },
        )
    }))
}

fn permits_of_posix() -> Result<Candidate<'static>> {
    let mut all = Vec::new();
    for _ in 0..4 {
        let semaphore = PthreadSemaphore::new()?;
        ensure!(semaphore.post(), "sem_post failed");
        all.push(semaphore);
    }
    Ok(Candidate::new("sem_t", move |trips| {
        dance(
            trips,
            || Ok(()),
            |n| {
                ensure!(all[n].wait(), "sem_wait failed");
                Ok(n)
            },
            |n| {
                ensure!(all[n].post(), "sem_post failed");
                Ok(())
            },
        )
    }))
}
