//! How the numbers of a roster are shared out among its slots.

use crate::OwnerId;
#[cfg(not(loom))]
use crate::RosterError;

/// Mixed radix: each slot gives out every so-many-th number, and all of them together give out all.
///
/// ```text
/// number = (generation - 1) * slots + slot + 1
/// ```
///
/// A place has as many generations as there are numbers to its number of slots: a roster of two has half of all for
/// each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbering {
    /// 1 to [`OwnerId::MAX_SLOTS`].
    slots: u32,
    /// The numbers are 1 to this; at least `slots`, at most [`OwnerId::LAST`].
    numbers: u32,
}

impl Numbering {
    /// Shares `numbers` numbers out among `slots` slots.
    #[cfg(not(loom))]
    pub(crate) const fn new(slots: u32, numbers: u32) -> Result<Self, RosterError> {
        if slots == 0 || slots > OwnerId::MAX_SLOTS {
            return Err(RosterError::Slots { found: slots });
        }
        if numbers < slots || numbers > OwnerId::LAST {
            return Err(RosterError::Numbers { found: numbers, slots });
        }
        Ok(Self { slots, numbers })
    }

    /// As `new`, of numbers that are good.
    #[cfg(loom)]
    pub(crate) const fn new(slots: u32, numbers: u32) -> Self {
        Self { slots, numbers }
    }

    /// Returns the number of slots.
    #[cfg(not(loom))]
    pub(crate) const fn slots(self) -> u32 {
        self.slots
    }

    /// Returns the name that `slot` gives out in this generation, from 1; `None` if it does not go so far.
    pub(crate) fn id(self, slot: u32, generation: u32) -> Option<OwnerId> {
        if slot >= self.slots {
            return None;
        }
        let before = generation.checked_sub(1)?.checked_mul(self.slots)?;
        let number = before.checked_add(slot + 1).filter(|&number| number <= self.numbers)?;
        OwnerId::new(number)
    }

    /// Returns which slot gives out a name, and in which generation; `None` if none does.
    #[cfg(not(loom))]
    pub(crate) fn origin(self, id: OwnerId) -> Option<(u32, u32)> {
        let before = id.get() - 1;
        (before < self.numbers).then_some((before % self.slots, before / self.slots + 1))
    }

    /// Returns the last generation of a slot.
    pub(crate) fn last(self, slot: u32) -> u32 {
        // As many as there are numbers `slot + 1`, `slot + 1 + slots`, … that are not above `numbers`.
        (self.numbers - 1).checked_sub(slot).map_or(0, |rest| rest / self.slots + 1)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_number_is_one_slots_and_one_generations() {
        for (slots, numbers) in [(1, 1), (1, 5), (3, 3), (3, 64), (4, 7), (64, 65)] {
            let numbering = Numbering::new(slots, numbers).unwrap();
            let mut given = BTreeSet::new();
            for slot in 0..slots {
                let last = numbering.last(slot);
                for generation in 1..=last {
                    let id = numbering.id(slot, generation).unwrap();
                    assert_eq!(numbering.origin(id), Some((slot, generation)), "{id}");
                    assert!(given.insert(id.get()), "{id} twice");
                }
                assert_eq!(numbering.id(slot, last + 1), None);
                assert_eq!(numbering.id(slot, 0), None);
            }
            assert!(given.into_iter().eq(1..=numbers), "{slots} slots, {numbers} numbers");
        }
    }

    #[test]
    fn no_number_overflows() {
        for slots in [1, 2, 1000, OwnerId::MAX_SLOTS] {
            let numbering = Numbering::new(slots, OwnerId::LAST).unwrap();
            for slot in [0, slots - 1] {
                let last = numbering.last(slot);
                let id = numbering.id(slot, last).unwrap();
                assert!(id.get() > OwnerId::LAST - slots, "{id} of {slots}");
                assert_eq!(numbering.origin(id), Some((slot, last)));
                for beyond in [last + 1, 1 << 30, u32::MAX] {
                    assert_eq!(numbering.id(slot, beyond), None, "{slots}: {beyond}");
                }
            }
            assert_eq!(numbering.id(slots, 1), None);
            assert_eq!(numbering.origin(OwnerId::GONE), None);
        }
    }

    #[test]
    fn there_is_a_number_for_every_slot() {
        assert_eq!(Numbering::new(0, 5), Err(RosterError::Slots { found: 0 }));
        let many = OwnerId::MAX_SLOTS + 1;
        assert_eq!(Numbering::new(many, OwnerId::LAST), Err(RosterError::Slots { found: many }));
        for numbers in [0, 3, OwnerId::MASK] {
            let error = RosterError::Numbers { found: numbers, slots: 4 };
            assert_eq!(Numbering::new(4, numbers), Err(error));
        }
    }
}
