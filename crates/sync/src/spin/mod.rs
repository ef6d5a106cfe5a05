//! Looking again for a moment before the first sleep, where that pays.

use shmkit_atomic::hint;

#[cfg(not(loom))]
mod learnt;

/// How long to look, in pauses of the processor: about 11 microseconds where a pause is long, as on today's servers.
///
/// That is what a sleep and two wake-ups take, the other's and our own: who is asleep and is called, and then calls back, is
/// still seen. (Measured, as ratios to a bare futex ping-pong: 1.0 for an event with half as many, 0.6 with these.)
const PAUSES: u32 = if cfg!(loom) { 0 } else { 200 };
/// The same for a meeting.
const MEETING: u32 = 4 * PAUSES;
/// How often to look for what goes from hand to hand.
const LOOKS: u32 = if cfg!(loom) { 0 } else { 50 };
/// As many of these looks as one is worth before which others may run.
#[cfg(not(loom))]
const YIELD: u32 = 5;
/// Who has the processor for so long then does not hand over: to sleep takes less.
#[cfg(not(loom))]
const STRANGER: core::time::Duration = core::time::Duration::from_micros(100);
/// Pauses before the first look for a deed, and at most between two.
const DEED: (u32, u32) = (1, 16);
/// The same for a lock.
const LOCK: (u32, u32) = (16, 64);

/// The looks before a sleep, ever more rarely.
///
/// Each look takes the cache line from who works with it. Of rare ones the holder of a lock that is held for a few
/// instructions at a time notices little, and each of them probably finds it free: so the spinner gets it without a
/// sleep, and the holder does not have to wake anybody. The first look counts most, because most spins end there. (Measured,
/// with two and four processes that do nothing else than take a lock, as ratios to glibc's time for each turn: to look
/// after each pause, and to sleep as soon as another one was faster, 1.0 to 1.4 and up to eight times its longest wait of
/// a thousand; first after one pause and at most every 16, 0.8 to 1.2; first after 16 and at most every 64, 0.5 to 0.65, and
/// a shorter wait than its.)
///
/// Who waits for something to be done may wait for long, or for somebody who cannot run meanwhile: a thread
/// whose spins for that have not paid lately sleeps at once, and tries again now and then. A
/// lock is always looked at: its holder is in the middle of something short. (Measured, with four processes
/// on two processors: one that learns there sleeps where another was just faster, and takes 1.1 to 1.2 of glibc's time
/// instead of 0.9 to 1.1.)
#[derive(Debug)]
pub struct Spin {
    left: u32,
    pauses: u32,
    most: u32,
    /// It has looked once.
    #[cfg(not(loom))]
    begun: bool,
    #[cfg(not(loom))]
    learns: bool,
    #[cfg(not(loom))]
    yields: bool,
}

impl Spin {
    /// Looks fifty times for what others hand over, with so many pauses before each look: a look takes the line that they write
    /// to, and meanwhile several things come together. With ten pauses that is 4 to 25 microseconds, as long as the processor's
    /// pause takes: about what a sleep and a wake-up cost.
    ///
    /// A thread that may run on one processor only lets others run instead of a pause, and looks less often: who hands over may
    /// be there, too. (Measured, two queues between two processes on one processor: there and back in 3.7 microseconds instead
    /// of 36.) It does not learn: two who sleep take so long to answer each other that none would see a spin pay again. (Measured,
    /// the same on two processors: 20 microseconds instead of 0.4.)
    #[inline]
    pub fn for_hand_over(rest: u32) -> Self {
        Self {
            left: LOOKS.saturating_mul(rest),
            #[cfg(not(loom))]
            yields: learnt::has_one_processor(),
            ..Self::after((rest, rest))
        }
    }

    /// Looks for a lock to become free.
    pub(crate) fn for_lock() -> Self {
        Self::after(LOCK)
    }

    /// Looks for others to come to where all of them meet: some of them have to be woken first, which takes a processor that
    /// has nothing to do twice as long as a sleep takes others.
    pub(crate) fn for_meeting() -> Self {
        Self { left: MEETING, ..Self::for_deed() }
    }

    /// Looks for something to be done by somebody else.
    pub(crate) fn for_deed() -> Self {
        Self {
            #[cfg(not(loom))]
            learns: true,
            ..Self::after(DEED)
        }
    }

    fn after((pauses, most): (u32, u32)) -> Self {
        Self {
            left: PAUSES,
            pauses,
            most,
            #[cfg(not(loom))]
            begun: false,
            #[cfg(not(loom))]
            learns: false,
            #[cfg(not(loom))]
            yields: false,
        }
    }

    /// Pauses, and returns whether to look again, or else it is time to sleep.
    #[inline]
    pub fn again(&mut self) -> bool {
        #[cfg(not(loom))]
        if !core::mem::replace(&mut self.begun, true) && self.learns && !learnt::hopes() {
            self.left = 0;
            return false;
        }
        if self.left == 0 {
            #[cfg(not(loom))]
            if self.learns {
                learnt::in_vain();
            }
            return false;
        }
        #[cfg(not(loom))]
        if self.yields {
            let began = std::time::Instant::now();
            std::thread::yield_now();
            let ran = if began.elapsed() > STRANGER { u32::MAX } else { YIELD };
            self.left = self.left.saturating_sub(ran.saturating_mul(self.pauses));
            return true;
        }
        let pauses = self.pauses.min(self.left);
        for _ in 0..pauses {
            hint::spin_loop();
        }
        self.left -= pauses;
        self.pauses = (pauses * 2).min(self.most);
        true
    }

    /// What was waited for was done before the looks ended.
    #[inline]
    pub(crate) fn paid(self) {
        #[cfg(not(loom))]
        if self.begun {
            learnt::paid();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// In a thread of its own, which has learnt nothing.
    fn fresh<T: Send>(test: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| scope.spawn(test).join().unwrap())
    }

    fn looks() -> Vec<u32> {
        let mut spin = Spin::for_deed();
        std::iter::from_fn(|| spin.again().then_some(spin.left)).collect()
    }

    #[test]
    fn looks_come_ever_more_rarely_and_end() {
        let looks = fresh(|| {
            learnt::paid();
            looks()
        });
        assert_eq!(looks, [199, 197, 193, 185, 169, 153, 137, 121, 105, 89, 73, 57, 41, 25, 9, 0]);
    }

    #[test]
    fn who_meets_others_looks_longer() {
        let pauses = |spin: Spin| spin.left;
        assert_eq!(pauses(Spin::for_meeting()), 4 * pauses(Spin::for_deed()));
    }

    #[test]
    fn who_spins_in_vain_stops_and_tries_again_now_and_then() {
        let spun = fresh(|| {
            learnt::paid();
            (0..1000).filter(|_| !looks().is_empty()).count()
        });
        // The first few, and then one in so many.
        let few = learnt::PATIENCE as usize;
        let rare = (1000 - few) / learnt::RARE as usize;
        assert_eq!(spun, few + rare);
    }

    #[test]
    fn a_lock_is_always_looked_at() {
        fresh(|| {
            learnt::begin_with(1);
            assert!(Spin::for_lock().again());
        });
    }

    #[test]
    fn a_spin_that_pays_brings_hope_back() {
        fresh(|| {
            learnt::paid();
            assert!((0..=learnt::PATIENCE).any(|_| looks().is_empty()));
            // The next one in so many, which pays.
            let spin = (0..learnt::RARE).find_map(|_| {
                let mut spin = Spin::for_deed();
                spin.again().then_some(spin)
            });
            spin.unwrap().paid();
            assert!((0..learnt::PATIENCE).all(|_| !looks().is_empty()));
            assert!(looks().is_empty());
        });
    }

    #[test]
    fn who_has_one_processor_begins_without_hope() {
        fresh(|| {
            learnt::begin_with(1);
            assert!(looks().is_empty());
            learnt::begin_with(2);
            assert!(!looks().is_empty());
        });
    }

    #[test]
    fn who_hands_over_on_one_processor_looks_less_often_and_lets_others_run_until_it_has_more() {
        fresh(|| {
            let looks = || {
                let mut spin = Spin::for_hand_over(10);
                (0..).find(|_| !spin.again()).unwrap()
            };
            // A stranger who runs ends them.
            let of = |processors| if processors == 1 { 1..=10 } else { 50..=50 };
            for processors in [1, 2, 1] {
                learnt::found(processors);
                let looks = looks();
                assert!(of(processors).contains(&looks), "{looks} with {processors} processors");
            }
            // It asks the kernel again after a while.
            (0..learnt::SAID).for_each(|_| assert!(looks() > 0));
            assert!(of(shmkit_atomic::processors()).contains(&looks()));
        });
    }
}
