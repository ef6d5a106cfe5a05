//! A roster in a mapping of your own: a word that says whose turn it is, whose owner is killed.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::thread;

use memmap2::MmapRaw;
use nix::sys::memfd::{MFdFlags, memfd_create};
use shmkit_atomic::AtomicU32;
use shmkit_atomic::Ordering::{Acquire, Release};
use shmkit_layout::{Offset, Region};
use shmkit_roster::{Description, Judge, Link, OwnerId, Participant, Roster, Verdict};

/// Most processes at a time.
const SLOTS: u32 = 16;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Any shared mapping will do. Here: a roster, and our own word behind it.
    let at = Roster::bytes(SLOTS).next_multiple_of(8);
    let file = File::from(memfd_create(c"embed", MFdFlags::MFD_CLOEXEC)?);
    file.set_len(at + 8)?;
    let mapping = MmapRaw::map_raw(&file)?;
    let base = NonNull::new(mapping.as_mut_ptr()).ok_or("a mapping at 0")?;
    // SAFETY: `mapping` outlives the region, and its bytes are used through it only.
    let region = unsafe { Region::from_raw_parts(base, mapping.len()) };
    let turn: &AtomicU32 = region.get(Offset::new(at)?)?;

    // SAFETY: a new memfd is zero, and nobody else has it yet.
    let roster = unsafe { Roster::init(region, SLOTS) }?;
    // SAFETY: the mapping is of this file, and everybody joins by it.
    let me = unsafe {
        Participant::join(roster, OwnedFd::from(file), Description::Proc, Link::Nameless)
    }?;

    // SAFETY: the child takes a place, stores a word and sleeps.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // Nobody is inherited: a child is a participant of its own.
        assert_eq!(me.me(), None);
        turn.store(me.rejoin()?.get(), Release);
        loop {
            thread::park();
        }
    }

    let owner = loop {
        match OwnerId::from_word(turn.load(Acquire)) {
            Some(owner) => break owner,
            None => thread::yield_now(),
        }
    };
    assert_eq!(me.verdict(owner), Verdict::Alive);
    println!("it is the turn of {owner}, who is {}", me.person(owner).ok_or("gone")?);

    // SAFETY: our child, killed as a crash would.
    unsafe { libc::kill(child, libc::SIGKILL) };
    // SAFETY: our child; null asks for no status.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    assert_eq!(me.verdict(owner), Verdict::Dead);
    println!("{owner} died: its turn is over");
    Ok(())
}
