//! A thousand processes that wait for one thing: what that costs, and how soon one that is killed is missed.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use comfy_table::Table;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use shmkit::{Objects, Start};
use shmkit_benches::Shared;
use shmkit_segment::{Options, Segment};

use crate::waiting::failed;

/// How many wait.
const CROWD: u32 = 1000;
/// How long they wait before it is measured: every slice has its full length.
const SETTLE: Duration = Duration::from_secs(24);
/// How long it is measured.
const MEASURE: Duration = Duration::from_secs(5);
/// The share of one processor that they may use together.
const SHARE: f64 = 0.05;
/// How soon somebody must notice a death.
const NOTICE: Duration = Duration::from_millis(100);
/// How long they have to come, or to notice.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the processes share. All zero is fresh.
#[repr(C)]
struct Board {
    /// How many have come.
    there: AtomicU32,
    /// When the first one noticed, in nanoseconds of the monotonic clock.
    noticed: AtomicU64,
}

/// What the crowd waits for.
#[derive(Clone, Copy, Debug)]
enum Thing {
    Mutex,
    RwLock,
    Semaphore,
    CountingSemaphore,
    Barrier,
    Condvar,
    Event,
    Queue,
    Broadcast,
}

impl Thing {
    /// Whether the one that is killed holds what they wait for, or is missed by them.
    fn is_held(self) -> bool {
        !matches!(self, Thing::CountingSemaphore | Thing::Event)
    }
}

/// Measures all, or those whose name contains `filter`, and says whether the limits were kept.
pub(crate) fn run(filter: Option<&str>) -> Result<()> {
    let all = [
        Thing::Mutex,
        Thing::RwLock,
        Thing::Semaphore,
        Thing::CountingSemaphore,
        Thing::Barrier,
        Thing::Condvar,
        Thing::Event,
        Thing::Queue,
        Thing::Broadcast,
    ];
    let mut table = Table::new();
    table.set_header([
        "1,000 wait at one",
        "of a processor",
        "limit",
        "a death noticed after",
        "limit",
        "",
    ]);
    for thing in all {
        let name = format!("{thing:?}");
        if filter.is_some_and(|filter| !name.to_lowercase().contains(&filter.to_lowercase())) {
            continue;
        }
        let (share, noticed) = measure(thing)?;
        let kept = share < SHARE && noticed.is_none_or(|noticed| noticed < NOTICE);
        table.add_row([
            name,
            format!("{:.1} %", share * 100.0),
            format!("{:.0} %", SHARE * 100.0),
            noticed.map_or("nobody need".into(), |noticed| format!("{} ms", noticed.as_millis())),
            noticed.map_or(String::new(), |_| format!("{} ms", NOTICE.as_millis())),
            (if kept { "kept" } else { "NOT KEPT" }).into(),
        ]);
    }
    println!("{table}");
    Ok(())
}

fn measure(thing: Thing) -> Result<(f64, Option<Duration>)> {
    let segment = Options::new(1 << 20).participants(1024).anonymous()?.leak();
    // SAFETY: atomic numbers.
    let board: Shared<Board> = unsafe { Shared::new() }?;
    // Made before the others come.
    touch(segment, thing)?;
    let mut crowd = Vec::new();
    // Who holds what they wait for, and is to die; at a barrier it is one of them.
    let holder = start(segment, &board, || take(segment, thing), || hold(segment, thing))?;
    arrive(&board, 1)?;
    for i in 0..CROWD {
        let life = || wait(segment, thing, &board);
        crowd.push(start(segment, &board, || Ok(()), life)?);
        // Not all at once: a thousand joins in a row wait for each other.
        if i % 100 == 99 {
            arrive(&board, i + 2)?;
        }
    }
    std::thread::sleep(SETTLE);
    let (began, before) = (Instant::now(), used(&crowd)?);
    std::thread::sleep(MEASURE);
    let used = used(&crowd)? - before;
    let share = used.as_secs_f64() / began.elapsed().as_secs_f64();
    let killed = now();
    kill(holder, Signal::SIGKILL)?;
    waitpid(holder, None)?;
    let noticed = if !thing.is_held() {
        None
    } else {
        let began = Instant::now();
        // Acquire: pairs with the Release of who noticed.
        while board.noticed.load(Acquire) == 0 {
            ensure!(began.elapsed() < PATIENCE, "{thing:?}: nobody noticed");
            std::thread::sleep(Duration::from_millis(1));
        }
        Some(Duration::from_nanos(board.noticed.load(Acquire).saturating_sub(killed)))
    };
    for &one in &crowd {
        let _ = kill(one, Signal::SIGKILL);
    }
    for one in crowd {
        waitpid(one, None)?;
    }
    Ok((share, noticed))
}

fn touch(segment: &Segment, thing: Thing) -> Result<()> {
    match thing {
        Thing::Mutex => drop(segment.mutex("thing", 0_u64)?),
        Thing::RwLock => drop(segment.rwlock("thing", 0_u64)?),
        Thing::Semaphore => drop(segment.semaphore("thing", 1)?),
        Thing::CountingSemaphore => drop(segment.counting_semaphore("thing", 0)?),
        Thing::Barrier => drop(segment.barrier("thing", CROWD + 2)?),
        Thing::Condvar => {
            drop(segment.mutex("lock", 0_u64)?);
            drop(segment.condvar("thing")?);
        }
        Thing::Event => drop(segment.event("thing")?),
        Thing::Queue => segment.queue("thing", 4)?.put(1_u64)?,
        Thing::Broadcast => drop(segment.broadcast::<u64>("thing", 4)?),
    }
    Ok(())
}

/// Takes what the others are to wait for.
fn take(segment: &'static Segment, thing: Thing) -> Result<()> {
    match thing {
        Thing::Mutex => std::mem::forget(segment.mutex("thing", 0_u64)?.lock().map_err(failed)?),
        Thing::RwLock => std::mem::forget(segment.rwlock("thing", 0_u64)?.write().map_err(failed)?),
        Thing::Semaphore => {
            std::mem::forget(segment.semaphore("thing", 1)?.acquire().map_err(failed)?);
        }
        // What it has taken comes again when it dies.
        Thing::Queue => {
            std::mem::forget(segment.queue::<u64>("thing", 4)?.take()?);
        }
        Thing::Broadcast => std::mem::forget(segment.broadcast::<u64>("thing", 4)?.publisher()?),
        Thing::CountingSemaphore | Thing::Barrier | Thing::Condvar | Thing::Event => {}
    }
    Ok(())
}

/// What else the one does that is to be killed.
fn hold(segment: &'static Segment, thing: Thing) -> Result<()> {
    match thing {
        Thing::Barrier => drop(segment.barrier("thing", CROWD + 2)?.wait()),
        // It takes the lock when the others sleep.
        Thing::Condvar => {
            std::thread::sleep(SETTLE / 2);
            std::mem::forget(segment.mutex("lock", 0_u64)?.lock().map_err(failed)?);
        }
        _ => {}
    }
    Ok(())
}

/// Waits, and says when that was over.
fn wait(segment: &'static Segment, thing: Thing, board: &Board) -> Result<()> {
    match thing {
        Thing::Mutex => drop(segment.mutex("thing", 0_u64)?.lock().is_ok()),
        Thing::RwLock => drop(segment.rwlock("thing", 0_u64)?.read().is_ok()),
        Thing::Semaphore => drop(segment.semaphore("thing", 1)?.acquire().is_ok()),
        Thing::CountingSemaphore => drop(segment.counting_semaphore("thing", 0)?.acquire()),
        Thing::Barrier => drop(segment.barrier("thing", CROWD + 2)?.wait()),
        Thing::Condvar => {
            let lock = segment.mutex("lock", 0_u64)?;
            let condvar = segment.condvar("thing")?;
            let guard = lock.lock().map_err(failed)?;
            let _ = condvar.wait(guard).is_ok();
        }
        Thing::Event => drop(segment.event("thing")?.wait()),
        Thing::Queue => drop(segment.queue::<u64>("thing", 4)?.get()),
        Thing::Broadcast => {
            let _ = segment.broadcast::<u64>("thing", 4)?.subscribe(Start::Newest)?.recv();
        }
    }
    // Release: pairs with the director's Acquire.
    let _ = board.noticed.compare_exchange(0, now(), Release, Relaxed);
    Ok(())
}

/// Forks a process that joins, does what comes `first`, says so, does `life`, and then sleeps until it is killed.
fn start(
    segment: &Segment,
    board: &Board,
    first: impl FnOnce() -> Result<()>,
    life: impl FnOnce() -> Result<()>,
) -> Result<Pid> {
    // SAFETY: the child does not return; no other thread of this process holds a lock (there is none).
    match unsafe { fork() }.context("fork")? {
        ForkResult::Child => {
            let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
            let lived = segment.join_after_fork().map_err(anyhow::Error::from).and_then(|_| {
                first()?;
                // Release: pairs with the Acquire in `arrive`.
                board.there.fetch_add(1, Release);
                life()
            });
            if let Err(error) = lived {
                eprintln!("one of the crowd: {error:#}");
            }
            loop {
                std::thread::sleep(PATIENCE);
            }
        }
        ForkResult::Parent { child } => Ok(child),
    }
}

fn arrive(board: &Board, all: u32) -> Result<()> {
    let began = Instant::now();
    // Acquire: pairs with the Release in `start`.
    while board.there.load(Acquire) < all {
        ensure!(began.elapsed() < PATIENCE, "not all have come");
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Returns how long these processes have run.
fn used(crowd: &[Pid]) -> Result<Duration> {
    let mut nanos = 0;
    for one in crowd {
        let text = std::fs::read_to_string(format!("/proc/{one}/schedstat"))?;
        let first = text.split_whitespace().next().context("an empty schedstat")?;
        nanos += first.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}

fn now() -> u64 {
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid timespec to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut at) };
    at.tv_sec as u64 * 1_000_000_000 + at.tv_nsec as u64
}
