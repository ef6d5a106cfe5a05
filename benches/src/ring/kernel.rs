//! The kernel's pipes.

use std::hint::black_box;
use std::io::{Read, Write};

use anyhow::{Context, ensure};
use nix::fcntl::{FcntlArg, fcntl};
use nix::unistd::pipe;
use shmkit_benches::{Candidate, time_processes, time_with_child};

use super::LONG;

pub(super) fn singles<const BYTES: usize>() -> Candidate<'static> {
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

/// One item there and back.
pub(super) fn round_trip() -> Candidate<'static> {
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

/// Messages of a mebibyte through a pipe of one.
pub(super) fn long() -> Candidate<'static> {
    Candidate::new("pipe(2)", |n| {
        let (read, write) = pipe()?;
        fcntl(&write, FcntlArg::F_SETPIPE_SZ(LONG as i32)).context("a larger pipe")?;
        let (mut read, mut write) = (std::fs::File::from(read), std::fs::File::from(write));
        time_processes(
            |start| {
                let message = vec![7; LONG];
                (0..2).try_for_each(|_| write.write_all(&message))?;
                start.together();
                Ok((0..n).try_for_each(|_| write.write_all(black_box(&message)))?)
            },
            |start| {
                let mut buffer = vec![0; LONG];
                (0..2).try_for_each(|_| read.read_exact(&mut buffer))?;
                start.together();
                (0..n).try_for_each(|_| {
                    read.read_exact(black_box(&mut buffer))?;
                    ensure!(buffer[LONG - 1] == 7, "another message came");
                    Ok(())
                })
            },
        )
    })
}
