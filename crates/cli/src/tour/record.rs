//! The record of finished chunks: what the mutex guards, and how an update survives the death of its writer.
//!
//! The totals lie in cells outside the record, so an update is many steps, and its writer may be killed between any
//! two. It is a *redo journal* that makes the steps one:
//!
//! 1. write the totals as they will be **after** the update into the record;
//! 2. mark them whole: one store of the chunk's number;
//! 3. copy them to the totals;
//! 4. mark the chunk finished;
//! 5. clear the mark.
//!
//! Who finds the mark set, because the writer died, does steps 3 to 5 again: values *after* can be stored any number
//! of times. Who finds it clear drops what stands in the record: the chunk was not counted, and will be counted anew.
//! Either way it counts once.

use super::count::Counts;
use super::plan::MAX_CHUNKS;

/// Words of a record.
pub(super) const WORDS: usize = 512;

/// The bytes under the mutex.
pub(super) type Words = [u64; WORDS];

/// Totals after the update: bytes, lines, words, then the histogram.
const AFTER: usize = 0;
const HISTOGRAM: usize = AFTER + 3;
/// A bit for each chunk: it is counted.
const FINISHED: usize = HISTOGRAM + 256;
/// How often the mutex was taken over from a dead owner.
const DEATHS: usize = FINISHED + MAX_CHUNKS / 64;
/// How many of those found a whole journal and did it again,
const REDONE: usize = DEATHS + 1;
/// and how many found none: there was nothing to repair, or only a half-written journal to drop.
const DROPPED: usize = REDONE + 1;

const _: () = assert!(DROPPED < WORDS, "the fields fit in the record");

/// The cells that an update changes beside the record.
pub(super) trait Totals {
    type Error;

    /// Returns the totals.
    fn read(&self) -> Result<Counts, Self::Error>;

    /// Stores the totals, in many steps.
    fn write(&self, after: &Counts) -> Result<(), Self::Error>;

    /// Returns the mark: 0, or 1 more than the chunk whose totals after it stand whole in the record.
    fn mark(&self) -> Result<u64, Self::Error>;

    /// Stores the mark. What the program wrote before comes before, what it writes later comes later.
    fn set_mark(&self, mark: u64) -> Result<(), Self::Error>;
}

/// The record, while its mutex is held.
pub(super) struct Record<'r>(pub(super) &'r mut Words);

impl Record<'_> {
    /// Returns whether `chunk` has been counted.
    pub(super) fn is_finished(&self, chunk: u64) -> bool {
        self.0[FINISHED + chunk as usize / 64] >> (chunk % 64) & 1 == 1
    }

    /// Returns how many chunks have been counted.
    pub(super) fn finished(&self) -> u64 {
        let bits = &self.0[FINISHED..FINISHED + MAX_CHUNKS / 64];
        bits.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Returns how often an owner died, and how many of its updates were redone and how many dropped.
    pub(super) fn deaths(&self) -> (u64, u64, u64) {
        (self.0[DEATHS], self.0[REDONE], self.0[DROPPED])
    }

    /// Adds `counts` of `chunk` to the totals. Does nothing and returns `false` if that has been done before.
    pub(super) fn finish<T: Totals>(
        &mut self,
        totals: &T,
        chunk: u64,
        counts: &Counts,
    ) -> Result<bool, T::Error> {
        if self.is_finished(chunk) {
            return Ok(false);
        }
        let mut after = totals.read()?;
        after.merge(counts);
        self.write_after(&after);
        totals.set_mark(chunk + 1)?;
        self.apply(totals, chunk, &after)?;
        Ok(true)
    }

    /// Repairs what an owner that died may have left half done. May itself be killed and called again.
    pub(super) fn heal<T: Totals>(&mut self, totals: &T) -> Result<(), T::Error> {
        let mark = totals.mark()?;
        // A mark that no chunk has is a peer's nonsense, and nothing to redo.
        let redo = mark.checked_sub(1).filter(|&chunk| chunk < MAX_CHUNKS as u64);
        if let Some(chunk) = redo {
            let after = self.after();
            self.apply(totals, chunk, &after)?;
        }
        self.0[DEATHS] += 1;
        self.0[if redo.is_some() { REDONE } else { DROPPED }] += 1;
        Ok(())
    }

    fn apply<T: Totals>(&mut self, totals: &T, chunk: u64, after: &Counts) -> Result<(), T::Error> {
        totals.write(after)?;
        self.0[FINISHED + chunk as usize / 64] |= 1 << (chunk % 64);
        totals.set_mark(0)
    }

    fn write_after(&mut self, after: &Counts) {
        self.0[AFTER..HISTOGRAM].copy_from_slice(&[after.bytes, after.lines, after.words]);
        self.0[HISTOGRAM..FINISHED].copy_from_slice(&after.histogram[..]);
    }

    fn after(&self) -> Counts {
        let mut after = Counts {
            bytes: self.0[AFTER],
            lines: self.0[AFTER + 1],
            words: self.0[AFTER + 2],
            ..Counts::default()
        };
        after.histogram.copy_from_slice(&self.0[HISTOGRAM..FINISHED]);
        after
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// Totals that a writer is killed over, before its step number `left`.
    struct Mortal {
        totals: RefCell<Counts>,
        mark: Cell<u64>,
        left: Cell<u32>,
    }

    #[derive(Debug)]
    struct Killed;

    impl Mortal {
        fn step(&self) -> Result<(), Killed> {
            self.left.set(self.left.get().checked_sub(1).ok_or(Killed)?);
            Ok(())
        }
    }

    impl Totals for Mortal {
        type Error = Killed;

        fn read(&self) -> Result<Counts, Killed> {
            self.step()?;
            Ok(self.totals.borrow().clone())
        }

        fn write(&self, after: &Counts) -> Result<(), Killed> {
            self.step()?;
            self.totals.borrow_mut().bytes = after.bytes;
            self.step()?;
            self.totals.borrow_mut().lines = after.lines;
            self.step()?;
            self.totals.borrow_mut().words = after.words;
            for bin in 0..256 {
                self.step()?;
                self.totals.borrow_mut().histogram[bin] = after.histogram[bin];
            }
            self.step()
        }

        fn mark(&self) -> Result<u64, Killed> {
            self.step()?;
            Ok(self.mark.get())
        }

        fn set_mark(&self, mark: u64) -> Result<(), Killed> {
            self.step()?;
            self.mark.set(mark);
            self.step()
        }
    }

    fn counts(text: &str) -> Counts {
        let mut counts = Counts::default();
        counts.add(text.as_bytes(), None);
        counts
    }

    /// A writer is killed at step `first`, its heir at step `second`, and another heir goes on.
    fn scene(first: u32, second: u32) {
        let totals =
            Mortal { totals: RefCell::default(), mark: Cell::new(0), left: Cell::new(u32::MAX) };
        let mut words = [0; WORDS];
        let mut record = Record(&mut words);
        assert!(record.finish(&totals, 7, &counts("one two\n")).unwrap());
        totals.left.set(first);
        let survived = record.finish(&totals, 4095, &counts("three\n")).is_ok();
        if !survived {
            totals.left.set(second);
            if record.heal(&totals).is_err() {
                totals.left.set(u32::MAX);
                record.heal(&totals).unwrap();
            }
        }
        totals.left.set(u32::MAX);
        let before = if record.is_finished(4095) { "one two\nthree\n" } else { "one two\n" };
        assert_eq!(*totals.totals.borrow(), counts(before), "killed at {first} and {second}");
        // The chunk is handed out again in any case.
        assert_eq!(
            record.finish(&totals, 4095, &counts("three\n")).unwrap(),
            before == "one two\n"
        );
        assert_eq!(*totals.totals.borrow(), counts("one two\nthree\n"));
        assert_eq!((record.finished(), totals.mark.get()), (2, 0));
        let (deaths, redone, dropped) = record.deaths();
        assert_eq!(deaths, redone + dropped);
        assert_eq!(deaths > 0, !survived);
    }

    #[test]
    fn an_update_counts_once_wherever_its_writer_and_its_heir_are_killed() {
        let steps = 1 + 2 + 3 + 256 + 1 + 2;
        for first in 0..=steps {
            for second in [0, 1, 2, 3, 4, 100, 258, 260, 262, 263, 264, 300] {
                scene(first, second);
            }
        }
    }

    #[test]
    fn a_half_written_journal_is_dropped() {
        let totals = Mortal {
            totals: RefCell::new(counts("text")),
            mark: Cell::new(0),
            left: Cell::new(u32::MAX),
        };
        let mut words = [0; WORDS];
        words[AFTER..FINISHED - 100].fill(99);
        let mut record = Record(&mut words);
        record.heal(&totals).unwrap();
        assert_eq!(*totals.totals.borrow(), counts("text"));
        assert_eq!((record.finished(), record.deaths()), (0, (1, 0, 1)));
    }
}
