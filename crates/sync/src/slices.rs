//! How long to sleep before asking who is still alive.

use core::time::Duration;

use shmkit_atomic::Deadline;
#[cfg(not(loom))]
use shmkit_atomic::{AtomicU32, Ordering::Relaxed};

#[cfg(not(loom))]
use crate::idle::Idle;

/// The first slice, in milliseconds.
const FIRST: u64 = 1;
/// The longest slice that there can be, in milliseconds: a second.
#[cfg(not(loom))]
const MOST: u32 = 1000;

/// How much longer than the longest slice somebody sleeps, at most, while others look for him.
const WATCHED: u64 = 256;

/// How many times as long as the longest slice one of somebody [calm](crate::Patience::calm) becomes.
const CALM: u64 = 16;

/// The longest slice unless the process says otherwise, in milliseconds.
const USUAL: u32 = 32;

/// The longest slice of this process, in milliseconds.
#[cfg(not(loom))]
static LONGEST: AtomicU32 = AtomicU32::new(USUAL);

/// The sleepers of this process.
#[cfg(not(loom))]
static IDLE: Idle = Idle::new();

/// The slices of one wait: 1 ms, doubling to 32 ms, and never beyond the deadline.
///
/// [`set_longest`](Self::set_longest) chooses another end of the doubling for this process. Half of the longest slice
/// is what a sleeper takes on average to notice a death.
///
/// Nobody wakes the sleepers of a process that was killed, so no sleep is longer than a slice; when one has run out,
/// the sleeper asks the roster about whoever it waits for. Short ones first, because a death is most probable where
/// a lock is held for unusually long.
///
/// Where many threads of one process sleep, each for a thing of its own, their longest slices are longer: with a thousand of them a
/// second, so that the process wakes a thousand times a second as with thirty. Deaths are noticed so much later. Where
/// [`set_longest`](Self::set_longest) has chosen another end, that is it, however many sleep.
///
/// Those of somebody [calm](crate::Patience::calm) go on doubling, to 512 ms.
///
/// Where many wait for one thing, they look one for the others: with hundreds of them each sleeps for seconds, and one of
/// them wakes every few milliseconds. (When most of them leave at once, and a death comes just then, those who stay notice
/// it when they wake: after 12 ms for each of those who waited, and 12 seconds at most.)
#[derive(Clone, Debug)]
pub struct Slices {
    /// Length of the next slice, in milliseconds.
    millis: u64,
    /// That of the last one.
    last: u64,
    /// How many times as long as the longest one it becomes.
    times: u64,
}

impl Slices {
    /// Begins a wait.
    pub const fn new() -> Self {
        Self { millis: FIRST, last: 0, times: 1 }
    }

    /// Begins a wait whose first slice is as long as the longest one.
    ///
    /// For who hands over again and again, and is woken long before: a clock that rings later than the scheduler's does not
    /// have to be set.
    pub(crate) fn long() -> Self {
        Self { millis: Self::longest_millis(), ..Self::new() }
    }

    /// The same, which grow beyond the longest one.
    pub(crate) fn calm(self) -> Self {
        Self { times: CALM, ..self }
    }

    /// Returns how long the next one is, and not less than the longest of those that are not calm.
    pub(crate) fn present(&self) -> Duration {
        let longest = Self::longest_millis();
        Duration::from_millis(self.millis.clamp(longest, longest * self.times))
    }

    fn most_millis(&self) -> u64 {
        Self::longest_millis() * self.times
    }

    /// Returns the end of a slice that begins now.
    pub fn next(&mut self, deadline: Deadline) -> Deadline {
        let longest = self.most_millis();
        let end = Deadline::after(self.begin(longest));
        self.millis =
            if self.millis > longest { self.millis / 2 } else { (self.millis * 2).min(longest) };
        end.min(deadline)
    }

    /// Returns the end of a slice that begins now, of somebody whose last one has run out.
    pub(crate) fn again(&mut self, deadline: Deadline) -> Deadline {
        #[cfg(not(loom))]
        if let Some(now) = Deadline::now().as_nanos() {
            IDLE.ran_out(now / 1_000_000, self.last);
        }
        self.next(deadline)
    }

    /// Returns the end of a slice that begins now, of somebody who has found that others look for him.
    pub(crate) fn next_watched(&mut self, deadline: Deadline) -> Deadline {
        let longest = self.most_millis();
        let end = Deadline::after(Self::spread(self.millis, longest));
        // Of them one looks, and it is that one that counts.
        self.last = 0;
        // Whoever is calm is so sooner.
        let growth = if self.times > 1 { 4 } else { 2 };
        self.millis = (self.millis * growth).min(Self::longest_millis() * WATCHED);
        end.min(deadline)
    }

    /// Returns how long the next slice is: longer than the longest if many sleep.
    fn begin(&mut self, longest: u64) -> Duration {
        #[cfg(not(loom))]
        let times = if self.times == 1 { Self::times(self.millis, longest, &IDLE) } else { 1 };
        #[cfg(loom)]
        let times = 1;
        let length = Self::spread(self.millis * times, longest);
        self.last = length.as_millis() as u64;
        length
    }

    /// Returns how many times as long a slice is to be. Not if somebody has said how long: who pays for it wants to hear of deaths.
    #[cfg(not(loom))]
    fn times(millis: u64, longest: u64, idle: &Idle) -> u64 {
        if millis == longest && longest == u64::from(USUAL) { idle.times() } else { 1 }
    }

    /// Returns that many milliseconds; beyond the longest of who looks, half as much more or less: else those who came together
    /// would wake together, and nobody in between.
    fn spread(millis: u64, longest: u64) -> Duration {
        let length = Duration::from_millis(millis);
        if millis <= longest {
            return length;
        }
        // The last digits of the clock, mixed by a multiplication with 2^64 over the golden ratio: any number will do.
        let now = Deadline::now().as_nanos().unwrap_or(0);
        let random = now.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
        length / 2 + length * random as u32 / 1024
    }

    /// Sets the longest slice of this process, for its waits from now on: whole milliseconds, 1 to 1000; what is shorter
    /// or longer counts as the nearest of these. 32 unless it is set.
    ///
    /// A sleeper notices a death after half of it on average, and wakes this often to ask: with 1 ms a death is noticed
    /// within half a millisecond, for about one per cent of a processor for each thread that sleeps.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use shmkit_sync::Slices;
    ///
    /// Slices::set_longest(Duration::from_millis(2));
    /// assert_eq!(Slices::longest(), Duration::from_millis(2));
    /// ```
    #[cfg(not(loom))]
    pub fn set_longest(longest: Duration) {
        let millis = longest.as_millis().clamp(1, MOST.into()) as u32;
        // Relaxed: a setting, which orders nothing.
        LONGEST.store(millis, Relaxed);
    }

    /// Returns the longest slice of this process.
    pub fn longest() -> Duration {
        Duration::from_millis(Self::longest_millis())
    }

    fn longest_millis() -> u64 {
        #[cfg(not(loom))]
        let millis = LONGEST.load(Relaxed);
        #[cfg(loom)]
        let millis = USUAL;
        millis.into()
    }
}

impl Default for Slices {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn slices_double_up_to_the_longest() {
        let mut slices = Slices::new();
        let lengths: Vec<u64> = (0..8)
            .map(|_| {
                let left = slices.next(Deadline::NEVER).remaining().unwrap();
                // Rounded up: some nanoseconds have passed.
                left.as_millis() as u64 + 1
            })
            .collect();
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 32, 32]);
    }

    #[test]
    fn those_of_somebody_calm_grow_to_sixteen_times_the_longest() {
        let mut slices = Slices::new().calm();
        let lengths =
            (0..11).map(|_| slices.next(Deadline::NEVER).remaining().unwrap().as_millis() + 1);
        assert_eq!(lengths.collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 512]);
    }

    #[test]
    fn an_end_that_was_chosen_is_kept_however_many_sleep() {
        let (idle, usual) = (Idle::new(), u64::from(USUAL));
        // A thousand, for a second.
        for now in 0..1000 {
            (0..usual).for_each(|_| idle.ran_out(now, usual));
        }
        assert!(Slices::times(usual, usual, &idle) > 8);
        for (millis, longest) in [(1, 1), (8, 8), (1, usual), (1000, 1000)] {
            assert_eq!(Slices::times(millis, longest, &idle), 1, "{millis} of {longest}");
        }
    }

    #[test]
    fn who_is_watched_sleeps_ever_longer_and_who_looks_ever_less() {
        let mut slices = Slices::new();
        let mut length = |watched: bool| {
            let next = if watched { Slices::next_watched } else { Slices::next };
            next(&mut slices, Deadline::NEVER).remaining().unwrap().as_millis() as u64 + 1
        };
        let mut within = |watched, length_of: u64| {
            let found = length(watched);
            let half = if length_of > 32 { length_of / 2 } else { 0 };
            assert!((length_of - half..=length_of + half + 1).contains(&found), "{found}");
        };
        for length in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 8192] {
            within(true, length);
        }
        for length in [8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 32] {
            within(false, length);
        }
    }

    #[test]
    fn no_slice_ends_after_the_deadline() {
        let deadline = Deadline::after(Duration::from_micros(300));
        assert_eq!(Slices::new().next(deadline), deadline);
        assert_eq!(Slices::new().next(Deadline::PASSED), Deadline::PASSED);
    }
}
