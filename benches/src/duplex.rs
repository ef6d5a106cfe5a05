//! Request and response between two that have met by name.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::{Result, anyhow, ensure};
use shmkit::connection::Connection;
use shmkit::duplex::{Client, Listener};
use shmkit::{Frames, Objects, Options};
use shmkit_benches::{Candidate, Group, time_processes};

/// What each direction holds, in bytes.
const CAPACITY: u64 = 256 << 10;

pub(crate) fn groups() -> Result<Vec<Group<'static>>> {
    Ok(vec![
        round_trips::<64>("duplex by name, 64 bytes"),
        round_trips::<4096>("duplex by name, 4 KiB"),
    ])
}

fn round_trips<const BYTES: usize>(name: &'static str) -> Group<'static> {
    Group::new(name, 3_000, duplex::<BYTES>())
        .at_most(1.2, two_frames::<BYTES>())
        .against(two_pipes::<BYTES>())
        .against(connection::<BYTES>())
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("{error}")
}

/// A request, of which the first byte is told from its neighbours'.
fn request<const BYTES: usize>(trip: u32) -> [u8; BYTES] {
    [trip as u8; BYTES]
}

fn duplex<const BYTES: usize>() -> Candidate<'static> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Candidate::new("Duplex", |n| {
        let name = format!("bench-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let mut listener = Listener::bind(&name).map_err(failed)?;
        time_processes(
            |start| {
                let mut duplex = Client::connect(&name).map_err(failed)?;
                let mut buffer = [0; BYTES];
                start.together();
                for _ in 0..n {
                    let len = duplex.recv_bytes_into(&mut buffer).map_err(failed)?;
                    duplex.send_bytes(&buffer[..len]).map_err(failed)?;
                }
                Ok(())
            },
            |start| {
                let mut duplex = listener.accept().map_err(failed)?;
                let mut buffer = [0; BYTES];
                start.together();
                for trip in 0..n {
                    let request = request::<BYTES>(trip);
                    duplex.send_bytes(&request).map_err(failed)?;
                    let len = duplex.recv_bytes_into(&mut buffer).map_err(failed)?;
                    ensure!(len == BYTES && buffer == request, "another response");
                }
                Ok(())
            },
        )
    })
}

/// The same rings, in a segment that both have from the beginning.
fn two_frames<const BYTES: usize>() -> Candidate<'static> {
    Candidate::new("two pipes of messages", |n| {
        let segment = Options::new(1 << 20).anonymous()?;
        let forth: Frames = segment.frames("forth", CAPACITY)?;
        let back: Frames = segment.frames("back", CAPACITY)?;
        time_processes(
            |start| {
                segment.join_after_fork()?;
                let (mut sender, mut receiver) = (back.sender()?, forth.receiver()?);
                let mut buffer = [0; BYTES];
                start.together();
                for _ in 0..n {
                    let len = receiver.recv_into(&mut buffer).map_err(failed)?;
                    sender.send(&buffer[..len]).map_err(failed)?;
                }
                Ok(())
            },
            |start| {
                let (mut sender, mut receiver) = (forth.sender()?, back.receiver()?);
                let mut buffer = [0; BYTES];
                start.together();
                for trip in 0..n {
                    let request = request::<BYTES>(trip);
                    sender.send(&request).map_err(failed)?;
                    let len = receiver.recv_into(&mut buffer).map_err(failed)?;
                    ensure!(len == BYTES && buffer == request, "another response");
                }
                Ok(())
            },
        )
    })
}

/// Two pipes of items that have this size.
fn two_pipes<const BYTES: usize>() -> Candidate<'static> {
    Candidate::new("two pipes of items", |n| {
        let segment = Options::new(2 << 20).anonymous()?;
        let items = CAPACITY / BYTES as u64;
        let forth = segment.pipe::<[u8; BYTES]>("forth", items)?;
        let back = segment.pipe::<[u8; BYTES]>("back", items)?;
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
                for trip in 0..n {
                    let request = request::<BYTES>(trip);
                    sender.send(request).map_err(failed)?;
                    ensure!(receiver.recv().map_err(failed)? == request, "another response");
                }
                Ok(())
            },
        )
    })
}

/// Through a socket, in Python's frames.
fn connection<const BYTES: usize>() -> Candidate<'static> {
    Candidate::new("Connection", |n| {
        let (mut here, mut there) = Connection::pair()?;
        time_processes(
            |start| {
                let mut buffer = [0; BYTES];
                start.together();
                for _ in 0..n {
                    let len = there.recv_bytes_into(&mut buffer).map_err(failed)?;
                    there.send_bytes(&buffer[..len]).map_err(failed)?;
                }
                Ok(())
            },
            |start| {
                let mut buffer = [0; BYTES];
                start.together();
                for trip in 0..n {
                    let request = request::<BYTES>(trip);
                    here.send_bytes(&request).map_err(failed)?;
                    let len = here.recv_bytes_into(&mut buffer).map_err(failed)?;
                    ensure!(len == BYTES && buffer == request, "another response");
                }
                Ok(())
            },
        )
    })
}
