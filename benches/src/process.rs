//! From the start of a process to the end of its task.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use shmkit::{Process, task};
use shmkit_benches::{Candidate, Group};

/// By this argument the program is what [`bare`] starts.
pub(crate) const BARE: &str = "bare-process";
/// How many starts make a sample.
const STARTS: u32 = 20;
/// What the parent has in memory where it is large, in bytes.
const RESIDENT: usize = 1 << 30;

#[task]
fn nothing() {}

pub(crate) fn groups() -> Vec<Group<'static>> {
    vec![
        Group::new("start and join of an empty task", STARTS, ours("Process"))
            .at_most(1.25, bare()),
        Group::new("start and join beside 1 GiB", STARTS, large())
            .at_most(1.1, ours("Process, small")),
    ]
}

fn ours(name: &'static str) -> Candidate<'static> {
    Candidate::new(name, start_and_join)
}

fn start_and_join(n: u32) -> Result<Duration> {
    let start = Instant::now();
    for _ in 0..n {
        Process::spawn(nothing, ())?.join()?;
    }
    Ok(start.elapsed())
}

/// The same in a process that has much in memory.
fn large() -> Candidate<'static> {
    Candidate::new("Process, 1 GiB", |n| {
        let resident = std::hint::black_box(vec![1_u8; RESIDENT]);
        let took = start_and_join(n);
        drop(resident);
        took
    })
}

/// What the standard library starts by `posix_spawn`, with a socket as its input, of which it says one byte.
fn bare() -> Candidate<'static> {
    Candidate::new("posix_spawn and a socket", |n| {
        let start = Instant::now();
        for _ in 0..n {
            let (mut ours, theirs) = UnixStream::pair()?;
            let mut command = Command::new("/proc/self/exe");
            command.arg(BARE).stdin(OwnedFd::from(theirs));
            let mut child = command.spawn()?;
            drop(command);
            let mut byte = [0];
            ours.read_exact(&mut byte)?;
            ensure!(child.wait()?.success(), "the bare process failed");
        }
        Ok(start.elapsed())
    })
}

/// The other side of [`bare`].
pub(crate) fn answer() -> Result<()> {
    let input = std::io::stdin();
    let mut socket = UnixStream::from(std::os::fd::AsFd::as_fd(&input).try_clone_to_owned()?);
    Ok(socket.write_all(&[1])?)
}
