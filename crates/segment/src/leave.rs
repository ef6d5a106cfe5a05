//! Leaving a segment in good order: who is the last one removes its name.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use shmkit_roster::{NoForks, OwnerId, Participant};

use crate::error::{ErrorKind, Failure};
use crate::last;
use crate::name::Place;
use crate::remove::RemoveOutcome;
use crate::status::Identity;
use crate::table::Entry;

/// What became of a segment whose handle was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leave {
    /// This process has other handles to it: it takes part as before.
    Kept,
    /// This process has left. The segment stays: others live in it, it is persistent, or somebody has removed or
    /// replaced its name. One without a name stays as long as somebody has it.
    Left,
    /// This process was the last one, and has removed the name.
    Removed,
}

/// Removes the name after everything else was given up.
///
/// Release first, then try: of two that leave at once at least one sees that nobody is left.
pub(crate) struct LastOut {
    /// Dropped last, when this process has left: a thread that joins again has waited.
    entry: Entry,
    /// Whether the last one out removes the name.
    is_removed: bool,
    /// Where the file lies; nothing if it has no name, or came by a descriptor that does not say.
    place: OnceLock<Place>,
    /// Who has left.
    me: Option<OwnerId>,
    told: Option<Told>,
}

/// What a drop says to who wants to know.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Option<Result<Leave, Failure>>>>);

impl LastOut {
    pub(crate) fn new(entry: Entry, is_removed: bool) -> Self {
        Self { entry, is_removed, place: OnceLock::new(), me: None, told: None }
    }

    pub(crate) fn entry(&self) -> &Entry {
        &self.entry
    }

    pub(crate) fn place(&self) -> Option<&Place> {
        self.place.get()
    }

    /// Remembers where the file lies, if that was not known, and holds the folder.
    pub(crate) fn found_at(&self, place: Place) {
        if self.place.get().is_none() {
            self.set_place(place.held(self.entry.identity()));
        }
    }

    /// As [`found_at`](Self::found_at), for a name that the file was given a moment ago.
    pub(crate) fn named(&self, place: Place) {
        self.set_place(place.held_as_named());
    }

    fn set_place(&self, place: Place) {
        // A child forked in the middle of it would wait for ever for the thread that is not there to end it.
        let no_forks = NoForks::hold().ok();
        // The first one stays: both led to this file.
        let rejected = self.place.set(place);
        drop(no_forks);
        // Frees, which nothing does while forks are held off.
        drop(rejected);
    }

    /// Says who has left.
    pub(crate) fn left(&mut self, me: Option<OwnerId>) {
        self.me = me;
    }

    /// Has the drop say what it did.
    pub(crate) fn tell(&mut self) -> Told {
        self.told.get_or_insert_default().clone()
    }

    /// Removes the name when the process exits, with other threads that use its place meanwhile.
    pub(crate) fn out_at_exit(&self, me: &Participant<'_>) {
        if let Some(place) = self.place.get().filter(|_| self.is_removed) {
            let _ = last::out_but_for(place, self.entry.identity(), me);
        }
    }

    /// As a drop does it, for who has left already.
    pub(crate) fn out_now(&self, me: Option<OwnerId>) {
        let _ = self.out(me);
    }

    fn out(&self, me: Option<OwnerId>) -> Result<Leave, Failure> {
        let Some(place) = self.place.get().filter(|_| self.is_removed) else {
            return Ok(Leave::Left);
        };
        let result = match self.out_of(place, me) {
            Ok(Leave::Left) | Err(_)
                if place.is_held() && !leads_to(place, self.entry.identity()) =>
            {
                // The folder may have been replaced, with what was in it.
                self.out_of(&place.by_path(), me)
            }
            result => result,
        };
        result.map_err(|failure| match failure.kind {
            ErrorKind::PermissionDenied => may_not_remove(place, failure),
            _ => failure,
        })
    }

    fn out_of(&self, place: &Place, me: Option<OwnerId>) -> Result<Leave, Failure> {
        match last::out(place, self.entry.identity(), me)? {
            RemoveOutcome::Removed => Ok(Leave::Removed),
            RemoveOutcome::Damaged(defect) => Err(defect.into()),
            _ => Ok(Leave::Left),
        }
    }
}

fn leads_to(place: &Place, identity: Identity) -> bool {
    place.status().is_ok_and(|found| found.is_file_of(identity))
}

impl Drop for LastOut {
    fn drop(&mut self) {
        let result = self.out(self.me);
        // What cannot be removed now is left for the next visitor: mostly there is nobody to tell.
        if let Some(told) = &self.told {
            *told.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    }
}

impl Told {
    pub(crate) fn take(&self) -> Option<Result<Leave, Failure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn may_not_remove(place: &Place, failure: Failure) -> Failure {
    let found = place.status().map_or(String::new(), |status| {
        format!(", which belongs to user {} and has mode {:04o}", status.owner, status.mode)
    });
    failure.instead(format!(
        "user {} may not remove {}{found}, and nobody else lives there: leave before the privileges \
         are dropped, or let its owner remove it (`shmkit gc`)",
        nix::unistd::geteuid(),
        place.path().display()
    ))
}
