//! Pipes between two processes.

use std::hint::spin_loop;
use std::io::{Read, Write};
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

use anyhow::{Context, Result, anyhow, ensure};
use nix::unistd::pipe;
use shmkit::{Objects, ShmSafe};
use shmkit_benches::{Candidate, Group, Shared, time_with_child};
use shmkit_segment::{Options, Segment};

/// Items a ring has room for.
const CAPACITY: u64 = 1024;

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    Ok(vec![
        Group::new("throughput, 8 bytes", 300_000, throughput::<u64>("send + recv", 1))
            .against(bare_throughput::<1>()?)
            .against(kernel_pipe_throughput::<8>()),
        Group::new(
            "throughput, 8 bytes, batches of 64",
            300_000,
            throughput::<u64>("send_all + recv_batch", 64),
        )
        .against(bare_throughput::<1>()?),
        Group::new("throughput, 64 bytes", 300_000, throughput::<[u64; 8]>("send + recv", 1))
            .against(bare_throughput::<8>()?)
            .against(kernel_pipe_throughput::<64>()),
        Group::new("spinning round trip", 20_000, spinning_round_trip())
            .at_most(1.5, bare_ping_pong()?),
        Group::new("blocking round trip", 3_000, blocking_round_trip())
            .against(kernel_pipe_ping_pong()),
    ])
}

/// A segment of one sample: an end that was closed stays closed to who is at the other one.
fn segment() -> Result<Segment> {
    Ok(Options::new(1 << 20).anonymous()?)
}

/// Anything that our pipes may fail with, as a value of this program.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("{error}")
}

/// A stream of items through one of our pipes.
fn throughput<T: ShmSafe>(name: &'static str, batch: usize) -> Candidate<'static> {
    Candidate::new(name, move |n| {
        let segment = segment()?;
        let forth = segment.pipe::<T>("forth", CAPACITY)?;
        time_with_child(
            || {
                segment.join_after_fork()?;
                let mut sender = forth.sender()?;
                let items = vec![T::zeroed(); batch];
                let mut left = n as usize;
                while left > 0 {
                    let now = left.min(batch);
                    if batch == 1 {
                        sender.send(items[0]).map_err(failed)?;
                    } else {
                        sender.send_all(&items[..now]).map_err(failed)?;
                    }
                    left -= now;
                }
                Ok(())
            },
            || {
                let mut receiver = forth.receiver()?;
                let mut items = vec![T::zeroed(); batch];
                let mut got = 0;
                while got < n as usize {
                    if batch == 1 {
                        receiver.recv().map_err(failed)?;
                        got += 1;
                    } else {
                        got += receiver.recv_batch(&mut items).map_err(failed)?;
                    }
                }
                Ok(())
            },
        )
    })
}

/// A ring that promises nothing: two positions, no checks, no death, no sleep.
#[repr(C, align(128))]
struct BareRing<const WORDS: usize> {
    head: Line,
    tail: Line,
    items: [[AtomicU64; WORDS]; CAPACITY as usize],
}

#[repr(C, align(128))]
struct Line(AtomicU64);

fn bare_throughput<const WORDS: usize>() -> Result<Candidate<'static>> {
    use std::sync::atomic::Ordering::Relaxed;
    // SAFETY: atomic numbers.
    let ring: Shared<BareRing<WORDS>> = unsafe { Shared::new() }?;
    Ok(Candidate::new("a ring that promises nothing", move |n| {
        // Relaxed: no child runs yet.
        ring.head.0.store(0, Relaxed);
        ring.tail.0.store(0, Relaxed);
        time_with_child(
            || {
                let mut seen = 0;
                for position in 0..u64::from(n) {
                    while position - seen == CAPACITY {
                        // Acquire: pairs with the consumer's Release.
                        seen = ring.head.0.load(Acquire);
                    }
                    for word in &ring.items[(position % CAPACITY) as usize] {
                        word.store(position, Relaxed);
                    }
                    // Release: pairs with the consumer's Acquire.
                    ring.tail.0.store(position + 1, Release);
                }
                Ok(())
            },
            || {
                let mut seen = 0;
                for position in 0..u64::from(n) {
                    while position == seen {
                        // Acquire: pairs with the producer's Release.
                        seen = ring.tail.0.load(Acquire);
                    }
                    for word in &ring.items[(position % CAPACITY) as usize] {
                        ensure!(word.load(Relaxed) == position, "the bare ring is out of order");
                    }
                    // Release: pairs with the producer's Acquire.
                    ring.head.0.store(position + 1, Release);
                }
                Ok(())
            },
        )
    }))
}

fn kernel_pipe_throughput<const BYTES: usize>() -> Candidate<'static> {
    Candidate::new("pipe(2)", |n| {
        let (read, write) = pipe()?;
        let (mut read, mut write) = (std::fs::File::from(read), std::fs::File::from(write));
        time_with_child(
            || {
                for _ in 0..n {
                    write.write_all(&[0; BYTES])?;
                }
                Ok(())
            },
            || {
                let mut item = [0; BYTES];
                for _ in 0..n {
                    read.read_exact(&mut item)?;
                }
                Ok(())
            },
        )
    })
}

/// One item there and back over two of our pipes, neither side ever asleep.
fn spinning_round_trip() -> Candidate<'static> {
    Candidate::new("try_send + try_recv", move |n| {
        let segment = segment()?;
        let forth = segment.pipe::<u64>("forth", CAPACITY)?;
        let back = segment.pipe::<u64>("back", CAPACITY)?;
        time_with_child(
            || {
                segment.join_after_fork()?;
                let (mut sender, mut receiver) = (back.sender()?, forth.receiver()?);
                for _ in 0..n {
                    let item = spin(|| receiver.try_recv().ok());
                    sender.try_send(item).map_err(failed)?;
                }
                Ok(())
            },
            || {
                let (mut sender, mut receiver) = (forth.sender()?, back.receiver()?);
                for trip in 0..u64::from(n) {
                    sender.try_send(trip).map_err(failed)?;
                    ensure!(spin(|| receiver.try_recv().ok()) == trip, "out of order");
                }
                Ok(())
            },
        )
    })
}

fn spin<R>(mut attempt: impl FnMut() -> Option<R>) -> R {
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        spin_loop();
    }
}

/// The two lines that any round trip through memory needs at least.
fn bare_ping_pong() -> Result<Candidate<'static>> {
    struct Lines {
        ping: PaddedWord,
        pong: PaddedWord,
    }
    #[repr(align(128))]
    struct PaddedWord(AtomicU32);
    // SAFETY: atomic numbers.
    let lines: Shared<Lines> = unsafe { Shared::new() }?;
    Ok(Candidate::new("bare two-line ping-pong", move |n| {
        // Release: before the child is forked, so any ordering would do.
        lines.ping.0.store(0, Release);
        lines.pong.0.store(0, Release);
        time_with_child(
            || {
                for trip in 1..=n {
                    // Acquire and Release: pair with the other side's.
                    while lines.ping.0.load(Acquire) != trip {
                        spin_loop();
                    }
                    lines.pong.0.store(trip, Release);
                }
                Ok(())
            },
            || {
                for trip in 1..=n {
                    lines.ping.0.store(trip, Release);
                    while lines.pong.0.load(Acquire) != trip {
                        spin_loop();
                    }
                }
                Ok(())
            },
        )
    }))
}

/// One item there and back with the calls that sleep when there is nothing.
fn blocking_round_trip() -> Candidate<'static> {
    Candidate::new("send + recv", move |n| {
        let segment = segment()?;
        let forth = segment.pipe::<u64>("forth", CAPACITY)?;
        let back = segment.pipe::<u64>("back", CAPACITY)?;
        time_with_child(
            || {
                segment.join_after_fork()?;
                let (mut sender, mut receiver) = (back.sender()?, forth.receiver()?);
                for _ in 0..n {
                    let item = receiver.recv().map_err(failed)?;
                    sender.send(item).map_err(failed)?;
                }
                Ok(())
            },
            || {
                let (mut sender, mut receiver) = (forth.sender()?, back.receiver()?);
                for trip in 0..u64::from(n) {
                    sender.send(trip).map_err(failed)?;
                    ensure!(receiver.recv().map_err(failed)? == trip, "out of order");
                }
                Ok(())
            },
        )
    })
}

fn kernel_pipe_ping_pong() -> Candidate<'static> {
    Candidate::new("pipe(2)", |n| {
        let (ping, to_ping) = pipe().context("pipe")?;
        let (pong, to_pong) = pipe().context("pipe")?;
        let (mut ping, mut to_ping) = (std::fs::File::from(ping), std::fs::File::from(to_ping));
        let (mut pong, mut to_pong) = (std::fs::File::from(pong), std::fs::File::from(to_pong));
        time_with_child(
            || {
                let mut item = [0; 8];
                for _ in 0..n {
                    ping.read_exact(&mut item)?;
                    to_pong.write_all(&item)?;
                }
                Ok(())
            },
            || {
                let mut item = [0; 8];
                for trip in 0..u64::from(n) {
                    to_ping.write_all(&trip.to_ne_bytes())?;
                    pong.read_exact(&mut item)?;
                    ensure!(u64::from_ne_bytes(item) == trip, "out of order");
                }
                Ok(())
            },
        )
    })
}
