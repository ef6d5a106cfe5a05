//! The objects of a segment.

use shmkit_layout::Object;
use shmkit_roster::Seat;

use super::error::Reason;
use super::{Directory, Entry, ObjectError};
use crate::Segment;

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
        unsafe { directory.object_with(name, spec, self.seat()) }
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
        unsafe { directory.find_with(name, self.seat()) }
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
        unsafe { directory.make_with(name, spec, self.seat()) }
    }

    /// Returns what there is, in the order in which it was made: nothing in a segment without a directory.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](super::ObjectErrorKind::Corrupt) if the directory holds what no peer of this version writes.
    pub fn objects(&self) -> Result<Vec<Entry>, ObjectError> {
        match self.directory() {
            Ok(directory) => directory.entries(),
            Err(Reason::NoDirectory) => Ok(Vec::new()),
            Err(reason) => Err(reason.of_directory()),
        }
    }

    fn directory(&self) -> Result<Directory<'_>, Reason> {
        let header = self.header();
        if header.directory_entries == 0 {
            return Err(Reason::NoDirectory);
        }
        // A file may be longer than its segment.
        let region = self.whole().sub(0, header.size).map_err(Reason::Place)?;
        // SAFETY: the creator zeroed the file and put a directory of so many entries there, as the header says, which
        // was checked against the one plan there is when this process joined; the bytes after it are its objects'.
        unsafe { Directory::attach(region, header.directory, header.directory_entries) }
            .map(|directory| directory.time_limit(self.object_time_limit))
            .map_err(Reason::Place)
    }
}
