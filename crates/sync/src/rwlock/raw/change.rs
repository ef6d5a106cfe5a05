//! What a writer's change leaves in the lock, for who comes after it.

use shmkit_atomic::Ordering::{Relaxed, Release};
use shmkit_atomic::fence;
use shmkit_roster::OwnerId;

use super::RawRwLock;
use crate::outcome::{INCONSISTENT, POISONED, Taken, UNRECOVERABLE};

impl RawRwLock<'_> {
    /// Returns in which condition the data is, for who is in.
    pub(crate) fn found(self) -> Taken {
        // Relaxed: changed by who holds the word while nobody else is in, and we are in.
        Taken::new(self.frame.state.load(Relaxed), None)
    }

    /// The word is ours and nobody reads: from here on the data may be changed.
    pub(super) fn begin(self, me: OwnerId, dead: Option<OwnerId>) -> Taken {
        // Relaxed: for our heir, whom our death tells all that we did.
        self.frame.writing.store(me.get(), Relaxed);
        // Release: a fence, whose other half is the Acquire with which an heir learns of our death (`ask`). It keeps
        // every change of the data behind the mark: killed in between, half of it would be there and nobody told.
        fence(Release);
        Taken::new(self.frame.state.load(Relaxed), dead)
    }

    /// The data is as it shall be: nobody need be told of our death any more.
    pub(super) fn end(self) {
        // Relaxed: changed by who holds the word; its release publishes it.
        if self.frame.state.load(Relaxed) & INCONSISTENT != 0 {
            self.frame.state.fetch_or(UNRECOVERABLE, Relaxed);
        }
        // Release: as in `begin`, the other way: every change of the data stays before it.
        self.frame.writing.store(0, Release);
    }

    /// Settles what the dead holder of the word, from whom we have just taken it, was at. Returns who had died in the
    /// middle of a change. Killed in the middle, the next heir does it again.
    pub(super) fn inherit(self) -> Option<OwnerId> {
        // Relaxed, all: changed by who holds the word, published by its release or by our death.
        let writing = self.frame.writing.load(Relaxed);
        if writing == 0 {
            // It was still waiting for readers, or was one itself, or had ended.
            return None;
        }
        self.frame.epoch.store(self.frame.epoch.load(Relaxed).wrapping_add(1), Relaxed);
        if self.frame.state.load(Relaxed) & !POISONED == 0 {
            self.frame.state.fetch_or(INCONSISTENT, Relaxed);
        }
        // Release: only when the state says it. Pairs with the Acquire with which our heir learns of our death (`ask`).
        self.frame.writing.store(0, Release);
        OwnerId::from_word(writing)
    }
}
