//! A mapping with a roster and one object in it, as an embedder would make it: no segment in sight.

use std::os::fd::{AsFd, OwnedFd};

use memmap2::{MmapOptions, MmapRaw};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;
use shmkit_layout::Region;
use shmkit_roster::{Description, Judge, Link, OwnerId, Participant, Roster, Spent, Verdict};

use crate::Fault;

/// Slots of the roster: more than a stage has seats.
const SLOTS: u32 = 16;
/// What objects are aligned to at most, in bytes.
const PAGE: u64 = 4096;
/// Bytes for the object.
const OBJECT: u64 = 128 << 10;

/// How the names of the dead are swept out of an object.
pub(crate) type Sweep = fn(Region<'_>, &Spent) -> Result<(), &'static str>;

/// A memfd of its own for each take.
#[derive(Debug)]
pub struct Arena {
    map: MmapRaw,
    file: OwnedFd,
    slots: u32,
    sweep: Option<Sweep>,
}

impl Arena {
    /// Makes a fresh arena.
    ///
    /// # Errors
    ///
    /// Those of the system calls.
    pub fn new() -> Result<Self, Fault> {
        let arena = Self::of(SLOTS, None)?;
        // SAFETY: zeroed bytes that nobody else knows.
        unsafe { Roster::init(arena.region(), SLOTS) }.map_err(broken)?;
        Ok(arena)
    }

    /// Makes an arena for so many participants, of whom each can be called by one name only: `sweep` is called whenever
    /// somebody joins where another one was before.
    ///
    /// # Errors
    ///
    /// As of [`Self::new`].
    pub(crate) fn of_few_names(slots: u32, sweep: Sweep) -> Result<Self, Fault> {
        let arena = Self::of(slots, Some(sweep))?;
        // SAFETY: zeroed bytes that nobody else knows.
        unsafe { Roster::init_numbered(arena.region(), slots, slots) }.map_err(broken)?;
        Ok(arena)
    }

    fn of(slots: u32, sweep: Option<Sweep>) -> Result<Self, Fault> {
        let file = memfd_create("shmkit-kill", MFdFlags::MFD_CLOEXEC)?;
        let len = object_at(slots) + OBJECT;
        ftruncate(&file, len as i64)?;
        let map = MmapOptions::new().len(len as usize).map_raw(&file)?;
        Ok(Self { map, file, slots, sweep })
    }

    fn region(&self) -> Region<'_> {
        let base = std::ptr::NonNull::new(self.map.as_mut_ptr()).expect("a mapping is not at 0");
        // SAFETY: mapped for reading and writing for as long as `self` is borrowed; only primitives touch it.
        unsafe { Region::from_raw_parts(base, self.map.len()) }
    }

    /// Returns the bytes of the object.
    pub fn object(&self) -> Region<'_> {
        self.region().sub(object_at(self.slots), OBJECT).expect("inside the mapping")
    }

    /// Joins the roster. To be called in an actor.
    ///
    /// # Errors
    ///
    /// That of `join`.
    pub fn join(&self) -> Result<Participant<'_>, Fault> {
        // SAFETY: a roster of this size was made at the region's first byte.
        let roster = unsafe { Roster::attach(self.region(), self.slots) }.map_err(broken)?;
        let roster = match self.sweep {
            None => roster,
            // SAFETY: nobody is named but in the object.
            Some(sweep) => unsafe { roster.swept_by(self.object(), sweep) },
        };
        let file = self.file.as_fd().try_clone_to_owned()?;
        // SAFETY: the mapping is of this file.
        unsafe { Participant::join(roster, file, Description::Proc, Link::Nameless) }
            .map_err(|e| Fault::broken(format!("join: {e}")))
    }
}

fn broken(error: impl std::fmt::Display) -> Fault {
    Fault::broken(error.to_string())
}

/// The object's first byte, from the mapping's.
fn object_at(slots: u32) -> u64 {
    Roster::bytes(slots).next_multiple_of(PAGE)
}

/// Who makes the object: the director, who is no participant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nobody;

/// The keeper of an actor's handles.
pub(crate) type Me<'a> = &'a Participant<'a>;

/// A place for a judge that lives as long as an arena.
pub(crate) static NOBODY: Nobody = Nobody;

// SAFETY: all of an arena's memory is there.
unsafe impl shmkit_layout::Commit for Nobody {}

// SAFETY: it calls nobody dead.
unsafe impl Judge for Nobody {
    fn me(&self) -> Option<OwnerId> {
        None
    }

    fn verdict(&self, _: OwnerId) -> Verdict {
        Verdict::Unknown
    }

    fn places(&self) -> u32 {
        SLOTS
    }
}
