//! Some who put and as many who take, at one queue.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use crossbeam_queue::ArrayQueue;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use shmkit::{Objects, Queue};
use shmkit_benches::{Candidate, Group, Shared};
use shmkit_segment::{Options, Segment};

use crate::python;

/// 56 bytes: with its word, a slot is a line.
type Item = [u64; 7];

/// 64 bytes.
type Line = [u64; 8];

const CAPACITY: usize = 1024;
/// Each of the two who put, and of the two who take, does half.
const ITEMS: u32 = 200_000;
const BATCH: usize = 16;
/// Items of a sample that Python has a part in.
const FEW: u32 = 100_000;

/// A process that takes, and one that puts as many bytes objects of 64 bytes as it is told to.
const QUEUE: &str = r#"
import sys, time
from multiprocessing import Pipe, Process, Queue

def take(queue, told):
    while True:
        for _ in range(told.recv()):
            queue.get()
        told.send(None)

if __name__ == "__main__":
    queue, (tell, told) = Queue(1024), Pipe()
    taker = Process(target=take, args=(queue, told), daemon=True)
    taker.start()
    item = bytes(64)
    for line in sys.stdin:
        count = int(line.split()[1])
        tell.send(count)
        began = time.perf_counter_ns()
        for _ in range(count):
            queue.put(item)
        tell.recv()
        print(time.perf_counter_ns() - began, flush=True)
"#;

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    let single = || -> Result<_> {
        ours(
            "Queue, processes",
            |queue, items| {
                (0..items)
                    .try_for_each(|n| queue.put([n.into(); 7]).map_err(|e| anyhow!("{}", e.error)))
            },
            |queue, items| (0..items).try_for_each(|_| Ok(queue.get().map(drop)?)),
        )
    };
    let batches = ours(
        "Queue, processes, 16 at a time",
        |queue, items| {
            let batch = [[7; 7]; BATCH];
            (0..items as usize / BATCH).try_for_each(|_| Ok(queue.put_all(&batch)?))
        },
        |queue, items| {
            let (mut left, mut batch) = (items as usize, [[0; 7]; BATCH]);
            while left > 0 {
                let most = left.min(BATCH);
                left -= queue.get_batch(&mut batch[..most])?;
            }
            Ok(())
        },
    )?;
    Ok(vec![
        Group::new("queue, 2 put and 2 take 56 bytes", ITEMS, single()?)
            .at_most(1.0, array_queue()),
        Group::new("queue, 2 put and 2 take 56 bytes in batches", ITEMS, batches)
            .at_most(1.0 / 3.0, single()?),
        Group::new("queue, 1 puts and 1 takes 64 bytes", ITEMS, lines(1)?)
            .at_most(1.0, channel(1))
            .against(kanal(1)),
        Group::new("queue, 2 put and 2 take 64 bytes", ITEMS, lines(2)?)
            .at_most(1.0, channel(2))
            .against(kanal(2)),
        Group::new("queue, 4 put and 4 take 64 bytes", ITEMS, lines(4)?)
            .at_most(1.0, channel(4))
            .against(kanal(4)),
        python::beside(
            Group::new("queue, 64 bytes beside Python", FEW, lines(1)?),
            1.0 / 100.0,
            python::candidate("Python's Queue", QUEUE, Vec::new(), "items"),
        ),
    ])
}

/// So many processes that put 64 bytes, and as many that take them.
fn lines(each: u32) -> Result<Candidate<'static>> {
    let segment: &'static Segment = Options::new(1 << 20).participants(16).anonymous()?.leak();
    let queue = segment.queue::<Line>("queue", CAPACITY as u64)?;
    Ok(Candidate::new("Queue, processes", move |items| {
        let share = items / each;
        let work = |n: usize| {
            if n < each as usize {
                (0..share)
                    .try_for_each(|n| queue.put([n.into(); 8]).map_err(|e| anyhow!("{}", e.error)))
            } else {
                (0..share).try_for_each(|_| Ok(queue.get().map(drop)?))
            }
        };
        let all = 2 * each as usize;
        let took = processes(all, || Ok(segment.join_after_fork().map(|_| ())?), work)?;
        ensure!(queue.is_empty()?, "something is left in the queue");
        Ok(took)
    }))
}

/// The same between threads, by a channel that blocks as the queue does.
fn channel(each: u32) -> Candidate<'static> {
    threads(
        "crossbeam-channel, threads",
        each,
        || crossbeam_channel::bounded::<Line>(CAPACITY),
        |sender, line| Ok(sender.send(line)?),
        |receiver| Ok(receiver.recv()?),
    )
}

/// And by one of another kind.
fn kanal(each: u32) -> Candidate<'static> {
    threads(
        "kanal, threads",
        each,
        || kanal::bounded::<Line>(CAPACITY),
        |sender, line| Ok(sender.send(line)?),
        |receiver| Ok(receiver.recv()?),
    )
}

/// So many threads that put lines into a channel, and as many that take them.
fn threads<S: Clone + Send + 'static, R: Clone + Send + 'static>(
    name: &'static str,
    each: u32,
    channel: fn() -> (S, R),
    send: fn(&S, Line) -> Result<()>,
    recv: fn(&R) -> Result<Line>,
) -> Candidate<'static> {
    Candidate::new(name, move |items| {
        let (sender, receiver) = channel();
        let share = items / each;
        let start = Instant::now();
        thread::scope(|scope| {
            let all: Vec<_> = (0..each)
                .flat_map(|_| {
                    let (sender, receiver) = (sender.clone(), receiver.clone());
                    [
                        scope.spawn(move || {
                            (0..share).try_for_each(|n| send(&sender, [n.into(); 8]))
                        }),
                        scope.spawn(move || {
                            (0..share).try_for_each(|_| recv(&receiver).map(|_| ()))
                        }),
                    ]
                })
                .collect();
            // What was sent was received, or one of them would not end well.
            all.into_iter()
                .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread's panic"))?)
        })?;
        Ok(start.elapsed())
    })
}

type Work = fn(&Queue<Item>, u32) -> Result<()>;

fn ours(name: &'static str, puts: Work, takes: Work) -> Result<Candidate<'static>> {
    let segment: &'static Segment = Options::new(1 << 20).participants(16).anonymous()?.leak();
    let queue = segment.queue::<Item>("queue", CAPACITY as u64)?;
    Ok(Candidate::new(name, move |items| {
        let half = items / 2;
        let work = |n: usize| if n < 2 { puts(&queue, half) } else { takes(&queue, half) };
        let took = processes(4, || Ok(segment.join_after_fork().map(|_| ())?), work)?;
        ensure!(queue.is_empty()?, "something is left in the queue");
        Ok(took)
    }))
}

/// Forks so many; returns how long they took from the moment at which all had joined.
pub(crate) fn processes(
    count: usize,
    join: impl Fn() -> Result<()>,
    work: impl Fn(usize) -> Result<()>,
) -> Result<Duration> {
    // SAFETY: atomic numbers.
    let gate: Shared<[AtomicU32; 2]> = unsafe { Shared::new() }?;
    let [ready, go] = &*gate;
    let mut children = Vec::new();
    for n in 0..count {
        // SAFETY: the child does its work and ends by `_exit`; the only other thread of this process is parked.
        match unsafe { fork() }.context("fork")? {
            ForkResult::Parent { child } => children.push(child),
            ForkResult::Child => {
                let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
                let does = || {
                    join()?;
                    // Release: pairs with the Acquire below; and Acquire with the Release there.
                    ready.fetch_add(1, Release);
                    while go.load(Acquire) == 0 {
                        thread::yield_now();
                    }
                    work(n)
                };
                let done: Result<()> = does();
                if let Err(error) = &done {
                    eprintln!("a process at the queue: {error:#}");
                }
                // SAFETY: ends the child at once; it has nothing to clean up.
                unsafe { libc::_exit(i32::from(done.is_err())) }
            }
        }
    }
    // Acquire, and Release: as above.
    while ready.load(Acquire) < count as u32 {
        thread::yield_now();
    }
    let start = Instant::now();
    go.store(1, Release);
    for child in children {
        let status = waitpid(child, None).context("waitpid")?;
        ensure!(matches!(status, WaitStatus::Exited(_, 0)), "a process ended with {status:?}");
    }
    Ok(start.elapsed())
}

/// Between threads, which spin and yield: it does not block.
fn array_queue() -> Candidate<'static> {
    Candidate::new("crossbeam ArrayQueue, threads", |items| {
        let queue = ArrayQueue::<Item>::new(CAPACITY);
        let half = items / 2;
        let start = Instant::now();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for n in 0..half {
                        while queue.push([n.into(); 7]).is_err() {
                            thread::yield_now();
                        }
                    }
                });
                scope.spawn(|| {
                    for _ in 0..half {
                        while queue.pop().is_none() {
                            thread::yield_now();
                        }
                    }
                });
            }
        });
        Ok(start.elapsed())
    })
}
