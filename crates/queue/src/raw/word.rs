//! What a slot's word says.

use core::fmt;

use shmkit_roster::OwnerId;

use super::position::LAPS;

/// Where the lap begins.
const LAP: u32 = 33;
/// Where the state begins.
const STATE: u32 = 30;
/// The bits of the state.
const STATES: u64 = 7;

/// In which hands a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// In nobody's: whoever puts in this lap may claim it.
    Empty,
    /// In those of who puts an item in.
    Writing,
    /// In nobody's: it has an item, for whoever takes in this lap.
    Ready,
    /// In those of who has taken the item, and is not done with it.
    Reading,
    /// In nobody's: its item was taken and came back, and is anybody's who takes.
    Returned,
    /// In those of who is done with the item, and gives back what it refers to: nobody gets it any more.
    Leaving,
    /// In nobody's: so many have died with the item that it is to go to the dead letters.
    GivenUp,
}

/// A slot's word.
///
/// ```text
/// 63 .. 33 | 32 .. 30 | 29 .. 0
/// lap      | state    | owner id, if the state is Writing, Reading or Leaving; else 0
/// ```
///
/// It says everything: in which pass through the ring, what, and who. All zeros is an empty slot of the first lap.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(u64);

impl Word {
    /// A slot in nobody's hands.
    pub(super) const fn free(lap: u32, state: State) -> Self {
        Self((lap as u64) << LAP | (state as u64) << STATE)
    }

    /// A slot with which everybody is done in `lap`: free in the next one.
    pub(super) const fn emptied(lap: u32) -> Self {
        Self::free((lap + 1) % LAPS, State::Empty)
    }

    /// A slot in the hands of `owner`.
    pub(super) const fn of(lap: u32, state: State, owner: OwnerId) -> Self {
        Self(Self::free(lap, state).0 | owner.get() as u64)
    }

    /// What was found in shared memory.
    pub(super) const fn found(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    pub(super) const fn lap(self) -> u32 {
        (self.0 >> LAP) as u32
    }

    /// Returns the state, or `None` if it is none.
    pub(super) const fn state(self) -> Option<State> {
        match self.0 >> STATE & STATES {
            0 => Some(State::Empty),
            1 => Some(State::Writing),
            2 => Some(State::Ready),
            3 => Some(State::Reading),
            4 => Some(State::Returned),
            5 => Some(State::Leaving),
            6 => Some(State::GivenUp),
            _ => None,
        }
    }

    /// Returns in whose hands it is.
    pub(super) const fn owner(self) -> Option<OwnerId> {
        OwnerId::from_word(self.0 as u32)
    }

    /// Returns how many laps this slot is ahead of `lap`, modulo their number: 0 the same, 1 the next, `LAPS - 1` the one
    /// before.
    pub(super) const fn ahead_of(self, lap: u32) -> u32 {
        self.lap().wrapping_sub(lap) % LAPS
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lap {} ", self.lap())?;
        match (self.state(), self.owner()) {
            (Some(state), Some(owner)) => write!(f, "{state:?} by {owner}"),
            (Some(state), None) => write!(f, "{state:?}"),
            (None, _) => write!(f, "nonsense {:#x}", self.0),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_lap_state_and_owner() {
        let owner = OwnerId::new(OwnerId::LAST).unwrap();
        use State::{Empty, GivenUp, Leaving, Reading, Ready, Returned, Writing};
        for state in [Empty, Writing, Ready, Reading, Returned, Leaving, GivenUp] {
            for lap in [0, 1, LAPS - 1] {
                let word = Word::of(lap, state, owner);
                assert_eq!(
                    (word.lap(), word.state(), word.owner()),
                    (lap, Some(state), Some(owner))
                );
                assert_eq!(Word::free(lap, state).owner(), None);
            }
        }
        assert_eq!(Word::found(0), Word::free(0, State::Empty));
        assert_eq!(Word::found(7 << 30).state(), None);
    }

    #[test]
    fn laps_wrap() {
        let first = Word::free(0, State::Empty);
        assert_eq!(
            (first.ahead_of(0), first.ahead_of(LAPS - 1), first.ahead_of(1)),
            (0, 1, LAPS - 1)
        );
    }
}
