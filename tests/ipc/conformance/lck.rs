//! `Lock`.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use shmkit::{Acquired, Lock, LockFailure, NotOwner, Objects, Options, Segment, UnlockError};
use shmkit_tests::BY_NAME;

use super::locking::{By, Scene, all, end, pid};
use crate::support::{Peer, unique};

#[test]
fn lck_06_and_08_a_lock_that_a_child_has_is_locked_and_shows_who_has_it() {
    all(|scene| {
        let lock = scene.things().lock;
        let mut child = scene.obedient();
        assert!(!lock.locked());
        child.told("acquire", "clean");
        child.told("locked", "true");
        assert!(lock.locked());
        assert_eq!(lock.try_acquire(), Err(LockFailure::WouldBlock));
        let person = scene.segment.participant().person(lock.owner().unwrap()).unwrap();
        assert_eq!(person.pid, pid(&child));
        let shown = format!("{lock:?}");
        for part in [format!("{} (", person.pid), format!("started at {}", person.start_time)] {
            assert!(shown.contains(&part) && shown.contains("alive"), "{shown}: {part}");
        }
        child.told("release", "Ok(())");
        end([child]);
        assert!(!lock.locked());
    });
}

#[test]
fn lck_09_a_child_releases_what_its_parent_has_acquired() {
    all(|scene| {
        let lock = scene.things().lock;
        let mut child = scene.obedient();
        let guard = lock.lock().unwrap();
        child.told("release", "Ok(())");
        assert!(!lock.locked());
        child.told("acquire", "clean");
        drop(guard);
        assert_eq!(scene.pid_of(lock.owner()), pid(&child), "our guard has nothing to release");
        lock.release().unwrap();
        child.told("release", "Err(NotLocked)");
        // Of a lock whose owner counts, nobody else releases it.
        child.told("r-acquire", "clean");
        assert_eq!(scene.things().rlock.release(), Err(NotOwner));
        end([child]);
    });
}

#[test]
fn lck_12_three_children_count_under_a_lock() {
    all(|scene| {
        let peers: Vec<_> = (0..3).map(|_| scene.peer("count", &["5000"])).collect();
        peers.into_iter().for_each(Peer::join);
        assert_eq!(scene.things().number.load(), 15_000);
        assert!(format!("{:?}", scene.things().lock).contains("deaths: 0"));
    });
}

#[test]
fn lck_13_a_killed_holder_leaves_the_lock_with_its_pid() {
    all(|scene| {
        let lock = scene.things().lock;
        let [mut holder, mut sleeper] = scene.obedients();
        holder.told("acquire", "clean");
        let dead = pid(&holder);
        sleeper.say("acquire");
        sleeper.wait_until_in_futex();
        holder.kill();
        // Who slept is told, and nobody after it.
        sleeper.expect(&format!("owner died: {dead}"));
        sleeper.told("release", "Ok(())");
        assert_eq!(lock.acquire(), Ok(Acquired::Clean));
        lock.release().unwrap();

        sleeper.told("acquire", "clean");
        let dead = pid(&sleeper);
        sleeper.kill();
        assert!(!lock.locked(), "what a dead one had is free to be acquired");
        let start = Instant::now();
        let Ok(Acquired::OwnerDied(owner)) = lock.acquire_timeout(Duration::from_secs(10)) else {
            panic!("not told")
        };
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        assert_eq!(scene.pid_of(Some(owner)), dead);
    });
}

#[test]
fn lck_15_children_of_every_kind_use_a_lock() {
    for by in [By::Fork, By::Inheritance, By::Name] {
        let scene = Scene::new(by);
        let mut peers: [Peer; 2] = scene.obedients();
        for _ in 0..10 {
            for peer in &mut peers {
                peer.told("acquire", "clean");
                assert_eq!(scene.things().lock.try_acquire(), Err(LockFailure::WouldBlock));
                peer.told("release", "Ok(())");
            }
        }
        // A server that forks: of a freshly executed program it is the third kind of child.
        let counted = scene.things().number.load();
        peers[0].told("serve", "served");
        assert_eq!(scene.things().number.load(), counted + 1);
        end(peers);
    }
}

#[test]
fn lck_16_a_child_passes_a_lock_on_to_its_own_child() {
    all(|scene| {
        let things = scene.things();
        let mut child = scene.obedient();
        let pass_on = format!("pass-on {}", env!("CARGO_BIN_EXE_peer"));
        // Three generations, one lock: the grandchild waits for nobody, counts, and the lock is free again.
        child.told(&pass_on, "passed on");
        child.told("acquire", "clean");
        assert_eq!(things.lock.try_acquire(), Err(LockFailure::WouldBlock));
        child.told("release", "Ok(())");
        child.told(&pass_on, "passed on");
        assert_eq!((things.number.load(), things.lock.locked()), (2, false));
        end([child]);
    });
}

#[test]
fn lck_17_a_running_process_is_told_of_a_lock_by_its_name() {
    // Two segments of this process; the name of one is said to a peer that has nothing to do with it.
    let name = unique("lck-17");
    let segment = Options::new(1 << 17).create(&name).unwrap();
    let lock = segment.lock("lock").unwrap();
    lock.acquire().unwrap();
    let again = Segment::open(&name).unwrap();
    assert_eq!(again.lock("lock").unwrap().owner(), lock.owner());
    let mut peer = Peer::execute(&format!("{BY_NAME}locking/obey"), &[&name], |_| ());
    peer.expect("ready");
    peer.told("try-acquire", "WouldBlock");
    lock.release().unwrap();
    peer.told("try-acquire", "clean");
    assert!(lock.locked());
    peer.kill();
    assert!(matches!(lock.try_acquire(), Ok(Acquired::OwnerDied(_))));
}

#[test]
fn lck_18_a_lock_inside_something_else_goes_with_its_segment() {
    struct Wrapper {
        lock: Lock,
    }
    impl Drop for Wrapper {
        fn drop(&mut self) {
            self.lock.release().unwrap();
        }
    }
    let name = unique("lck-18");
    let segment = Options::new(1 << 17).create(&name).unwrap();
    let wrapper = Wrapper { lock: segment.lock("lock").unwrap() };
    wrapper.lock.acquire().unwrap();
    segment.unlink().unwrap();
    drop(wrapper);
    assert_eq!(segment.lock("lock").unwrap().release(), Err(UnlockError::NotLocked));
    drop(segment);
    assert!(Segment::open(&name).is_err());
}

#[test]
fn lck_19_a_forked_child_inherits_no_lock() {
    let scene = Scene::new(By::Inheritance);
    let lock = scene.things().lock;
    let guard = lock.lock().unwrap();
    let child = Peer::fork("inherit", |_| {
        assert!(lock.locked(), "it stays locked");
        assert_eq!(lock.acquire(), Err(LockFailure::NotJoined));
        assert_eq!(lock.release(), Err(UnlockError::Failed(LockFailure::NotJoined)));
        scene.segment.join_after_fork().unwrap();
        assert_eq!(lock.try_acquire(), Err(LockFailure::WouldBlock));
        // SAFETY: this is the child's copy of the guard; it ends without running the original's drop.
        drop(unsafe { std::ptr::read(&guard) });
        assert!(lock.locked(), "it stays locked");
    });
    child.join();
    assert_eq!(lock.owner(), scene.segment.participant().id());
}

#[test]
fn lck_20_signals_neither_lengthen_nor_shorten_a_wait() {
    all(|scene| {
        let lock = scene.things().lock;
        let _guard = lock.lock().unwrap();
        let mut peer = scene.obedient();
        peer.told("catch-signals", "catching");
        let start = Instant::now();
        peer.say("acquire-for 200");
        while start.elapsed() < Duration::from_millis(200) {
            peer.signal(Signal::SIGUSR1);
        }
        peer.expect("TimedOut");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        end([peer]);
    });
}
