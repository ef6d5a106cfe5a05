//! What else ends a wait than what is waited for: a signal, and the death of who was to bring it.

use nix::sys::signal::Signal;
use shmkit::{Objects, Options, Segment};
use shmkit_tests::patience::{self, WAITS};

use crate::support::{By, Peer};

#[track_caller]
fn peer(by: By, segment: &Segment, script: &str, args: &[&str]) -> Peer {
    by.peer(&format!("patience/{script}"), args, segment)
}

/// Plays a scene for everything that can be waited for, with executed and with forked peers, while all of it is ours.
fn everywhere(scene: impl Fn(By, &Segment, &str)) {
    for by in By::ALL {
        for what in WAITS {
            let segment = Options::new(1 << 16).anonymous().unwrap();
            patience::make(&segment).unwrap();
            let (mutex, rwlock) = (segment.mutex("mutex", 0_u64), segment.rwlock("rwlock", 0_u64));
            let (mutex, rwlock) = (mutex.unwrap(), rwlock.unwrap());
            let semaphore = segment.semaphore("semaphore", 1).unwrap();
            let (lock, rlock) = (segment.lock("lock").unwrap(), segment.rlock("rlock").unwrap());
            let _held =
                (mutex.lock().unwrap(), rwlock.write().unwrap(), semaphore.acquire().unwrap());
            let reentrant = segment.reentrant_mutex("reentrant", 0_u64).unwrap();
            let value = segment.value("value", 0_u64).unwrap();
            let array = segment.array::<u64>("array", 3).unwrap();
            let _cells = (reentrant.lock().unwrap(), value.lock().unwrap(), array.lock().unwrap());
            let _locked = (lock.lock().unwrap(), rlock.lock().unwrap());
            scene(by, &segment, what);
        }
    }
}

#[test]
fn a_signal_ends_whatever_is_waited_for() {
    everywhere(|by, segment, what| {
        let mut waiter = peer(by, segment, what, &[]);
        waiter.expect("ready");
        waiter.wait_until_in_futex();
        waiter.signal(Signal::SIGUSR1);
        let end = waiter.hear();
        assert!(end.contains("Interrupted"), "{what}: {end}");
        waiter.join();
    });
}

#[test]
fn a_wait_ends_with_who_was_to_bring_what_is_waited_for() {
    everywhere(|by, segment, what| {
        let mut sitter = peer(by, segment, "sit", &[]);
        let id = sitter.hear();
        let mut waiter = peer(by, segment, what, &[&id]);
        waiter.expect("ready");
        waiter.wait_until_in_futex();
        sitter.kill();
        let end = waiter.hear();
        assert!(end.contains("PeerDied"), "{what}: {end}");
        waiter.join();
    });
}
