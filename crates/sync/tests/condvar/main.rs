//! The condition variable as a program holds it, with participants of a model in one process.
#![cfg(not(loom))]

mod deaths;
mod judges;
mod locks;

use std::ptr::NonNull;
use std::time::{Duration, Instant};

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_layout::{Object, Offset, Region, ShapeError};
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{
    Acquired, Condvar, Lock, LockFailure, Mutex, NotifyError, RLock, ReentrantMutex, Seated,
    WaitError, Wakeup,
};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

#[repr(C, align(128))]
struct Bytes([u8; 2048]);

impl Bytes {
    fn new() -> Box<Self> {
        Box::new(Self([0; 2048]))
    }

    fn region(&mut self) -> Region<'_> {
        // SAFETY: the bytes are borrowed mutably for as long as the region.
        unsafe { Region::from_raw_parts(NonNull::from(&mut self.0).cast(), 2048) }
    }
}

/// For so many threads: for more there would be no room.
const FEW: Seated<()> = Seated::new(()).seats(64);

/// What lies in the region: a condition variable, and locks after it.
#[derive(Clone, Copy)]
struct Scene<'a> {
    region: Region<'a>,
    judge: &'a ModelJudge,
}

impl<'a> Scene<'a> {
    fn condvar(self) -> Condvar<&'a ModelJudge> {
        // SAFETY: the bytes are zero, or hold one, which nothing is written into.
        unsafe { Condvar::init(self.region.sub(0, 640).unwrap(), FEW, self.judge) }.unwrap()
    }

    fn other_condvar(self) -> Condvar<&'a ModelJudge> {
        // SAFETY: as above.
        unsafe { Condvar::init(self.region.sub(640, 640).unwrap(), FEW, self.judge) }.unwrap()
    }

    fn mutex(self, at: u64) -> Mutex<u64, &'a ModelJudge> {
        let region = self.region.sub(at, 128).unwrap();
        // SAFETY: the bytes are zero: a mutex over 0.
        unsafe { Mutex::attach(region, 1, self.judge) }.unwrap()
    }

    fn number(self) -> Mutex<u64, &'a ModelJudge> {
        self.mutex(1280)
    }

    fn reentrant(self) -> ReentrantMutex<u64, &'a ModelJudge> {
        let region = self.region.sub(1536, 128).unwrap();
        // SAFETY: the bytes are zero: a reentrant mutex over 0.
        unsafe { ReentrantMutex::attach(region, 1, self.judge) }.unwrap()
    }

    fn rlock(self) -> RLock<&'a ModelJudge> {
        let region = self.region.sub(1664, 128).unwrap();
        // SAFETY: the bytes are zero: a lock.
        unsafe { RLock::attach(region, 1, self.judge) }.unwrap()
    }

    fn lock(self) -> Lock<&'a ModelJudge> {
        let region = self.region.sub(1792, 128).unwrap();
        // SAFETY: the bytes are zero: a lock.
        unsafe { Lock::attach(region, 1, self.judge) }.unwrap()
    }
}

/// Plays a scene with two participants.
fn play(scene: impl FnOnce(Scene<'_>, Scene<'_>)) {
    let judges = ModelJudge::new(2);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    scene(Scene { region, judge: &judges[0] }, Scene { region, judge: &judges[1] });
}

/// Waits until so many threads wait.
#[track_caller]
fn until_waiting(condvar: Condvar<&ModelJudge>, waiters: u32) {
    until(|| condvar.waiters() == waiters);
}

#[track_caller]
fn until(mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < LONG, "it never happened");
        std::thread::yield_now();
    }
}

/// Why the lock was lost, if it was.
fn failure<T, G>(end: Result<T, WaitError<G>>) -> Option<LockFailure> {
    end.err()?.into_guard().err()
}

/// Nobody waits, nobody is notified, and nothing is stored.
#[track_caller]
fn assert_clean(condvar: Condvar<&ModelJudge>) {
    assert_eq!(format!("{condvar:?}"), "Condvar { waiting: [], notified: [] }");
}

#[test]
fn the_format_is_fixed() {
    type C<'a> = Condvar<&'a ModelJudge>;
    let shape = C::shape(&FEW, 2).unwrap();
    assert_eq!((shape.to_string(), shape.bytes, shape.align), ("condvar".into(), 640, 128));
    play(|mine, _| {
        let end = mine.condvar().wait_timeout(mine.number().lock_owned().unwrap(), Duration::ZERO);
        assert_eq!(end.unwrap().1, Wakeup::TimedOut);
        // SAFETY: made above.
        let other = unsafe { Condvar::attach(mine.region, 2, mine.judge) };
        assert!(matches!(other, Err(ShapeError::Length { found: 2, min: 1, max: 1 })));
        let lock = mine.region.get::<AtomicU64>(Offset::ZERO).unwrap();
        assert_eq!(lock.load(Relaxed), 1280, "where the lock lies");
    });
}

#[test]
fn cnd_01_a_wait_that_nobody_ends_lasts_as_long_as_asked() {
    play(|mine, theirs| {
        let mut guard = mine.number().lock_owned().unwrap();
        for millis in [0, 1, 3, 70] {
            let wait = Duration::from_millis(millis);
            let start = Instant::now();
            let (back, wakeup) = mine.condvar().wait_timeout(guard, wait).unwrap();
            assert_eq!(wakeup, Wakeup::TimedOut);
            assert!(start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
            let failure = theirs.number().try_lock().unwrap_err().failure();
            assert_eq!(failure, Some(LockFailure::WouldBlock), "held again");
            guard = back;
        }
        let start = Instant::now();
        let at = start + Duration::from_millis(5);
        let (_guard, wakeup) = mine.condvar().wait_deadline(guard, at).unwrap();
        assert_eq!(wakeup, Wakeup::TimedOut);
        assert!(Instant::now() >= at);
        assert_eq!(mine.condvar().waiters(), 0);
    });
}

#[test]
fn cnd_02_a_notification_wakes_as_many_as_it_says() {
    play(|mine, theirs| {
        let (condvar, number) = (mine.condvar(), mine.number());
        std::thread::scope(|scope| {
            let waiters: Vec<_> = (0..5)
                .map(|i| {
                    let scene = if i % 2 == 0 { mine } else { theirs };
                    // One after the other, so that it is known who has waited longest.
                    until_waiting(condvar, i);
                    scope.spawn(move || {
                        let guard = scene.number().lock_owned().unwrap();
                        let (mut guard, wakeup) =
                            scene.condvar().wait_timeout(guard, LONG).unwrap();
                        *guard += 1;
                        (*guard, wakeup)
                    })
                })
                .collect();
            until_waiting(condvar, 5);
            let woken = |n| condvar.notify(&number.lock().unwrap(), n).unwrap();
            assert_eq!(woken(0), 0);
            assert_eq!((woken(1), condvar.waiters()), (1, 4));
            until(|| *number.lock().unwrap() == 1);
            assert_eq!((woken(2), condvar.waiters()), (2, 2));
            until(|| *number.lock().unwrap() == 3);
            assert_eq!(woken(7), 2);
            assert_eq!(woken(1), 0, "and nothing is stored");
            let ends: Vec<_> = waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect();
            assert!(ends.iter().all(|&(_, wakeup)| wakeup == Wakeup::Notified));
            assert_eq!(ends[0].0, 1, "who has waited longest goes first");
            assert!(ends[1..3].iter().all(|&(n, _)| n == 2 || n == 3), "{ends:?}");
        });
        assert_eq!(condvar.waiters(), 0);
        let end = condvar.wait_timeout(number.lock().unwrap(), Duration::ZERO).unwrap();
        assert_eq!(end.1, Wakeup::TimedOut, "nothing is stored");
    });
}

#[test]
fn cnd_12_a_condition_belongs_to_one_lock_and_a_lock_may_have_several() {
    play(|mine, theirs| {
        let (number, other) = (mine.number(), mine.mutex(1408));
        let (one, two) = (mine.condvar(), mine.other_condvar());
        let (guard, _) = one.wait_timeout(number.lock().unwrap(), Duration::ZERO).unwrap();
        let (guard, _) = two.wait_timeout(guard, Duration::ZERO).unwrap();
        let wrong = other.lock().unwrap();
        let Err(WaitError::OtherLock(wrong)) = one.wait(wrong) else { panic!("waited") };
        // Nobody waits: nothing was looked at.
        assert_eq!(one.notify_one(&wrong), Ok(0));
        drop((wrong, guard));
        std::thread::scope(|scope| {
            let wait = |condvar: Condvar<&ModelJudge>| {
                let guard = theirs.number().lock_owned().unwrap();
                condvar.wait_timeout(guard, LONG).map(|(_, wakeup)| wakeup).unwrap()
            };
            let first = scope.spawn(move || wait(theirs.condvar()));
            let second = scope.spawn(move || wait(theirs.other_condvar()));
            until_waiting(one, 1);
            until_waiting(two, 1);
            let wrong = other.lock().unwrap();
            assert_eq!(one.notify_all(&wrong), Err(NotifyError::OtherLock));
            drop(wrong);
            let guard = number.lock().unwrap();
            assert_eq!(two.notify_all(&guard), Ok(1));
            drop(guard);
            assert_eq!(second.join().unwrap(), Wakeup::Notified);
            assert_eq!(one.waiters(), 1);
            one.notify_all(&number.lock().unwrap()).unwrap();
            assert_eq!(first.join().unwrap(), Wakeup::Notified);
        });
    });
}

#[test]
fn cnd_13_and_14_a_condition_is_looked_at_before_anything_else() {
    play(|mine, _| {
        let condvar = mine.condvar();
        let guard = mine.number().lock_owned().unwrap();
        let guard = condvar.wait_while(guard, |n| *n == 1).unwrap();
        let mut looks = 0;
        let look = |n: &mut u64| {
            looks += 1;
            *n == 0
        };
        let (guard, busy) = condvar.wait_while_timeout(guard, look, Duration::ZERO).unwrap();
        assert_eq!((busy, looks), (true, 1));
        let (guard, busy) =
            condvar.wait_while_timeout(guard, |n| *n == 0, Duration::from_millis(5)).unwrap();
        assert!(busy);
        let past = Instant::now();
        let (guard, busy) = condvar.wait_while_deadline(guard, |n| *n == 1, past).unwrap();
        assert!(!busy);
        let (_, busy) = condvar.wait_while_deadline(guard, |n| *n == 0, past).unwrap();
        assert!(busy);
    });
}

#[test]
fn a_condition_is_waited_for() {
    play(|mine, theirs| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..50 {
                    let odd = theirs.number().lock_owned().unwrap();
                    let mut n = theirs.condvar().wait_while(odd, |n| *n % 2 == 0).unwrap();
                    *n += 1;
                    theirs.condvar().notify_one(&n).unwrap();
                }
            });
            for _ in 0..50 {
                let even = mine.number().lock_owned().unwrap();
                let mut n = mine.condvar().wait_while(even, |n| *n % 2 == 1).unwrap();
                *n += 1;
                mine.condvar().notify_one(&n).unwrap();
            }
        });
        assert_eq!(*mine.number().lock().unwrap(), 100);
    });
}

#[test]
fn a_lock_taken_several_times_is_given_up_altogether() {
    play(|mine, theirs| {
        let (condvar, lock) = (mine.condvar(), mine.rlock());
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let lock = theirs.rlock();
                (0..3).for_each(|_| assert_eq!(lock.acquire(), Ok(Acquired::Clean)));
                let guard = lock.lock().unwrap();
                let (guard, wakeup) = theirs.condvar().wait_timeout(guard, LONG).unwrap();
                assert_eq!((wakeup, lock.depth()), (Wakeup::Notified, 4));
                drop(guard);
                // And without a guard.
                let (lock, wakeup) = theirs.condvar().wait_timeout(&lock, LONG).unwrap();
                assert_eq!((wakeup, lock.depth()), (Wakeup::Notified, 3));
                (0..3).for_each(|_| lock.release().unwrap());
            });
            for _ in 0..2 {
                until_waiting(condvar, 1);
                let _outer = lock.lock().unwrap();
                let guard = lock.lock().unwrap();
                assert_eq!(condvar.notify_one(&guard), Ok(1));
                assert_eq!(condvar.notify_one(&lock), Ok(0), "it has been notified");
            }
            waiter.join().unwrap();
        });
        assert!(!lock.locked());
    });
}

#[test]
fn a_reentrant_mutex_is_given_up_by_its_only_guard() {
    play(|mine, theirs| {
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let lock = theirs.reentrant();
                let outer = lock.lock().unwrap();
                let inner = lock.lock().unwrap();
                let waited = theirs.condvar().wait(inner);
                let Err(WaitError::NotAlone(inner)) = waited else { panic!("{waited:?}") };
                drop(inner);
                let outer = theirs.condvar().wait_while(outer, |n| n.get() != 7).unwrap();
                assert_eq!((lock.depth(), outer.get()), (1, 7));
                outer.set(8);
            });
            until_waiting(mine.condvar(), 1);
            let guard = mine.reentrant().lock_owned().unwrap();
            guard.set(7);
            assert_eq!(mine.condvar().notify_all(&guard), Ok(1));
            drop(guard);
            waiter.join().unwrap();
        });
        assert_eq!(mine.reentrant().lock().unwrap().get(), 8);
    });
}

/// The first of every roster is called the same, and the dead of the one are not the other's.
#[test]
fn a_lock_of_another_roster_is_refused() {
    play(|mine, _| {
        let strangers = ModelJudge::new(1);
        let theirs = Scene { judge: &strangers[0], ..mine };
        let guard = mine.number().lock_owned().unwrap();
        assert_eq!(theirs.condvar().notify_one(&guard), Err(NotifyError::OtherSegment));
        let error = theirs.condvar().with_lock(&guard).unwrap_err();
        assert_eq!(error, NotifyError::OtherSegment, "at once, when the two are made");
        assert!(error.to_string().contains("in one segment"), "{error}");
        let waited = theirs.condvar().wait_timeout(guard, Duration::ZERO);
        let Err(WaitError::OtherSegment(guard)) = waited else { panic!("waited") };
        assert_eq!(*guard, 0);
        let lock = mine.region.get::<AtomicU64>(Offset::ZERO).unwrap();
        assert_eq!(lock.load(Relaxed), 0, "it belongs to nobody yet");
    });
}

#[test]
fn who_inherits_an_rlock_by_waiting_is_told() {
    play(|mine, theirs| {
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let lock = theirs.rlock();
                lock.acquire().unwrap();
                let waited = theirs.condvar().wait_timeout(&lock, LONG);
                let Err(WaitError::OwnerDied(lock, Wakeup::Notified)) = waited else {
                    panic!("not told")
                };
                assert_eq!(lock.depth(), 1);
                lock.release().unwrap();
            });
            until_waiting(mine.condvar(), 1);
            let lock = mine.rlock();
            lock.acquire().unwrap();
            assert_eq!(mine.condvar().notify_one(&lock), Ok(1));
            mine.judge.die();
            waiter.join().unwrap();
        });
    });
}

#[test]
fn who_does_not_hold_the_lock_is_refused() {
    play(|mine, theirs| {
        let (condvar, lock) = (mine.condvar(), mine.rlock());
        assert_eq!(condvar.notify_one(&lock), Err(NotifyError::NotOwner));
        assert!(matches!(condvar.wait(&lock), Err(WaitError::NotOwner(_))));
        theirs.rlock().acquire().unwrap();
        assert_eq!(condvar.notify_all(&lock), Err(NotifyError::NotOwner));
        assert!(matches!(condvar.wait(&lock), Err(WaitError::NotOwner(_))));
        // Another thread of the owner.
        std::thread::scope(|scope| {
            let refused =
                || matches!(theirs.condvar().wait(&theirs.rlock()), Err(WaitError::NotOwner(_)));
            assert!(scope.spawn(refused).join().unwrap());
        });
        // With the lock of one participant by another.
        let guard = theirs.number().lock_owned().unwrap();
        assert_eq!(condvar.notify_one(&guard), Err(NotifyError::NotOwner));
        let error = condvar.wait(guard).unwrap_err();
        assert!(matches!(error, WaitError::NotOwner(_)), "{error:?}");
        assert!(error.to_string().contains("take it first"));
        drop(error.into_guard().unwrap());
        assert_eq!(theirs.number().owner(), None);
    });
}

#[test]
fn a_condition_is_not_looked_at_without_the_lock() {
    play(|mine, theirs| {
        let (condvar, lock) = (mine.condvar(), mine.rlock());
        let looks = || {
            let look = |_: &mut _| panic!("it looked");
            assert!(matches!(condvar.wait_while(&lock, look), Err(WaitError::NotOwner(_))));
            let timed = condvar.wait_while_timeout(&lock, look, Duration::ZERO);
            assert!(matches!(timed, Err(WaitError::NotOwner(_))));
            let timed = condvar.wait_while_deadline(&lock, look, Instant::now());
            assert!(matches!(timed, Err(WaitError::NotOwner(_))));
        };
        looks();
        theirs.rlock().acquire().unwrap();
        looks();
        theirs.rlock().release().unwrap();
        // A look may let go of a lock that has no guard.
        lock.acquire().unwrap();
        let mut looks = 0;
        let waited = condvar.wait_while_timeout(
            &lock,
            |lock| {
                looks += 1;
                lock.release().unwrap();
                true
            },
            LONG,
        );
        assert!(matches!(waited, Err(WaitError::NotOwner(_))));
        assert_eq!(looks, 1);
    });
}

#[test]
fn a_forked_child_is_refused() {
    let judges = ModelJudge::new(1);
    let child = judges[0].forked();
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let (mine, theirs) = (Scene { region, judge: &judges[0] }, Scene { region, judge: &child });
    let guard = mine.number().lock_owned().unwrap();
    assert_eq!(theirs.condvar().notify_one(&guard), Err(NotifyError::NotOwner));
    let error = theirs.condvar().wait_timeout(guard, Duration::ZERO).unwrap_err();
    assert!(matches!(error, WaitError::NotOwner(_)));
}

#[test]
fn as_many_threads_wait_as_there_are_seats_and_no_more() {
    let judges = ModelJudge::new(66);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let judges = &judges[..];
    let scene = |i: usize| Scene { region, judge: &judges[i] };
    let (condvar, number) = (scene(0).condvar(), scene(0).number());
    std::thread::scope(|threads| {
        for i in 0..64 {
            threads.spawn(move || {
                let guard = scene(i).number().lock_owned().unwrap();
                drop(scene(i).condvar().wait_timeout(guard, LONG).unwrap());
            });
        }
        until_waiting(condvar, 64);
        let guard = number.lock().unwrap();
        let error = condvar.wait(guard).unwrap_err();
        assert!(error.to_string().contains("as it has seats for"), "{error}");
        let WaitError::TooManyWaiters(guard) = error else { panic!("{error:?}") };
        assert_eq!(condvar.notify(&guard, 1), Ok(1));
        drop(guard);
        until(|| format!("{condvar:?}").contains("notified: []"));
        let (guard, wakeup) = condvar.wait_timeout(number.lock().unwrap(), Duration::ZERO).unwrap();
        assert_eq!(wakeup, Wakeup::TimedOut, "there is a place again");
        assert_eq!(condvar.notify_all(&guard), Ok(63));
    });
    assert_eq!(condvar.waiters(), 0);
}
