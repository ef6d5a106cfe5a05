//! The objects of a segment.

use std::cell::Cell;

use shmkit_layout::Object;
use shmkit_roster::{Judge, OwnerId, Participant, Seat, Verdict};

use super::error::Reason;
use super::{Directory, Entry, Keeper, ObjectError};
use crate::Segment;
use crate::index::State;
use crate::keeper::Counted;

impl Segment {
    /// Finds the object called `name`, or makes it. `spec` says what it must be: kind, type and length; a first value
    /// counts only if the object is made.
    ///
    /// Finding takes no lock. The object has a share in the segment, as a clone of this handle does, and so keeps this
    /// process from leaving.
    ///
    /// # Errors
    ///
    /// Those of [`Directory::object`], and [`NoDirectory`](super::ObjectErrorKind::NoDirectory).
    ///
    /// # If a peer dies
    ///
    /// while it makes the object: the object is whole or absent, and then this call makes it.
    pub fn object<O>(&self, name: &str, spec: O::Spec) -> Result<O, ObjectError>
    where
        O: Object<Seat>,
    {
        let directory = self.directory().map_err(|reason| reason.of(name))?;
        // SAFETY: a seat keeps the mapping.
        unsafe { directory.object_with(name, spec, &Counted(self.shared())) }
    }

    /// Finds the object called `name`.
    ///
    /// # Errors
    ///
    /// Those of [`Directory::find`], and [`NoDirectory`](super::ObjectErrorKind::NoDirectory).
    pub fn find<O>(&self, name: &str) -> Result<O, ObjectError>
    where
        O: Object<Seat>,
    {
        let directory = self.directory().map_err(|reason| reason.of(name))?;
        // SAFETY: a seat keeps the mapping.
        unsafe { directory.find_with(name, &Counted(self.shared())) }
    }

    /// Finds the object called `name`, and which one of the directory's objects it is.
    pub(crate) fn find_numbered<O>(&self, name: &str) -> Result<(O, u64), ObjectError>
    where
        O: Object<Seat>,
    {
        let directory = self.directory().map_err(|reason| reason.of(name))?;
        let keeper = Numbering { counted: Counted(self.shared()), last: Cell::new(0) };
        // SAFETY: a seat keeps the mapping.
        let object = unsafe { directory.find_with(name, &keeper) }?;
        Ok((object, keeper.last.get()))
    }

    /// Makes the object called `name`.
    ///
    /// # Errors
    ///
    /// Those of [`Directory::make`], and [`NoDirectory`](super::ObjectErrorKind::NoDirectory).
    ///
    /// # If a peer dies
    ///
    /// while it makes an object: that object is whole or absent, and the next maker goes on.
    pub fn make<O>(&self, name: &str, spec: O::Spec) -> Result<O, ObjectError>
    where
        O: Object<Seat>,
    {
        let directory = self.directory().map_err(|reason| reason.of(name))?;
        // SAFETY: a seat keeps the mapping.
        unsafe { directory.make_with(name, spec, &Counted(self.shared())) }
    }

    /// Removes the object called `name`: its name, its entry and its bytes are free when this returns.
    ///
    /// # Errors
    ///
    /// [`InUse`](super::ObjectErrorKind::InUse) if somebody alive has a handle to it, this process included, and then nothing
    /// is changed: [`unlink`](Self::unlink_object) frees it with its last user. Otherwise those of [`Directory::remove`], and
    /// [`NoDirectory`](super::ObjectErrorKind::NoDirectory).
    ///
    /// In a segment that grows, the memory behind the object's whole pages is given back to the system, as it is with the last
    /// user of one that was unlinked; elsewhere all memory is the segment's for as long as it is there.
    ///
    /// # If a peer dies
    ///
    /// that had a handle, it does not use the object any more. If it dies while it removes it, the object is there or gone.
    ///
    /// A forked child uses nothing in the eyes of the others before it has [joined](Self::join_after_fork): see *Soundness*.
    /// When it joins, it is told if what it has inherited a handle to was removed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use shmkit_segment::{ObjectErrorKind, Options};
    /// # use shmkit_sync::Mutex;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let segment = Options::new(4096).anonymous()?;
    /// let total = segment.make::<Mutex<u64>>("total", 5)?;
    /// assert_eq!(segment.remove_object("total").unwrap_err().kind(), ObjectErrorKind::InUse);
    /// drop(total);
    /// segment.remove_object("total")?;
    /// assert!(segment.objects()?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn remove_object(&self, name: &str) -> Result<(), ObjectError> {
        let directory = self.directory().map_err(|reason| reason.of(name))?;
        directory.remove(name, self.participant())
    }

    /// Takes the name of an object away: it is free for another one when this returns. Whoever uses the object goes on, and
    /// its entry and bytes are free when the last of them has dropped its last handle, or is dead.
    ///
    /// # Errors
    ///
    /// Those of [`Directory::unlink`], and [`NoDirectory`](super::ObjectErrorKind::NoDirectory).
    ///
    /// # If a peer dies
    ///
    /// while it does this: the object has its name, or has it not.
    pub fn unlink_object(&self, name: &str) -> Result<(), ObjectError> {
        let directory = self.directory().map_err(|reason| reason.of(name))?;
        directory.unlink(name, self.participant())
    }

    /// Returns what there is, in the order in which it was made: nothing in a segment without a directory. What has lost its
    /// name and is used still is there, too. What others make or remove meanwhile may be there or not.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](super::ObjectErrorKind::Corrupt) if the directory holds what no peer of this version writes.
    pub fn objects(&self) -> Result<Vec<Entry>, ObjectError> {
        match self.directory() {
            Ok(directory) => {
                let mut entries = directory.entries()?;
                let lives = |&owner: &OwnerId| self.participant().verdict(owner) != Verdict::Dead;
                entries.iter_mut().for_each(|entry| entry.users.retain(lives));
                Ok(entries)
            }
            Err(Reason::NoDirectory) => Ok(Vec::new()),
            Err(reason) => Err(reason.of_directory()),
        }
    }

    fn directory(&self) -> Result<Directory<'_>, Reason> {
        self.shared().directory().map(|directory| directory.time_limit(self.object_time_limit))
    }
}

/// A keeper that remembers which object was found last.
struct Numbering<'s> {
    counted: Counted<'s>,
    last: Cell<u64>,
}

impl Keeper<Seat> for Numbering<'_> {
    type Judge = Participant<'static>;

    fn judge(&self) -> &Participant<'static> {
        self.counted.judge()
    }

    fn begin(
        &self,
        directory: Directory<'_>,
        entry: u32,
        state: State,
        look: bool,
    ) -> Result<Option<Seat>, Reason> {
        self.last.set(state.generation());
        self.counted.begin(directory, entry, state, look)
    }
}
