//! The roster's bytes.

use core::fmt;
use std::os::fd::BorrowedFd;

use shmkit_atomic::AtomicU32;
use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_layout::{Offset, Region, Shared};

use crate::person::{Card, Person};
use crate::range::{self, Range};
use crate::{OwnerId, RosterError, Verdict};

/// The first bytes of a roster.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Head {
    /// The slot that the next join tries first, modulo the number of slots. A hint: any number will do.
    cursor: AtomicU32,
    /// Number of slots. Written by `init`.
    slots: AtomicU32,
}

// SAFETY: atomics, `repr(C)`, every pattern valid.
unsafe impl Shared for Head {}

/// One place. Written only by who holds its lock.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Slot {
    /// The last generation that was given out, 0 to [`OwnerId::MAX_GENERATION`]; at the maximum the slot is retired.
    generation: AtomicU32,
    /// 0.
    reserved: AtomicU32,
    /// Who it was given to.
    pub(crate) card: Card,
}

// SAFETY: atomics and a `repr(C)` struct of atomics, every pattern valid.
unsafe impl Shared for Slot {}

const _: () = assert!(size_of::<Head>() == 128, "part of the segment format");
const _: () = assert!(size_of::<Slot>() == 40, "part of the segment format");

impl Slot {
    /// Returns the last generation that was given out.
    pub(crate) fn generation(&self) -> u32 {
        // Acquire: pairs with the Release in `begin`, for who reads the card next.
        self.generation.load(Acquire)
    }

    /// Gives out the next generation of `slot`, or none if it is retired. Only with the slot's lock.
    ///
    /// The number is spent before the name's lock is asked for: killed in between, nobody ever has the name.
    pub(crate) fn begin(&self, slot: u32) -> Option<OwnerId> {
        // `new` refuses what is past the maximum, whatever a peer wrote here.
        let id = OwnerId::new(slot, self.generation().checked_add(1)?)?;
        // Release: pairs with the Acquire in `generation`; the slot's lock orders the writers themselves.
        self.generation.store(id.generation(), Release);
        Some(id)
    }
}

/// The roster of a region: a table of slots, each for one participant at a time.
///
/// ```text
/// 0 cursor  4 slots  128 slot 0: generation, reserved, start time, command, pid  168 slot 1 …
/// ```
///
/// A view of bytes that somebody keeps mapped. It says who *may* be there; whether they live, only the kernel knows.
#[derive(Clone, Copy)]
pub struct Roster<'a> {
    head: &'a Head,
    slots: &'a [Slot],
}

impl<'a> Roster<'a> {
    /// Alignment of a roster, in bytes.
    pub const ALIGN: u64 = align_of::<Head>() as u64;

    /// Returns the size of a roster of so many slots, in bytes.
    pub const fn bytes(slots: u32) -> u64 {
        size_of::<Head>() as u64 + slots as u64 * size_of::<Slot>() as u64
    }

    /// Makes a roster for at most `slots` participants at a time, 1 to 1024, in the first bytes of `region`.
    ///
    /// Whether the file system has the locks that participants need shows when the first of them
    /// [joins](crate::Participant::join): do that before anybody else can see the roster.
    ///
    /// # Errors
    ///
    /// [`RosterError`] if there cannot be so many slots, or they do not fit.
    ///
    /// # Safety
    ///
    /// The bytes must be zero, and nobody else may use them until this returns.
    pub unsafe fn init(region: Region<'a>, slots: u32) -> Result<Self, RosterError> {
        let this = Self::place(region, slots)?;
        this.head.slots.store(slots, Relaxed);
        Ok(this)
    }

    /// Uses the roster of `slots` slots that somebody made in the first bytes of `region`.
    ///
    /// # Errors
    ///
    /// [`RosterError`] if there cannot be so many slots, they do not fit, or the roster says another number.
    ///
    /// # Safety
    ///
    /// The bytes must have been made by [`init`](Self::init), and be used as a roster only.
    pub unsafe fn attach(region: Region<'a>, slots: u32) -> Result<Self, RosterError> {
        let this = Self::place(region, slots)?;
        let found = this.head.slots.load(Relaxed);
        if found != slots {
            return Err(RosterError::Corrupt { found, expected: slots });
        }
        Ok(this)
    }

    fn place(region: Region<'a>, slots: u32) -> Result<Self, RosterError> {
        if !(1..=OwnerId::MAX_SLOTS).contains(&slots) {
            return Err(RosterError::Slots { found: slots });
        }
        let head = region.get(Offset::<Head>::ZERO).map_err(RosterError::Place)?;
        let rest = region.sub(Self::bytes(0), Self::bytes(slots) - Self::bytes(0));
        let rest = rest.map_err(RosterError::Place)?;
        let slots = rest.slice(Offset::ZERO, slots as usize).map_err(RosterError::Place)?;
        Ok(Self { head, slots })
    }

    /// Returns how many participants there can be at a time.
    pub fn slots(self) -> u32 {
        // `place`: at most 1024.
        self.slots.len() as u32
    }

    /// Returns the slots with their numbers, beginning where the cursor stands.
    pub(crate) fn round(self) -> impl Iterator<Item = (u32, &'a Slot)> {
        let (count, slots) = (self.slots(), self.slots);
        // Relaxed: a hint. Any number that a peer wrote becomes a slot's.
        let first = self.head.cursor.load(Relaxed) % count;
        (first..count).chain(0..first).map(move |n| (n, &slots[n as usize]))
    }

    /// The next join looks after `slot` first, so that a slot rests as long as possible.
    pub(crate) fn advance(self, slot: u32) {
        self.head.cursor.store((slot + 1) % self.slots(), Relaxed);
    }

    /// Returns who `owner` is, as long as its slot is not given to another.
    pub fn person(self, owner: OwnerId) -> Option<Person> {
        let slot = self.slots.get(owner.slot() as usize)?;
        let is_owners = || slot.generation() == owner.generation();
        (is_owners()).then(|| slot.card.read()).filter(|_| is_owners())
    }

    /// Returns the last participant of every slot that had one, in the order of slots, with the kernel's verdict:
    /// for people, and for the command that lists segments. Takes part in nothing and needs no place.
    ///
    /// `file` is any descriptor of the file whose participants these are. A participant of its *own* description
    /// cannot be there: joining makes a private one.
    pub fn participants(self, file: BorrowedFd<'_>) -> Vec<Member> {
        let nobody = matches!(range::conflict(file, Range::EVERYBODY), Ok(None));
        let member = |(n, slot): (u32, &Slot)| {
            let id = OwnerId::new(n, slot.generation())?;
            let verdict = match range::conflict(file, Range::id(id)) {
                _ if nobody => Verdict::Dead,
                Ok(None) => Verdict::Dead,
                Ok(Some(_)) => Verdict::Alive,
                Err(_) => Verdict::Unknown,
            };
            Some(Member { id, person: slot.card.read(), verdict })
        };
        (0..).zip(self.slots).filter_map(member).collect()
    }
}

impl fmt::Debug for Roster<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roster").field("slots", &self.slots()).finish_non_exhaustive()
    }
}

/// A line of a roster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its name.
    pub id: OwnerId,
    /// Who it is.
    pub person: Person,
    /// Whether it lives. A participant that left counts as dead.
    pub verdict: Verdict,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bytes;

    #[test]
    fn a_roster_is_as_large_as_it_says() {
        let bytes = Bytes::new(Roster::bytes(3));
        let region = bytes.region();
        // SAFETY: fresh zeros of this test alone.
        let roster = unsafe { Roster::init(region, 3) }.unwrap();
        assert_eq!(roster.slots(), 3);
        // SAFETY: made above.
        assert!(unsafe { Roster::attach(region, 3) }.is_ok());
        // SAFETY: refused before anything is used.
        let error = unsafe { Roster::attach(region, 2) }.unwrap_err();
        assert_eq!(error, RosterError::Corrupt { found: 3, expected: 2 });
        // SAFETY: refused before anything is used.
        let error = unsafe { Roster::attach(region, 4) }.unwrap_err();
        assert!(matches!(error, RosterError::Place(_)), "{error}");
        for slots in [0, 1025, u32::MAX] {
            // SAFETY: refused before anything is used.
            let error = unsafe { Roster::init(region, slots) }.unwrap_err();
            assert_eq!(error, RosterError::Slots { found: slots });
        }
    }

    #[test]
    fn the_round_begins_at_the_cursor_whatever_it_says() {
        let bytes = Bytes::new(Roster::bytes(3));
        // SAFETY: fresh zeros of this test alone.
        let roster = unsafe { Roster::init(bytes.region(), 3) }.unwrap();
        let order = || roster.round().map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!(order(), [0, 1, 2]);
        roster.advance(0);
        assert_eq!(order(), [1, 2, 0]);
        roster.advance(2);
        assert_eq!(order(), [0, 1, 2]);
        roster.head.cursor.store(u32::MAX, Relaxed);
        assert_eq!(order(), [0, 1, 2], "2^32 - 1 is a multiple of 3");
    }

    #[test]
    fn a_generation_never_wraps() {
        let bytes = Bytes::new(Roster::bytes(1));
        // SAFETY: fresh zeros of this test alone.
        let roster = unsafe { Roster::init(bytes.region(), 1) }.unwrap();
        let slot = &roster.slots[0];
        assert_eq!(slot.begin(0), OwnerId::new(0, 1));
        assert_eq!(slot.begin(0), OwnerId::new(0, 2));
        slot.generation.store(OwnerId::MAX_GENERATION - 1, Relaxed);
        assert_eq!(slot.begin(0), OwnerId::new(0, OwnerId::MAX_GENERATION));
        for retired in [OwnerId::MAX_GENERATION, OwnerId::MAX_GENERATION + 1, u32::MAX] {
            slot.generation.store(retired, Relaxed);
            assert_eq!(slot.begin(0), None);
            assert_eq!(slot.generation(), retired, "nothing was written");
        }
    }
}
