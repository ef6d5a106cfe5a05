//! The readers-writer lock between processes; and the plain lock, which is not robust.

use std::ptr;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use shmkit::{LockError, LockFailure, Objects, Options, RwLock, Segment};
use shmkit_tests::rwlock::{self, Pair, visit};

use crate::support::{By, Peer, wait_until};

/// A segment with a pair of numbers under a lock, and a plain lock.
struct Scene {
    segment: Segment,
    by: By,
}

impl Scene {
    fn new(by: By) -> Self {
        let segment = Options::new(1 << 14).anonymous().unwrap();
        segment.rwlock("pair", [0_u64; 2]).unwrap();
        segment.atomic("plain", 0_u32).unwrap();
        Self { segment, by }
    }

    fn lock(&self) -> RwLock<Pair> {
        self.segment.find("pair").unwrap()
    }

    #[track_caller]
    fn peer(&self, script: &str) -> Peer {
        self.by.peer(&format!("rwlock/{script}"), &[], &self.segment)
    }

    /// So many peers that do as they are told.
    #[track_caller]
    fn obedient<const N: usize>(&self) -> [Peer; N] {
        [(); N].map(|()| {
            let mut peer = self.peer("obey");
            peer.expect("ready");
            peer
        })
    }
}

/// Plays a scene with freshly executed peers and with forked ones.
fn both(scene: impl Fn(&Scene)) {
    for by in By::ALL {
        scene(&Scene::new(by));
    }
}

#[track_caller]
fn told(peer: &mut Peer, line: &str, answer: &str) {
    peer.say(line);
    peer.expect(answer);
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
fn processes_read_together_and_write_alone() {
    both(|scene| {
        let lock = scene.lock();
        let [mut one, mut two, mut writer] = scene.obedient();
        let mine = lock.read().unwrap();
        told(&mut one, "read", "clean");
        told(&mut two, "try-read", "clean");
        told(&mut writer, "try-write", "WouldBlock");
        assert_eq!(lock.readers(), 3);
        writer.say("write");
        writer.wait_until_in_futex();
        // A writer that waits keeps new readers out: they cannot starve it.
        assert_eq!(failure(lock.try_read()), LockFailure::WouldBlock);
        drop(mine);
        told(&mut one, "release", "released");
        // One still reads: whatever woke the writer, it goes on waiting.
        writer.wait_until_in_futex();
        assert_eq!(lock.readers(), 1);
        told(&mut two, "release", "released");
        writer.expect("clean");
        told(&mut writer, "half", "done");
        told(&mut one, "try-read", "WouldBlock");
        told(&mut two, "write-for 20", "timed out");
        told(&mut one, "read-for 20", "timed out");
        one.say("read");
        two.say("read");
        one.wait_until_in_futex();
        two.wait_until_in_futex();
        told(&mut writer, "whole", "done");
        told(&mut writer, "release", "released");
        one.expect("clean");
        two.expect("clean");
        told(&mut one, "show", "[1, 1]");
        assert_eq!(lock.deaths(), 0, "nobody was taken for dead");
    });
}

#[test]
fn a_killed_reader_keeps_nobody_out() {
    both(|scene| {
        let lock = scene.lock();
        let [mut dead, mut writer, mut reader] = scene.obedient();
        told(&mut dead, "read", "clean");
        writer.say("write");
        writer.wait_until_in_futex();
        reader.say("read");
        reader.wait_until_in_futex();
        dead.kill();
        writer.expect("clean");
        told(&mut writer, "release", "released");
        reader.expect("clean");
        assert_eq!(lock.deaths(), 0);
        // And if nobody waited: at once.
        reader.kill();
        drop(lock.try_write().unwrap());
    });
}

#[test]
fn a_killed_writer_is_told_of_to_readers_and_writers() {
    both(|scene| {
        let lock = scene.lock();
        let [mut dead, mut reader, mut writer] = scene.obedient();
        told(&mut dead, "write", "clean");
        told(&mut dead, "half", "done");
        reader.say("read");
        reader.wait_until_in_futex();
        let (pid, id) = (dead.pid().as_raw() as u32, lock.writer().unwrap());
        dead.kill();
        reader.expect("owner died");
        told(&mut reader, "show", "[1, 0]");
        assert!(matches!(lock.try_read(), Err(LockError::OwnerDied(_))));
        told(&mut reader, "release", "released");
        assert_eq!(scene.segment.participant().person(id).unwrap().pid, pid);
        told(&mut writer, "write", "owner died");
        told(&mut writer, "whole", "done");
        told(&mut writer, "consistent", "done");
        told(&mut writer, "release", "released");
        told(&mut reader, "read", "clean");
        assert_eq!(*lock.read().unwrap(), [1, 1]);
        assert_eq!(lock.deaths(), 1);
    });
}

#[test]
fn data_that_no_writer_answers_for_is_not_recoverable() {
    both(|scene| {
        let [mut dead, mut heir, mut next] = scene.obedient();
        told(&mut dead, "write", "clean");
        dead.kill();
        told(&mut heir, "write", "owner died");
        told(&mut heir, "release", "released");
        told(&mut next, "read", "not recoverable");
        told(&mut next, "release", "released");
        told(&mut next, "write", "not recoverable");
        told(&mut next, "consistent", "done");
        // It goes on to change the data, and dies of it: told of again.
        next.kill();
        told(&mut heir, "read", "owner died");
    });
}

#[test]
fn who_is_killed_while_it_waits_to_write_is_missed_by_nobody() {
    both(|scene| {
        let lock = scene.lock();
        let reading = lock.read().unwrap();
        let [mut dead, mut reader, mut writer] = scene.obedient();
        dead.say("write");
        dead.wait_until_in_futex();
        reader.say("read");
        reader.wait_until_in_futex();
        dead.kill();
        reader.expect("clean");
        told(&mut reader, "release", "released");
        writer.say("write");
        writer.wait_until_in_futex();
        drop(reading);
        writer.expect("clean");
        assert_eq!(lock.deaths(), 0, "it had changed nothing");
    });
}

#[test]
fn who_is_stopped_is_never_taken_for_dead() {
    both(|scene| {
        let lock = scene.lock();
        let [mut peer] = scene.obedient();
        let wait = Duration::from_millis(150);
        told(&mut peer, "read", "clean");
        peer.stop();
        assert_eq!(failure(lock.write_timeout(wait)), LockFailure::TimedOut);
        drop(lock.try_read().unwrap());
        peer.resume();
        told(&mut peer, "release", "released");
        told(&mut peer, "write", "clean");
        peer.stop();
        assert_eq!(failure(lock.read_timeout(wait)), LockFailure::TimedOut);
        assert_eq!(failure(lock.write_timeout(wait)), LockFailure::TimedOut);
        peer.resume();
        told(&mut peer, "release", "released");
        drop(lock.write().unwrap());
        assert_eq!(lock.deaths(), 0);
    });
}

#[test]
fn a_writer_that_becomes_a_reader_lets_readers_in() {
    both(|scene| {
        let lock = scene.lock();
        let [mut peer, mut reader, mut writer] = scene.obedient();
        told(&mut peer, "write", "clean");
        told(&mut peer, "half", "done");
        reader.say("read");
        reader.wait_until_in_futex();
        told(&mut peer, "whole", "done");
        told(&mut peer, "downgrade", "done");
        reader.expect("clean");
        told(&mut reader, "show", "[1, 1]");
        told(&mut writer, "try-write", "WouldBlock");
        told(&mut reader, "release", "released");
        // Killed as a reader, it is missed by nobody.
        peer.kill();
        told(&mut writer, "write", "clean");
        assert_eq!(lock.deaths(), 0);
    });
}

#[test]
fn a_forked_child_inherits_no_reading_and_no_writing() {
    let scene = Scene::new(By::Exec);
    let lock = scene.lock();
    let reading = lock.read().unwrap();
    let child = Peer::fork("inherit", |_| {
        assert_eq!(failure(lock.read()), LockFailure::NotJoined);
        assert_eq!(failure(lock.try_write()), LockFailure::NotJoined);
        // SAFETY: this is the child's copy of the guard; it ends without running the original's drop.
        drop(unsafe { ptr::read(&reading) });
        // Joined, it is another than its parent.
        scene.segment.join_after_fork().unwrap();
        // SAFETY: as above.
        drop(unsafe { ptr::read(&reading) });
        assert_eq!(failure(lock.try_write()), LockFailure::WouldBlock);
        drop(lock.try_read().unwrap());
    });
    child.join();
    assert_eq!(lock.readers(), 1);
    drop(reading);
    drop(lock.try_write().unwrap());
}

#[test]
fn signals_hide_no_death_from_readers_and_writers() {
    both(|scene| {
        let lock = scene.lock();
        let [mut dead, mut writer] = scene.obedient();
        told(&mut dead, "read", "clean");
        told(&mut writer, "catch-signals", "catching");
        writer.say("write");
        writer.wait_until_in_futex();
        dead.kill();
        let start = Instant::now();
        // More often than a slice ends.
        wait_until(|| {
            writer.signal(Signal::SIGUSR1);
            lock.readers() == 0
        });
        writer.expect("clean");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    });
}

/// Three peers read and write in turn without pause; again and again one of them is killed.
#[test]
fn whoever_is_killed_readers_and_writers_go_on() {
    both(|scene| {
        let churn = || {
            let mut peer = scene.peer("churn");
            peer.expect("running");
            peer
        };
        let lock = scene.lock();
        let mut peers = [churn(), churn(), churn()];
        for round in 0..30 {
            let before = visit(&lock);
            std::mem::replace(&mut peers[round % 3], churn()).kill();
            wait_until(|| visit(&lock) > before + 50);
        }
        peers.into_iter().for_each(Peer::kill);
        visit(&lock);
        drop(lock.try_write().unwrap());
    });
}

/// What it promises, and what it does not.
#[test]
fn a_plain_lock_works_between_processes_and_is_not_robust() {
    both(|scene| {
        let plain = rwlock::plain(&scene.segment);
        let [mut peer, mut waiter] = scene.obedient();
        plain.lock();
        for waiting in [&mut peer, &mut waiter] {
            waiting.say("plain-lock");
            waiting.wait_until_in_futex();
        }
        // The death of a waiter harms nobody.
        waiter.kill();
        // SAFETY: taken above, and it guards nothing.
        unsafe { plain.unlock() };
        peer.expect("locked");
        assert!(!plain.lock_timeout(Duration::from_millis(5)));
        told(&mut peer, "plain-unlock", "unlocked");
        told(&mut peer, "plain-lock", "locked");
        peer.kill();
        assert!(!plain.lock_timeout(Duration::from_millis(100)), "held for ever");
    });
}
