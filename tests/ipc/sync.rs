//! Mutex and semaphore between processes.

use std::ptr;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use shmkit::{LockError, LockFailure, Mutex, Objects, Options, Segment, Semaphore, SemaphoreError};
use shmkit_sync::ReleaseError;
use shmkit_tests::sync::{self, Pair};

use crate::support::{By, Peer, wait_until};

/// A segment with a pair of numbers under a lock, a counter under another, and two permits.
struct Scene {
    segment: Segment,
    by: By,
}

impl Scene {
    fn new(by: By) -> Self {
        let segment = Options::new(1 << 14).anonymous().unwrap();
        segment.mutex("pair", [0_u64; 2]).unwrap();
        segment.mutex("count", 0_u64).unwrap();
        segment.semaphore("doors", 2).unwrap();
        Self { segment, by }
    }

    fn pair(&self) -> Mutex<Pair> {
        self.segment.find("pair").unwrap()
    }

    fn doors(&self) -> Semaphore {
        self.segment.find("doors").unwrap()
    }

    #[track_caller]
    fn peer(&self, script: &str, args: &[&str]) -> Peer {
        self.by.peer(&format!("sync/{script}"), args, &self.segment)
    }

    /// A peer that does as it is told.
    #[track_caller]
    fn obedient(&self) -> Peer {
        let mut peer = self.peer("obey", &[]);
        peer.expect("ready");
        peer
    }
}

/// Plays a scene with freshly executed peers and with forked ones.
fn both(scene: impl Fn(&Scene)) {
    for by in By::ALL {
        scene(&Scene::new(by));
    }
}

impl Peer {
    /// Tells the peer to do something, and hears that it did.
    #[track_caller]
    pub(crate) fn told(&mut self, line: &str, answer: &str) {
        self.say(line);
        self.expect(answer);
    }
}

#[track_caller]
fn failure<G>(result: Result<G, LockError<G>>) -> LockFailure {
    match result {
        Err(LockError::Failed(failure)) => failure,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("locked"),
    }
}

#[test]
fn lck_12_three_children_add_under_a_lock() {
    both(|scene| {
        let peers: Vec<_> = (0..3).map(|_| scene.peer("count", &["5000"])).collect();
        peers.into_iter().for_each(Peer::join);
        let count = scene.segment.find::<Mutex<u64>>("count").unwrap();
        assert_eq!(*count.lock().unwrap(), 15_000);
        assert_eq!(count.deaths(), 0, "nobody was taken for dead");
    });
}

#[test]
fn lck_13_a_killed_holder_leaves_the_lock_with_its_pid() {
    both(|scene| {
        let mutex = scene.pair();
        let mut peer = scene.obedient();
        peer.told("lock", "clean");
        peer.told("half", "done");
        let pid = peer.pid().as_raw() as u32;
        peer.kill();
        let start = Instant::now();
        let Err(LockError::OwnerDied(mut pair)) = mutex.lock_timeout(Duration::from_secs(10))
        else {
            panic!("not told")
        };
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        let dead = pair.dead_owner().unwrap();
        assert_eq!(scene.segment.participant().person(dead).unwrap().pid, pid);
        assert_eq!(*pair, [1, 0], "half-written");
        pair[1] = 1;
        pair.make_consistent();
        drop(pair);
        assert_eq!(*mutex.lock().unwrap(), [1, 1]);
        // Told of once: the next in another process finds it whole.
        let mut peer = scene.obedient();
        peer.told("try-lock", "clean");
        peer.told("unlock", "unlocked");
        peer.say("end");
        peer.join();
    });
}

#[test]
fn data_that_nobody_answers_for_is_not_recoverable() {
    both(|scene| {
        let mutex = scene.pair();
        let mut peer = scene.obedient();
        peer.told("lock", "clean");
        peer.kill();
        assert!(matches!(mutex.lock(), Err(LockError::OwnerDied(_))));
        assert!(matches!(mutex.lock(), Err(LockError::NotRecoverable(_))));
        let mut peer = scene.obedient();
        peer.told("lock", "not recoverable");
        peer.told("unlock", "unlocked");
        // Its heir's heir hears the same.
        peer.told("lock", "not recoverable");
        peer.kill();
        let Err(LockError::NotRecoverable(mut pair)) = mutex.lock() else { panic!("not told") };
        *pair = [5, 5];
        pair.make_consistent();
        drop(pair);
        let mut peer = scene.obedient();
        peer.told("lock", "clean");
        peer.told("unlock", "unlocked");
        peer.say("end");
        peer.join();
    });
}

#[test]
fn an_unlock_wakes_a_sleeper_in_another_process() {
    both(|scene| {
        let mutex = scene.pair();
        let pair = mutex.lock().unwrap();
        let mut peer = scene.peer("sleep-without-slices", &[]);
        peer.expect("sleeping");
        peer.wait_until_in_futex();
        drop(pair);
        peer.expect("woken");
        peer.join();
    });
}

#[test]
fn a_sleeper_gets_the_lock_that_is_released() {
    both(|scene| {
        let mutex = scene.pair();
        let mut peer = scene.obedient();
        for _ in 0..20 {
            let pair = mutex.lock().unwrap();
            peer.say("lock");
            peer.wait_until_in_futex();
            assert!(format!("{mutex:?}").contains("waiters: true"));
            drop(pair);
            peer.expect("clean");
            peer.told("unlock", "unlocked");
        }
        peer.say("end");
        peer.join();
    });
}

#[test]
fn a_sleeper_gets_the_lock_of_a_killed_owner() {
    both(|scene| {
        let mut owner = scene.obedient();
        let mut sleepers = [scene.obedient(), scene.obedient()];
        owner.told("lock", "clean");
        for sleeper in &mut sleepers {
            sleeper.say("lock");
            sleeper.wait_until_in_futex();
        }
        let pid = owner.pid();
        owner.kill();
        // One inherits; it answers for the data, and the other finds it whole.
        wait_until(|| scene.pair().deaths() == 1);
        let heir = scene.pair().owner().unwrap();
        let heir = scene.segment.participant().person(heir).unwrap().pid;
        let [one, two] = &mut sleepers;
        let (heir, other) = if one.pid().as_raw() as u32 == heir { (one, two) } else { (two, one) };
        heir.expect(&format!("owner died: {pid}"));
        heir.told("consistent", "done");
        heir.told("unlock", "unlocked");
        other.expect("clean");
        other.told("unlock", "unlocked");
        for mut sleeper in sleepers {
            sleeper.say("end");
            sleeper.join();
        }
    });
}

#[test]
fn a_killed_sleeper_takes_nothing_with_it() {
    both(|scene| {
        let mutex = scene.pair();
        let pair = mutex.lock().unwrap();
        let mut sleepers = [scene.obedient(), scene.obedient()];
        for sleeper in &mut sleepers {
            sleeper.say("lock");
            sleeper.wait_until_in_futex();
        }
        let [killed, mut other] = sleepers;
        killed.kill();
        drop(pair);
        other.expect("clean");
        other.told("unlock", "unlocked");
        drop(mutex.lock().unwrap());
    });
}

#[test]
fn a_stopped_owner_is_never_taken_for_dead() {
    both(|scene| {
        let mutex = scene.pair();
        let mut owner = scene.obedient();
        owner.told("lock", "clean");
        owner.told("acquire 2", "acquired");
        owner.stop();
        assert_eq!(failure(mutex.try_lock()), LockFailure::WouldBlock);
        let wait = Duration::from_millis(150);
        assert_eq!(failure(mutex.lock_timeout(wait)), LockFailure::TimedOut);
        assert_eq!(scene.doors().try_acquire().unwrap_err(), SemaphoreError::WouldBlock);
        assert_eq!(scene.doors().acquire_timeout(wait).unwrap_err(), SemaphoreError::TimedOut);
        owner.resume();
        owner.told("unlock", "unlocked");
        owner.told("return", "returned");
        drop(mutex.lock().unwrap());
        assert_eq!(mutex.deaths(), 0);
        drop(scene.doors().acquire_many(2).unwrap());
    });
}

#[test]
fn lck_19_a_forked_child_inherits_no_lock_and_no_permit() {
    let scene = Scene::new(By::Exec);
    let (mutex, doors) = (scene.pair(), scene.doors());
    let pair = mutex.lock().unwrap();
    let permit = doors.acquire().unwrap();
    let child = Peer::fork("inherit", |_| {
        assert_eq!(failure(mutex.lock()), LockFailure::NotJoined);
        assert_eq!(failure(mutex.try_lock()), LockFailure::NotJoined);
        assert_eq!(doors.acquire().unwrap_err(), SemaphoreError::NotJoined);
        assert_eq!(doors.held(), 0);
        let not_joined = ReleaseError::Failed(LockFailure::NotJoined);
        assert_eq!(doors.release(1), Err(not_joined));
        // SAFETY: this is the child's copy of the guard; it ends without running the original's drop.
        let copy = unsafe { ptr::read(&pair) };
        copy.make_consistent();
        drop(copy);
        // SAFETY: as above.
        let copy = unsafe { ptr::read(&permit) };
        assert_eq!(copy.release(), Err(ReleaseError::NotHeld { asked: 1, held: 0 }));

        // Joined, it is another than its parent.
        scene.segment.join_after_fork().unwrap();
        assert_eq!(failure(mutex.try_lock()), LockFailure::WouldBlock);
        assert_eq!(doors.release(1), Err(ReleaseError::NotHeld { asked: 1, held: 0 }));
        // SAFETY: as above.
        drop(unsafe { ptr::read(&pair) });
        // SAFETY: as above.
        drop(unsafe { ptr::read(&permit) });
    });
    child.join();
    assert_eq!(mutex.owner(), scene.segment.participant().id());
    assert_eq!((doors.held(), doors.available()), (1, 1));
    let mut peer = scene.obedient();
    peer.told("try-lock", "WouldBlock");
    drop(pair);
    peer.told("try-lock", "clean");
    permit.release().unwrap();
    peer.told("acquire 2", "acquired");
}

#[test]
fn a_wait_lasts_as_long_as_asked() {
    both(|scene| {
        let _pair = scene.pair().lock_owned().unwrap();
        let mut peer = scene.obedient();
        // The peer checks that it was not shorter.
        for millis in [1, 2, 10, 33, 120] {
            peer.told(&format!("lock-for {millis}"), "timed out");
        }
    });
}

#[test]
fn lck_20_signals_neither_lengthen_nor_shorten_a_wait() {
    both(|scene| {
        let _pair = scene.pair().lock_owned().unwrap();
        let mut peer = scene.obedient();
        peer.told("catch-signals", "catching");
        let start = Instant::now();
        peer.say("lock-for 300");
        // More often than a slice ends.
        while start.elapsed() < Duration::from_millis(300) {
            peer.signal(Signal::SIGUSR1);
        }
        peer.expect("timed out");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    });
}

#[test]
fn signals_do_not_hide_a_death() {
    both(|scene| {
        let mut owner = scene.obedient();
        owner.told("lock", "clean");
        owner.told("acquire 2", "acquired");
        let mut sleepers = [scene.obedient(), scene.obedient()];
        let [locker, acquirer] = &mut sleepers;
        locker.told("catch-signals", "catching");
        acquirer.told("catch-signals", "catching");
        locker.say("lock");
        acquirer.say("acquire 2");
        locker.wait_until_in_futex();
        acquirer.wait_until_in_futex();
        let (mutex, doors) = (scene.pair(), scene.doors());
        let dead = mutex.owner().unwrap();
        assert_eq!(doors.raw().held_by(dead), 2);
        owner.kill();
        // More often than a slice ends.
        wait_until(|| {
            locker.signal(Signal::SIGUSR1);
            acquirer.signal(Signal::SIGUSR1);
            mutex.deaths() == 1 && doors.raw().held_by(dead) == 0
        });
        assert!(locker.hear().starts_with("owner died"));
        acquirer.expect("acquired");
    });
}

#[test]
fn a_panic_poisons_and_is_not_a_death() {
    both(|scene| {
        let mutex = scene.pair();
        let mut peer = scene.obedient();
        peer.told("panic", "panicked");
        let Err(LockError::Poisoned(pair)) = mutex.lock() else { panic!("not told") };
        assert_eq!(*pair, [1, 0]);
        drop(pair);
        peer.told("lock", "poisoned");
        peer.told("unlock", "unlocked");
        mutex.clear_poison();
        peer.told("lock", "clean");
        // Both: the death is told first, the panic is not forgotten.
        peer.told("unlock", "unlocked");
        peer.told("panic", "panicked");
        peer.told("lock", "poisoned");
        peer.kill();
        let Err(LockError::OwnerDied(pair)) = mutex.lock() else { panic!("not told") };
        pair.make_consistent();
        drop(pair);
        assert!(mutex.is_poisoned());
        assert!(matches!(mutex.lock(), Err(LockError::Poisoned(_))));
    });
}

#[test]
fn sem_05_without_a_permit_a_try_fails_at_once() {
    both(|scene| {
        let _all = scene.doors().acquire_owned(2).unwrap();
        let mut peer = scene.obedient();
        let start = Instant::now();
        peer.told("acquire-for 0", "WouldBlock");
        assert!(start.elapsed() < Duration::from_secs(5));
    });
}

#[test]
fn sem_06_without_a_permit_a_wait_lasts_as_long_as_asked() {
    both(|scene| {
        let _all = scene.doors().acquire_owned(2).unwrap();
        let mut peer = scene.obedient();
        // The peer checks that it was not shorter.
        for millis in [1, 10, 120] {
            peer.told(&format!("acquire-for {millis}"), "TimedOut");
        }
    });
}

#[test]
fn a_returned_permit_wakes_a_sleeper_in_another_process() {
    both(|scene| {
        let doors = scene.doors();
        let mut peer = scene.obedient();
        for _ in 0..20 {
            let all = doors.acquire_many(2).unwrap();
            peer.say("acquire 1");
            peer.wait_until_in_futex();
            drop(all);
            peer.expect("acquired");
            peer.told("return", "returned");
        }
        assert_eq!(doors.available(), 2);
    });
}

#[test]
fn the_permits_of_a_killed_holder_come_back() {
    both(|scene| {
        let doors = scene.doors();
        let mut holders = [scene.obedient(), scene.obedient()];
        let mut sleeper = scene.obedient();
        for holder in &mut holders {
            holder.told("acquire 1", "acquired");
        }
        assert_eq!(doors.try_acquire().unwrap_err(), SemaphoreError::WouldBlock);
        sleeper.say("acquire 1");
        sleeper.wait_until_in_futex();
        let [one, two] = holders;
        one.kill();
        sleeper.expect("acquired");
        two.kill();
        let permit = doors.try_acquire().unwrap();
        assert_eq!(doors.try_acquire().unwrap_err(), SemaphoreError::WouldBlock);
        sleeper.kill();
        drop(permit);
        drop(doors.try_acquire_many(2).unwrap());
    });
}

/// Three peers take a permit and the lock in turn without pause; again and again one of them is killed.
#[test]
fn whoever_is_killed_the_others_go_on() {
    both(|scene| {
        let churn = || {
            let mut peer = scene.peer("churn", &[]);
            peer.expect("running");
            peer
        };
        let (mutex, doors) = (scene.pair(), scene.doors());
        let mut peers = [churn(), churn(), churn()];
        for round in 0..30 {
            let victim = &mut peers[round % 3];
            let before = mutex.lock().map_or_else(|error| repaired(error), |pair| pair[0]);
            std::mem::replace(victim, churn()).kill();
            // The others go on, and so do we.
            wait_until(|| {
                let _permit = doors.acquire_timeout(Duration::from_secs(10)).unwrap();
                sync::visit(&mutex);
                mutex.lock().map_or_else(|error| repaired(error), |pair| pair[0]) > before + 50
            });
        }
        peers.into_iter().for_each(Peer::kill);
        let _all = doors.acquire_many(2).unwrap();
        sync::visit(&mutex);
    });
}

/// Repairs the pair and returns its number.
#[track_caller]
fn repaired(error: LockError<shmkit::MutexGuard<'_, Pair>>) -> u64 {
    let LockError::OwnerDied(mut pair) = error else { panic!("{error}") };
    pair[1] = pair[0];
    pair.make_consistent();
    pair[0]
}
