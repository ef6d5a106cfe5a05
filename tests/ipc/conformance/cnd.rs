//! `Condition`.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use shmkit::{Condvar, LockError, LockFailure, NotifyError, Objects, Options, Wakeup};
use shmkit_tests::locking::Things;

use super::locking::{By, Scene, all, end, pid};
use crate::support::{Peer, wait_until};

const LONG: Duration = Duration::from_secs(20);

/// One wait by a thread of this process.
fn wait(things: &Things, wait: Duration) -> Wakeup {
    let guard = things.state.lock().unwrap();
    things.changed.wait_timeout(guard, wait).unwrap().1
}

fn notify(things: &Things, n: u32) -> u32 {
    things.changed.notify(&things.state.lock().unwrap(), n).unwrap()
}

#[track_caller]
fn until_waiting(condition: &Condvar, waiters: u32) {
    wait_until(|| condition.waiters() == waiters);
}

/// Nobody waits, nobody is notified, and nothing is stored for who comes.
#[track_caller]
fn assert_clean(things: &Things) {
    assert_eq!(format!("{:?}", things.changed), "Condvar { waiting: [], notified: [] }");
    assert_eq!(wait(things, Duration::from_millis(2)), Wakeup::TimedOut);
}

#[test]
fn cnd_01_a_wait_that_nobody_ends_lasts_as_long_as_asked() {
    all(|scene| {
        let mut peer = scene.obedient();
        // The peer checks that it was not shorter, and that it has the lock again.
        for millis in [0, 1, 33, 90] {
            peer.told(&format!("wait-for {millis}"), "timed out");
        }
        end([peer]);
        assert_clean(&scene.things());
    });
}

#[test]
fn cnd_02_each_notification_wakes_one() {
    all(|scene| {
        let things = scene.things();
        let mut peer = scene.obedient();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| wait(&things, LONG));
            until_waiting(&things.changed, 1);
            peer.say("wait");
            until_waiting(&things.changed, 2);
            assert!(!thread.is_finished());
            assert_eq!(notify(&things, 1), 1);
            // The one that has waited longest, and nobody else.
            assert_eq!(thread.join().unwrap(), Wakeup::Notified);
            assert_eq!(things.changed.waiters(), 1);
            peer.wait_until_in_futex();
            assert_eq!(notify(&things, 1), 1);
            peer.expect("notified");
        });
        end([peer]);
        assert_clean(&things);
    });
}

#[test]
fn cnd_03_and_04_all_time_out_and_then_all_are_notified() {
    all(|scene| {
        let things = scene.things();
        let mut peers: [Peer; 3] = scene.obedients();
        let short = Duration::from_millis(40);
        std::thread::scope(|scope| {
            let threads = [(); 3].map(|()| scope.spawn(|| wait(&things, short)));
            peers.iter_mut().for_each(|peer| peer.say("wait-for 40"));
            peers.iter_mut().for_each(|peer| peer.expect("timed out"));
            for thread in threads {
                assert_eq!(thread.join().unwrap(), Wakeup::TimedOut);
            }
            assert_clean(&things);

            let threads = [(); 3].map(|()| scope.spawn(|| wait(&things, LONG)));
            peers.iter_mut().for_each(|peer| peer.say("wait"));
            until_waiting(&things.changed, 6);
            assert!(threads.iter().all(|thread| !thread.is_finished()));
            assert_eq!(notify(&things, u32::MAX), 6);
            peers.iter_mut().for_each(|peer| peer.expect("notified"));
            for thread in threads {
                assert_eq!(thread.join().unwrap(), Wakeup::Notified);
            }
        });
        end(peers);
        assert_clean(&things);
    });
}

#[test]
fn cnd_06_two_processes_wait_for_each_others_state() {
    all(|scene| {
        let things = scene.things();
        *things.state.lock().unwrap() = -1;
        let mut peer = scene.obedient();
        peer.say("set 0 1");
        let state = things.state.lock().unwrap();
        drop(things.changed.wait_while(state, |state| *state != 0).unwrap());
        peer.hear();
        peer.say("await-state 4");
        for _ in 0..4 {
            let mut state = things.state.lock().unwrap();
            *state += 1;
            things.changed.notify_one(&state).unwrap();
        }
        peer.expect("so it is");
        end([peer]);
    });
}

#[test]
fn cnd_07_a_state_that_does_not_come_is_waited_for_as_long_as_asked() {
    all(|scene| {
        let things = scene.things();
        let mut peer = scene.obedient();
        peer.say("await-state-for 4 100");
        for _ in 0..3 {
            let mut state = things.state.lock().unwrap();
            *state += 1;
            things.changed.notify_one(&state).unwrap();
        }
        peer.expect("false");
        peer.told("await-state-for 3 100", "true");
        end([peer]);
        assert_clean(&things);
    });
}

#[test]
fn cnd_08_a_wait_says_why_it_ended() {
    all(|scene| {
        let things = scene.things();
        let mut peer = scene.obedient();
        assert_eq!(wait(&things, Duration::ZERO), Wakeup::TimedOut);
        assert_eq!(wait(&things, Duration::from_millis(20)), Wakeup::TimedOut);
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| wait(&things, LONG));
            until_waiting(&things.changed, 1);
            peer.told("set 1 1", "1");
            assert_eq!(thread.join().unwrap(), Wakeup::Notified);
        });
        end([peer]);
    });
}

#[test]
fn cnd_09_signals_neither_end_a_wait_nor_lengthen_it() {
    all(|scene| {
        let things = scene.things();
        let mut peer = scene.obedient();
        peer.told("catch-signals", "catching");
        let start = Instant::now();
        peer.say("wait-for 200");
        while start.elapsed() < Duration::from_millis(200) {
            peer.signal(Signal::SIGUSR1);
        }
        peer.expect("timed out");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());

        peer.say("wait");
        until_waiting(&things.changed, 1);
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(60) {
            peer.signal(Signal::SIGUSR1);
            assert_eq!(things.changed.waiters(), 1, "it still waits");
        }
        assert_eq!(notify(&things, 1), 1);
        peer.expect("notified");
        end([peer]);
    });
}

#[test]
fn cnd_12_two_conditions_share_a_lock() {
    all(|scene| {
        let things = scene.things();
        let [mut one, mut two] = scene.obedients();
        one.say("wait");
        two.say("wait-other");
        until_waiting(&things.changed, 1);
        until_waiting(&things.other, 1);
        assert_eq!(things.other.notify_all(&things.state.lock().unwrap()), Ok(1));
        two.expect("notified");
        assert_eq!(things.changed.waiters(), 1);
        assert_eq!(notify(&things, 9), 1);
        one.expect("notified");
        // A condition belongs to its lock in every process.
        let rlock = things.rlock.lock().unwrap();
        assert!(matches!(things.changed.wait(rlock), Err(shmkit::WaitError::OtherLock(_))));
        end([one, two]);
    });
}

#[test]
fn cnd_12_a_lock_acquired_several_times_is_given_up_and_restored() {
    all(|scene| {
        let things = scene.things();
        let [mut one, mut two] = scene.obedients();
        one.say("r-wait 1");
        until_waiting(&things.r_changed, 1);
        two.say("r-wait 3");
        until_waiting(&things.r_changed, 2);
        let outer = things.rlock.lock().unwrap();
        let inner = things.rlock.lock().unwrap();
        assert_eq!(things.r_changed.notify_all(&inner), Ok(2));
        one.wait_until_in_futex();
        drop((inner, outer));
        // Each checks its count.
        one.expect("notified");
        two.expect("notified");
        assert!(!things.rlock.locked());
        end([one, two]);
    });
}

#[test]
fn cnd_12_a_lock_that_anybody_may_release_is_given_up_and_restored() {
    all(|scene| {
        let things = scene.things();
        let [mut one, mut two] = scene.obedients();
        one.say("l-wait");
        until_waiting(&things.l_changed, 1);
        two.say("l-wait");
        until_waiting(&things.l_changed, 2);
        let guard = things.lock.lock().unwrap();
        assert_eq!(things.l_changed.notify_one(&guard), Ok(1));
        drop(guard);
        one.expect("Notified");
        // And by hand, as Python's `Condition(lock)`.
        things.lock.acquire().unwrap();
        assert_eq!(things.l_changed.notify_all(&things.lock), Ok(1));
        things.lock.release().unwrap();
        two.expect("Notified");
        assert!(!things.lock.locked());
        end([one, two]);
    });
}

#[test]
fn cnd_15_a_killed_holder_of_a_lock_leaves_nobody_asleep() {
    all(|scene| {
        let things = scene.things();
        let mut sleepers: [Peer; 3] = scene.obedients();
        let mut holder = scene.obedient();
        for sleeper in &mut sleepers {
            sleeper.say("l-wait");
        }
        until_waiting(&things.l_changed, 3);
        let dead = pid(&holder);
        holder.told("acquire", "clean");
        holder.kill();
        let mut told: Vec<String> = sleepers.iter_mut().map(Peer::hear).collect();
        told.sort();
        assert_eq!(told, ["OwnerDied", "OwnerDied", &format!("owner died: {dead}")]);
        assert!(!things.lock.locked());
        end(sleepers);
    });
}

#[test]
fn a_condition_in_another_segment_than_its_lock_is_refused_when_it_is_made() {
    let [one, other] = [(); 2].map(|()| Options::new(1 << 17).anonymous().unwrap());
    let lock = one.lock("lock").unwrap();
    let strange = other.condvar("changed").unwrap();
    let refused = strange.with_lock(&lock).unwrap_err();
    assert_eq!(refused, NotifyError::OtherSegment);
    assert!(refused.to_string().contains("make them in one segment"), "{refused}");
    one.condvar("changed").unwrap().with_lock(&lock).unwrap();
    // And of two that are in one segment, each keeps to its own lock.
    let rlock = one.rlock("rlock").unwrap();
    let taken = one.condvar("changed").unwrap().with_lock(&rlock);
    assert!(matches!(taken, Err(NotifyError::OtherLock)));
}

#[test]
fn cnd_15_a_killed_waiter_is_not_counted() {
    all(|scene| {
        let things = scene.things();
        let [mut killed, mut other] = scene.obedients();
        killed.say("wait");
        until_waiting(&things.changed, 1);
        other.say("wait");
        until_waiting(&things.changed, 2);
        killed.kill();
        let start = Instant::now();
        assert_eq!(notify(&things, 1), 1);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        other.expect("notified");

        other.say("wait");
        until_waiting(&things.changed, 1);
        other.kill();
        assert_eq!(notify(&things, u32::MAX), 0);
        assert_clean(&things);
    });
}

#[test]
fn cnd_15_the_notification_of_a_killed_waiter_goes_on() {
    all(|scene| {
        let things = scene.things();
        let [mut killed, mut other, mut late] = scene.obedients();
        killed.say("wait");
        until_waiting(&things.changed, 1);
        other.say("wait");
        until_waiting(&things.changed, 2);
        let state = things.state.lock().unwrap();
        assert_eq!(things.changed.notify_one(&state), Ok(1));
        // It is awake, and waits for the lock.
        wait_until(|| format!("{:?}", things.state).contains("waiters: true"));
        killed.kill();
        drop(state);
        other.expect("notified");
        // It has not become two.
        late.told("wait-for 80", "timed out");
        end([other, late]);
        assert_clean(&things);
    });
}

#[test]
fn cnd_15_a_killed_notifier_leaves_nobody_asleep() {
    all(|scene| {
        let things = scene.things();
        let mut sleepers: [Peer; 3] = scene.obedients();
        let mut notifier = scene.obedient();
        for sleeper in &mut sleepers {
            sleeper.say("wait");
        }
        until_waiting(&things.changed, 3);
        let dead = pid(&notifier);
        notifier.told("hold 7", "held");
        notifier.kill();
        let mut told: Vec<String> = sleepers.iter_mut().map(Peer::hear).collect();
        told.sort();
        assert_eq!(told, ["noticed", "noticed", &format!("owner died: {dead}")]);
        assert_eq!(*things.state.lock().unwrap(), 7);
        end(sleepers);
        assert_clean(&things);
    });
}

#[test]
fn cnd_15_a_stopped_waiter_keeps_its_notification() {
    all(|scene| {
        let things = scene.things();
        let [mut stopped, mut other] = scene.obedients();
        stopped.say("wait");
        until_waiting(&things.changed, 1);
        other.say("wait-for 150");
        until_waiting(&things.changed, 2);
        stopped.stop();
        assert_eq!(notify(&things, 1), 1);
        other.expect("timed out");
        stopped.resume();
        stopped.expect("notified");
        end([stopped, other]);
        assert_clean(&things);
    });
}

#[test]
fn cnd_17_a_notification_at_the_moment_of_a_time_out_is_counted_once() {
    all(|scene| {
        let things = scene.things();
        let mut peers: [Peer; 2] = scene.obedients();
        let mut both_ways = [0, 0];
        // At least so many; on until both were seen.
        for round in 0..2000 {
            if round >= 80 && both_ways.iter().all(|&n| n > 0) {
                break;
            }
            let over = AtomicBool::new(false);
            let (counted, ends) = std::thread::scope(|scope| {
                let notifier = scope.spawn(|| {
                    let mut counted = 0;
                    while !over.load(Relaxed) {
                        // About when the peers give up: before that in some rounds, after it in others.
                        std::thread::sleep(Duration::from_micros(700 + 20 * (round % 80)));
                        counted += notify(&things, 1);
                    }
                    counted
                });
                peers.iter_mut().for_each(|peer| peer.say("wait-for 1"));
                let ends = peers.each_mut().map(|peer| peer.hear());
                over.store(true, Relaxed);
                (notifier.join().unwrap(), ends)
            });
            let notified = ends.iter().filter(|end| *end == "notified").count() as u32;
            assert_eq!(counted, notified, "{ends:?}");
            both_ways[0] += notified;
            both_ways[1] += 2 - notified;
        }
        assert!(both_ways.iter().all(|&n| n > 0), "notified and timed out: {both_ways:?}");
        end(peers);
        assert_clean(&things);
    });
}

#[test]
fn a_forked_child_neither_waits_nor_notifies_with_its_parents_lock() {
    let scene = Scene::new(By::Inheritance);
    let things = scene.things();
    let state = things.state.lock().unwrap();
    let child = Peer::fork("inherit", |_| {
        let refused = shmkit::NotifyError::NotOwner;
        assert_eq!(things.changed.notify_one(&state), Err(refused));
        // SAFETY: this is the child's copy of the guard; it ends without running the original's drop.
        let copy = unsafe { std::ptr::read(&state) };
        assert!(matches!(things.changed.wait(copy), Err(shmkit::WaitError::NotOwner(_))));
        scene.segment.join_after_fork().unwrap();
        assert_eq!(things.changed.notify_one(&state), Err(refused));
        let held =
            matches!(things.state.try_lock(), Err(LockError::Failed(LockFailure::WouldBlock)));
        assert!(held);
    });
    child.join();
    assert_eq!(things.changed.waiters(), 0);
}
