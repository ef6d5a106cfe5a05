//! Slots in somebody's hands.

use shmkit_roster::OwnerId;

use super::Ring;
use super::position::Position;

/// Slots one after the other, in the hands of a participant of this process.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: Position,
    pub(super) count: u32,
    pub(super) me: OwnerId,
}

impl Span {
    pub(super) fn positions(&self, ring: &Ring<'_>) -> impl Iterator<Item = Position> + use<> {
        let capacity = ring.capacity();
        let mut next = self.first;
        (0..self.count).map(move |_| {
            let at = next;
            next = at.next(capacity);
            at
        })
    }
}

/// Slots to write items to, one after the other: at least one. To be [committed](Ring::commit).
#[derive(Debug)]
#[must_use = "others wait for what is claimed: commit it"]
pub struct Claim(pub(super) Span);

/// Slots whose items were taken, one after the other: at least one. To be [done](Ring::done) with or
/// [given back](Ring::give_back).
#[derive(Debug)]
#[must_use = "others wait for what is held: say when it is done"]
pub struct Held(pub(super) Span);

macro_rules! spans {
    ($($Slots:ident)*) => {$(
        impl $Slots {
            /// Returns in whose hands they are.
            pub fn owner(&self) -> OwnerId {
                self.0.me
            }

            /// Returns how many they are.
            pub fn count(&self) -> usize {
                self.0.count as usize
            }

            /// Returns the number of the first one.
            pub fn first(&self) -> u32 {
                self.0.first.slot
            }

            /// Returns their numbers, each below the capacity.
            pub fn slots(&self, ring: &Ring<'_>) -> impl Iterator<Item = u32> + use<> {
                self.0.positions(ring).map(|at| at.slot)
            }
        }
    )*};
}

spans!(Claim Held);
