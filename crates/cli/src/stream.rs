//! `shmkit send` and `shmkit recv`: a stream of bytes from one program to another through a pipe in shared memory.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use shmkit::tracker::DIRECTORY;
use shmkit::{Objects, OpenOptions, Options, Pipe, PipeError, Segment};

use crate::status;
use crate::words::{seconds, shown};

/// What the object is called if nobody says otherwise.
const OBJECT: &str = "stream";
/// What a segment of ours says that it holds.
const CONTENT: &str = "shmkit-stream/1";
/// Bytes of a ring: twice what a processor's second cache holds, or who writes and who reads would be in step.
const RING: u64 = 1 << 20;
/// Most bytes that are read, or written, at once: several fit into the ring.
const PIECE: usize = 128 << 10;
/// What a segment takes beside the ring.
const REST: u64 = 1 << 16;

/// Send standard input to whoever receives under the same name.
///
/// It waits for `shmkit recv NAME`, or for a program that receives from the pipe of bytes NAME/OBJECT, and then sends until
/// standard input ends. What is sent is received, also if this ends first.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if all was sent, 1 if not.\n\nExample:\n  tar c src | shmkit send backup\n  shmkit recv backup | tar x      # in another terminal"
)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    at: At,
}

/// Receive what is sent under a name, and write it to standard output.
///
/// It waits for `shmkit send NAME`, or for a program that sends into the pipe of bytes NAME/OBJECT, and ends with it. If that is
/// killed, what it had sent is written, and the exit status is 1: a stream that was cut short is not taken for a whole one.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 if all was received, 1 if not.\n\nExample:\n  shmkit recv backup > backup.tar\n  tar c src | shmkit send backup      # in another terminal"
)]
pub(crate) struct RecvArgs {
    #[command(flatten)]
    at: At,
}

#[derive(Debug, clap::Args)]
struct At {
    /// What the segment is called, and the pipe in it if not `stream`.
    #[arg(value_name = "NAME[/OBJECT]")]
    name: String,
    /// For how many seconds to wait for the other side; without, for ever.
    #[arg(long, value_parser = seconds)]
    timeout: Option<Duration>,
    /// Where the segments' files are.
    #[arg(long, default_value = DIRECTORY)]
    directory: PathBuf,
}

impl At {
    /// Finds or makes the pipe, whoever comes first.
    fn pipe(&self) -> anyhow::Result<(Segment, Pipe<u8>)> {
        let (name, object) = self.name.split_once('/').unwrap_or((&self.name, OBJECT));
        // One that a program has made has other things in it, too.
        let segment = match OpenOptions::new().directory(&self.directory).open(name) {
            Ok(segment) => segment,
            Err(_) => {
                let options = Options::new(RING + REST).directory(&self.directory);
                options.content(CONTENT).open_or_create(name)?
            }
        };
        let pipe = segment.pipe(object, RING)?;
        Ok((segment, pipe))
    }

    /// Waits for the other side with the patience that was asked for.
    fn wait<T>(
        &self,
        wait: impl FnOnce(Option<Duration>) -> Result<T, PipeError>,
    ) -> anyhow::Result<T> {
        wait(self.timeout)
            .with_context(|| format!("nobody is at the other end of {}", shown(&self.name)))
    }
}

pub(crate) fn send(args: &SendArgs) -> anyhow::Result<ExitCode> {
    let (_segment, pipe) = args.at.pipe()?;
    let mut sender = pipe.sender().context("somebody else sends there")?;
    args.at.wait(|limit| match limit {
        Some(limit) => sender.wait_for_peer_timeout(limit),
        None => sender.wait_for_peer(),
    })?;
    let mut input = io::stdin().lock();
    loop {
        // Straight into the ring.
        let mut room = sender.reserve_up_to(PIECE).context("the receiver is gone")?;
        match input.read(room.as_mut_slices().0) {
            Ok(0) => break,
            Ok(count) => room.commit(count)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("cannot read standard input"),
        }
    }
    sender.close();
    Ok(status::SUCCESS)
}

pub(crate) fn recv(args: &RecvArgs) -> anyhow::Result<ExitCode> {
    let (_segment, pipe) = args.at.pipe()?;
    let mut receiver = pipe.receiver().context("somebody else receives there")?;
    args.at.wait(|limit| match limit {
        Some(limit) => receiver.accept_timeout(limit),
        None => receiver.accept(),
    })?;
    let mut output = io::stdout().lock();
    loop {
        let items = match receiver.peek() {
            Ok(items) => items,
            Err(PipeError::Closed) => break,
            Err(error) => bail!("the stream was cut short: {error}"),
        };
        // Straight from the ring. Not all that is there, or the sender would wait for us at its end.
        let bytes = items.as_slices().0;
        let count = bytes.len().min(PIECE);
        match output.write_all(&bytes[..count]) {
            Ok(()) => items.release(count)?,
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(status::SUCCESS),
            Err(error) => return Err(error).context("cannot write to standard output"),
        }
    }
    output.flush().context("cannot write to standard output")?;
    Ok(status::SUCCESS)
}
