//! One place in a roster, as it lies in memory.

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::crash::step;
use shmkit_atomic::{AtomicU32, fence};
#[cfg(not(loom))]
use shmkit_layout::Shared;

use crate::OwnerId;
use crate::numbering::Numbering;
#[cfg(not(loom))]
use crate::person::{Card, Person};

/// One place, and who it was given to: a [`Card`], or in a model two words. Written only by who holds its lock.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct RawSlot<C> {
    /// RENEWED, and in the lower 31 bits the last generation that was given out, 0 for none; at the last there is, the
    /// slot is spent.
    generation: AtomicU32,
    /// LEFT, and in the lower 31 bits the generation whose card is complete. Another than `generation` while somebody
    /// joins, and after they died of it: the card is then nobody's.
    signed: AtomicU32,
    /// Who it was given to.
    pub(crate) card: C,
}

#[cfg(not(loom))]
pub(crate) type Slot = RawSlot<Card>;

/// Of a generation: the slot has begun anew, so that later ones were given out, too.
const RENEWED: u32 = 1 << 31;
/// Of a card: who it was signed for has left in good order, or is about to.
const LEFT: u32 = 1 << 31;

// SAFETY: atomics and a `repr(C)` struct of atomics, every pattern valid.
#[cfg(not(loom))]
unsafe impl Shared for Slot {}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Slot>() == 40, "part of the segment format");

impl<C> RawSlot<C> {
    /// Gives out the next name of this slot, which is number `n`, or none if it is spent. Only with the slot's lock.
    ///
    /// The number is spent before anybody is called so: killed in between, nobody ever has the name.
    pub(crate) fn begin(&self, n: u32, numbering: Numbering) -> Option<OwnerId> {
        // Relaxed: the slot's lock orders the writers, and who only reads sees no card before it is signed.
        let last = self.generation.load(Relaxed);
        let next = (last & !RENEWED) + 1;
        // `id` refuses what is past the last, whatever a peer wrote here.
        let id = numbering.id(n, next)?;
        step();
        self.generation.store(last & RENEWED | next, Relaxed);
        Some(id)
    }

    /// From now on the names are given out from the first. Only with the slot's lock, and when no word names any of
    /// them.
    pub(crate) fn begin_anew(&self) {
        // No card is left that the same generation could come to have again.
        step();
        self.signed.store(0, Relaxed);
        step();
        // Release: pairs with the Acquire of whoever takes the slot's lock next: killed from here on, it is swept. The
        // kernel orders it so, too.
        self.generation.store(RENEWED, Release);
    }

    /// Returns whether all names are given out; for who holds no lock, a hint.
    pub(crate) fn is_spent(&self, n: u32, numbering: Numbering) -> bool {
        self.generation.load(Relaxed) & !RENEWED >= numbering.last(n)
    }

    /// Returns whether the slot has given out this generation by now. For who has read of it in a word.
    pub(crate) fn has_given(&self, generation: u32) -> bool {
        // Acquire: pairs with the Release by which its participant published its name: it was `begin` that gave it.
        fence(Acquire);
        let last = self.generation.load(Relaxed);
        generation <= last || last & RENEWED != 0
    }

    /// Writes a card under the generation that was given out last. Only with the name's lock.
    fn write(&self, write: impl FnOnce(&C)) {
        // Release: pairs with the Acquire fence in `read_by`. Who read a word of the new card sees the new generation (or
        // a later one) at its second look; who does not see it read nothing of the new card.
        fence(Release);
        write(&self.card);
        // Release: pairs with the first Acquire in `read_by`, so that the whole card is seen.
        step();
        self.signed.store(self.generation.load(Relaxed) & !RENEWED, Release);
    }

    /// Notes that the participant of this generation leaves in good order. Only by itself.
    pub(crate) fn leave(&self, generation: u32) {
        if self.signed.load(Relaxed) == generation {
            step();
            // Release: as in `write`; who reads this store instead of the one there sees the whole card, too. Whoever has the
            // slot next writes over it, and has the lock after us.
            self.signed.store(generation | LEFT, Release);
        }
    }

    /// Returns the generation that the slot has, what `read` makes of its card, and whether who it is of has left in good
    /// order; none if the card is not signed, or was given to another while it was read.
    fn read_by<P>(&self, read: impl FnOnce(&C) -> P) -> Option<(u32, P, bool)> {
        // Acquire: pairs with the Release in `write`.
        let signed = self.signed.load(Acquire);
        let person = read(&self.card);
        // Acquire: pairs with the Release fence in `write`.
        fence(Acquire);
        let generation = signed & !LEFT;
        (self.generation.load(Relaxed) & !RENEWED == generation).then_some((
            generation,
            person,
            signed & LEFT != 0,
        ))
    }
}

#[cfg(not(loom))]
impl Slot {
    /// Returns the generation that would be given out next, or none if the slot is spent; for who holds no lock, a hint.
    pub(crate) fn next(&self, n: u32, numbering: Numbering) -> Option<u32> {
        let next = (self.generation.load(Relaxed) & !RENEWED) + 1;
        (next <= numbering.last(n)).then_some(next)
    }

    #[cfg(test)]
    pub(crate) fn set_generation(&self, last: u32) {
        self.generation.store(last, Relaxed);
    }

    /// Leaves out an eighth of the names that are left. Only with the slot's lock.
    pub(crate) fn jump(&self, n: u32, numbering: Numbering) {
        let last = self.generation.load(Relaxed);
        let rest = numbering.last(n).saturating_sub(last & !RENEWED);
        self.generation.store(last + rest.div_ceil(8), Relaxed);
    }

    /// Writes this process's card under the generation that was given out last. Only with the name's lock.
    pub(crate) fn sign(&self) {
        self.write(Card::sign);
    }

    /// Returns the generation that the slot has, its card, and whether who it is of has left in good order: the card that
    /// belongs to it, or none if it is not signed, or given to another while we read.
    pub(crate) fn read(&self) -> Option<(u32, Person, bool)> {
        self.read_by(Card::read)
    }
}

#[cfg(all(test, loom))]
mod model;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::Roster;
    use crate::testing::Bytes;

    #[test]
    fn a_generation_never_wraps() {
        let bytes = Bytes::new(Roster::bytes(1));
        let (_, slot) = bytes.roster(1).round().next().unwrap();
        let numbering = Numbering::new(1, OwnerId::LAST).unwrap();
        assert_eq!(slot.begin(0, numbering), OwnerId::new(1));
        assert_eq!(slot.begin(0, numbering), OwnerId::new(2));
        slot.generation.store(OwnerId::LAST - 1, Relaxed);
        assert!(!slot.is_spent(0, numbering));
        assert_eq!(slot.begin(0, numbering), OwnerId::new(OwnerId::LAST));
        for spent in [OwnerId::LAST, OwnerId::LAST + 1, RENEWED - 1, u32::MAX] {
            slot.generation.store(spent, Relaxed);
            assert!(slot.is_spent(0, numbering));
            assert_eq!(slot.begin(0, numbering), None);
            assert_eq!(slot.generation.load(Relaxed), spent, "nothing was written");
        }
    }

    #[test]
    fn a_slot_that_begins_anew_knows_all_its_names() {
        let bytes = Bytes::new(Roster::bytes(2));
        let (_, slot) = bytes.roster(2).round().next().unwrap();
        let numbering = Numbering::new(2, 6).unwrap();
        let all = || {
            core::iter::from_fn(|| slot.begin(0, numbering)).map(OwnerId::get).collect::<Vec<_>>()
        };
        assert_eq!(all(), [1, 3, 5]);
        assert!(slot.has_given(3) && !slot.has_given(4));
        slot.sign();
        slot.begin_anew();
        assert!(!slot.is_spent(0, numbering) && slot.has_given(3));
        assert!(slot.read().is_some_and(|(generation, ..)| generation == 0), "nobody's card");
        assert_eq!(all(), [1, 3, 5]);
        assert!(slot.is_spent(0, numbering));
    }

    #[test]
    fn a_jump_never_leaves_the_numbers_nor_stands_still() {
        let bytes = Bytes::new(Roster::bytes(2));
        let (_, slot) = bytes.roster(2).round().next().unwrap();
        let numbering = Numbering::new(2, 200).unwrap();
        let mut last = 0;
        while !slot.is_spent(0, numbering) {
            slot.jump(0, numbering);
            let now = slot.generation.load(Relaxed);
            assert!(now > last && now <= 100 && now - last >= (100 - last) / 8, "{last} to {now}");
            last = now;
        }
        slot.jump(0, numbering);
        assert_eq!(slot.generation.load(Relaxed), 100);
    }

    /// Whoever reads while a slot goes from hand to hand sees whole cards of the right generation.
    #[test]
    fn a_card_is_never_a_mixture() {
        const GENERATIONS: u32 = 20_000;
        let bytes = Bytes::new(Roster::bytes(1));
        let (_, slot) = bytes.roster(1).round().next().unwrap();
        let numbering = Numbering::new(1, OwnerId::LAST).unwrap();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut seen = 0;
                while seen < GENERATIONS {
                    let Some((generation, person, _)) = slot.read() else { continue };
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
                let generation = slot.begin(0, numbering).unwrap().get();
                let command = generation.to_string();
                slot.write(|card| {
                    card.write(generation, generation.into(), command.as_bytes());
                });
            }
            reader.join().unwrap();
        });
    }
}
