//! One place in a roster, as it lies in memory.

use shmkit_atomic::Ordering::{Acquire, Relaxed, Release};
use shmkit_atomic::{AtomicU32, fence};
use shmkit_layout::Shared;

use crate::OwnerId;
use crate::numbering::Numbering;
use crate::person::{Card, Person};

/// One place. Written only by who holds its lock.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Slot {
    /// The last generation that was given out, 0 for none; at the last there is, the slot is spent.
    generation: AtomicU32,
    /// The generation whose card is complete. Another than `generation` while somebody joins, and after they died of
    /// it: the card is then nobody's.
    signed: AtomicU32,
    /// Who it was given to.
    card: Card,
}

// SAFETY: atomics and a `repr(C)` struct of atomics, every pattern valid.
unsafe impl Shared for Slot {}

const _: () = assert!(size_of::<Slot>() == 40, "part of the segment format");

impl Slot {
    /// Gives out the next name of this slot, which is number `n`, or none if it is spent. Only with the slot's lock.
    ///
    /// The number is spent before the name's lock is asked for: killed in between, nobody ever has the name.
    pub(crate) fn begin(&self, n: u32, numbering: Numbering) -> Option<OwnerId> {
        // Relaxed: the slot's lock orders the writers, and who only reads sees no card before it is signed.
        let next = self.generation.load(Relaxed).checked_add(1)?;
        // `id` refuses what is past the last, whatever a peer wrote here.
        let id = numbering.id(n, next)?;
        self.generation.store(next, Relaxed);
        Some(id)
    }

    /// Returns whether all names are given out; for who holds no lock, a hint.
    pub(crate) fn is_spent(&self, n: u32, numbering: Numbering) -> bool {
        self.generation.load(Relaxed) >= numbering.last(n)
    }

    /// Returns whether the slot has given out this generation by now. For who has read of it in a word.
    pub(crate) fn has_given(&self, generation: u32) -> bool {
        // Acquire: pairs with the Release by which its participant published its name: it was `begin` that gave it.
        fence(Acquire);
        generation <= self.generation.load(Relaxed)
    }

    /// Writes this process's card under the generation that was given out last. Only with the slot's lock, and the
    /// name's.
    pub(crate) fn sign(&self) {
        self.write(Card::sign);
    }

    fn write(&self, write: impl FnOnce(&Card)) {
        // Release: pairs with the Acquire fence in `read`. Who read a word of the new card sees the new generation (or
        // a later one) at its second look; who does not see it read nothing of the new card.
        fence(Release);
        write(&self.card);
        // Release: pairs with the first Acquire in `read`, so that the whole card is seen.
        self.signed.store(self.generation.load(Relaxed), Release);
    }

    /// Returns the generation that the slot has, and its card: the one that belongs to it, or none if it is not
    /// signed, or given to another while we read.
    pub(crate) fn read(&self) -> Option<(u32, Person)> {
        // Acquire: pairs with the Release in `write`.
        let signed = self.signed.load(Acquire);
        let person = self.card.read();
        // Acquire: pairs with the Release fence in `write`.
        fence(Acquire);
        (self.generation.load(Relaxed) == signed).then_some((signed, person))
    }
}

#[cfg(test)]
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
        for spent in [OwnerId::LAST, OwnerId::LAST + 1, 1 << 31, u32::MAX] {
            slot.generation.store(spent, Relaxed);
            assert!(slot.is_spent(0, numbering));
            assert_eq!(slot.begin(0, numbering), None);
            assert_eq!(slot.generation.load(Relaxed), spent, "nothing was written");
        }
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
