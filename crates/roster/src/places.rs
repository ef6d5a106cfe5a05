//! Which places seem to be free.

use shmkit_atomic::AtomicU32;
use shmkit_atomic::Ordering::Relaxed;

/// A bit a slot: set by who takes it, cleared by who leaves in good order. So who joins need not ask the kernel about
/// every place that is taken, and it takes the kernel the longer to answer the more there are.
///
/// These are hints, and nobody's word is taken for them. A bit that should be clear, after a death, costs who joins when
/// no other is clear a question a place; one that should be set costs a question.
#[derive(Clone, Copy)]
pub(crate) struct Places<'a> {
    words: &'a [AtomicU32],
    /// Number of slots.
    slots: u32,
}

impl<'a> Places<'a> {
    /// Returns how many words there are for so many slots.
    pub(crate) const fn words(slots: u32) -> u32 {
        slots.div_ceil(u32::BITS)
    }

    /// Uses the [`words`](Self::words) for `slots` slots.
    pub(crate) fn new(words: &'a [AtomicU32], slots: u32) -> Self {
        Self { words, slots }
    }

    /// Notes that slot `n` is taken.
    pub(crate) fn take(self, n: u32) {
        if let Some((word, bit)) = self.bit(n) {
            word.fetch_or(bit, Relaxed);
        }
    }

    /// Notes that slot `n` is free.
    pub(crate) fn free(self, n: u32) {
        if let Some((word, bit)) = self.bit(n) {
            word.fetch_and(!bit, Relaxed);
        }
    }

    /// Returns the slots whose bit is clear, or set, each once, beginning with `first`.
    pub(crate) fn round(self, first: u32, taken: bool) -> impl Iterator<Item = u32> {
        let whole = move |at: u32| Some(self.words.get(at as usize)?.load(Relaxed));
        let chosen = move |word: u32| if taken { word } else { !word };
        // The word of `first` comes twice: its upper bits at the beginning, its lower bits at the end.
        let count = Self::words(self.slots);
        let (start, upper) = (first / u32::BITS, u32::MAX << (first % u32::BITS));
        let order = (start..count).chain(0..start).chain([start]).enumerate();
        order
            .filter_map(move |(i, at)| {
                let mask = match i as u32 {
                    0 => upper,
                    i if i == count => !upper,
                    _ => u32::MAX,
                };
                Some((at * u32::BITS, chosen(whole(at)?) & mask))
            })
            .flat_map(|(base, bits)| Bits(bits).map(move |bit| base + bit))
            .filter(move |&n| n < self.slots)
    }

    fn bit(self, n: u32) -> Option<(&'a AtomicU32, u32)> {
        Some((self.words.get((n / u32::BITS) as usize)?, 1 << (n % u32::BITS)))
    }
}

/// The numbers of the bits that are set, from the lowest.
struct Bits(u32);

impl Iterator for Bits {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let lowest = (self.0 != 0).then(|| self.0.trailing_zeros())?;
        self.0 &= self.0 - 1;
        Some(lowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_meets_every_place_once_and_begins_where_it_is_told() {
        for slots in [1, 5, 32, 33, 64, 70] {
            let words: Vec<_> = (0..Places::words(slots)).map(|_| AtomicU32::new(0)).collect();
            let places = Places::new(&words, slots);
            for first in 0..slots {
                let all: Vec<_> = (first..slots).chain(0..first).collect();
                let seen = |taken| places.round(first, taken).collect::<Vec<_>>();
                assert_eq!(
                    (seen(false), seen(true)),
                    (all.clone(), vec![]),
                    "{slots} from {first}"
                );
                for n in 0..slots {
                    places.take(n);
                }
                assert_eq!((seen(false), seen(true)), (vec![], all), "{slots} from {first}");
                places.free(slots / 2);
                assert_eq!(seen(false), [slots / 2]);
                for n in 0..slots {
                    places.free(n);
                }
            }
        }
    }

    #[test]
    fn a_place_that_is_not_there_has_no_bit() {
        let words = [AtomicU32::new(0)];
        let places = Places::new(&words, 5);
        places.take(32);
        places.free(40);
        assert_eq!(words[0].load(Relaxed), 0);
    }
}
