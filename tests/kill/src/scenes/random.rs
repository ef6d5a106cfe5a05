//! Kills and stops at random moments, over create, join, leave and sweep.
//!
//! The invariant: *a living participant's inode is the one with the name*.

use std::fmt;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::stat::{fstat, stat};
use serde::Serialize;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU32, AtomicU64};
use shmkit_roster::removal;
use shmkit_segment::{
    ErrorKind, OpenOptions, Options, PREFIX, RemoveOutcome, Segment, SegmentError, sweep,
};

use crate::board::DONE;
use crate::scene::Stage;
use crate::scenes::life;
use crate::{Actor, Cast, Fault, Reached, Scene, Take, now, shm};

/// Workers at a time.
const WORKERS: usize = 6;
/// The one name that all fight for.
const NAME: &str = "fought-for";

/// The workers' counters, in [`Sheet::words`](crate::Sheet).
const JOINS: usize = 0;
const CREATES: usize = 1;
const REMOVALS: usize = 2;
const SWEEPS: usize = 3;

/// Set by the user's interrupt: stop, clean up, report.
static INTERRUPTED: AtomicU32 = AtomicU32::new(0);

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Chaos {
    /// Whether nothing went wrong.
    pub ok: bool,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Workers killed.
    pub kills: u64,
    /// Workers stopped and continued.
    pub stops: u64,
    /// Joins that succeeded.
    pub joins: u64,
    /// Segments made.
    pub creates: u64,
    /// Names removed by `remove_if_dead` or a sweep that was called for it; the last one's leaving is not counted.
    pub removals: u64,
    /// Sweeps.
    pub sweeps: u64,
    /// How often a living participant's inode was not the one with the name, or a call failed that must not.
    pub violations: usize,
    /// Files left after the next visitor.
    pub left: usize,
    /// The violations, in words.
    pub faults: Vec<String>,
}

/// Removes the name in a directory if nobody lives in the segment; returns whether it did.
type Remove = fn(&Path) -> Result<bool, Fault>;

/// How a run is done.
#[derive(Clone, Copy)]
struct Fight {
    /// For how long.
    time: Duration,
    /// After how many violations it is stopped.
    patience: usize,
    remove: Remove,
}

/// Lets workers fight for one name for `time`, and kills and stops them.
pub fn run(time: Duration, watch: &mut dyn FnMut(Duration, u64)) -> Chaos {
    run_with(Fight { time, patience: 3, remove }, watch)
}

/// The same with a seeded fault: names are removed by who only asked before.
pub(crate) fn probing() -> Scene {
    let about =
        "kills and stops at random moments; an orphan is removed without keeping joiners out";
    Scene::new("random-probe", about, 0, |_, _| {
        let time = Duration::from_secs(10);
        let fight = Fight { time, patience: 1, remove: probe_then_unlink };
        let chaos = run_with(fight, &mut |_, _| {});
        match chaos.faults.first() {
            Some(fault) if fault.contains("split") => Err(Fault::double_owner(fault)),
            Some(fault) => Err(Fault::broken(fault)),
            None => Ok(Take::new(Reached { steps: 0, end: true }, 0, [])),
        }
    })
}

fn run_with(how: Fight, watch: &mut dyn FnMut(Duration, u64)) -> Chaos {
    let begin = Instant::now();
    let mut chaos = Chaos::default();
    let directory = shm::file(&shm::name("random.d"));
    if let Err(fault) = fight(&directory, how, &mut chaos, watch) {
        chaos.faults.push(fault.to_string());
    }
    // The next visitor.
    if let Err(fault) = visit(&directory) {
        chaos.faults.push(format!("the next visitor: {fault}"));
    }
    chaos.left = fs::read_dir(&directory).map_or(0, Iterator::count);
    let _ = fs::remove_dir_all(&directory);
    chaos.violations = chaos.faults.len();
    chaos.seconds = begin.elapsed().as_secs_f64();
    chaos.ok = chaos.violations == 0 && chaos.left == 0 && chaos.joins > 0;
    chaos
}

fn fight(
    directory: &Path,
    how: Fight,
    chaos: &mut Chaos,
    watch: &mut dyn FnMut(Duration, u64),
) -> Result<(), Fault> {
    listen_for_interrupt()?;
    fs::create_dir(directory)?;
    let stage = Stage::new()?;
    let worker = |actor: &Actor<'_>| work(actor, directory, how.remove);
    let mut workers: Vec<Cast<'_>> = Vec::new();
    for seat in 0..WORKERS {
        workers.push(stage.cast(seat, &worker)?);
    }
    let begin = Instant::now();
    let mut random = Random::new();
    let mut last_watch = Instant::now();
    while begin.elapsed() < how.time && INTERRUPTED.load(Relaxed) == 0 {
        std::thread::sleep(Duration::from_micros(random.below(1500)));
        let chosen = random.below(WORKERS as u64) as usize;
        let worker_there = &workers[chosen];
        if worker_there.seat().phase() == DONE {
            if let Some(fault) = worker_there.seat().recorded() {
                chaos.faults.push(fault.to_string());
            }
            if chaos.faults.len() >= how.patience {
                break;
            }
        } else if random.below(4) == 0 {
            kill(worker_there.pid, Signal::SIGSTOP)?;
            std::thread::sleep(Duration::from_micros(random.below(3000)));
            kill(worker_there.pid, Signal::SIGCONT)?;
            chaos.stops += 1;
            continue;
        } else {
            chaos.kills += 1;
        }
        // Killed and reaped here, before its successor takes the seat.
        drop(workers.swap_remove(chosen));
        let free = (0..WORKERS).find(|seat| workers.iter().all(|other| other.at() != *seat));
        let free = free.ok_or_else(|| Fault::broken("no seat is free"))?;
        workers.push(stage.cast(free, &worker)?);
        if last_watch.elapsed() > Duration::from_millis(200) {
            last_watch = Instant::now();
            watch(begin.elapsed(), chaos.kills);
        }
    }
    drop(workers);
    let count = |word: usize| stage.sheet().words[word].load(Relaxed);
    chaos.joins = count(JOINS);
    chaos.creates = count(CREATES);
    chaos.removals = count(REMOVALS);
    chaos.sweeps = count(SWEEPS);
    Ok(())
}

/// A worker joins, looks, lives a little, looks, leaves, and sometimes cleans up, for ever.
fn work(actor: &Actor<'_>, directory: &Path, remove: Remove) -> Result<(), Fault> {
    let mut random = Random::new();
    let count = |word: usize| -> &AtomicU64 { &actor.sheet().words[word] };
    loop {
        let (segment, made) = join(&mut random, directory)?;
        if made {
            count(CREATES).fetch_add(1, Relaxed);
        }
        if let Some(segment) = segment {
            count(JOINS).fetch_add(1, Relaxed);
            at_home(&segment, directory)?;
            if random.below(3) == 0 {
                std::thread::sleep(Duration::from_micros(random.below(300)));
            }
            at_home(&segment, directory)?;
        }
        match random.below(8) {
            0 => {
                count(REMOVALS).fetch_add(u64::from(remove(directory)?), Relaxed);
            }
            1 => {
                let swept = sweep::full(directory).map_err(|e| failed("sweep", &e))?;
                count(SWEEPS).fetch_add(1, Relaxed);
                for file in swept {
                    if file.outcome.map_err(|e| failed("sweep of a file", &e))?
                        == RemoveOutcome::Removed
                    {
                        count(REMOVALS).fetch_add(1, Relaxed);
                    }
                }
            }
            2 | 3 => std::thread::sleep(Duration::from_micros(random.below(100))),
            _ => {}
        }
    }
}

/// Gets into the segment in one of the three ways; also returns whether it was made here, as far as the way tells.
fn join(random: &mut Random, directory: &Path) -> Result<(Option<Segment>, bool), Fault> {
    match random.below(4) {
        0 => match options(directory).create(NAME) {
            Ok(segment) => Ok((Some(segment), true)),
            // Somebody lives in it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok((None, false)),
            Err(error) => Err(failed("create", &error)),
        },
        1 => match opening(directory).open(NAME) {
            Ok(segment) => Ok((Some(segment), false)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok((None, false)),
            Err(error) => Err(failed("open", &error)),
        },
        _ => match options(directory).open_or_create(NAME) {
            Ok(segment) => Ok((Some(segment), false)),
            Err(error) => Err(failed("open_or_create", &error)),
        },
    }
}

fn remove(directory: &Path) -> Result<bool, Fault> {
    let outcome = opening(directory).remove_if_dead(NAME);
    Ok(outcome.map_err(|e| failed("remove_if_dead", &e))? == RemoveOutcome::Removed)
}

/// The mistake: somebody may come between the question and the deed.
fn probe_then_unlink(directory: &Path) -> Result<bool, Fault> {
    let path = directory.join(format!("{PREFIX}{NAME}"));
    let Ok(file) = fs::OpenOptions::new().read(true).write(true).open(&path) else {
        return Ok(false);
    };
    Ok(!removal::in_use(file.as_fd())? && fs::remove_file(&path).is_ok())
}

fn visit(directory: &Path) -> Result<(), Fault> {
    let outcome =
        opening(directory).remove_if_dead(NAME).map_err(|e| failed("remove_if_dead", &e))?;
    match outcome {
        RemoveOutcome::Removed | RemoveOutcome::Gone => Ok(()),
        other => Err(Fault::leaked(format!("{other:?}"))),
    }
}

fn options(directory: &Path) -> Options {
    life::options().directory(directory)
}

fn opening(directory: &Path) -> OpenOptions {
    OpenOptions::new().directory(directory)
}

fn failed(what: &str, error: &SegmentError) -> Fault {
    Fault::hung(format!("{what}: {error} ({:?})", error.kind()))
}

/// Checks that the segment that this worker lives in is the one with the name.
fn at_home(segment: &Segment, directory: &Path) -> Result<(), Fault> {
    let mine = fstat(segment.participant().file()?)?;
    let path: PathBuf = directory.join(format!("{PREFIX}{NAME}"));
    let named = stat(&path).map(|named| (named.st_dev, named.st_ino));
    if named == Ok((mine.st_dev, mine.st_ino)) && mine.st_nlink == 1 {
        return Ok(());
    }
    Err(Fault::double_owner(format!(
        "split: inode {} with {} names lives, and the name leads to {named:?}",
        mine.st_ino, mine.st_nlink
    )))
}

/// An interrupt ends the run early, so that it leaves nothing.
fn listen_for_interrupt() -> Result<(), Fault> {
    extern "C" fn interrupted(_: libc::c_int) {
        INTERRUPTED.store(1, Relaxed);
    }
    let handler = SigHandler::Handler(interrupted);
    let action = SigAction::new(handler, SaFlags::SA_RESETHAND, SigSet::empty());
    // SAFETY: the handler is one store to an atomic.
    unsafe { sigaction(Signal::SIGINT, &action) }?;
    Ok(())
}

/// Numbers that are random enough to choose moments: xorshift64*.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(now() ^ u64::from(std::process::id()) << 32 | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % end
    }
}

impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "random, {:.0} s: {} kills, {} stops, {} joins, {} creates, {} removals, {} sweeps; {} violations, {} left",
            self.seconds,
            self.kills,
            self.stops,
            self.joins,
            self.creates,
            self.removals,
            self.sweeps,
            self.violations,
            self.left
        )?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}
