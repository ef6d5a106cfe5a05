//! The count with worker processes: makes the segment and the pool, kills two of the workers, gathers what they counted.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use indicatif::ProgressBar;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;
use shmkit::process::cpu_count;
use shmkit::{AfterDeath, Death, Options, PipeError, Pool, Process, QueueError, TaskError};

use super::work::{self, Read, Shared, Spot, Work, now};
use super::{LOOK, PATIENCE};
use crate::print::complain;
use crate::signals;
use crate::text::plan::Plan;
use crate::text::walk::Listed;

/// Workers that may die of something else than the tour before it gives up.
const SPARE: usize = 8;

/// What the workers counted, and what happened.
pub(super) struct Parallel {
    pub(super) read: Read,
    pub(super) kills: [Option<Kill>; 2],
    /// Chunks that were handed out again; workers that nobody here has killed.
    pub(super) again: u64,
    pub(super) lost: u64,
    pub(super) by_worker: Vec<ByWorker>,
    pub(super) permits: Permits,
    pub(super) segment: Segment,
}

/// A worker that was killed.
#[derive(Debug, Serialize)]
pub(super) struct Kill {
    pub(super) worker: usize,
    pub(super) pid: u32,
    /// From the kill to the moment when the tour's receive said that the peer is dead.
    pub(super) peer_died_ms: f64,
    /// Chunks that the victim had begun and not finished.
    pub(super) handed_out_again: usize,
    /// When it was killed, in ns of the monotonic clock.
    #[serde(skip)]
    pub(super) at: u64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Permits {
    pub(super) total: u32,
    /// Those of the dead included.
    pub(super) all_back: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct ByWorker {
    pub(super) worker: usize,
    pub(super) pid: u32,
    /// As far as it answered.
    pub(super) chunks: u64,
    pub(super) bytes: u64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// Whether it had its name while the workers ran.
    pub(super) was_named: bool,
}

/// Counts with `workers` processes. When it returns, they have ended and the segment is gone.
pub(super) fn count(
    files: &[Listed],
    plan: &Plan,
    workers: u32,
    kill: bool,
    bar: &ProgressBar,
) -> Result<Parallel> {
    let name = format!("tour-{}", std::process::id());
    let janitor = Process::named(format!("{name}-janitor")).detached(true);
    let janitor = janitor.spawn(work::see_out, (name.clone(),))?;
    let counted = count_in(&name, files, plan, workers, kill, bar);
    janitor.kill()?;
    drop(janitor.join());
    counted
}

fn count_in(
    name: &str,
    files: &[Listed],
    plan: &Plan,
    workers: u32,
    kill: bool,
    bar: &ProgressBar,
) -> Result<Parallel> {
    let segment = Options::new(Shared::room(plan))
        .participants(2 * workers + 2)
        .content("shmkit.tour/2")
        .create(name)
        .context("cannot make the segment of the tour")?;
    let path = segment.path().context("a named segment has no path")?.to_owned();
    let total = workers.min(cpu_count().get() as u32);
    let shared = Shared::make(&segment, plan, total)?;
    let was_named = path.exists();

    let deaths = Arc::<Mutex<Vec<Death>>>::default();
    let seen = deaths.clone();
    let pool = Pool::builder(workers)
        .name(name)
        .initializer(work::begin, (shared.clone(),))
        .on_death(move |death| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(death.clone());
            if seen.len() <= SPARE { AfterDeath::Again } else { AfterDeath::Fail }
        })
        .build()?;
    let mut by_worker = Vec::new();
    let note = |workers: &mut Vec<ByWorker>| {
        pool.pids().into_iter().for_each(|pid| _ = number(workers, pid));
    };
    note(&mut by_worker);
    let victims = thread::scope(|scope| {
        let victims = shared.spots.each_ref().map(|spot| scope.spawn(move || kill_one(spot)));
        let counted = gather(&pool, Work::of(plan, files, kill), &mut by_worker, bar);
        // Nobody will stand there any more.
        let closed = shared.spots.iter().try_for_each(|spot| spot.who.close());
        let victims = victims.map(|victim| {
            victim.join().unwrap_or_else(|_| Err(anyhow!("a thread of the tour panicked")))
        });
        counted.and(closed.map_err(Into::into)).map(|()| victims)
    })?;
    note(&mut by_worker);
    let ended = pool.replaced();
    pool.close();
    pool.join_timeout(PATIENCE).context("the workers do not end")?;

    let deaths = deaths.lock().unwrap_or_else(PoisonError::into_inner);
    let [one, two] = victims;
    let mut kills = [one?, two?];
    for kill in kills.iter_mut().flatten() {
        kill.worker = number(&mut by_worker, kill.pid);
        kill.handed_out_again = deaths.iter().filter(|death| death.pid == kill.pid).count();
    }
    let is_victim = |death: &&Death| kills.iter().flatten().any(|kill| kill.pid == death.pid);
    deaths.iter().filter(|death| !is_victim(death)).for_each(|death| complain(&death.to_string()));
    Ok(Parallel {
        read: shared.read()?,
        again: deaths.len() as u64,
        lost: ended.saturating_sub(kills.iter().flatten().count() as u64),
        kills,
        by_worker,
        // All workers have ended: what is said now is final.
        permits: Permits {
            total,
            all_back: shared.permits.acquire_many_timeout(total, PATIENCE).is_ok(),
        },
        segment: Segment { path, bytes: segment.header().size, was_named },
    })
}

/// Returns the number of a worker: they are numbered as they come.
fn number(workers: &mut Vec<ByWorker>, pid: u32) -> usize {
    workers.iter().position(|worker| worker.pid == pid).unwrap_or_else(|| {
        workers.push(ByWorker { worker: workers.len(), pid, chunks: 0, bytes: 0 });
        workers.len() - 1
    })
}

/// Has all chunks be counted.
fn gather(
    pool: &Pool,
    chunks: impl Iterator<Item = Work>,
    workers: &mut Vec<ByWorker>,
    bar: &ProgressBar,
) -> Result<()> {
    let mut answers = pool.imap_unordered(work::count_chunk, chunks);
    let mut progress = Instant::now();
    while let Some(answer) = answers.next_timeout(LOOK) {
        signals::look()?;
        match answer {
            Ok(done) => {
                let done = done.map_err(|failure| anyhow!("a worker failed: {failure}"))?;
                let number = number(workers, done.pid);
                workers[number].chunks += done.chunks;
                workers[number].bytes += done.bytes;
                bar.inc(done.bytes);
                progress = Instant::now();
            }
            Err(TaskError::TimedOut) if progress.elapsed() < 2 * PATIENCE => {}
            Err(TaskError::TimedOut) => bail!("no chunk was finished for {:?}", 2 * PATIENCE),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits for the worker that stands at a spot, kills it, and hears of it from its pipe.
fn kill_one(spot: &Spot) -> Result<Option<Kill>> {
    let mut report = spot.report.receiver()?;
    let pid = match spot.who.get() {
        Ok(pid) => pid,
        Err(QueueError::Closed) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let (at, begun) = (now(), Instant::now());
    // It stands there for longer than this takes: the number is its own.
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).context("cannot kill a worker")?;
    match report.recv_timeout(PATIENCE) {
        Err(PipeError::PeerDied { .. }) => {
            let peer_died_ms = begun.elapsed().as_micros() as f64 / 1000.0;
            Ok(Some(Kill { worker: 0, pid, peer_died_ms, handed_out_again: 0, at }))
        }
        Ok(_) => bail!("half a report came out of the pipe"),
        Err(error) => Err(error).context("its death was not seen"),
    }
}
