//! Rings and lines that promise nothing.

use std::hint::spin_loop;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

use anyhow::{Result, ensure};
use shmkit_benches::{Candidate, Shared, time_processes, time_with_child};

use super::{CAPACITY, lap, numbers};

/// How many pauses a receiver that found nothing rests before it looks again: meanwhile the sender fills several lines.
const REST: u32 = 10;
/// How many items a receiver takes before it says so.
const LAG: u64 = CAPACITY as u64 / 4;

/// A ring without checks, death or sleep, whose receiver leaves the sender alone: it rests, and publishes its position
/// only when a quarter of the ring is free or nothing is left.
#[repr(C, align(128))]
struct BareRing<const WORDS: usize> {
    head: Line,
    tail: Line,
    items: [[AtomicU64; WORDS]; CAPACITY],
}

#[repr(C, align(128))]
struct Line(AtomicU64);

pub(super) fn singles<const WORDS: usize>() -> Result<Candidate<'static>> {
    // SAFETY: atomic numbers.
    let ring: Shared<BareRing<WORDS>> = unsafe { Shared::new() }?;
    Ok(Candidate::new("a ring that promises nothing", move |n| {
        // Relaxed: no child runs yet.
        ring.head.0.store(0, Relaxed);
        ring.tail.0.store(0, Relaxed);
        time_processes(
            |start| {
                let mut seen = 0;
                let mut send = |position: u64| {
                    while position - seen == CAPACITY as u64 {
                        // Acquire: pairs with the consumer's Release.
                        seen = ring.head.0.load(Acquire);
                    }
                    for word in &ring.items[position as usize % CAPACITY] {
                        word.store(position, Relaxed);
                    }
                    // Release: pairs with the consumer's Acquire.
                    ring.tail.0.store(position + 1, Release);
                };
                lap().for_each(&mut send);
                start.together();
                numbers(n).for_each(send);
                Ok(())
            },
            |start| {
                let (mut seen, mut said) = (0, 0);
                let mut recv = |position: u64| {
                    if position == seen || position - said == LAG {
                        // Release: pairs with the producer's Acquire.
                        ring.head.0.store(position, Release);
                        said = position;
                    }
                    while position == seen {
                        // Acquire: pairs with the producer's Release.
                        seen = ring.tail.0.load(Acquire);
                        if position == seen {
                            (0..REST).for_each(|_| spin_loop());
                        }
                    }
                    for word in &ring.items[position as usize % CAPACITY] {
                        ensure!(word.load(Relaxed) == position, "the bare ring is out of order");
                    }
                    Ok(())
                };
                lap().try_for_each(&mut recv)?;
                start.together();
                numbers(n).try_for_each(recv)
            },
        )
    }))
}

/// The two lines that any round trip through memory needs at least.
pub(super) fn round_trip() -> Result<Candidate<'static>> {
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
