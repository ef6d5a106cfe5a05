//! Looking again before a sleep, where that pays.

/// How often a task looks, and lets others run in between, before it sleeps: about as long as a sleep and a wake-up take.
const LOOKS: u8 = 24;
/// So many times in vain, one after the other, and it sleeps at once.
const PATIENCE: u8 = 8;
/// Then one wait in so many is tried with looks again.
const RARE: u16 = 256;

/// What a task has learnt of its looks.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    /// How often this wait has looked.
    looked: u8,
    /// Waits in vain, one after the other.
    vain: u8,
    /// Waits that have not looked since.
    since: u16,
}

impl Looks {
    /// Returns whether to look once more before the sleep.
    pub(crate) fn again(&mut self) -> bool {
        if self.vain >= PATIENCE {
            if self.looked == 0 {
                self.since = (self.since + 1) % RARE;
            }
            if self.since != 0 {
                return false;
            }
        }
        if self.looked < LOOKS {
            self.looked += 1;
            return true;
        }
        if self.looked == LOOKS {
            self.looked += 1;
            self.vain = (self.vain + 1).min(PATIENCE);
        }
        false
    }

    /// The wait is over.
    pub(crate) fn found(&mut self) {
        if (1..=LOOKS).contains(&self.looked) {
            self.vain = 0;
        }
        self.looked = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(looks: &mut Looks) -> u8 {
        let count = (0..).find(|_| !looks.again()).unwrap();
        looks.found();
        count
    }

    #[test]
    fn who_looks_in_vain_stops_and_tries_again_now_and_then() {
        let mut learnt = Looks::default();
        let first: Vec<u8> = (0..PATIENCE).map(|_| looks(&mut learnt)).collect();
        assert!(first.iter().all(|count| *count == LOOKS));
        let later: Vec<u8> = (0..2 * RARE).map(|_| looks(&mut learnt)).collect();
        assert_eq!(later.iter().filter(|count| **count > 0).count(), 2);
    }

    #[test]
    fn a_look_that_pays_brings_them_back() {
        let mut learnt = Looks::default();
        (0..PATIENCE).for_each(|_| _ = looks(&mut learnt));
        while !learnt.again() {
            learnt.found();
        }
        learnt.found();
        assert_eq!(looks(&mut learnt), LOOKS);
    }
}
