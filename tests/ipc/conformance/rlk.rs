//! `RLock`.

use shmkit::{Acquired, LockFailure, NotOwner};

use super::locking::{By, Scene, all, end, pid};
use crate::support::{Peer, wait_until};

#[test]
fn rlk_05_a_child_cannot_release_what_its_parent_has() {
    all(|scene| {
        let rlock = scene.things().rlock;
        let mut child = scene.obedient();
        rlock.acquire().unwrap();
        rlock.acquire().unwrap();
        child.told("r-release", "Err(NotOwner)");
        child.told("r-try-acquire", "WouldBlock");
        child.told("r-depth", "0");
        assert_eq!(rlock.depth(), 2);
        rlock.release().unwrap();
        child.told("r-try-acquire", "WouldBlock");
        rlock.release().unwrap();
        child.told("r-try-acquire", "clean");
        child.told("r-acquire", "clean");
        child.told("r-depth", "2");
        assert_eq!(rlock.try_acquire(), Err(LockFailure::WouldBlock));
        assert_eq!(rlock.release(), Err(NotOwner));
        end([child]);
    });
}

#[test]
fn rlk_06_the_owner_is_a_thread_of_a_process() {
    let scene = Scene::new(By::Inheritance);
    let rlock = scene.things().rlock;
    rlock.acquire().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(rlock.try_acquire(), Err(LockFailure::WouldBlock));
            assert_eq!((rlock.release(), rlock.depth()), (Err(NotOwner), 0));
        });
    });
    assert_eq!(rlock.acquire(), Ok(Acquired::Clean));
    assert_eq!(rlock.depth(), 2);
}

#[test]
fn rlk_08_a_foreign_owner_is_shown_with_its_process() {
    all(|scene| {
        let rlock = scene.things().rlock;
        let mut child = scene.obedient();
        child.told("r-acquire", "clean");
        child.told("r-acquire", "clean");
        let shown = format!("{rlock:?}");
        assert!(shown.contains(&format!("{} (", pid(&child))), "{shown}");
        assert!(shown.ends_with("thread: of another process, depth: 2 }"), "{shown}");
        end([child]);
    });
}

#[test]
fn rlk_10_a_forked_child_inherits_no_count() {
    let scene = Scene::new(By::Inheritance);
    let rlock = scene.things().rlock;
    rlock.acquire().unwrap();
    let guard = rlock.lock().unwrap();
    // The child's thread is a copy of this one, with the same token.
    let child = Peer::fork("inherit", |_| {
        assert_eq!((rlock.depth(), rlock.release()), (0, Err(NotOwner)));
        assert_eq!(rlock.try_acquire(), Err(LockFailure::NotJoined));
        scene.segment.join_after_fork().unwrap();
        assert_eq!(rlock.try_acquire(), Err(LockFailure::WouldBlock));
        assert_eq!((rlock.depth(), rlock.release()), (0, Err(NotOwner)));
        // SAFETY: this is the child's copy of the guard; it ends without running the original's drop.
        drop(unsafe { std::ptr::read(&guard) });
    });
    child.join();
    assert_eq!(rlock.depth(), 2);
    drop(guard);
    rlock.release().unwrap();
    assert!(!rlock.locked());
}

#[test]
fn a_killed_owners_count_passes_to_nobody() {
    all(|scene| {
        let rlock = scene.things().rlock;
        let [mut holder, mut sleeper] = scene.obedients();
        (0..3).for_each(|_| holder.told("r-acquire", "clean"));
        sleeper.say("r-acquire");
        sleeper.wait_until_in_futex();
        let dead = pid(&holder);
        holder.kill();
        sleeper.expect(&format!("owner died: {dead}"));
        sleeper.told("r-depth", "1");
        sleeper.told("r-release", "Ok(())");
        wait_until(|| rlock.try_acquire() == Ok(Acquired::Clean));
        end([sleeper]);
    });
}
