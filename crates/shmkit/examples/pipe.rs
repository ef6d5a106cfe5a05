//! A pipe between two processes: the child opens the segment by name, and sends until it is done.
//!
//! `cargo run -p shmkit --example pipe`

use std::error::Error;
use std::process::Command;
use std::time::Duration;

use shmkit::{Objects, Options, PipeError, Segment};

/// Numbers sent.
const COUNT: u64 = 100_000;
/// Numbers that the pipe holds.
const CAPACITY: u64 = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("child") {
        return send(&args.next().ok_or("child NAME")?);
    }
    let name = format!("example-pipe-{}", std::process::id());
    let segment = Options::new(1 << 16).create(&name)?;
    let squares = segment.pipe::<u64>("squares", CAPACITY)?;
    let mut receiver = squares.receiver()?;
    let mut child = Command::new(std::env::current_exe()?).args(["child", &name]).spawn()?;

    let (mut count, mut sum) = (0_u64, 0_u64);
    let end = loop {
        // With a limit, lest a child that never comes to send be waited for.
        match receiver.recv_timeout(Duration::from_secs(10)) {
            Ok(square) => (count, sum) = (count + 1, sum + square),
            Err(end) => break end,
        }
    };
    let ended = child.wait()?;
    println!("{count} squares, their sum is {sum}; then: {end}");
    let expected = (COUNT - 1) * COUNT * (2 * COUNT - 1) / 6;
    if !ended.success() || (end, count, sum) != (PipeError::Closed, COUNT, expected) {
        return Err(format!("expected {COUNT} squares and their sum {expected}").into());
    }
    Ok(())
}

fn send(name: &str) -> Result<(), Box<dyn Error>> {
    let segment = Segment::open(name)?;
    let mut sender = segment.pipe::<u64>("squares", CAPACITY)?.sender()?;
    for n in 0..COUNT {
        sender.send(n * n)?;
    }
    Ok(())
    // The end of file is the sender's drop.
}
