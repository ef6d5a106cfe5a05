//! Where in the ring, and in which pass through it.

use crate::QueueError;

/// How many laps there are before the first one comes again.
pub(super) const LAPS: u32 = 1 << 31;

/// A position: one slot in one lap.
///
/// ```text
/// 63 | 62 .. 32 | 31 .. 0
/// 0  | lap      | slot, below the capacity
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) lap: u32,
    pub(super) slot: u32,
}

impl Position {
    /// Takes apart what was found in shared memory, in a ring of `capacity` slots.
    ///
    /// # Errors
    ///
    /// [`QueueError::Corrupt`] if it is no position: `field` says which word it was.
    #[inline]
    pub(super) fn found(bits: u64, capacity: u32, field: &'static str) -> Result<Self, QueueError> {
        let (lap, slot) = ((bits >> 32) as u32, bits as u32);
        if lap >= LAPS || slot >= capacity {
            return Err(QueueError::Corrupt { field, found: bits });
        }
        Ok(Self { lap, slot })
    }

    #[inline]
    pub(super) const fn bits(self) -> u64 {
        (self.lap as u64) << 32 | self.slot as u64
    }

    /// Returns the position after this one.
    #[inline]
    pub(super) const fn next(self, capacity: u32) -> Self {
        if self.slot + 1 < capacity {
            Self { slot: self.slot + 1, ..self }
        } else {
            Self { lap: (self.lap + 1) % LAPS, slot: 0 }
        }
    }

    /// Returns how many positions this one is after `other`; a number above all capacities if it is before.
    pub(super) const fn after(self, other: Self, capacity: u32) -> u64 {
        let laps = (self.lap.wrapping_sub(other.lap) % LAPS) as u64;
        (laps * capacity as u64 + self.slot as u64).wrapping_sub(other.slot as u64)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn positions_go_round_and_laps_wrap() {
        let mut at = Position { lap: LAPS - 1, slot: 1 };
        let first = at;
        for (count, expected) in [(LAPS - 1, 2), (0, 0), (0, 1)].into_iter().enumerate() {
            at = at.next(3);
            assert_eq!((at.lap, at.slot), expected);
            assert_eq!(at.after(first, 3), count as u64 + 1);
            assert_eq!(Position::found(at.bits(), 3, "head"), Ok(at));
        }
        assert!(first.after(at, 3) > 1 << 24);
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for bits in [3, 1 << 63, u64::MAX] {
            assert_eq!(
                Position::found(bits, 3, "head"),
                Err(QueueError::Corrupt { field: "head", found: bits })
            );
        }
    }
}
