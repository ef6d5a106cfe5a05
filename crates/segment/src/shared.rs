//! What a process has of a segment that it takes part in.

use std::os::fd::AsFd;

use memmap2::MmapRaw;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::{Header, Region};
use shmkit_roster::{Keep, Participant, removal};

use crate::directory::{Directory, Reason};
use crate::error::{ErrorKind, Failure};
use crate::growth::Seen;
use crate::leave::{LastOut, Leave};
use crate::mapping;
use crate::memory::Memory;
use crate::name::Place;
use crate::status::{Identity, Status};
use crate::table::Entry;
use crate::uses::Uses;

/// What all handles of this process share. The fields are dropped in this order: unmap, leave, remove what is dead by
/// now, and let the other threads of this process in again.
pub(crate) struct Shared {
    mapping: MmapRaw,
    /// Borrows `mapping`, which only its drop outlives; it touches no shared byte.
    participant: Participant<'static>,
    header: Header,
    seen: Seen,
    is_named: bool,
    /// How many handles there are to each object.
    uses: Uses,
    last: LastOut,
}

impl Shared {
    /// # Safety
    ///
    /// `participant` must borrow from `mapping` or from what lives for ever.
    pub(crate) unsafe fn new(
        mapping: MmapRaw,
        participant: Participant<'static>,
        header: Header,
        entry: Entry,
        is_named: bool,
    ) -> Self {
        // Whether it is persistent is looked at when this process leaves: that may change.
        let last = LastOut::new(entry, is_named);
        let (seen, uses) = (Seen::new(&header), Uses::default());
        Self { mapping, participant, header, seen, is_named, uses, last }
    }

    pub(crate) fn identity(&self) -> Identity {
        self.last.entry().identity()
    }

    pub(crate) fn entry(&self) -> &Entry {
        self.last.entry()
    }

    pub(crate) fn is_named(&self) -> bool {
        self.is_named
    }

    pub(crate) fn place(&self) -> Option<&Place> {
        self.last.place()
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// All bytes.
    pub(crate) fn region(&self) -> Region<'_> {
        // SAFETY: the mapping is unmapped only when the last handle is dropped, which this one's borrow forbids. Nobody makes
        // references into it except through regions, whose rules are the same.
        unsafe { mapping::whole(&self.mapping) }
    }

    /// Asks the kernel for what somebody in this process wants of the memory.
    pub(crate) fn ask(&self, memory: Memory) -> Result<(), Failure> {
        memory.apply(&self.mapping, self.len())
    }

    /// Returns how many bytes there are.
    pub(crate) fn len(&self) -> u64 {
        match Header::length(self.region()) {
            // Relaxed: a number for people; who uses what is there finds it by the directory.
            Ok(length) if self.header.grows() => length.load(Relaxed).min(self.header.limit()),
            _ => self.header.size,
        }
    }

    pub(crate) fn participant(&self) -> &Participant<'static> {
        &self.participant
    }

    pub(crate) fn uses(&self) -> &Uses {
        &self.uses
    }

    /// The directory of objects.
    pub(crate) fn directory(&self) -> Result<Directory<'_>, Reason> {
        let header = self.header();
        if header.directory_entries == 0 {
            return Err(Reason::NoDirectory);
        }
        if header.grows() {
            // A mapping is larger than a header.
            let length = Header::length(self.region()).map_err(|_| Reason::NoDirectory)?;
            self.seen.look(length, &self.participant).map_err(Reason::Commit)?;
        }
        // SAFETY: the creator zeroed the file and put a directory of so many entries there, as the header says, which
        // was checked against the one plan there is when this process joined; the bytes after it are its objects'.
        unsafe { Directory::of(self.region(), header) }.map_err(Reason::Place)
    }

    /// Remembers where the file lies, if that was not known.
    pub(crate) fn found_at(&self, place: Place) {
        self.last.found_at(place);
    }

    /// Remembers the name that the file was given a moment ago.
    pub(crate) fn named(&self, place: Place) {
        self.last.named(place);
    }

    /// Leaves when the process exits; keeps the place if there are other threads.
    pub(crate) fn leave_at_exit(&self, alone: bool) {
        let me = self.participant.id();
        if me.is_none() {
            return; // A child that has not joined leaves nothing.
        }
        if alone {
            // SAFETY: there is no thread but this one, which is about to end the process. The functions in it that have
            // guards do not return any more, and exit handlers that run later use none (*Soundness*).
            unsafe { self.participant.leave() };
            self.last.out_now(me);
        } else {
            self.participant.note_exit();
            self.last.out_at_exit(&self.participant);
        }
    }

    /// Leaves, and says what became of the name.
    pub(crate) fn leave(mut self) -> Result<Leave, Failure> {
        let told = self.last.tell();
        // Another's description of the file may not be had any more.
        let file = self.participant.file().ok().and_then(|file| file.try_clone_to_owned().ok());
        drop(self);
        match told.take() {
            Some(Err(failure)) if failure.kind == ErrorKind::PermissionDenied => {
                match file.map(|file| removal::in_use(file.as_fd())) {
                    Some(Ok(true)) => Ok(Leave::Left),
                    _ => Err(failure),
                }
            }
            Some(result) => result,
            None => Ok(Leave::Left),
        }
    }
}

// SAFETY: the participant is a field, whose page stays where it is, and the mapping is unmapped when this is dropped.
unsafe impl Keep for Shared {
    fn participant(&self) -> &Participant<'_> {
        &self.participant
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.last.left(self.participant.id());
        // The mapping goes before the place.
        self.participant.vacate();
    }
}

impl Shared {
    /// Fails if the file has lost its name for ever.
    pub(crate) fn still_named(&self) -> Result<(), Failure> {
        let is_gone = |file| Status::of(file).is_ok_and(|now| now.links == 0);
        if self.is_named() && self.participant.file().is_ok_and(is_gone) {
            return Err(unlinked());
        }
        Ok(())
    }
}

/// The segment cannot be joined any more.
pub(crate) fn unlinked() -> Failure {
    Failure::new(
        ErrorKind::Unlinked,
        "its name was removed, as the last participant left or somebody unlinked it, and cannot \
         be given back: join before the others leave, or make the segment persistent",
    )
}
