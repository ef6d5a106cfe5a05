//! A pool whose workers are killed, one every few milliseconds: each task is answered once.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use shmkit::{Pool, Retry, TaskError, task};

/// From one kill to the next.
const EVERY: Duration = Duration::from_millis(5);
/// Nobody waits longer for an answer, unless something is wrong.
const LIMIT: Duration = Duration::from_secs(60);

/// So many other errors are shown.
const SHOWN: usize = 5;

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Nothing below is wrong.
    pub(crate) ok: bool,
    seed: u64,
    seconds: u64,
    workers: u32,
    kills: u64,
    /// Workers that were replaced.
    replaced: u64,
    /// Calls that were made, one by one and in chunks; and of them, those whose worker was killed.
    calls: u64,
    died: u64,
    /// Calls that were answered twice; never; wrongly; with a death that nobody has died, or another error.
    twice: u64,
    never: u64,
    wrong: u64,
    others: u64,
    /// The first of those errors.
    other: Vec<String>,
    /// The longest time without any answer, in ms.
    longest_ms: u64,
    /// What is left of it: processes.
    left: Vec<u32>,
}

/// A number's square, and who has worked it out.
#[task]
fn work(n: u64, spin: u64) -> (u64, u32) {
    let end = Instant::now() + Duration::from_micros(spin);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    (n.wrapping_mul(n), std::process::id())
}

/// What was told of calls, by their numbers.
#[derive(Default)]
struct Told {
    /// A call's number, and how many answers it has.
    answers: Mutex<Vec<u8>>,
    died: AtomicU64,
    wrong: AtomicU64,
    /// How many other errors there were, and the first of them.
    others: AtomicU64,
    other: Mutex<Vec<String>>,
    /// Who has answered.
    workers: Mutex<BTreeSet<u32>>,
    last: Mutex<Option<Instant>>,
    longest: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Told {
    fn call(&self) -> u64 {
        let mut answers = lock(&self.answers);
        answers.push(0);
        answers.len() as u64 - 1
    }

    fn answer(
        &self,
        n: u64,
        killed: &Mutex<BTreeSet<u32>>,
        answer: &Result<(u64, u32), TaskError>,
    ) {
        let count = &mut lock(&self.answers)[n as usize];
        *count = count.saturating_add(1);
        let now = Instant::now();
        if let Some(last) = lock(&self.last).replace(now) {
            self.longest.fetch_max((now - last).as_millis() as u64, Relaxed);
        }
        match answer {
            Ok((square, worker)) if *square == n.wrapping_mul(n) => {
                lock(&self.workers).insert(*worker);
            }
            Ok(_) => drop(self.wrong.fetch_add(1, Relaxed)),
            Err(TaskError::WorkerDied(death)) if lock(killed).contains(&death.pid) => {
                self.died.fetch_add(1, Relaxed);
            }
            Err(error) => {
                self.others.fetch_add(1, Relaxed);
                let mut other = lock(&self.other);
                if other.len() < SHOWN {
                    other.push(error.to_string());
                }
            }
        }
    }
}

impl Told {
    /// Returns whether a worker of a pool may be killed. One that has not worked yet may as long as another one that has lives:
    /// a pool breaks, as it should, when nobody is left who has and three in a row end before they do, which a machine that
    /// starts them more slowly than they are killed would bring about.
    fn may_die(&self, pid: u32, pool: &[u32], killed: &Mutex<BTreeSet<u32>>) -> bool {
        let (workers, killed) = (lock(&self.workers), lock(killed));
        let works = |other: &u32| workers.contains(other) && !killed.contains(other);
        workers.contains(&pid) || pool.iter().any(works)
    }
}

/// Runs it. `progress` is told how long it has run, and how many were killed.
pub(crate) fn run(
    time: Duration,
    workers: u32,
    seed: u64,
    progress: &mut dyn FnMut(Duration, u64),
) -> Result<Report> {
    let told = Arc::<Told>::default();
    let killed = Arc::<Mutex<BTreeSet<u32>>>::default();
    let over = AtomicBool::new(false);
    let begun = Instant::now();
    // One pool's dead cost their calls, the other's run again, as often as they have to.
    let pools = [
        Pool::builder(workers).name("once").build()?,
        Pool::builder(workers).name("again").retry(Retry::times(1000)).build()?,
    ];
    let mut kills = 0;
    thread::scope(|scope| {
        for pool in &pools {
            // Call by call, told by callbacks.
            scope.spawn(|| {
                let mut random = fastrand::Rng::with_seed(seed);
                while !over.load(Relaxed) {
                    let n = told.call();
                    let (told, killed) = (told.clone(), killed.clone());
                    pool.submit(work, (n, random.u64(0..2000)))
                        .then(move |answer| told.answer(n, &killed, answer))
                        .detach();
                }
            });
            // In chunks, told as they come.
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    let numbers: Vec<u64> = (0..200).map(|_| told.call()).collect();
                    let answers = pool.chunked(work, numbers.iter().map(|&n| (n, n % 300)), 7);
                    for (n, answer) in numbers.into_iter().zip(answers) {
                        told.answer(n, &killed, &answer);
                    }
                }
            });
        }
        let mut random = fastrand::Rng::with_seed(seed);
        while begun.elapsed() < time {
            thread::sleep(EVERY);
            let pids = pools[kills as usize % 2].pids();
            if let Some(pid) =
                random.choice(&pids).copied().filter(|&pid| told.may_die(pid, &pids, &killed))
            {
                lock(&killed).insert(pid);
                // It may have ended a moment ago.
                let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
                kills += 1;
            }
            progress(begun.elapsed(), kills);
        }
        over.store(true, Relaxed);
    });
    let mut left = Vec::new();
    for pool in &pools {
        pool.close();
        pool.join_timeout(LIMIT)?;
        left.extend(pool.pids());
    }
    left.extend(shmkit::process::active_children().iter().map(|child| child.pid()));
    let replaced = pools.iter().map(Pool::replaced).sum();
    drop(pools);
    let answers = lock(&told.answers);
    let count = |is: fn(u8) -> bool| answers.iter().filter(|&&n| is(n)).count() as u64;
    let mut report = Report {
        ok: false,
        seed,
        seconds: begun.elapsed().as_secs(),
        workers,
        kills,
        replaced,
        calls: answers.len() as u64,
        died: told.died.load(Relaxed),
        twice: count(|n| n > 1),
        never: count(|n| n == 0),
        wrong: told.wrong.load(Relaxed),
        others: told.others.load(Relaxed),
        other: std::mem::take(&mut lock(&told.other)),
        longest_ms: told.longest.load(Relaxed),
        left,
    };
    let is_whole = report.twice + report.never + report.wrong + report.others == 0;
    report.ok = is_whole && report.left.is_empty() && report.died <= report.kills;
    Ok(report)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, seconds, workers, kills, replaced, calls, died, .. } = self;
        writeln!(
            f,
            "seed {seed}, {seconds} s, two pools of {workers}: {kills} kills, {replaced} replaced"
        )?;
        writeln!(f, "{calls} calls, of which {died} have died with their worker")?;
        let Self { twice, never, wrong, others, other, longest_ms, left, .. } = self;
        writeln!(
            f,
            "answered twice {twice}, never {never}, wrongly {wrong}; longest silence {longest_ms} ms"
        )?;
        for error in other {
            writeln!(f, "  {error}")?;
        }
        writeln!(f, "{others} other errors; processes left: {left:?}")?;
        write!(f, "{}", if self.ok { "OK" } else { "NOT OK" })
    }
}
