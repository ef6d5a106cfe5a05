//! The roster's bytes.

use core::fmt;
use std::os::fd::BorrowedFd;

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::{AtomicU32, fence};
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
    /// The generation whose card is complete. Another than `generation` while somebody joins, and after they died of
    /// it: the card is then nobody's.
    signed: AtomicU32,
    /// Who it was given to.
    card: Card,
}

// SAFETY: atomics and a `repr(C)` struct of atomics, every pattern valid.
unsafe impl Shared for Slot {}

const _: () = assert!(size_of::<Head>() == 128, "part of the segment format");
const _: () = assert!(size_of::<Slot>() == 40, "part of the segment format");

impl Slot {
    /// Gives out the next generation of `slot`, or none if it is retired. Only with the slot's lock.
    ///
    /// The number is spent before the name's lock is asked for: killed in between, nobody ever has the name.
    pub(crate) fn begin(&self, slot: u32) -> Option<OwnerId> {
        // `new` refuses what is past the maximum, whatever a peer wrote here.
        // Relaxed: the slot's lock orders the writers, and who only reads sees no card before it is signed.
        let id = OwnerId::new(slot, self.generation.load(Relaxed).checked_add(1)?)?;
        self.generation.store(id.generation(), Relaxed);
        Some(id)
    }

    /// Writes this process's card under its generation. Only with the slot's lock, and the name's.
    pub(crate) fn sign(&self, id: OwnerId) {
        self.write(id.generation(), Card::sign);
    }

    fn write(&self, generation: u32, write: impl FnOnce(&Card)) {
        // Release: pairs with the Acquire fence in `read`. Who read a word of the new card sees the new generation (or
        // a later one) at its second look; who does not see it read nothing of the new card.
        fence(Release);
        write(&self.card);
        // Release: pairs with the first Acquire in `read`, so that the whole card is seen.
        self.signed.store(generation, Release);
    }

    /// Returns the generation that the slot has, and its card: the one that belongs to it, or none if it is not
    /// signed, or given to another while we read.
    fn read(&self) -> Option<(u32, Person)> {
        // Acquire: pairs with the Release in `write`.
        let signed = self.signed.load(Acquire);
        let person = self.card.read();
        // Acquire: pairs with the Release fence in `write`.
        fence(Acquire);
        (self.generation.load(Relaxed) == signed).then_some((signed, person))
    }
}

/// The roster of a region: a table of slots, each for one participant at a time.
///
/// ```text
/// 0 cursor  4 slots  128 slot 0: generation, signed, start time, command, pid  168 slot 1 …
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

    /// Returns who `owner` is, as long as its slot is not given to another. Nobody yet, if it is still joining.
    pub fn person(self, owner: OwnerId) -> Option<Person> {
        let (generation, person) = self.slots.get(owner.slot() as usize)?.read()?;
        (generation == owner.generation()).then_some(person)
    }

    /// Returns the last participant of every slot that had one, in the order of slots, with the kernel's verdict:
    /// for people, and for the command that lists segments. Takes part in nothing and needs no place.
    ///
    /// Whoever is joining at this moment, or died of it, is not there; nor is who had that slot before, and is dead.
    ///
    /// `file` is any descriptor of the file whose participants these are. A participant of its *own* description
    /// cannot be there: joining makes a private one.
    pub fn participants(self, file: BorrowedFd<'_>) -> Vec<Member> {
        let member = |(n, slot): (u32, &Slot)| {
            let (generation, person) = slot.read()?;
            Some(Member { id: OwnerId::new(n, generation)?, person, verdict: Verdict::Dead })
        };
        // The names first: a card is signed with both locks held, so that whoever is listed and alive is in what the
        // kernel is asked from here on.
        let mut members: Vec<_> = (0..).zip(self.slots).filter_map(member).collect();
        if matches!(range::conflict(file, Range::EVERYBODY), Ok(None)) {
            return members; // One question instead of many.
        }
        for member in &mut members {
            member.verdict = match range::conflict(file, Range::id(member.id)) {
                Ok(None) => Verdict::Dead,
                Ok(Some(_)) => Verdict::Alive,
                Err(_) => Verdict::Unknown,
            };
        }
        members
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
    use std::os::fd::AsFd;

    use super::*;
    use crate::atfork::NoForks;
    use crate::testing::{Bytes, memfd};

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
            assert_eq!(slot.generation.load(Relaxed), retired, "nothing was written");
        }
    }

    #[test]
    fn a_card_is_shown_only_under_the_name_it_was_signed_for() {
        let file = memfd();
        let bytes = Bytes::of(&file, Roster::bytes(1));
        let roster = bytes.roster(1);
        let slot = &roster.slots[0];
        let _no_forks = NoForks::hold().unwrap();
        let listed = || {
            let members = roster.participants(file.as_fd());
            members.into_iter().map(|m| m.id).collect::<Vec<_>>()
        };
        assert_eq!(listed(), [], "no slot was ever given out");
        let first = slot.begin(0).unwrap();
        assert_eq!((roster.person(first), listed()), (None, vec![]), "not signed yet");
        slot.sign(first);
        assert_eq!(roster.person(first).unwrap().pid, std::process::id());
        assert_eq!(listed(), [first]);
        let second = slot.begin(0).unwrap();
        assert_eq!([first, second].map(|id| roster.person(id)), [None, None], "the predecessor's");
        assert_eq!(listed(), []);
        slot.sign(second);
        assert_eq!(roster.person(first), None);
        assert!(roster.person(second).is_some());
        assert_eq!(listed(), [second]);
    }

    /// Whoever reads while a slot goes from hand to hand sees whole cards of the right generation.
    #[test]
    fn a_card_is_never_a_mixture() {
        const GENERATIONS: u32 = 20_000;
        let bytes = Bytes::new(Roster::bytes(1));
        let roster = bytes.roster(1);
        let slot = &roster.slots[0];
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut seen = 0;
                while seen < GENERATIONS {
                    let Some((generation, person)) = slot.read() else { continue };
                    if generation > 0 {
                        assert_eq!(person.pid, generation);
                        assert_eq!(person.start_time, u64::from(generation));
                        assert_eq!(person.command, generation.to_string());
                    }
                    assert!(generation >= seen);
                    seen = generation;
                }
            });
            for _ in 0..GENERATIONS {
                let generation = slot.begin(0).unwrap().generation();
                let command = generation.to_string();
                slot.write(generation, |card| {
                    card.write(generation, generation.into(), command.as_bytes());
                });
            }
            reader.join().unwrap();
        });
    }
}
