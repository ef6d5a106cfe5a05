//! The two questions that primitives ask.

use shmkit_atomic::Ordering::Acquire;
use shmkit_atomic::fence;

use crate::OwnerId;
#[cfg(not(loom))]
use crate::Person;

/// What is known of an owner.
///
/// Closed: who asks has to do something else about each, and a new one that fell under *all others* would rob somebody or wait for
/// ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its address space exists: it may still write.
    Alive,
    /// Its address space is gone. This is final.
    Dead,
    /// Nobody can tell now. It is *not* a death: keep waiting to the deadline, then report it.
    Unknown,
    /// No participant can have this id: what it stands in is corrupt.
    Nobody,
}

/// Answers the two questions that every primitive asks: *who am I*, and *is this owner alive*.
///
/// The kernel answers through [`Participant`](crate::Participant); a model answers in loom and in fuzzers; other
/// systems that know their processes may answer themselves.
///
/// # Safety
///
/// An implementation must not panic, in either question: they are asked in the middle of operations and in the drops of
/// guards. It must never call a living owner dead, nor give one id to two address spaces: locks would be robbed,
/// and data that a lock guards borrowed twice.
pub unsafe trait Judge: Sync {
    /// Returns this address space's id, or `None` in a forked child that has not joined.
    ///
    /// Asked at every operation, drops of guards included: one load.
    fn me(&self) -> Option<OwnerId>;

    /// Returns what is known of `owner`. Asked only before a sleep and between the slices of one.
    fn verdict(&self, owner: OwnerId) -> Verdict;

    /// Returns an address that tells the participants of one process from each other: the same for all judges that
    /// answer for one place, and for no others. It may be compared, not used.
    fn place(&self) -> *const () {
        core::ptr::from_ref(self).cast()
    }

    /// Returns how many participants there can be at a time: for how many an object has seats unless its maker says
    /// otherwise. The same for all participants of a roster.
    fn places(&self) -> u32 {
        64
    }

    /// Returns who `owner` is or was, to be shown to people, if that is known.
    #[cfg(not(loom))]
    fn person(&self, owner: OwnerId) -> Option<Person> {
        let _ = owner;
        None
    }
}

// SAFETY: the same answers.
unsafe impl<J: Judge + ?Sized> Judge for &J {
    #[inline]
    fn me(&self) -> Option<OwnerId> {
        (**self).me()
    }

    fn verdict(&self, owner: OwnerId) -> Verdict {
        (**self).verdict(owner)
    }

    fn place(&self) -> *const () {
        (**self).place()
    }

    fn places(&self) -> u32 {
        (**self).places()
    }

    #[cfg(not(loom))]
    fn person(&self, owner: OwnerId) -> Option<Person> {
        (**self).person(owner)
    }
}

/// Asks `judge` about `owner` the way every primitive must: oneself is alive without asking, and everything a dead
/// owner wrote is visible to who learned of its death.
pub fn ask<J: Judge + ?Sized>(judge: &J, me: OwnerId, owner: OwnerId) -> Verdict {
    if owner == OwnerId::GONE {
        return Verdict::Dead; // Whatever a judge knows.
    }
    if owner == me {
        return Verdict::Alive;
    }
    let verdict = judge.verdict(owner);
    if verdict == Verdict::Dead {
        // Acquire: a dead owner released nothing; its last writes are ordered before the kernel's release of its
        // lock, which the verdict was read from.
        fence(Acquire);
    }
    verdict
}
