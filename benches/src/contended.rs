//! Several processes at one lock.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use shmkit::Objects;
use shmkit_benches::{Candidate, Group, Sample, Shared};
use shmkit_segment::{Options, Segment};

use crate::pthread::PthreadMutex;

/// How long a sample takes: many time slices of the scheduler.
const TIME: Duration = Duration::from_millis(150);
/// Most processes.
const MOST: usize = 4;
/// Buckets of the histogram of waits: bucket n is for 2^(n/4) ns and more, so that each is a fifth wider.
const BUCKETS: usize = 160;
/// One wait of so many is timed: a look at the clock costs more than the lock.
const TIMED: u64 = 16;

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    let mut groups = Vec::new();
    for (name, processes) in [("contended by 2 processes", 2), ("contended by 4 processes", 4)] {
        let segment: &'static Segment = Options::new(1 << 16).participants(64).anonymous()?.leak();
        let mutex = segment.mutex("mutex", [0_u64; 2])?;
        let ours = Candidate::new("Mutex", move |_| {
            contend(
                processes,
                || Ok(segment.join_after_fork().map(|_| ())?),
                || {
                    let mut words = mutex.lock().map_err(|error| anyhow!("{error}"))?;
                    words[0] += 1;
                    words[1] += 1;
                    Ok(())
                },
            )
        });
        let group = Group::new(name, 1, ours)
            .at_most(1.0 / 1.1, pthread("glibc process-shared", processes, false)?)
            .at_most(1.0 / 1.2, pthread("glibc robust process-shared", processes, true)?)
            .fact_at_least("fairness, least/most", 0.7)
            .fact_at_most_times("p99.9 of the wait, us", 3.0);
        groups.push(group);
    }
    Ok(groups)
}

fn pthread(name: &'static str, processes: usize, robust: bool) -> Result<Candidate<'static>> {
    let mutex = PthreadMutex::new(robust)?;
    // SAFETY: atomic numbers.
    let words: Shared<[AtomicU64; 2]> = unsafe { Shared::new() }?;
    Ok(Candidate::new(name, move |_| {
        contend(
            processes,
            || Ok(()),
            || {
                ensure!(mutex.lock(), "pthread_mutex_lock failed");
                for word in words.iter() {
                    // Relaxed: under the lock.
                    word.store(word.load(Relaxed) + 1, Relaxed);
                }
                ensure!(mutex.unlock(), "pthread_mutex_unlock failed");
                Ok(())
            },
        )
    }))
}

/// What the processes share. All zero is fresh.
#[repr(C)]
struct Score {
    ready: AtomicU32,
    go: AtomicU32,
    /// How often each was inside.
    inside: [Padded; MOST],
    /// How many waits were so long.
    waits: [AtomicU64; BUCKETS],
}

#[repr(align(128))]
struct Padded(AtomicU64);

/// Lets processes take turns for a while; `join` is what each does first, `inside` one lock, work and unlock. The time
/// of the sample is that of one turn.
fn contend(
    processes: usize,
    join: impl Fn() -> Result<()>,
    inside: impl Fn() -> Result<()>,
) -> Result<Sample> {
    // SAFETY: atomic numbers.
    let score: Shared<Score> = unsafe { Shared::new() }?;
    let mut children = Vec::new();
    for n in 0..processes {
        children.push(child(&score, n, &join, &inside)?);
    }
    // Acquire: pairs with the Release of each child.
    while score.ready.load(Acquire) < processes as u32 {
        std::thread::yield_now();
    }
    // Release: pairs with the Acquire in the children.
    score.go.store(1, Release);
    for child in children {
        let status = waitpid(child, None).context("waitpid")?;
        ensure!(matches!(status, WaitStatus::Exited(_, 0)), "a process ended with {status:?}");
    }
    let turns: Vec<u64> =
        score.inside.iter().take(processes).map(|turns| turns.0.load(Relaxed)).collect();
    let (least, most) = (turns.iter().min().unwrap_or(&0), turns.iter().max().unwrap_or(&0));
    let all: u64 = turns.iter().sum();
    ensure!(*least > 0, "a process never got the lock");
    Ok(Sample {
        took: TIME.div_f64(all as f64),
        facts: vec![
            ("fairness, least/most", *least as f64 / *most as f64),
            ("p99.9 of the wait, us", quantile(&score.waits, 0.999) / 1e3),
        ],
    })
}

fn child(
    score: &Score,
    n: usize,
    join: &impl Fn() -> Result<()>,
    inside: &impl Fn() -> Result<()>,
) -> Result<Pid> {
    // SAFETY: the child takes its turns and ends by `_exit`; the only other thread of this process is parked.
    if let ForkResult::Parent { child } = unsafe { fork() }.context("fork")? {
        return Ok(child);
    }
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    let turns = || {
        join()?;
        // Release: pairs with the Acquire above.
        score.ready.fetch_add(1, Release);
        // Acquire: pairs with the Release above.
        while score.go.load(Acquire) == 0 {
            std::thread::yield_now();
        }
        let began = Instant::now();
        let mut turns = 0_u64;
        loop {
            let start = turns.is_multiple_of(TIMED).then(Instant::now);
            inside()?;
            turns += 1;
            if let Some(start) = start {
                let waited = start.elapsed().as_nanos().max(1) as f64;
                let bucket = ((waited.log2() * 4.0) as usize).min(BUCKETS - 1);
                score.waits[bucket].fetch_add(1, Relaxed);
                if began.elapsed() > TIME {
                    break;
                }
            }
            // Some work of one's own, as long as that under the lock.
            for _ in 0..8 {
                std::hint::black_box(turns);
            }
        }
        score.inside[n].0.store(turns, Relaxed);
        Ok(())
    };
    let status = match turns() {
        Ok(()) => 0,
        Err::<(), anyhow::Error>(error) => {
            eprintln!("a contender: {error:#}");
            1
        }
    };
    // SAFETY: ends the child at once; it has nothing to clean up.
    unsafe { libc::_exit(status) }
}

/// The upper end of the bucket in which this part of the waits ends, in nanoseconds.
fn quantile(waits: &[AtomicU64; BUCKETS], part: f64) -> f64 {
    let counts: Vec<u64> = waits.iter().map(|count| count.load(Relaxed)).collect();
    let all: u64 = counts.iter().sum();
    let mut seen = 0;
    for (bucket, count) in counts.iter().enumerate() {
        seen += count;
        if seen as f64 >= all as f64 * part {
            return ((bucket + 1) as f64 / 4.0).exp2();
        }
    }
    0.0
}
