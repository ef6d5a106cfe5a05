//! A pool: one call and its answer, many calls at a time, and how long a death takes to be told.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use shmkit::{Objects, Pool, Queue, TaskError, task};
use shmkit_benches::{Candidate, Group, Sample, time_with_child};
use shmkit_segment::{Options, Segment};

const CALLS: u32 = 5_000;
const MANY: u32 = 100_000;
const DEATHS: u32 = 20;
const UNDER_WAY: usize = 64;
const WORKERS: u32 = 2;

#[task]
fn next(n: u64) -> u64 {
    n + 1
}

/// Which worker has had the time to come, as others have.
#[task]
fn who() -> u32 {
    thread::sleep(Duration::from_millis(1));
    std::process::id()
}

#[task]
fn abort() {
    std::process::abort()
}

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    Ok(vec![
        Group::new("pool, a call and its answer", CALLS, calls())
            .fact_at_most("ns", 1000.0)
            .at_most(1.3, queues()?),
        Group::new("pool, a call and its answer, one processor", CALLS, calls_on_one())
            .at_most(1.3, queues_on_one()?),
        Group::new("pool, one call at a time in a chunk, 64 under way", MANY, one_by_one())
            .against(channels()),
        Group::new("pool, map in usual chunks", MANY, map())
            .fact_at_least("M/s", 20.0)
            .against(one_by_one()),
        Group::new("pool, from a death to the error", DEATHS, deaths())
            .fact_at_most("median, ms", 5.0)
            .fact_at_most("worst, ms", 50.0),
    ])
}

fn pool() -> Result<Pool> {
    pool_on([])
}

/// The same, whose workers run on these processors.
fn pool_on(processors: impl IntoIterator<Item = usize>) -> Result<Pool> {
    let builder = Pool::builder(WORKERS).capacity(UNDER_WAY as u32).pin(processors);
    let pool = builder.build().context("make a pool")?;
    // All have come: the first one alone would do all that is quick, while the others start beside it.
    let mut here = BTreeSet::new();
    while here.len() < WORKERS as usize {
        for pid in pool.chunked(who, (0..WORKERS).map(|_| ()), 1) {
            here.insert(pid?);
        }
    }
    Ok(pool)
}

fn calls() -> Candidate<'static> {
    Candidate::new("Pool::submit and wait", |calls| {
        let took = call(&pool()?, calls)?;
        let facts = vec![("ns", took.as_nanos() as f64 / f64::from(calls))];
        Ok(Sample { took, facts })
    })
}

/// Where nobody can answer while the other one looks: what a call costs that has to sleep.
fn calls_on_one() -> Candidate<'static> {
    Candidate::new("Pool::submit and wait", |calls| {
        on_one(|processor| call(&pool_on([processor])?, calls))
    })
}

fn call(pool: &Pool, calls: u32) -> Result<Duration> {
    let start = Instant::now();
    for n in 0..calls.into() {
        ensure!(pool.submit(next, (n,)).wait()? == n + 1, "a wrong answer");
    }
    Ok(start.elapsed())
}

/// There and back through two queues: what a call cannot do without.
fn queues() -> Result<Candidate<'static>> {
    let there_and_back = there_and_back()?;
    Ok(Candidate::new("two Queues, processes", there_and_back))
}

fn queues_on_one() -> Result<Candidate<'static>> {
    let there_and_back = there_and_back()?;
    Ok(Candidate::new("two Queues, processes", move |calls| on_one(|_| there_and_back(calls))))
}

fn there_and_back() -> Result<impl Fn(u32) -> Result<Duration> + Sync> {
    let segment: &'static Segment = Options::new(1 << 20).anonymous()?.leak();
    let [there, back] = [
        segment.queue::<u64>("there", UNDER_WAY as u64)?,
        segment.queue::<u64>("back", UNDER_WAY as u64)?,
    ];
    Ok(move |calls: u32| {
        let put = |queue: &Queue<u64>, n| queue.put(n).map_err(|error| anyhow!("{}", error.error));
        time_with_child(
            || {
                segment.join_after_fork()?;
                (0..calls).try_for_each(|_| put(&back, there.get()? + 1))
            },
            || {
                for n in 0..calls.into() {
                    put(&there, n)?;
                    ensure!(back.get()? == n + 1, "a wrong answer");
                }
                Ok(())
            },
        )
    })
}

/// Runs `work` in a thread of its own that may run on one processor only, as its children may.
fn on_one<R: Send>(work: impl FnOnce(usize) -> Result<R> + Send) -> Result<R> {
    let run = || {
        let this = Pid::from_raw(0);
        let all = sched_getaffinity(this).context("sched_getaffinity")?;
        let mut allowed = (0..CpuSet::count()).filter(|&at| all.is_set(at).unwrap_or(false));
        let (one, mut set) = (allowed.next().context("no processor is allowed")?, CpuSet::new());
        set.set(one)?;
        sched_setaffinity(this, &set).context("sched_setaffinity")?;
        work(one)
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap_or_else(|_| bail!("it has panicked")))
}

fn one_by_one() -> Candidate<'static> {
    Candidate::new("Pool::chunked by one", |calls| {
        let pool = pool()?;
        let start = Instant::now();
        let answers = pool.chunked(next, (0..calls.into()).map(|n| (n,)), 1);
        let took = start.elapsed();
        check(answers)?;
        Ok(took)
    })
}

fn map() -> Candidate<'static> {
    Candidate::new("Pool::map", |calls| {
        let pool = pool()?;
        let map = || {
            let start = Instant::now();
            let answers = pool.map(next, 0..calls.into())?;
            let took = start.elapsed();
            check(answers.into_iter().map(Ok))?;
            Ok::<_, anyhow::Error>(took)
        };
        // The first one has the pool's memory made, too.
        let (first, took) = (map()?, map()?);
        let millions = |took: Duration| f64::from(calls) / took.as_secs_f64() / 1e6;
        let facts = vec![("M/s", millions(took)), ("the first one, M/s", millions(first))];
        Ok(Sample { took, facts })
    })
}

fn check(answers: impl IntoIterator<Item = Result<u64, TaskError>>) -> Result<()> {
    for (n, answer) in answers.into_iter().enumerate() {
        ensure!(answer? == n as u64 + 1, "a wrong answer");
    }
    Ok(())
}

/// Two threads and two channels of the standard library.
fn channels() -> Candidate<'static> {
    Candidate::new("std's channels, threads", |calls| {
        let (calling, called) = mpsc::sync_channel::<u64>(UNDER_WAY);
        let (answering, answered) = mpsc::channel::<u64>();
        let called = Arc::new(Mutex::new(called));
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                let (called, answering) = (called.clone(), answering.clone());
                scope.spawn(move || {
                    loop {
                        let call = called.lock().map(|called| called.recv());
                        let Ok(Ok(n)) = call else { return };
                        if answering.send(n + 1).is_err() {
                            return;
                        }
                    }
                });
            }
            let start = Instant::now();
            let mut sum = 0;
            for n in 0..calls.into() {
                calling.send(n)?;
                sum += answered.try_iter().count();
            }
            while sum < calls as usize {
                answered.recv()?;
                sum += 1;
            }
            drop(calling);
            Ok(start.elapsed())
        })
    })
}

fn deaths() -> Candidate<'static> {
    Candidate::new("a task that aborts", |deaths| {
        let pool = pool()?;
        let mut took: Vec<Duration> = Vec::new();
        for _ in 0..deaths {
            let start = Instant::now();
            match pool.submit(abort, ()).wait() {
                Err(TaskError::WorkerDied(_)) => took.push(start.elapsed()),
                other => bail!("{other:?}"),
            }
        }
        took.sort_unstable();
        let ms = |took: Duration| took.as_secs_f64() * 1e3;
        let facts =
            vec![("median, ms", ms(took[took.len() / 2])), ("worst, ms", ms(took[took.len() - 1]))];
        Ok(Sample { took: took.iter().sum(), facts })
    })
}
