//! The roster's bytes.

use core::fmt;
use std::os::fd::BorrowedFd;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU32, AtomicU64};
use shmkit_layout::{Offset, Region, Shared};

use crate::boot;
use crate::era::{Spent, Sweep};
use crate::numbering::Numbering;
use crate::person::Person;
use crate::places::Places;
use crate::range::{self, Range};
use crate::salt::Salt;
use crate::slot::Slot;
use crate::{OwnerId, RosterError, Verdict};

/// The first bytes of a roster.
#[derive(Debug)]
#[repr(C, align(128))]
pub(crate) struct Head {
    /// The [`Salt`] of the lock bytes. Written by `init`, and never again.
    salt: AtomicU64,
    /// The slot that the next join tries first, modulo the number of slots. A hint: any number will do.
    cursor: AtomicU32,
    /// Number of slots. Written by `init`.
    slots: AtomicU32,
    /// How many numbers the slots share. Written by `init`.
    numbers: AtomicU32,
    /// In which boot it was made, or 0 if that was not known. Written by `init`.
    boot: AtomicU32,
}

// SAFETY: atomics, `repr(C)`, every pattern valid.
unsafe impl Shared for Head {}

const _: () = assert!(size_of::<Head>() == 128, "part of the segment format");
/// The roster of a region: a table of slots, each for one participant at a time.
///
/// ```text
/// 0 salt  8 cursor  12 slots  16 numbers  20 boot
/// 128 a bit a slot, set if it seems to be taken
/// after that, at a multiple of 8: slot 0: generation, signed, start time, command, pid, boot; 40 further: slot 1 …
/// ```
///
/// So who makes a roster and joins it touches one page.
///
/// A view of bytes that somebody keeps mapped. It says who *may* be there; whether they live, only the kernel knows.
#[derive(Clone, Copy)]
pub struct Roster<'a> {
    head: &'a Head,
    slots: &'a [Slot],
    places: Places<'a>,
    /// Our own copy: a peer may write over the roster's.
    numbering: Numbering,
    /// As it was when we attached: whatever a peer writes there later, we ask as we locked.
    salt: Salt,
    sweep: Option<Sweep<'a>>,
}

/// Where the parts of a roster lie.
type Parts<'a> = (&'a Head, &'a [Slot], Places<'a>);

impl<'a> Roster<'a> {
    /// Alignment of a roster, in bytes.
    pub const ALIGN: u64 = align_of::<Head>() as u64;

    /// Returns the size of a roster of so many slots, in bytes: 40 and a bit for each, and 128, up to
    /// the next multiple of 8.
    pub const fn bytes(slots: u32) -> u64 {
        Self::slots_at(slots) + slots as u64 * size_of::<Slot>() as u64
    }

    const fn places_at() -> u64 {
        size_of::<Head>() as u64
    }

    const fn slots_at(slots: u32) -> u64 {
        let end = Self::places_at() + Places::words(slots) as u64 * size_of::<AtomicU32>() as u64;
        end.next_multiple_of(align_of::<Slot>() as u64)
    }

    /// Makes a roster for at most `slots` participants at a time, 1 to 16384, in the first bytes of `region`.
    ///
    /// Whether the file system has the locks that participants need shows when the first of them
    /// [joins](crate::Participant::join): do that before anybody else can see the roster.
    ///
    /// # Errors
    ///
    /// [`RosterError`] if there cannot be so many slots, they do not fit, or the kernel draws no random numbers.
    ///
    /// # Safety
    ///
    /// The bytes must be zero, and nobody else may use them until this returns.
    pub unsafe fn init(region: Region<'a>, slots: u32) -> Result<Self, RosterError> {
        // SAFETY: as promised by the caller.
        unsafe { Self::init_numbered(region, slots, OwnerId::LAST) }
    }

    /// As [`init`](Self::init), with fewer names than there could be: 1 to `numbers`, at least one for each slot. The
    /// places begin anew the sooner: for who wants to see that.
    ///
    /// # Errors
    ///
    /// As [`init`](Self::init), or if there cannot be so many names.
    ///
    /// # Safety
    ///
    /// As [`init`](Self::init).
    pub unsafe fn init_numbered(
        region: Region<'a>,
        slots: u32,
        numbers: u32,
    ) -> Result<Self, RosterError> {
        let no_random =
            |e: std::io::Error| RosterError::Random { errno: e.raw_os_error().unwrap_or(0) };
        let salt = Salt::random().map_err(no_random)?;
        let numbering = Numbering::new(slots, numbers)?;
        let (head, slots, places) = Self::parts(region, numbering)?;
        // Relaxed, all: whoever attaches has been told of the roster, which orders what was stored before.
        head.salt.store(salt.get(), Relaxed);
        head.slots.store(numbering.slots(), Relaxed);
        head.numbers.store(numbers, Relaxed);
        head.boot.store(boot::current().unwrap_or(0), Relaxed);
        Ok(Self { head, slots, places, numbering, salt, sweep: None })
    }

    /// Uses the roster of `slots` slots that somebody made in the first bytes of `region`.
    ///
    /// # Errors
    ///
    /// [`RosterError`] if there cannot be so many slots, they do not fit, or the roster says another number or
    /// has no salt.
    ///
    /// # Safety
    ///
    /// The bytes must have been made by [`init`](Self::init), and be used as a roster only.
    pub unsafe fn attach(region: Region<'a>, slots: u32) -> Result<Self, RosterError> {
        let numbering = Numbering::new(slots, OwnerId::LAST)?;
        let (head, slots, places) = Self::parts(region, numbering)?;
        let (found, expected) = (head.slots.load(Relaxed), numbering.slots());
        if found != expected {
            return Err(RosterError::Corrupt { found, expected });
        }
        let numbering = Numbering::new(expected, head.numbers.load(Relaxed))?;
        let found = head.salt.load(Relaxed);
        let salt = Salt::new(found).ok_or(RosterError::Salt { found })?;
        Ok(Self { head, slots, places, numbering, salt, sweep: None })
    }

    fn parts(region: Region<'a>, numbering: Numbering) -> Result<Parts<'a>, RosterError> {
        let count = numbering.slots();
        let part = |from, to| region.sub(from, to - from).map_err(RosterError::Place);
        let head = region.get(Offset::<Head>::ZERO).map_err(RosterError::Place)?;
        let slots = part(Self::slots_at(count), Self::bytes(count))?;
        let slots = slots.slice(Offset::ZERO, count as usize).map_err(RosterError::Place)?;
        let words = part(Self::places_at(), Self::slots_at(count))?;
        let words = words.slice(Offset::ZERO, Places::words(count) as usize);
        let places = Places::new(words.map_err(RosterError::Place)?, count);
        Ok((head, slots, places))
    }

    /// Says how the words that name participants are swept, all of them in `memory`: when a place has given out all its
    /// names, who joins it calls `sweep`, so that they can be given out anew. Without this, such a place is
    /// [`Exhausted`](crate::JoinErrorKind::Exhausted).
    ///
    /// `sweep` answers with what keeps it from sweeping all, for people; then nobody joins. It is called with this
    /// process's forks and signals held up: it should do no more than to go through the words.
    ///
    /// # Safety
    ///
    /// Where `sweep` returns `Ok`, no word that all participants share, and that it was not told to leave alone, may name
    /// anybody of the [`Spent`] place any more: an owner of a lock would be taken for another one.
    pub unsafe fn swept_by(
        self,
        memory: Region<'a>,
        sweep: fn(Region<'_>, &Spent) -> Result<(), &'static str>,
    ) -> Self {
        Self { sweep: Some(Sweep { memory, run: sweep }), ..self }
    }

    pub(crate) fn sweep(self) -> Option<Sweep<'a>> {
        self.sweep
    }

    /// Returns whether a slot's names were last given out in another boot than this: after a power cut the roster's bytes
    /// may be older than those of the words, so that nobody knows how far it had come.
    pub(crate) fn is_of_another_boot(self, slot: &Slot) -> bool {
        let made = Some(self.head.boot.load(Relaxed)).filter(|&boot| boot != 0);
        match (slot.card.boot().or(made), boot::current()) {
            (Some(then), Some(now)) => then != now,
            _ => false,
        }
    }

    #[cfg(test)]
    pub(crate) fn set_boot(self, boot: u32) {
        self.head.boot.store(boot, Relaxed);
    }

    /// Returns how many participants there can be at a time.
    pub fn slots(self) -> u32 {
        self.numbering.slots()
    }

    /// Returns the place that gives out this name, 0 to `slots - 1`; `None` if none does.
    pub fn slot_of(self, id: OwnerId) -> Option<u32> {
        self.numbering.origin(id).map(|(slot, _)| slot)
    }

    /// Returns whether somebody can be, or have been, called `id`. For who has read it in a word.
    pub(crate) fn knows(self, id: OwnerId) -> bool {
        let origin = self.numbering.origin(id);
        origin.is_some_and(|(slot, generation)| {
            let slot = &self.slots[slot as usize];
            slot.has_given(generation) || self.is_of_another_boot(slot)
        })
    }

    /// Returns what the lock bytes of the participants are shifted by.
    pub(crate) fn salt(self) -> Salt {
        self.salt
    }

    /// Returns the bytes that a participant holds; `None` if nobody can be called so.
    pub(crate) fn held(self, id: OwnerId) -> Option<Range> {
        let (slot, generation) = self.numbering.origin(id)?;
        Some(Range::held(self.salt, slot, generation))
    }

    /// Returns the byte that is locked as long as a participant lives; `None` if nobody can be called so.
    pub(crate) fn mark(self, id: OwnerId) -> Option<Range> {
        let (slot, generation) = self.numbering.origin(id)?;
        Some(Range::mark(self.salt, slot, generation))
    }

    /// As [`mark`](Self::mark), of the roster that lies so many bytes from the start of `file`, of which nothing is
    /// mapped; `None` if there is none, too.
    pub(crate) fn mark_in(
        file: BorrowedFd<'_>,
        roster: u64,
        id: OwnerId,
    ) -> std::io::Result<Option<Range>> {
        let mut bytes = [0; size_of::<Head>()];
        let at = i64::try_from(roster).map_err(std::io::Error::other)?;
        if nix::sys::uio::pread(file, &mut bytes, at as _)? < bytes.len() {
            return Ok(None);
        }
        let word = |at: usize| {
            let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
            word.map_or(0, u32::from_ne_bytes)
        };
        let [slots, numbers] =
            [core::mem::offset_of!(Head, slots), core::mem::offset_of!(Head, numbers)].map(word);
        let salt = bytes[..8].try_into().map_or(0, u64::from_ne_bytes);
        let mark = || {
            let (slot, generation) = Numbering::new(slots, numbers).ok()?.origin(id)?;
            Some(Range::mark(Salt::new(salt)?, slot, generation))
        };
        Ok(mark())
    }

    pub(crate) fn numbering(self) -> Numbering {
        self.numbering
    }

    /// Returns the slots with their numbers: beginning where the cursor stands, those first that seem to be free.
    pub(crate) fn round(self) -> impl Iterator<Item = (u32, &'a Slot)> {
        // Relaxed: a hint. Any number that a peer wrote becomes a slot's.
        let first = self.head.cursor.load(Relaxed) % self.slots();
        let (places, slots) = (self.places, self.slots);
        let numbers = places.round(first, false).chain(places.round(first, true));
        numbers.map(move |n| (n, &slots[n as usize]))
    }

    /// Slot `n` is taken. The next join looks after it first, so that a slot rests as long as possible.
    pub(crate) fn take(self, n: u32) {
        self.places.take(n);
        self.head.cursor.store((n + 1) % self.slots(), Relaxed);
    }

    /// Who has this name leaves in good order: its place is about to be free.
    pub(crate) fn free(self, id: OwnerId) {
        self.note_leave(id);
        if let Some(slot) = self.slot_of(id) {
            self.places.free(slot);
        }
    }

    /// Notes for people that who has this name leaves in good order.
    pub(crate) fn note_leave(self, id: OwnerId) {
        let origin = self.numbering.origin(id);
        if let Some((slot, generation)) = origin
            && let Some(slot) = self.slots.get(slot as usize)
        {
            slot.leave(generation);
        }
    }

    /// Returns who `owner` is, as long as its slot is not given to another. Nobody yet, if it is still joining.
    pub fn person(self, owner: OwnerId) -> Option<Person> {
        let (slot, generation) = self.numbering.origin(owner)?;
        let (signed, person, _) = self.slots.get(slot as usize)?.read()?;
        (generation == signed).then_some(person)
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
            let (generation, person, left) = slot.read()?;
            let id = self.numbering.id(n, generation)?;
            Some(Member { id, person, verdict: Verdict::Dead, left })
        };
        // The names first: a card is signed with the lock held, so that whoever is listed and alive is in what the
        // kernel is asked from here on.
        let mut members: Vec<_> = (0..).zip(self.slots).filter_map(member).collect();
        if matches!(range::conflict(file, Range::EVERYBODY), Ok(None)) {
            return members; // One question instead of many.
        }
        for member in &mut members {
            let Some(mark) = self.mark(member.id) else { continue };
            member.verdict = match range::conflict(file, mark) {
                Ok(None) => Verdict::Dead,
                // A remover's, which has found nobody alive.
                Ok(Some(lock)) if lock.covers(Range::EVERYBODY) => Verdict::Dead,
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
    /// Whether it has left in good order, or is about to, by its own word: of who is dead and has not, the kernel has
    /// ended the process, or it ended without leaving.
    pub left: bool,
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
        for slots in [0, OwnerId::MAX_SLOTS + 1, u32::MAX] {
            // SAFETY: refused before anything is used.
            let error = unsafe { Roster::init(region, slots) }.unwrap_err();
            assert_eq!(error, RosterError::Slots { found: slots });
        }
    }

    #[test]
    fn a_roster_keeps_how_many_names_it_has() {
        let bytes = Bytes::new(Roster::bytes(3));
        let region = bytes.region();
        // SAFETY: fresh zeros of this test alone.
        let made = unsafe { Roster::init_numbered(region, 3, 64) }.unwrap();
        // SAFETY: made above.
        let found = unsafe { Roster::attach(region, 3) }.unwrap();
        assert_eq!((found.numbering, found.slots()), (made.numbering, 3));
        for wrong in [0, 2, OwnerId::MASK] {
            made.head.numbers.store(wrong, Relaxed);
            // SAFETY: refused before anything is used.
            let error = unsafe { Roster::attach(region, 3) }.unwrap_err();
            assert_eq!(error, RosterError::Numbers { found: wrong, slots: 3 });
        }
    }

    #[test]
    fn the_round_begins_at_the_cursor_whatever_it_says() {
        let bytes = Bytes::new(Roster::bytes(3));
        // SAFETY: fresh zeros of this test alone.
        let roster = unsafe { Roster::init(bytes.region(), 3) }.unwrap();
        let order = || roster.round().map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!(order(), [0, 1, 2]);
        roster.take(0);
        assert_eq!(order(), [1, 2, 0]);
        roster.take(2);
        assert_eq!(order(), [1, 0, 2], "what seems to be free comes first");
        roster.free(OwnerId::new(1).unwrap());
        assert_eq!(order(), [0, 1, 2]);
        roster.head.cursor.store(u32::MAX, Relaxed);
        assert_eq!(order(), [0, 1, 2], "2^32 - 1 is a multiple of 3");
    }

    #[test]
    fn only_names_that_were_given_are_known() {
        let bytes = Bytes::new(Roster::bytes(3));
        let roster = bytes.roster(3);
        let known =
            || (1..9).filter(|&n| roster.knows(OwnerId::new(n).unwrap())).collect::<Vec<_>>();
        assert_eq!(known(), []);
        roster.slots[1].begin(1, roster.numbering).unwrap();
        assert_eq!(known(), [2]);
        roster.slots[1].begin(1, roster.numbering).unwrap();
        roster.slots[2].begin(2, roster.numbering).unwrap();
        assert_eq!(known(), [2, 3, 5]);
        assert!(!roster.knows(OwnerId::GONE));
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
        let first = slot.begin(0, roster.numbering).unwrap();
        assert_eq!((roster.person(first), listed()), (None, vec![]), "not signed yet");
        slot.sign();
        assert_eq!(roster.person(first).unwrap().pid, std::process::id());
        assert_eq!(listed(), [first]);
        let second = slot.begin(0, roster.numbering).unwrap();
        assert_eq!([first, second].map(|id| roster.person(id)), [None, None], "the predecessor's");
        assert_eq!(listed(), []);
        slot.sign();
        assert_eq!(roster.person(first), None);
        assert!(roster.person(second).is_some());
        assert_eq!(listed(), [second]);
    }
}
