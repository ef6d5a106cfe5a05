//! A mutex and a semaphore in a mapping that the program made itself: no segment, no name, no library above.
//!
//! `cargo run -p shmkit-sync --example embedded_locks`
//!
//! The program starts itself twice over the same unnamed file. One child is killed while it holds the lock and a
//! permit, half-way through a change; the other and the parent go on.

use std::error::Error;
use std::fs::File;
use std::io::{Read, stdin};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::ptr::NonNull;

use memmap2::MmapRaw;
use shmkit_sync::layout::{Object, Region, ShapeError};
use shmkit_sync::roster::{Description, Link, Participant, Roster};
use shmkit_sync::{LockError, Mutex, Semaphore};

/// How many participants there may be.
const SLOTS: u32 = 8;
/// Where things lie in the mapping, in bytes.
const LEDGER: u64 = 4096;
const DOORS: u64 = 8192;
const SIZE: u64 = 12288;

/// Two accounts, whose sum is always 100 unless somebody is in the middle.
type Ledger = [u64; 2];

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        None => parent(),
        Some(role) => child(role),
    }
}

fn parent() -> Result<(), Box<dyn Error>> {
    let file = tempfile::tempfile()?;
    file.set_len(SIZE)?;
    let map = MmapRaw::map_raw(&file)?;
    let region = region(&map);
    // SAFETY: the bytes are zero, and nobody else has the file yet.
    let roster = unsafe { Roster::init(region.sub(0, Roster::bytes(SLOTS))?, SLOTS) }?;
    let me =
        // SAFETY: the mapping is of this file, and everybody joins by it.
        unsafe { Participant::join(roster, file.try_clone()?.into(), Description::Proc, Link::Nameless) }?;
    // SAFETY: as above.
    let ledger = unsafe { Mutex::<Ledger, _>::init(region.sub(LEDGER, 4096)?, [100, 0], &me) }?;
    // SAFETY: as above.
    let doors = unsafe { Semaphore::init(region.sub(DOORS, 4096)?, 2.into(), &me) }?;

    let mut thief = start("thief", &file)?;
    // It says a byte when it is in the middle of its change.
    thief.stdout.take().ok_or("no pipe")?.read_exact(&mut [0])?;
    println!("the thief holds a permit ({doors:?}) and the lock ({ledger:?})");
    thief.kill()?;
    thief.wait()?;

    match ledger.lock() {
        Err(LockError::OwnerDied(mut accounts)) => {
            println!("killed in the middle, accounts {:?}: repaired", *accounts);
            accounts[1] = 100 - accounts[0];
            accounts.make_consistent();
        }
        other => return Err(format!("the thief was not noticed: {other:?}").into()),
    }
    // Both permits are there: the dead one's has come back.
    drop(doors.acquire_many(2)?);

    let worker = start("worker", &file)?.wait_with_output()?;
    assert!(worker.status.success());
    let accounts = ledger.lock()?;
    println!("accounts {:?}", *accounts);
    assert_eq!(accounts.iter().sum::<u64>(), 100);
    Ok(())
}

fn child(role: &str) -> Result<(), Box<dyn Error>> {
    let file = File::from(std::os::fd::AsFd::as_fd(&stdin()).try_clone_to_owned()?);
    let map = MmapRaw::map_raw(&file)?;
    let region = region(&map);
    // SAFETY: the parent has made a roster of so many slots there.
    let roster = unsafe { Roster::attach(region.sub(0, Roster::bytes(SLOTS))?, SLOTS) }?;
    // SAFETY: as in `main`.
    let me = unsafe {
        Participant::join(roster, OwnedFd::from(file), Description::Proc, Link::Nameless)
    }?;
    let (ledger, doors) = attach(region, &me)?;

    let _permit = doors.acquire()?;
    let mut accounts = ledger.lock()?;
    accounts[0] -= 10;
    if role == "thief" {
        println!("!");
        // Until it is killed.
        std::thread::sleep(std::time::Duration::from_secs(20));
    }
    accounts[1] += 10;
    Ok(())
}

/// Both, as a participant has them.
type Locks<'a> = (Mutex<Ledger, &'a Participant<'a>>, Semaphore<&'a Participant<'a>>);

fn attach<'a>(region: Region<'a>, me: &'a Participant<'a>) -> Result<Locks<'a>, Box<dyn Error>> {
    let place = |start| region.sub(start, 4096).map_err(ShapeError::from);
    // SAFETY: the parent has made a mutex of this type there.
    let ledger = unsafe { Mutex::attach(place(LEDGER)?, 1, me) }?;
    // SAFETY: the parent has made a semaphore there.
    let doors = unsafe { Semaphore::attach(place(DOORS)?, 2, me) }?;
    Ok((ledger, doors))
}

fn region(map: &MmapRaw) -> Region<'_> {
    let base = NonNull::new(map.as_mut_ptr()).expect("a mapping is not at address 0");
    // SAFETY: mapped for reading and writing as long as `map` lives, which the region borrows; nobody refers to its
    // bytes but through it.
    unsafe { Region::from_raw_parts(base, map.len()) }
}

fn start(role: &str, file: &File) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    Ok(command.arg(role).stdin(file.try_clone()?).stdout(Stdio::piped()).spawn()?)
}
