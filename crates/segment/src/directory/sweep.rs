//! Sweeping the names of the dead out of a segment's objects, so that a place of the roster can begin anew.

use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::{Header, Region};
use shmkit_roster::Spent;
use shmkit_sync::RawMutex;

use super::Directory;
use super::error::Reason;
use crate::index::{self, State};

const DAMAGED: &str = "its directory of objects is damaged";

impl Directory<'_> {
    /// Sweeps all names of a spent place out of the directory and of its objects, of whatever kind: their entries say
    /// where those stand.
    ///
    /// It takes no lock, for who joins has no name yet by which to take one, and needs none. Whoever is called by one
    /// of the names is dead, and whatever it made was published before it died, or never will be; the living write only
    /// names of their own, those of objects that they publish meanwhile included. A word that changes while it is swept
    /// is looked at again.
    ///
    /// # Errors
    ///
    /// What is wrong with the directory, for people. Then some words may be swept, and some not.
    ///
    /// # If a peer dies
    ///
    /// in the middle of a sweep, the next one begins at the beginning.
    pub fn sweep(self, spent: &Spent) -> Result<(), &'static str> {
        spent.sweep_words(self.table, RawMutex::NAMES).map_err(|_| DAMAGED)?;
        // What is freed while it is swept would be somebody else's bytes by then.
        self.sweeping(spent, |entries| self.sweep_objects(spent, entries)).map_err(|_| DAMAGED)
    }

    /// Sweeps the objects of the first so many entries, and the words that say who uses them. Others are of the living.
    fn sweep_objects(self, spent: &Spent, entries: u32) -> Result<(), Reason> {
        for entry in 0..self.used()?.load(Relaxed).min(entries) {
            let state = index::state(&self, entry)?.settled();
            // In doubt, it would be freed by who has not seen that we use it.
            if state.phase() == State::FREE || !self.is_there(entry, state)? {
                continue;
            }
            // Nobody judges its creator, but people would take somebody else for it.
            spent.sweep(self.creator(entry)?);
            let record = self.record(entry)?;
            let object =
                self.region().sub(record.offset, record.shape.bytes).map_err(Reason::Place)?;
            for words in record.shape.names {
                spent.sweep_words(object, words).map_err(Reason::Place)?;
            }
        }
        Ok(())
    }
}

/// [`Directory::sweep`] of a whole segment.
pub(crate) fn segment(memory: Region<'_>, spent: &Spent) -> Result<(), &'static str> {
    let header = Header::read(memory).map_err(|_| "its header is damaged")?;
    if header.directory_entries == 0 {
        return Err(
            "it has no directory, so that nobody knows which of its words name participants",
        );
    }
    // SAFETY: as in `Segment::directory`; and if a peer has damaged the header since it was checked, words of the file
    // are read and changed as atomics, in a mapping from which nobody has borrowed anything yet.
    let directory = unsafe { Directory::of(memory, &header) };
    directory.map_err(|_| DAMAGED)?.sweep(spent)
}
