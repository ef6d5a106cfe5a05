//! What those use up who have nothing to do: readers of pipes and queues whose other ends are alive in another process, and silent;
//! and a pool.

use std::mem::MaybeUninit;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use comfy_table::Table;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use shmkit::wait::{Ready, wait};
use shmkit::{FrameReceiver, FrameSender, Objects, Pool, Queue, Receiver, Sender};
use shmkit_benches::Shared;
use shmkit_segment::{Options, Segment};

/// How many of them there are.
const MANY: u32 = 1000;
/// How many workers a pool has.
const WORKERS: u32 = 64;
/// The share of one processor that they may use, with the process that has them.
const OF_A_POOL: f64 = 0.001;
/// How long they wait before it is measured: their spins are over, and their slices have their full length.
const SETTLE: Duration = Duration::from_secs(3);
/// How long it is measured.
const MEASURE: Duration = Duration::from_secs(10);
/// How long they have to come.
const PATIENCE: Duration = Duration::from_secs(60);
/// A thread that waits needs no more.
const STACK: usize = 128 << 10;

/// How they wait.
#[derive(Clone, Copy, Debug)]
struct Case {
    name: &'static str,
    readers: u32,
    /// All by one thread, instead of each by its own.
    together: bool,
    /// The share of one processor that they may use together.
    limit: f64,
}

const CASES: [Case; 3] = [
    Case { name: "one reader of a pipe", readers: 1, together: false, limit: 0.005 },
    Case {
        name: "1,000 pipes and queues, a thread each",
        readers: MANY,
        together: false,
        limit: 0.1,
    },
    Case { name: "1,000 pipes and queues, one wait", readers: MANY, together: true, limit: 0.15 },
];

/// One of the things that are read, by its number.
enum Reader {
    Pipe(Receiver<u64>),
    Frames(FrameReceiver),
    Queue(Queue<u64>),
}

impl Reader {
    fn new(segment: &Segment, number: u32) -> Result<Self> {
        let name = number.to_string();
        Ok(match number % 3 {
            0 => Self::Pipe(segment.pipe(&name, 8)?.receiver()?),
            1 => Self::Frames(segment.frames(&name, 128)?.receiver()?),
            _ => Self::Queue(segment.queue(&name, 8)?),
        })
    }

    /// Waits for what does not come.
    fn read(self) {
        match self {
            Self::Pipe(mut pipe) => drop(pipe.recv()),
            Self::Frames(mut frames) => drop(frames.recv()),
            Self::Queue(queue) => drop(queue.get()),
        }
    }

    fn ready(&self) -> &dyn Ready {
        match self {
            Self::Pipe(pipe) => pipe,
            Self::Frames(frames) => frames,
            Self::Queue(queue) => queue,
        }
    }
}

/// The other end, which is there.
#[expect(dead_code, reason = "held, and nothing else")]
enum Writer {
    Pipe(Sender<u64>),
    Frames(FrameSender),
    Queue(Queue<u64>),
}

impl Writer {
    fn new(segment: &Segment, number: u32) -> Result<Self> {
        let name = number.to_string();
        Ok(match number % 3 {
            0 => Self::Pipe(segment.pipe(&name, 8)?.sender()?),
            1 => Self::Frames(segment.frames(&name, 128)?.sender()?),
            _ => Self::Queue(segment.queue(&name, 8)?),
        })
    }
}

/// Measures all, and says whether the limits were kept.
pub(crate) fn run() -> Result<()> {
    let mut table = Table::new();
    table.set_header(["idle for 10 s", "of a processor", "limit", ""]);
    let mut add = |name: String, used: Duration, limit: f64| {
        let share = used.as_secs_f64() / MEASURE.as_secs_f64();
        table.add_row([
            name,
            format!("{:.2} %", share * 100.0),
            format!("{:.1} %", limit * 100.0),
            (if share < limit { "kept" } else { "NOT KEPT" }).into(),
        ]);
    };
    for case in CASES {
        add(case.name.to_owned(), measure(case)?, case.limit);
    }
    add(format!("a pool of {WORKERS}"), pool()?, OF_A_POOL);
    println!("{table}");
    Ok(())
}

/// Returns how long a pool's processes have run: this one and its workers.
fn pool() -> Result<Duration> {
    let pool = Pool::new(WORKERS)?;
    let pids = pool.pids();
    let all =
        || pids.iter().try_fold(time()?, |sum, &pid| Ok::<_, anyhow::Error>(sum + time_of(pid)?));
    sleep(SETTLE);
    let before = all()?;
    sleep(MEASURE);
    Ok(all()? - before)
}

/// How long a process of one thread has run, as its scheduler counts it.
fn time_of(pid: u32) -> Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let nanos = text.split(' ').next().context("a time")?.parse().context("a time")?;
    Ok(Duration::from_nanos(nanos))
}

/// Returns how long the process that reads has run.
fn measure(case: Case) -> Result<Duration> {
    let segment = Options::new(4 << 20).objects(MANY + 24).anonymous()?;
    // SAFETY: an atomic number.
    let used: Shared<AtomicU64> = unsafe { Shared::new() }?;
    let writers = (0..case.readers).map(|number| Writer::new(&segment, number));
    let writers = writers.collect::<Result<Vec<_>>>()?;
    // SAFETY: the child does not return; no other thread of this process holds a lock (there is none).
    let child = match unsafe { fork() }.context("fork")? {
        ForkResult::Child => {
            let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
            match segment.join_after_fork().map_err(Into::into).and_then(|_| idle(&segment, case)) {
                // Release: pairs with the Acquire below.
                Ok(time) => used.store(time.as_nanos() as u64 + 1, Release),
                Err(error) => eprintln!("who reads: {error:#}"),
            }
            loop {
                sleep(PATIENCE);
            }
        }
        ForkResult::Parent { child } => child,
    };
    let began = Instant::now();
    // Acquire: pairs with the Release of the child.
    while used.load(Acquire) == 0 {
        ensure!(began.elapsed() < PATIENCE, "{}: it never measured", case.name);
        sleep(Duration::from_millis(50));
    }
    kill(child, Signal::SIGKILL)?;
    waitpid(child, None)?;
    drop(writers);
    Ok(Duration::from_nanos(used.load(Acquire) - 1))
}

/// Waits, and returns how long this process has run meanwhile.
fn idle(segment: &Segment, case: Case) -> Result<Duration> {
    let readers = (0..case.readers).map(|number| Reader::new(segment, number));
    let readers = readers.collect::<Result<Vec<_>>>()?;
    let begin = |name: &str, life: Box<dyn FnOnce() + Send>| {
        Builder::new().name(name.into()).stack_size(STACK).spawn(life)
    };
    if case.together {
        begin(
            "all",
            Box::new(move || {
                let all: Vec<&dyn Ready> = readers.iter().map(Reader::ready).collect();
                let _ = wait(&all, None);
            }),
        )?;
    } else {
        for reader in readers {
            begin("one", Box::new(move || reader.read()))?;
        }
    }
    sleep(SETTLE);
    let before = time()?;
    sleep(MEASURE);
    Ok(time()? - before)
}

/// How long all threads of this process have run.
fn time() -> Result<Duration> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: it writes to what it is given.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0 {
        bail!(std::io::Error::last_os_error());
    }
    // SAFETY: zeros are a `rusage`, and it has been written to since.
    let usage = unsafe { usage.assume_init() };
    let of = |at: libc::timeval| {
        Duration::from_secs(at.tv_sec as u64) + Duration::from_micros(at.tv_usec as u64)
    };
    Ok(of(usage.ru_utime) + of(usage.ru_stime))
}
