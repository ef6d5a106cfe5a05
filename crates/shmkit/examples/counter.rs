//! A counter under a lock, with who counted how much beside it, and a process that is killed half-way.
//!
//! The two figures of the guarded structure must agree whenever nobody holds the lock. The first child is killed after
//! it has changed one of them and not the other; whoever takes the lock next is told, and repairs.
//!
//! `cargo run -p shmkit --example counter`

use std::error::Error;
use std::io::{BufRead, BufReader, stdin};
use std::process::{Child, Command, Stdio};

use shmkit::{LockError, Mutex, MutexGuard, Objects, Options, Segment, ShareSegment, ShmSafe};

const CHILDREN: usize = 4;
const ROUNDS: u64 = 1000;

/// What the lock guards: `total` is the sum of `by`.
#[derive(Clone, Copy, Debug, Default, ShmSafe)]
#[repr(C)]
struct Counter {
    total: u64,
    by: [u64; CHILDREN],
    repairs: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("count") => return count(args.next().ok_or("count WHO")?.parse()?),
        Some("die") => return die(),
        _ => {}
    }
    let segment = Options::new(4096).anonymous()?;
    let counter = segment.mutex("counter", Counter::default())?;

    let mut victim = start(&segment, &["die"])?;
    let mut line = String::new();
    BufReader::new(victim.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
    println!("a child {}", line.trim());
    victim.kill()?;
    victim.wait()?;

    let children: Result<Vec<_>, _> =
        (0..CHILDREN).map(|who| start(&segment, &["count", &who.to_string()])).collect();
    for mut child in children? {
        let ended = child.wait()?;
        if !ended.success() {
            return Err(format!("a child failed: {ended}").into());
        }
    }
    let counter = *lock(&counter)?;
    println!("{counter:?}");
    let expected = CHILDREN as u64 * ROUNDS;
    if (counter.total, counter.by, counter.repairs) != (expected, [ROUNDS; CHILDREN], 1) {
        return Err(format!("expected {ROUNDS} each, {expected} in total, and one repair").into());
    }
    Ok(())
}

fn start(segment: &Segment, args: &[&str]) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    Ok(command.share_segment("counter", segment)?.spawn()?)
}

/// Takes the lock, and repairs what a dead owner left.
fn lock(counter: &Mutex<Counter>) -> Result<MutexGuard<'_, Counter>, Box<dyn Error>> {
    match counter.lock() {
        Ok(guard) => Ok(guard),
        Err(LockError::OwnerDied(mut guard)) => {
            guard.total = guard.by.iter().sum();
            guard.repairs += 1;
            guard.make_consistent();
            Ok(guard)
        }
        Err(error) => Err(error.into()),
    }
}

/// Counts, in a child process.
fn count(who: usize) -> Result<(), Box<dyn Error>> {
    let segment = Segment::inherited("counter")?;
    let counter = segment.mutex("counter", Counter::default())?;
    for _ in 0..ROUNDS {
        let mut counter = lock(&counter)?;
        counter.total += 1;
        counter.by[who] += 1;
    }
    Ok(())
}

/// Takes the lock and stays in the middle of an update until it is killed.
fn die() -> Result<(), Box<dyn Error>> {
    let segment = Segment::inherited("counter")?;
    let counter = segment.mutex("counter", Counter::default())?;
    let mut counter = lock(&counter)?;
    counter.total += 1;
    println!("holds the lock half-way through an update, and is killed");
    stdin().read_line(&mut String::new())?;
    Err("it was not killed".into())
}
