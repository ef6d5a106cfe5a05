//! Our pipe of messages in tokio runtimes of one thread each, beside sockets in them.

use std::future::Future;
use std::os::unix::net::UnixStream as Socket;

use anyhow::{Result, ensure};
use shmkit::tokio::Async;
use shmkit::{Objects, Options};
use shmkit_benches::{Candidate, time_processes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Bytes of a message.
const BYTES: usize = 64;

/// Runs this in a runtime of its own.
fn run<R>(does: impl Future<Output = Result<R>>) -> Result<R> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(does)
}

/// One message there and back.
pub(super) fn round_trip() -> Candidate<'static> {
    Candidate::new("frames in tokio", |n| {
        let segment = Options::new(1 << 17).anonymous()?;
        let (forth, back) = (segment.frames("forth", 4096)?, segment.frames("back", 4096)?);
        time_processes(
            |start| {
                segment.join_after_fork()?;
                run(async {
                    let mut sender = Async::new(back.sender()?)?;
                    let mut receiver = Async::new(forth.receiver()?)?;
                    start.together();
                    for _ in 0..n {
                        let message = receiver.recv().await?.unwrap_or_default();
                        sender.send(&message).await?;
                    }
                    Ok(())
                })
            },
            |start| {
                run(async {
                    let mut sender = Async::new(forth.sender()?)?;
                    let mut receiver = Async::new(back.receiver()?)?;
                    start.together();
                    for trip in 0..n {
                        let message = [trip as u8; BYTES];
                        sender.send(&message).await?;
                        ensure!(receiver.recv().await?.as_deref() == Some(&message[..]), "another");
                    }
                    Ok(())
                })
            },
        )
    })
}

/// The same by a pair of sockets.
pub(super) fn socket_round_trip() -> Candidate<'static> {
    Candidate::new("UnixStream in tokio", |n| {
        let (a, b) = Socket::pair()?;
        time_processes(
            |start| {
                run(async {
                    let mut socket = taken(a)?;
                    let mut message = [0; BYTES];
                    start.together();
                    for _ in 0..n {
                        socket.read_exact(&mut message).await?;
                        socket.write_all(&message).await?;
                    }
                    Ok(())
                })
            },
            |start| {
                run(async {
                    let mut socket = taken(b)?;
                    let mut back = [0; BYTES];
                    start.together();
                    for trip in 0..n {
                        let message = [trip as u8; BYTES];
                        socket.write_all(&message).await?;
                        socket.read_exact(&mut back).await?;
                        ensure!(back == message, "another");
                    }
                    Ok(())
                })
            },
        )
    })
}

/// A stream of messages.
pub(super) fn throughput() -> Candidate<'static> {
    Candidate::new("frames in tokio", |n| {
        let segment = Options::new(1 << 18).anonymous()?;
        let forth = segment.frames("forth", 1 << 16)?;
        time_processes(
            |start| {
                segment.join_after_fork()?;
                run(async {
                    let mut sender = Async::new(forth.sender()?)?;
                    start.together();
                    for _ in 0..n {
                        sender.send(&[7; BYTES]).await?;
                    }
                    Ok(())
                })
            },
            |start| {
                run(async {
                    let mut receiver = Async::new(forth.receiver()?)?;
                    start.together();
                    for _ in 0..n {
                        let message = receiver.recv().await?.unwrap_or_default();
                        ensure!(message.len() == BYTES, "another");
                    }
                    Ok(())
                })
            },
        )
    })
}

/// The same by a pair of sockets.
pub(super) fn socket_throughput() -> Candidate<'static> {
    Candidate::new("UnixStream in tokio", |n| {
        let (a, b) = Socket::pair()?;
        time_processes(
            |start| {
                run(async {
                    let mut socket = taken(a)?;
                    start.together();
                    for _ in 0..n {
                        socket.write_all(&[7; BYTES]).await?;
                    }
                    Ok(())
                })
            },
            |start| {
                run(async {
                    let mut socket = taken(b)?;
                    let mut message = [0; BYTES];
                    start.together();
                    for _ in 0..n {
                        socket.read_exact(&mut message).await?;
                    }
                    Ok(())
                })
            },
        )
    })
}

/// Takes one of a pair of sockets into the runtime that runs this.
fn taken(socket: Socket) -> Result<UnixStream> {
    socket.set_nonblocking(true)?;
    Ok(UnixStream::from_std(socket)?)
}
