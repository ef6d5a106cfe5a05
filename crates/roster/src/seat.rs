//! A place in a roster that its handles own.

use core::any::Any;
use core::fmt;
use core::num::NonZeroU32;
use core::ptr::NonNull;
use std::sync::Arc;

use shmkit_atomic::AtomicU32;
use shmkit_atomic::Ordering::Acquire;
use shmkit_layout::{Commit, CommitError, Region};

use crate::{Judge, OwnerId, Participant, Person, Verdict};

/// What keeps shared memory mapped, and a place in its roster.
///
/// # Safety
///
/// For as long as the value lives, wherever it is moved: [`participant`](Self::participant) returns one and the same
/// participant, and the memory that its roster lies in stays mapped where it is.
pub unsafe trait Keep: Send + Sync {
    /// Returns the place that this keeps.
    fn participant(&self) -> &Participant<'_>;

    /// Returns itself, for who made it and wants it back from a [`Seat`]; by default nothing.
    fn any(&self) -> Option<&dyn Any> {
        None
    }
}

/// The keeper of a handle that borrows nothing: a share in the mapping that the handle's object lies in, and in this
/// process's place there.
///
/// As long as one clone of it lives, the memory stays mapped and the process keeps its place; the last one to be dropped
/// leaves. So a handle with a seat may stand in a struct, in a `static`, in a thread or in a task. A clone costs an
/// increment; [`me`](Judge::me), which every operation asks, one load.
///
/// A forked child has its copies, and no place: see [`Participant`].
#[derive(Clone)]
pub struct Seat {
    /// The word with the id, in the page that a forked child finds empty; `keep` keeps it mapped.
    id: NonNull<AtomicU32>,
    keep: Arc<dyn Keep>,
}

// SAFETY: the address of an atomic, which every thread may load, and an `Arc` of what is Send and Sync.
unsafe impl Send for Seat {}
// SAFETY: as above.
unsafe impl Sync for Seat {}

impl Seat {
    /// Takes a share in what is kept.
    pub fn new<K: Keep + 'static>(keep: Arc<K>) -> Self {
        let id = NonNull::from(keep.participant().id_word());
        Self { id, keep }
    }

    /// Returns the participant whose seat it is.
    pub fn participant(&self) -> &Participant<'_> {
        self.keep.participant()
    }

    /// Returns what it is a share of, if that [says](Keep::any) what it is.
    pub fn kept<K: Keep + 'static>(&self) -> Option<&K> {
        self.keep.any()?.downcast_ref()
    }
}

// SAFETY: the answers of a participant.
unsafe impl Judge for Seat {
    #[inline]
    fn me(&self) -> Option<OwnerId> {
        // SAFETY: the page with the id is mapped as long as its participant lives, which `keep` keeps (`Keep`).
        let id = unsafe { self.id.as_ref() };
        // Acquire: as in `Identity::id`.
        NonZeroU32::new(id.load(Acquire)).map(OwnerId::from_own)
    }

    fn verdict(&self, owner: OwnerId) -> Verdict {
        self.participant().verdict(owner)
    }

    fn place(&self) -> *const () {
        self.id.as_ptr().cast_const().cast()
    }

    fn places(&self) -> u32 {
        self.participant().places()
    }

    fn person(&self, owner: OwnerId) -> Option<Person> {
        Judge::person(self.participant(), owner)
    }
}

// SAFETY: the answers of a participant.
unsafe impl Commit for Seat {
    fn commit(&self, region: Region<'_>, from: u64, to: u64) -> Result<(), CommitError> {
        self.participant().commit(region, from, to)
    }

    fn discard(&self, region: Region<'_>, from: u64, to: u64) -> bool {
        self.participant().discard(region, from, to)
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seat").field(self.participant()).finish()
    }
}
