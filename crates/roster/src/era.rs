//! How a place begins anew when its names are all given out.

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::{AtomicU32, AtomicU64, fence};
use shmkit_layout::{NameWords, Offset, OffsetError, Region};

use crate::OwnerId;
use crate::numbering::Numbering;

/// How the words of a memory are swept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sweep<'a> {
    pub(crate) memory: Region<'a>,
    pub(crate) run: fn(Region<'_>, &Spent) -> Result<(), &'static str>,
}

/// A place of a roster whose names are all given out, and whoever was called so is dead.
///
/// Who joins such a place holds its lock: until it lets go, nobody is called by one of its names, and nobody alive writes
/// one. It has the memory *swept*: in every word that names one of them,
/// [`OwnerId::GONE`] is put in its place. Only then does it give out the place's names from the first again. To the
/// others nothing has changed: who stands there is dead, as before, and whoever finds it does as it always did.
///
/// So each sweep of a word is one step, whoever else is at work on it, and may be done any number of times.
///
/// # If a peer dies
///
/// in the middle of a sweep: the place is spent as before, and the next to join it sweeps from the beginning.
///
/// # What is left
///
/// A word in a *process* is not swept: who keeps the id of a dead participant, to compare it with what it finds later,
/// may take a new one for it after the place has given out all its names once more, 2^30 among all places, and is told
/// that it lives whenever somebody has the place under an earlier name. The same goes
/// for a participant that is stopped between the kernel's answer that an owner is dead and its compare-exchange, for as
/// long as the others take to go through all names of that one place.
#[derive(Debug)]
pub struct Spent {
    numbering: Numbering,
    slot: u32,
}

impl Spent {
    /// To be made by who holds the slot's lock.
    pub(crate) fn new(numbering: Numbering, slot: u32) -> Self {
        // Acquire: who had the slot before released nothing; its last writes are ordered before the kernel's release of
        // the lock that we have now. `replace` passes them on.
        fence(Acquire);
        Self { numbering, slot }
    }

    /// Returns which place it is, from 0: the one of its participants' [home](OwnerId::home) among as many as there are.
    pub fn place(&self) -> u32 {
        self.slot
    }

    /// Returns whether the lower 30 bits of a word name somebody of this place.
    pub fn is_named_by(&self, word: u32) -> bool {
        let origin = OwnerId::from_word(word).and_then(|id| self.numbering.origin(id));
        origin.is_some_and(|(slot, _)| slot == self.slot)
    }

    /// Sweeps a word whose lower 30 bits name a participant, or are 0.
    pub fn sweep(&self, word: &AtomicU32) {
        let swept = |now| self.is_named_by(now).then_some(now & !OwnerId::MASK | OwnerId::MASK);
        // Release: pairs with the Acquire fence of whoever asks about the owner that it found, `ask`: what the dead one
        // wrote is visible to its heir, as if it had asked the kernel.
        let _ = word.fetch_update(Release, Relaxed, swept);
    }

    /// As [`sweep`](Self::sweep), of a word in whose *upper* half the lower 30 bits name a participant.
    pub fn sweep_upper(&self, word: &AtomicU64) {
        let swept = |now: u64| {
            let gone = u64::from(OwnerId::MASK) << 32;
            self.is_named_by((now >> 32) as u32).then_some(now | gone)
        };
        // Release: as above.
        let _ = word.fetch_update(Release, Relaxed, swept);
    }

    /// As [`sweep`](Self::sweep), of a word in whose *lower* half the lower 30 bits name a participant.
    pub fn sweep_lower(&self, word: &AtomicU64) {
        let swept =
            |now: u64| self.is_named_by(now as u32).then_some(now | u64::from(OwnerId::MASK));
        // Release: as above.
        let _ = word.fetch_update(Release, Relaxed, swept);
    }

    /// Sweeps words of an object, of which `region` is the memory.
    ///
    /// # Errors
    ///
    /// [`OffsetError`] if they do not all lie in the region; some may be swept.
    pub fn sweep_words(&self, region: Region<'_>, words: NameWords) -> Result<(), OffsetError> {
        for at in words.offsets() {
            if words.is_upper() {
                self.sweep_upper(region.get(Offset::new(at)?)?);
            } else if words.is_lower() {
                self.sweep_lower(region.get(Offset::new(at)?)?);
            } else {
                self.sweep(region.get(Offset::new(at)?)?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, OwnedFd};

    use super::*;
    use crate::testing::{Bytes, memfd};
    use crate::{
        Description, JoinError, JoinErrorKind, Judge, Link, Participant, Roster, Verdict, boot,
        removal,
    };

    #[test]
    fn only_words_of_the_place_are_swept_and_marks_stay() {
        let numbering = Numbering::new(4, 64).unwrap();
        let spent = Spent::new(numbering, 2);
        for marks in [0, 1 << 30, 1 << 31, 3 << 30] {
            for id in 0..70 {
                let (word, upper) = (AtomicU32::new(id | marks), u64::from(id | marks) << 32 | 5);
                let wide = AtomicU64::new(upper);
                let low = AtomicU64::new(5 << 32 | u64::from(id | marks));
                spent.sweep_lower(&low);
                spent.sweep(&word);
                spent.sweep_upper(&wide);
                let ours = id % 4 == 3 && id <= 64;
                let expected = if ours { OwnerId::MASK | marks } else { id | marks };
                assert_eq!(word.load(Relaxed), expected, "{id}");
                assert_eq!(wide.load(Relaxed), u64::from(expected) << 32 | 5, "{id}");
                assert_eq!(low.load(Relaxed), 5 << 32 | u64::from(expected), "{id}");
            }
        }
    }

    #[test]
    fn what_is_swept_is_gone_and_stays_so() {
        let spent = Spent::new(Numbering::new(1, OwnerId::LAST).unwrap(), 0);
        let word = AtomicU32::new(7);
        spent.sweep(&word);
        assert_eq!(OwnerId::from_word(word.load(Relaxed)), Some(OwnerId::GONE));
        assert!(!spent.is_named_by(word.load(Relaxed)));
    }

    fn join<'a>(roster: Roster<'a>, file: &OwnedFd) -> Result<Participant<'a>, JoinError> {
        let file = file.try_clone().unwrap();
        // SAFETY: `Bytes` maps the same file, and the tests join by no other.
        unsafe { Participant::join(roster, file, Description::Proc, Link::Nameless) }
    }

    /// Sweeps the one word of the memory.
    fn sweep_word(memory: Region<'_>, spent: &Spent) -> Result<(), &'static str> {
        spent.sweep(word(memory));
        Ok(())
    }

    /// A word behind the roster.
    fn word(memory: Region<'_>) -> &AtomicU32 {
        memory.get(Offset::new(1024).unwrap()).unwrap()
    }

    #[test]
    fn names_are_given_anew_when_no_word_holds_an_old_one() {
        let file = memfd();
        let bytes = Bytes::of(&file, 2048);
        // SAFETY: zeroed, and of this test alone.
        let roster = unsafe { Roster::init_numbered(bytes.region(), 2, 3) }.unwrap();
        // SAFETY: nobody is named elsewhere.
        let swept = unsafe { roster.swept_by(bytes.region(), sweep_word) };
        let word = word(bytes.region());
        let living = join(swept, &file).unwrap();
        let id = living.id().unwrap();
        let mut given = Vec::new();
        for round in 0..12 {
            let before = OwnerId::from_word(word.load(Relaxed));
            let next = join(swept, &file).unwrap();
            let me = next.id().unwrap();
            assert_ne!(me, id);
            let now = OwnerId::from_word(word.load(Relaxed));
            assert_ne!(now, Some(me), "round {round}: {before:?} was swept or is another's");
            if let Some(dead) = now {
                assert_eq!(living.verdict(dead), Verdict::Dead, "{dead}");
            }
            assert_eq!(living.verdict(me), Verdict::Alive);
            assert_eq!(next.verdict(id), Verdict::Alive);
            word.store(me.get() | 1 << 31, Relaxed);
            given.push(me.get());
        }
        assert_eq!(given, [2; 12]);
        // Its own name, which it had when the places began anew, is not given to another when it is dead.
        word.store(id.get(), Relaxed);
        drop(living);
        let heirs: Vec<_> = (0..4).map(|_| join(swept, &file).unwrap().id().unwrap()).collect();
        assert!(!heirs.contains(&id) || word.load(Relaxed) != id.get(), "{heirs:?}");
    }

    #[test]
    fn a_memory_that_cannot_be_swept_is_not_joined() {
        let file = memfd();
        let bytes = Bytes::of(&file, 2048);
        // SAFETY: zeroed, and of this test alone.
        let roster = unsafe { Roster::init_numbered(bytes.region(), 1, 2) }.unwrap();
        // SAFETY: it sweeps nothing, and says so.
        let damaged = unsafe { roster.swept_by(bytes.region(), |_, _| Err("it is damaged")) };
        for _ in 0..2 {
            drop(join(roster, &file).unwrap());
        }
        word(bytes.region()).store(1, Relaxed);
        let error = join(roster, &file).unwrap_err();
        assert_eq!(error.kind(), JoinErrorKind::Exhausted { slots: 1 });
        let error = join(damaged, &file).unwrap_err();
        assert_eq!(error.kind(), JoinErrorKind::Unswept { why: "it is damaged" });
        assert!(!removal::in_use(file.as_fd()).unwrap(), "failed joins left nothing");
        // SAFETY: nobody is named elsewhere.
        let swept = unsafe { roster.swept_by(bytes.region(), sweep_word) };
        assert_eq!(join(swept, &file).unwrap().id(), OwnerId::new(1));
        assert_eq!(word(bytes.region()).load(Relaxed), OwnerId::GONE.get());
    }

    /// After a power cut: the page of the roster was not written back, that of the word was.
    #[test]
    fn an_id_of_another_boot_does_not_come_back() {
        let (file, other) = (memfd(), u32::MAX - 1);
        let bytes = Bytes::of(&file, 2048);
        let roster = bytes.roster(2);
        let word = word(bytes.region());
        // SAFETY: nobody is named elsewhere.
        let swept = unsafe { roster.swept_by(bytes.region(), sweep_word) };
        for roster in [roster, swept] {
            // Never used as far as anybody remembers, and used before.
            for used in [false, true] {
                for (_, slot) in roster.round() {
                    slot.set_generation(0);
                    slot.card.set_boot(if used { other } else { 0 });
                }
                roster.set_boot(other);
                word.store(1, Relaxed);
                let one = join(roster, &file).unwrap();
                let two = join(roster, &file).unwrap();
                for participant in [&one, &two] {
                    let id = participant.id().unwrap();
                    let named = OwnerId::from_word(word.load(Relaxed)).unwrap();
                    assert_ne!(id, named, "{used}");
                    assert_eq!(participant.verdict(named), Verdict::Dead, "{used}: {named}");
                }
                roster.set_boot(boot::current().unwrap());
            }
        }
    }
}
