//! Our pipe of messages at work, beside the one of values of the same size, and what it sleeps on.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, ensure};
use shmkit::pipe::{PipeError, Waiting};
use shmkit::{Objects, Options};
use shmkit_benches::{Candidate, Shared, time_processes};

use super::ours::failed;
use super::{LONG, numbers};
use crate::futex;

/// Messages of a first lap, which is not measured.
fn lap(places: u64) -> std::ops::Range<u64> {
    0..places
}

/// A stream of messages of `WORDS` words, in a pipe that has room for about so many.
pub(super) fn singles<const WORDS: usize>(places: u64) -> Candidate<'static> {
    Candidate::new("frames: send + recv_into", move |n| {
        let segment = Options::new(2 << 20).anonymous()?;
        let frames = segment.frames("forth", places * WORDS as u64 * 8)?;
        time_processes(
            |start| {
                segment.join_after_fork()?;
                let mut sender = frames.sender()?;
                let mut message = [7_u8; 1 << 13];
                let message = &mut message[..WORDS * 8];
                let mut send = |number: u64| {
                    message[..8].copy_from_slice(&number.to_ne_bytes());
                    sender.send(message).map_err(failed)
                };
                lap(places).try_for_each(&mut send)?;
                start.together();
                numbers(n).try_for_each(send)
            },
            |start| {
                let mut receiver = frames.receiver()?;
                let mut buffer = [0_u8; 1 << 13];
                let mut recv = |number: u64| {
                    let len = receiver.recv_into(&mut buffer).map_err(failed)?;
                    ensure!(
                        len == WORDS * 8 && buffer[..8] == number.to_ne_bytes(),
                        "out of order"
                    );
                    Ok(())
                };
                lap(places).try_for_each(&mut recv)?;
                start.together();
                numbers(n).try_for_each(recv)
            },
        )
    })
}

/// The same of values of one type.
pub(super) fn typed<const WORDS: usize>(places: u64) -> Candidate<'static> {
    Candidate::new("values: send_from + recv_into", move |n| {
        let segment = Options::new(2 << 20).anonymous()?;
        let pipe = segment.pipe::<[u64; WORDS]>("forth", places)?;
        time_processes(
            |start| {
                segment.join_after_fork()?;
                let mut sender = pipe.sender()?;
                let mut item = [7_u64; WORDS];
                let mut send = |number: u64| {
                    item[0] = number;
                    sender.send_from(&item).map_err(failed)
                };
                lap(places).try_for_each(&mut send)?;
                start.together();
                numbers(n).try_for_each(send)
            },
            |start| {
                let mut receiver = pipe.receiver()?;
                let mut item = [0; WORDS];
                let mut recv = |number: u64| {
                    receiver.recv_into(&mut item).map_err(failed)?;
                    ensure!(item[0] == number, "out of order");
                    Ok(())
                };
                lap(places).try_for_each(&mut recv)?;
                start.together();
                numbers(n).try_for_each(recv)
            },
        )
    })
}

/// Messages of a mebibyte through a pipe of one: what lies in it may leave the cache of who wrote it, and is read faster then.
pub(super) fn stream() -> Candidate<'static> {
    Candidate::new("frames: a stream", |n| {
        let segment = Options::new(2 << 20).anonymous()?;
        let frames = segment.frames("forth", LONG as u64)?;
        time_processes(
            |start| {
                segment.join_after_fork()?;
                let mut sender = frames.sender()?;
                let message = vec![7_u8; LONG];
                (0..2).try_for_each(|_| sender.send(&message))?;
                start.together();
                (0..n).try_for_each(|_| Ok(sender.send(black_box(&message))?))
            },
            |start| {
                let mut receiver = frames.receiver()?;
                let mut buffer = vec![0_u8; LONG];
                let mut recv = || -> Result<()> {
                    let len = receiver.recv_into(&mut buffer)?;
                    ensure!(len == LONG && buffer[LONG - 1] == 7, "another message came");
                    Ok(())
                };
                (0..2).try_for_each(|_| recv())?;
                start.together();
                (0..n).try_for_each(|_| recv())
            },
        )
    })
}

/// One item there and back over two pipes, whose ends sleep at once.
pub(super) fn sleeping_round_trip() -> Candidate<'static> {
    Candidate::new("send + recv, asleep", |n| {
        let segment = Options::new(1 << 16).anonymous()?;
        let [forth, back] = ["forth", "back"].map(|name| segment.pipe::<u64>(name, 8));
        let (forth, back) = (forth?, back?);
        time_processes(
            |start| {
                segment.join_after_fork()?;
                let (mut sender, mut receiver) = (back.sender()?, forth.receiver()?);
                receiver.set_waiting(Waiting::Sleep);
                start.together();
                (0..n).try_for_each(|_| Ok(sender.send(receiver.recv()?)?))
            },
            |start| {
                let (mut sender, mut receiver) = (forth.sender()?, back.receiver()?);
                receiver.set_waiting(Waiting::Sleep);
                start.together();
                (0..u64::from(n)).try_for_each(|trip| {
                    sender.send(trip)?;
                    ensure!(receiver.recv()? == trip, "out of order");
                    Ok(())
                })
            },
        )
    })
}

/// The same by two bare futexes.
pub(super) fn futex_round_trip() -> Result<Candidate<'static>> {
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering::{Acquire, Release};

    // SAFETY: numbers, of which any will do.
    let words: Shared<[AtomicU32; 64]> = unsafe { Shared::new() }?;
    Ok(Candidate::new("bare futexes", move |n| {
        // SAFETY: mapped, and used as atomic numbers only.
        let words = unsafe { &*words.get() };
        let (forth, back) = (&words[0], &words[32]);
        forth.store(0, Release);
        back.store(0, Release);
        let await_trip = |word: &AtomicU32, trip: u32| {
            // Acquire: pairs with the Release of the other side.
            while word.load(Acquire) != trip {
                futex::wait(word, trip - 1);
            }
        };
        time_processes(
            |start| {
                start.together();
                for trip in 1..=n {
                    await_trip(forth, trip);
                    back.store(trip, Release);
                    futex::wake(back);
                }
                Ok(())
            },
            |start| {
                start.together();
                for trip in 1..=n {
                    forth.store(trip, Release);
                    futex::wake(forth);
                    await_trip(back, trip);
                }
                Ok(())
            },
        )
    }))
}

/// The same in one thread, which sends a part and receives it in turns, through a quarter of a mebibyte.
pub(super) fn near() -> Candidate<'static> {
    Candidate::new("frames: a stream", |n| {
        let segment = Options::new(1 << 20).anonymous()?;
        let frames = segment.frames("forth", LONG as u64 / 4)?;
        let (mut sender, mut receiver) = (frames.sender()?, frames.receiver()?);
        let message = vec![7_u8; LONG];
        let mut pass = || -> Result<()> {
            let mut sent = 0;
            loop {
                if sent < LONG {
                    sent = sender.try_send_part(black_box(&message), sent)?;
                }
                match receiver.try_recv() {
                    Err(PipeError::Empty) => {}
                    got => {
                        let got = black_box(got?);
                        ensure!(got.len() == LONG && got[LONG - 1] == 7, "another message came");
                        return Ok(());
                    }
                }
            }
        };
        (0..2).try_for_each(|_| pass())?;
        let began = Instant::now();
        (0..n).try_for_each(|_| pass())?;
        Ok(began.elapsed())
    })
}
