//! A program on `shared_memory` moves over, one primitive at a time: its lock becomes ours, the rest stays.
//!
//! Two processes count in a `Shmem` that the program has already. The child is killed while it holds the lock; with
//! the lock that the program had before, everybody would now wait for ever.
//!
//! ```text
//! 0 what the program keeps there | 4096 roster | MUTEX mutex
//! ```

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use shared_memory::{Shmem, ShmemConf};
use shmkit_layout::{Object, Region};
use shmkit_roster::{Description, Link, Participant, Roster};
use shmkit_sync::{LockError, Mutex};

/// Where the program's own bytes end, and ours begin.
const ROSTER: u64 = 4096;
/// Processes at a time.
const PLACES: u32 = 16;
/// Where the lock lies.
const MUTEX: u64 = ROSTER + 4096;
/// What the lock and its value may take.
const MUTEX_BYTES: u64 = 128;

/// The roster's and the mutex's bytes, and this process's part in the roster.
fn join(shmem: &Shmem) -> Result<(Region<'_>, Participant<'_>), Box<dyn Error>> {
    // SAFETY: the program uses the bytes before `ROSTER` only.
    let (region, file) = unsafe { shmkit_segment::shmem::region(shmem) }?;
    let roster = region.sub(ROSTER, Roster::bytes(PLACES))?;
    let roster = if shmem.is_owner() {
        // SAFETY: new bytes are zero, and nobody has been told of them.
        unsafe { Roster::init(roster, PLACES) }?
    } else {
        // SAFETY: the owner made it before it started us.
        unsafe { Roster::attach(roster, PLACES) }?
    };
    // SAFETY: the mapping is of this file, and everybody joins by it.
    let me = unsafe { Participant::join(roster, file, Description::Proc, Link::Named) }?;
    Ok((region.sub(MUTEX, MUTEX_BYTES)?, me))
}

fn parent() -> Result<(), Box<dyn Error>> {
    let shmem = ShmemConf::new().size(64 << 10).create()?;
    let (place, me) = join(&shmem)?;
    // SAFETY: new bytes are zero, and nobody has been told of them.
    let count = unsafe { Mutex::<u64, _>::init(place, 0, &me) }?;

    let mut child = Command::new(std::env::current_exe()?)
        .arg(shmem.get_os_id())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line)?;
    print!("child: {line}");
    child.kill()?;
    child.wait()?;

    match count.lock() {
        Ok(_) => return Err("the child's death went unnoticed".into()),
        Err(LockError::OwnerDied(mut guard)) => {
            println!("parent: the child died with the lock, at {}; repaired", *guard);
            *guard += 1;
            guard.make_consistent();
        }
        Err(error) => return Err(error.into()),
    }
    let total = *count.lock()?;
    println!("parent: {total}");
    assert_eq!(total, 51);
    Ok(())
}

fn child(os_id: &str) -> Result<(), Box<dyn Error>> {
    let shmem = ShmemConf::new().os_id(os_id).open()?;
    let (place, me) = join(&shmem)?;
    // SAFETY: the owner made it before it started us.
    let count = unsafe { Mutex::<u64, _>::attach(place, 1, &me) }?;
    for _ in 0..50 {
        *count.lock()? += 1;
    }
    let _held = count.lock()?;
    println!("counted to 50, and keep the lock");
    std::io::stdout().flush()?;
    loop {
        std::thread::park();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1) {
        None => parent(),
        Some(os_id) => child(&os_id),
    }
}
