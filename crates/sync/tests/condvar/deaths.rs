//! What the dead leave, and what nobody writes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::{AtomicU32, AtomicU64};
use shmkit_layout::Offset;
use shmkit_roster::Judge;
use shmkit_roster::model::ModelJudge;
use shmkit_sync::{Acquired, LockError, LockFailure, WaitError, Wakeup};

use crate::{Bytes, LONG, Scene, assert_clean, failure, play, until, until_waiting};

/// Puts a sleeper into cell `at`, with this mark.
fn sleeper(scene: Scene<'_>, at: u64, mark: u32) {
    let cell = |n| scene.region.get::<AtomicU32>(Offset::new(n).unwrap()).unwrap();
    cell(128 + 8 * at).store(scene.judge.me().unwrap().get() | mark, Relaxed);
    let taken = scene.region.get::<AtomicU64>(Offset::new(8).unwrap()).unwrap();
    taken.fetch_or(1 << (at / 16), Relaxed);
}

/// The lock comes back after the deadline only, from an heir that has repaired: the death is told, not the time.
#[test]
fn a_death_counts_for_more_than_the_deadline() {
    play(|mine, _| {
        std::thread::scope(|scope| {
            let deadline = Instant::now() + Duration::from_millis(60);
            let waiter = scope.spawn(move || {
                let guard = mine.number().lock_owned().unwrap();
                mine.condvar().wait_deadline(guard, deadline).unwrap().1
            });
            until_waiting(mine.condvar(), 1);
            let held = mine.number().lock_owned().unwrap();
            // As an heir counts the death that it has found.
            let epoch = mine.region.get::<AtomicU32>(Offset::new(1280 + 8).unwrap()).unwrap();
            epoch.fetch_add(1, Relaxed);
            until(|| Instant::now() > deadline);
            drop(held);
            assert_eq!(waiter.join().unwrap(), Wakeup::OwnerDied);
        });
        assert_clean(mine.condvar());
    });
}

/// Puts a dead sleeper there.
fn dead_sleeper(scene: Scene<'_>, at: u64, mark: u32) {
    sleeper(scene, at, mark);
    scene.judge.die();
}

const NOTIFIED: u32 = 1 << 31;

#[test]
fn a_dead_sleeper_is_not_counted() {
    play(|mine, theirs| {
        dead_sleeper(theirs, 0, 0);
        let condvar = mine.condvar();
        assert_eq!(condvar.waiters(), 1, "nobody has looked yet");
        assert!(format!("{condvar:?}").contains("2: dead"), "{condvar:?}");
        let guard = mine.number().lock_owned().unwrap();
        assert_eq!(condvar.notify_all(&guard), Ok(0));
        assert_eq!(condvar.waiters(), 0);
    });
}

#[test]
fn the_notification_of_a_dead_sleeper_goes_on_to_who_slept_then() {
    play(|mine, theirs| {
        let condvar = mine.condvar();
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                let guard = mine.number().lock_owned().unwrap();
                condvar.wait_timeout(guard, LONG).unwrap().1
            });
            until_waiting(condvar, 1);
            // Turn 1 was the sleeper's: the dead one was notified after that.
            mine.region
                .get::<AtomicU32>(Offset::new(132 + 8 * 5).unwrap())
                .unwrap()
                .store(1, Relaxed);
            let start = Instant::now();
            dead_sleeper(theirs, 5, NOTIFIED);
            assert_eq!(sleeper.join().unwrap(), Wakeup::Notified);
            assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        });
        assert_clean(condvar);
    });
}

#[test]
fn the_notification_of_a_dead_sleeper_is_not_stored() {
    play(|mine, theirs| {
        let condvar = mine.condvar();
        // It was given before anybody now alive began to wait.
        dead_sleeper(theirs, 5, NOTIFIED);
        let wait = Duration::from_millis(60);
        let end = condvar.wait_timeout(mine.number().lock_owned().unwrap(), wait).unwrap();
        assert_eq!(end.1, Wakeup::TimedOut);
        assert_clean(condvar);
    });
}

#[test]
fn a_notification_that_goes_on_twice_does_not_reach_who_came_later() {
    let judges = ModelJudge::new(3);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let [late, first, heir] = [0, 1, 2].map(|i| Scene { region, judge: &judges[i] });
    let word = |n| region.get::<AtomicU32>(Offset::new(n).unwrap()).unwrap();
    // One had begun to wait when the first was notified.
    word(16).store(1, Relaxed);
    word(288 + 4 * 5).store(1, Relaxed);
    word(288 + 4 * 6).store(1, Relaxed);
    sleeper(heir, 6, 0);
    dead_sleeper(first, 5, NOTIFIED);
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(move || {
            let guard = late.number().lock_owned().unwrap();
            late.condvar().wait_timeout(guard, Duration::from_millis(150)).unwrap().1
        });
        until(|| word(128 + 8 * 6).load(Relaxed) & NOTIFIED != 0);
        heir.judge.die();
        assert_eq!(sleeper.join().unwrap(), Wakeup::TimedOut);
    });
    assert_clean(late.condvar());
}

#[test]
fn a_table_full_of_dead_has_room() {
    let judges = ModelJudge::new(65);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    for (i, judge) in judges[..64].iter().enumerate() {
        let mark = if i % 3 == 0 { NOTIFIED } else { 0 };
        dead_sleeper(Scene { region, judge }, i as u64, mark);
    }
    let scene = Scene { region, judge: &judges[64] };
    let end = scene.condvar().wait_timeout(scene.number().lock_owned().unwrap(), Duration::ZERO);
    assert_eq!(end.unwrap().1, Wakeup::TimedOut);
    assert_clean(scene.condvar());
}

#[test]
fn the_death_of_an_owner_is_told_to_one_and_noticed_by_all() {
    let judges = ModelJudge::new(4);
    let mut bytes = Bytes::new();
    let region = bytes.region();
    let judges = &judges[..];
    let scene = |i: usize| Scene { region, judge: &judges[i] };
    let condvar = scene(0).condvar();
    let (mut told, mut noticed) = (0, 0);
    std::thread::scope(|threads| {
        let waiters: Vec<_> = (1..4)
            .map(|i| {
                threads.spawn(move || {
                    let guard = scene(i).number().lock_owned().unwrap();
                    match scene(i).condvar().wait_timeout(guard, LONG) {
                        Ok((_, wakeup)) => Some(wakeup),
                        Err(WaitError::OwnerDied(guard, _)) => {
                            assert_eq!(guard.dead_owner(), judges[0].me());
                            guard.make_consistent();
                            None
                        }
                        Err(other) => panic!("{other}"),
                    }
                })
            })
            .collect();
        until_waiting(condvar, 3);
        std::mem::forget(scene(0).number().lock().unwrap());
        judges[0].die();
        for waiter in waiters {
            match waiter.join().unwrap() {
                None => told += 1,
                Some(Wakeup::OwnerDied) => noticed += 1,
                Some(other) => panic!("{other:?}"),
            }
        }
    });
    assert_eq!((told, noticed), (1, 2));
    assert_clean(condvar);
}

#[test]
fn the_heir_of_a_lock_without_data_is_told_by_its_guard() {
    play(|mine, theirs| {
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let lock = mine.rlock();
                let guard = lock.lock().unwrap();
                let waited = mine.condvar().wait_timeout(guard, LONG);
                let Err(WaitError::OwnerDied(guard, _)) = waited else { panic!("not told") };
                guard.acquired()
            });
            until_waiting(mine.condvar(), 1);
            theirs.rlock().acquire().unwrap();
            theirs.judge.die();
            let told = Acquired::OwnerDied(theirs.judge.me().unwrap());
            assert_eq!(waiter.join().unwrap(), told);
        });
        assert_eq!(mine.rlock().acquire(), Ok(Acquired::Clean));
    });
}

#[test]
fn a_panic_meanwhile_is_told() {
    play(|mine, theirs| {
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let guard = mine.number().lock_owned().unwrap();
                let error = mine.condvar().wait(guard).unwrap_err();
                assert_eq!(format!("{error:?}"), "Poisoned(.., Notified)");
                // That one is used up, and the panic is told of again.
                let guard = error.into_guard().unwrap();
                let error = mine.condvar().wait_timeout(guard, Duration::ZERO).unwrap_err();
                assert!(matches!(error, WaitError::Poisoned(_, Wakeup::TimedOut)), "{error:?}");
            });
            until_waiting(mine.condvar(), 1);
            let panic = catch_unwind(AssertUnwindSafe(|| {
                let guard = theirs.number().lock_owned().unwrap();
                theirs.condvar().notify_one(&guard).unwrap();
                std::panic::resume_unwind(Box::new(()));
            }));
            assert!(panic.is_err());
            waiter.join().unwrap();
        });
        assert!(matches!(mine.number().lock(), Err(LockError::Poisoned(_))));
    });
}

#[test]
fn who_waits_with_what_a_death_left_has_given_it_up() {
    play(|mine, theirs| {
        std::mem::forget(theirs.number().lock().unwrap());
        theirs.judge.die();
        let Err(LockError::OwnerDied(guard)) = mine.number().lock_owned() else {
            panic!("not told")
        };
        let error = mine.condvar().wait_timeout(guard, Duration::ZERO).unwrap_err();
        let WaitError::NotRecoverable(guard, Wakeup::TimedOut) = error else { panic!("{error:?}") };
        // And may go on waiting with it.
        let error = mine.condvar().wait_timeout(guard, Duration::ZERO).unwrap_err();
        assert!(matches!(error, WaitError::NotRecoverable(_, Wakeup::TimedOut)));
        assert_eq!(mine.condvar().waiters(), 0);
    });
}

#[test]
fn numbers_that_nobody_writes_are_refused_or_forgotten() {
    play(|mine, _| {
        let condvar = mine.condvar();
        let word = |n| mine.region.get::<AtomicU32>(Offset::new(n).unwrap()).unwrap();
        let taken = mine.region.get::<AtomicU64>(Offset::new(8).unwrap()).unwrap();
        for nonsense in [3, 1 << 30, 1 << 31 | 5, 3 << 30 | 1 << 10] {
            word(128 + 8 * 7).store(nonsense, Relaxed);
            taken.store(u64::MAX, Relaxed);
            let guard = mine.number().lock_owned().unwrap();
            assert_eq!(condvar.notify_all(&guard), Ok(0), "{nonsense:#x}");
            let end = condvar.wait_timeout(guard, Duration::from_millis(3)).unwrap();
            assert_eq!(end.1, Wakeup::TimedOut);
            assert_clean(condvar);
        }
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let guard = mine.number().lock_owned().unwrap();
                let error = condvar.wait(guard).unwrap_err();
                assert!(matches!(error, WaitError::Corrupt(_)), "{error:?}");
            });
            until_waiting(condvar, 1);
            let cell = (0..64).find(|i| word(128 + 8 * i).load(Relaxed) != 0).unwrap();
            word(128 + 8 * cell).store(1 << 30, Relaxed);
            waiter.join().unwrap();
        });
        assert_eq!(mine.number().owner(), None);
    });
}

/// Overwrites the place of the only thread that waits.
fn overwrite_the_place(scene: Scene<'_>) {
    let cell = |i: u64| scene.region.get::<AtomicU32>(Offset::new(128 + 8 * i).unwrap()).unwrap();
    let taken = (0..64).find(|&i| cell(i).load(Relaxed) != 0).unwrap();
    cell(taken).store(1 << 30, Relaxed);
}

#[test]
fn an_heir_whose_place_was_overwritten_is_told_of_the_death() {
    play(|mine, theirs| {
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let guard = mine.number().lock_owned().unwrap();
                let error = mine.condvar().wait(guard).unwrap_err();
                let WaitError::OwnerDied(guard, Wakeup::OwnerDied) = error else {
                    panic!("{error:?}")
                };
                assert_eq!(guard.dead_owner(), theirs.judge.me());
                guard.make_consistent();
            });
            until_waiting(mine.condvar(), 1);
            std::mem::forget(theirs.number().lock().unwrap());
            overwrite_the_place(mine);
            theirs.judge.die();
            waiter.join().unwrap();
        });
        drop(mine.number().lock().unwrap());
    });
    play(|mine, theirs| {
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let lock = mine.rlock();
                let guard = lock.lock().unwrap();
                let error = mine.condvar().wait(guard).unwrap_err();
                let WaitError::OwnerDied(guard, Wakeup::OwnerDied) = error else {
                    panic!("{error:?}")
                };
                assert_eq!(guard.acquired().dead_owner(), theirs.judge.me());
            });
            until_waiting(mine.condvar(), 1);
            theirs.rlock().acquire().unwrap();
            overwrite_the_place(mine);
            theirs.judge.die();
            waiter.join().unwrap();
        });
        assert_eq!(mine.rlock().acquire(), Ok(Acquired::Clean));
    });
}

#[test]
fn a_panic_is_told_by_the_next_lock_to_one_whose_place_was_overwritten() {
    play(|mine, theirs| {
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let guard = mine.number().lock_owned().unwrap();
                let error = mine.condvar().wait(guard).unwrap_err();
                assert!(matches!(error, WaitError::Corrupt(_)), "{error:?}");
            });
            until_waiting(mine.condvar(), 1);
            let panic = catch_unwind(AssertUnwindSafe(|| {
                let _guard = theirs.number().lock_owned().unwrap();
                overwrite_the_place(mine);
                std::panic::resume_unwind(Box::new(()));
            }));
            assert!(panic.is_err());
            waiter.join().unwrap();
        });
        assert!(matches!(mine.number().lock(), Err(LockError::Poisoned(_))));
    });
}

#[test]
fn whoever_sleeps_notices_that_the_locks_word_is_corrupt() {
    // No id at all, and one that nobody has.
    for nonsense in [1 << 30 | 1 << 10, 3, 1 << 10 | 999] {
        play(|mine, _| {
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| {
                    let guard = mine.number().lock_owned().unwrap();
                    failure(mine.condvar().wait_timeout(guard, LONG))
                });
                until_waiting(mine.condvar(), 1);
                until(|| mine.number().owner().is_none());
                let start = Instant::now();
                let lock = mine.region.get::<AtomicU32>(Offset::new(1280).unwrap()).unwrap();
                lock.store(nonsense, Relaxed);
                let corrupt = LockFailure::Corrupt { word: nonsense };
                assert_eq!(waiter.join().unwrap(), Some(corrupt));
                assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
            });
        });
    }
}

/// What a kill between the two steps of freeing a place may leave, whichever is done first.
#[test]
fn a_word_in_a_place_that_nobody_has_taken_is_nobody() {
    play(|mine, theirs| {
        let cell = mine.region.get::<AtomicU32>(Offset::new(128 + 8 * 9).unwrap()).unwrap();
        for mark in [0, NOTIFIED] {
            cell.store(theirs.judge.me().unwrap().get() | mark, Relaxed);
            assert_eq!(mine.condvar().waiters(), 0);
            assert_clean(mine.condvar());
        }
    });
}
