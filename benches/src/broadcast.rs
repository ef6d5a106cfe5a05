//! One who sends to four: by a broadcast, and by four pipes.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use shmkit::{Broadcast, BroadcastSpec, Objects, Pipe, ShmSafe, Start};
use shmkit_benches::{Candidate, Group};
use shmkit_segment::{Options, Segment};

use crate::queue::processes;

const READERS: usize = 4;
/// Longer than they take to come.
const LONG: Duration = Duration::from_secs(10);
/// A line.
type Small = [u64; 8];
const SMALL: u32 = 200_000;
const PLACES: u64 = 1024;
/// A quarter of a megabyte: a step of a model.
type Large = [u64; 1 << 15];
const LARGE: u32 = 400;
const FEW: u64 = 4;

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    Ok(vec![
        Group::new("64 bytes to 4 readers", SMALL, one("Broadcast", PLACES, publish, subscribe)?)
            .at_most(1.0 / 3.0, many("four Pipes", PLACES, send, receive)?),
        Group::new("256 KiB to 4 readers, in place", LARGE, one("Broadcast", FEW, draft, peek)?)
            .at_most(1.0 / 3.0, many("four Pipes", FEW, reserve, peek_pipe)?),
    ])
}

fn segment() -> Result<&'static Segment> {
    Ok(Options::new(16 << 20).participants(16).anonymous()?.leak())
}

fn one<T: ShmSafe>(
    name: &'static str,
    places: u64,
    sends: fn(&Broadcast<T>, u32) -> Result<()>,
    receives: fn(&Broadcast<T>, u32) -> Result<()>,
) -> Result<Candidate<'static>> {
    let segment = segment()?;
    let broadcast: Broadcast<T> = segment.broadcast("broadcast", BroadcastSpec::new(places))?;
    Ok(Candidate::new(name, move |items| {
        let work =
            |n: usize| if n == 0 { sends(&broadcast, items) } else { receives(&broadcast, items) };
        let took = processes(1 + READERS, || Ok(segment.join_after_fork().map(|_| ())?), work)?;
        Ok(took)
    }))
}

/// All who are to receive are there.
fn publisher<T: ShmSafe>(broadcast: &Broadcast<T>) -> Result<shmkit::Publisher<T>> {
    let began = Instant::now();
    while broadcast.subscribers() < READERS {
        ensure!(began.elapsed() < LONG, "not all readers have come");
        std::thread::yield_now();
    }
    Ok(broadcast.publisher()?)
}

fn publish(broadcast: &Broadcast<Small>, items: u32) -> Result<()> {
    let mut publisher = publisher(broadcast)?;
    (0..items).try_for_each(|n| publisher.send([n.into(); 8]).map_err(|e| anyhow!("{}", e.error)))
}

fn subscribe(broadcast: &Broadcast<Small>, items: u32) -> Result<()> {
    let mut subscriber = broadcast.subscribe(Start::Newest)?;
    // That of the sample before has closed it.
    subscriber.wait_for_publisher()?;
    for n in 0..items {
        ensure!(subscriber.recv()?[7] == u64::from(n), "an item is missing");
    }
    Ok(())
}

fn draft(broadcast: &Broadcast<Large>, items: u32) -> Result<()> {
    let mut publisher = publisher(broadcast)?;
    for n in 0..items {
        let mut draft = publisher.reserve()?;
        draft.fill(n.into());
        draft.publish()?;
    }
    Ok(())
}

fn peek(broadcast: &Broadcast<Large>, items: u32) -> Result<()> {
    let mut subscriber = broadcast.subscribe(Start::Newest)?;
    // That of the sample before has closed it.
    subscriber.wait_for_publisher()?;
    for n in 0..items {
        let item = subscriber.peek()?;
        ensure!(sum(&item) == u64::from(n) << 15, "an item is torn");
        item.release()?;
    }
    Ok(())
}

/// What a reader does with an item: looks at all of it.
fn sum(item: &Large) -> u64 {
    item.iter().sum()
}

fn many<T: ShmSafe>(
    name: &'static str,
    places: u64,
    sends: fn(&[Pipe<T>], u32) -> Result<()>,
    receives: fn(&Pipe<T>, u32) -> Result<()>,
) -> Result<Candidate<'static>> {
    let segment = segment()?;
    let pipes = (0..READERS)
        .map(|n| segment.pipe::<T>(&format!("pipe {n}"), places))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Candidate::new(name, move |items| {
        let work = |n: usize| match n {
            0 => sends(&pipes, items),
            n => receives(&pipes[n - 1], items),
        };
        processes(1 + READERS, || Ok(segment.join_after_fork().map(|_| ())?), work)
    }))
}

fn send(pipes: &[Pipe<Small>], items: u32) -> Result<()> {
    let mut senders = pipes.iter().map(Pipe::sender).collect::<Result<Vec<_>, _>>()?;
    for n in 0..items {
        for sender in &mut senders {
            sender.send([n.into(); 8]).map_err(|e| anyhow!("{}", e.error))?;
        }
    }
    Ok(())
}

fn receive(pipe: &Pipe<Small>, items: u32) -> Result<()> {
    let mut receiver = pipe.receiver()?;
    for n in 0..items {
        ensure!(receiver.recv()?[7] == u64::from(n), "an item is missing");
    }
    Ok(())
}

fn reserve(pipes: &[Pipe<Large>], items: u32) -> Result<()> {
    let mut senders = pipes.iter().map(Pipe::sender).collect::<Result<Vec<_>, _>>()?;
    for n in 0..items {
        for sender in &mut senders {
            let mut slots = sender.reserve(1)?;
            let (near, far) = slots.as_mut_slices();
            near.iter_mut().chain(far).for_each(|item| item.fill(n.into()));
            slots.commit(1)?;
        }
    }
    Ok(())
}

fn peek_pipe(pipe: &Pipe<Large>, items: u32) -> Result<()> {
    let mut receiver = pipe.receiver()?;
    for n in 0..items {
        let found = receiver.peek()?;
        let (near, far) = found.as_slices();
        let first = near.first().or(far.first()).expect("at least one");
        ensure!(sum(first) == u64::from(n) << 15, "an item is torn");
        found.release(1)?;
    }
    Ok(())
}
