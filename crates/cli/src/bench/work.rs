//! What is measured, and the process at the other end.

use std::hint::{black_box, spin_loop};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use shmkit::{
    Atomic, Failure, Mutex, New, OpenOptions, Options, Pipe, PipeError, Process, Queue, Value, task,
};

/// For so long the other process is waited for, to come or to be ready.
const PATIENCE: Duration = Duration::from_secs(20);
/// Items of the pipes and of the queue.
const CAPACITY: u64 = 1024;
/// Between two looks at the clock, while a processor is kept busy.
const SPINS: u32 = 1 << 20;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Lock,
    Contended,
    Value,
    Message,
    RoundTrip,
    Queue,
    Segment,
    /// A cache line there and back: no figure of ours, but what those between two processes depend on.
    CacheLine,
}

impl Work {
    pub(super) const ALL: [Self; 8] = [
        Self::Lock,
        Self::Contended,
        Self::Value,
        Self::Message,
        Self::RoundTrip,
        Self::Queue,
        Self::Segment,
        Self::CacheLine,
    ];

    pub(super) fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Lock => "lock and unlock, nobody else there",
            Self::Contended => "lock and unlock, two processes at once",
            Self::Value => "update of a value",
            Self::Message => "message through a pipe",
            Self::RoundTrip => "message through a pipe, and back",
            Self::Queue => "put and get through a queue",
            Self::Segment => "create and open a segment",
            Self::CacheLine => return None,
        })
    }

    /// What the other process is told, with how many.
    fn order(self, count: u32) -> u64 {
        let line = Self::ALL.iter().position(|line| *line == self).unwrap_or(0);
        (line as u64) << 32 | u64::from(count)
    }

    fn of_order(order: u64) -> Option<(Self, u32)> {
        Self::ALL.get((order >> 32) as usize).map(|line| (*line, order as u32))
    }
}

/// What both processes have.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Shared {
    /// Orders, and the messages of a sample.
    there: Pipe<u64>,
    back: Pipe<u64>,
    lock: Mutex<u64>,
    queue: Queue<u64>,
    line: Atomic<u32>,
}

pub(super) struct Bench {
    shared: Shared,
    value: Value<u64>,
    peer: Process<Result<(), Failure>>,
    there: shmkit::pipe::Sender<u64>,
    back: shmkit::pipe::Receiver<u64>,
    directory: PathBuf,
}

impl Bench {
    /// Starts the process at the other end.
    pub(super) fn new(directory: &Path) -> Result<Self> {
        let shared = Shared {
            there: Pipe::new(CAPACITY)?,
            back: Pipe::new(CAPACITY)?,
            lock: Mutex::new(0)?,
            queue: Queue::new(CAPACITY)?,
            line: Atomic::new(0)?,
        };
        let (there, back) = (shared.there.sender()?, shared.back.receiver()?);
        let started = Process::named("shmkit-bench").spawn(peer, (shared.clone(),))?;
        let directory = directory.to_owned();
        Ok(Self { value: Value::new(0)?, shared, peer: started, there, back, directory })
    }

    /// Does one of them so often, and says how long that took.
    pub(super) fn sample(&mut self, line: Work, count: u32) -> Result<Duration> {
        match line {
            Work::Lock => timed(|| take(black_box(&self.shared.lock), count)),
            Work::Value => timed(|| {
                for _ in 0..count {
                    black_box(&self.value).update(|n| *n += 1)?;
                }
                Ok(())
            }),
            Work::Segment => self.life(count),
            Work::Contended => self
                .with_peer(line, count.div_ceil(2), |this, count| take(&this.shared.lock, count)),
            Work::Message => self.with_peer(line, count, |this, count| {
                (0..count).try_for_each(|n| Ok(this.there.send(n.into())?))
            }),
            Work::Queue => self.with_peer(line, count, |this, count| {
                (0..count).try_for_each(|n| Ok(this.shared.queue.put(n.into())?))
            }),
            Work::RoundTrip => self.with_peer(line, count, |this, count| {
                for n in 0..u64::from(count) {
                    this.there.send(n)?;
                    ensure!(this.back.recv()? == n, "another message came back");
                }
                Ok(())
            }),
            Work::CacheLine => self.with_peer(line, count, |this, count| {
                (0..count).try_for_each(|n| {
                    this.shared.line.store(2 * n + 1);
                    spin(|| this.shared.line.load() == 2 * n + 2)
                })
            }),
        }
    }

    /// Has the other process do its part meanwhile; both are ready before the clock runs, and done when it stands.
    fn with_peer(
        &mut self,
        line: Work,
        count: u32,
        ours: impl FnOnce(&mut Self, u32) -> Result<()>,
    ) -> Result<Duration> {
        self.shared.line.store(0);
        self.there.send(line.order(count))?;
        self.wait()?;
        timed(|| {
            ours(self, count)?;
            self.wait()
        })
    }

    fn wait(&mut self) -> Result<()> {
        self.back.recv_timeout(PATIENCE).context("waiting for the other process")?;
        Ok(())
    }

    /// A segment that is made, opened, and gone.
    fn life(&self, count: u32) -> Result<Duration> {
        let name = format!("bench-{}", std::process::id());
        let options = Options::new(1 << 16).directory(&self.directory).content("shmkit-bench/1");
        let open = OpenOptions::new().directory(&self.directory);
        timed(|| {
            for _ in 0..count {
                let made = options.create(&name)?;
                drop(open.open(&name)?);
                drop(made);
            }
            Ok(())
        })
    }

    /// The other process ends when nobody gives it orders any more.
    pub(super) fn end(self) -> Result<()> {
        drop(self.there);
        let ended = self.peer.join().context("the other process")?;
        ended.map_err(|failure| anyhow!("the other process: {}", failure.message()))
    }
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed())
}

/// Takes a lock and gives it back, so often.
fn take(lock: &Mutex<u64>, count: u32) -> Result<()> {
    for _ in 0..count {
        drop(lock.lock().map_err(|_| anyhow!("the lock's last owner has died"))?);
    }
    Ok(())
}

/// Waits with a busy processor.
fn spin(is_so: impl Fn() -> bool) -> Result<()> {
    let began = Instant::now();
    loop {
        for _ in 0..SPINS {
            if is_so() {
                return Ok(());
            }
            spin_loop();
        }
        if began.elapsed() > PATIENCE {
            bail!("the other process does not answer");
        }
    }
}

/// The process at the other end: does its part of what it is told to.
#[task]
fn peer(shared: Shared) -> Result<(), Failure> {
    match serve(&shared) {
        Ok(()) => Ok(()),
        Err(error) => Err(Failure::new(format!("{error:#}"))),
    }
}

fn serve(shared: &Shared) -> Result<()> {
    let (mut orders, mut back) = (shared.there.receiver()?, shared.back.sender()?);
    loop {
        let order = match orders.recv() {
            Err(PipeError::Closed) => return Ok(()),
            order => order?,
        };
        let (line, count) = Work::of_order(order).context("an order that is none")?;
        back.send(0)?;
        match line {
            Work::Contended => take(&shared.lock, count)?,
            Work::Message => (0..count).try_for_each(|_| orders.recv().map(drop))?,
            Work::Queue => (0..count).try_for_each(|_| shared.queue.get().map(drop))?,
            Work::RoundTrip => {
                for _ in 0..count {
                    back.send(orders.recv()?)?;
                }
            }
            Work::CacheLine => {
                for n in 0..count {
                    spin(|| shared.line.load() == 2 * n + 1)?;
                    shared.line.store(2 * n + 2);
                }
            }
            Work::Lock | Work::Value | Work::Segment => {}
        }
        back.send(0)?;
    }
}
