//! Our own pipe at work.

use std::hint::spin_loop;
use std::ops::Range;

use anyhow::{Result, anyhow, ensure};
use shmkit::Objects;
use shmkit_benches::{Candidate, time_processes};
use shmkit_segment::{Options, Segment};

use super::{CAPACITY, Item, is, item, lap, numbers};

/// A segment of one sample: an end that was closed stays closed to who is at the other one.
fn segment() -> Result<Segment> {
    Ok(Options::new(4 << 20).anonymous()?)
}

/// Anything that our pipes may fail with, as a value of this program.
pub(super) fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("{error}")
}

/// A stream of items, one at a time.
pub(super) fn singles<const WORDS: usize>() -> Candidate<'static> {
    Candidate::new("send + recv", move |n| {
        let segment = segment()?;
        let forth = segment.pipe::<Item<WORDS>>("forth", CAPACITY as u64)?;
        time_processes(
            |start| {
                segment.join_after_fork()?;
                let mut sender = forth.sender()?;
                let mut send = |number| sender.send(item(number)).map_err(failed);
                lap().try_for_each(&mut send)?;
                start.together();
                numbers(n).try_for_each(send)
            },
            |start| {
                let mut receiver = forth.receiver()?;
                let mut recv = |number| {
                    ensure!(is(&receiver.recv().map_err(failed)?, number), "out of order");
                    Ok(())
                };
                lap().try_for_each(&mut recv)?;
                start.together();
                numbers(n).try_for_each(recv)
            },
        )
    })
}

/// A stream of items, `batch` at a time.
pub(super) fn batches<const WORDS: usize>(batch: usize) -> Candidate<'static> {
    Candidate::new("send_all + recv_batch", move |n| {
        let segment = segment()?;
        let forth = segment.pipe::<Item<WORDS>>("forth", CAPACITY as u64)?;
        time_processes(
            |start| {
                segment.join_after_fork()?;
                let mut sender = forth.sender()?;
                let mut items = vec![item(0); batch];
                let mut send = |first: u64| {
                    items.iter_mut().zip(first..).for_each(|(to, number)| *to = item(number));
                    sender.send_all(&items).map_err(failed)
                };
                lap().step_by(batch).try_for_each(&mut send)?;
                start.together();
                numbers(n).step_by(batch).try_for_each(send)
            },
            |start| {
                let mut receiver = forth.receiver()?;
                let mut items = vec![item(0); batch];
                let mut recv = |numbers: Range<u64>| {
                    let mut next = numbers.start;
                    while next < numbers.end {
                        let got = receiver.recv_batch(&mut items).map_err(failed)?;
                        for found in &items[..got] {
                            ensure!(is(found, next), "out of order");
                            next += 1;
                        }
                    }
                    Ok(())
                };
                recv(lap())?;
                start.together();
                recv(numbers(n))
            },
        )
    })
}

/// One item there and back over two pipes, neither side ever asleep.
pub(super) fn spinning_round_trip() -> Candidate<'static> {
    Candidate::new("try_send + try_recv", move |n| {
        let segment = segment()?;
        let forth = segment.pipe::<u64>("forth", CAPACITY as u64)?;
        let back = segment.pipe::<u64>("back", CAPACITY as u64)?;
        time_processes(
            |start| {
                segment.join_after_fork()?;
                let (mut sender, mut receiver) = (back.sender()?, forth.receiver()?);
                start.together();
                for _ in 0..n {
                    let item = spin(|| receiver.try_recv().ok());
                    sender.try_send(item).map_err(failed)?;
                }
                Ok(())
            },
            |start| {
                let (mut sender, mut receiver) = (forth.sender()?, back.receiver()?);
                start.together();
                for trip in 0..u64::from(n) {
                    sender.try_send(trip).map_err(failed)?;
                    ensure!(spin(|| receiver.try_recv().ok()) == trip, "out of order");
                }
                Ok(())
            },
        )
    })
}

/// One item there and back with the calls that sleep when there is nothing.
pub(super) fn blocking_round_trip() -> Candidate<'static> {
    Candidate::new("send + recv", move |n| {
        let segment = segment()?;
        let forth = segment.pipe::<u64>("forth", CAPACITY as u64)?;
        let back = segment.pipe::<u64>("back", CAPACITY as u64)?;
        time_processes(
            |start| {
                segment.join_after_fork()?;
                let (mut sender, mut receiver) = (back.sender()?, forth.receiver()?);
                start.together();
                for _ in 0..n {
                    let item = receiver.recv().map_err(failed)?;
                    sender.send(item).map_err(failed)?;
                }
                Ok(())
            },
            |start| {
                let (mut sender, mut receiver) = (forth.sender()?, back.receiver()?);
                start.together();
                for trip in 0..u64::from(n) {
                    sender.send(trip).map_err(failed)?;
                    ensure!(receiver.recv().map_err(failed)? == trip, "out of order");
                }
                Ok(())
            },
        )
    })
}

/// Calls `attempt` until it has something.
pub(super) fn spin<R>(mut attempt: impl FnMut() -> Option<R>) -> R {
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        spin_loop();
    }
}
