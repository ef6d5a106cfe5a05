//! A thread that asks for what only itself could give up is told, and nobody else is.

use shmkit::{Objects, Options, RwLock, Segment};
use shmkit_tests::oneself::{ENDS, VAIN};

use crate::support::{By, Peer, wait_until};

/// Plays a scene with an executed peer and with a forked one.
fn both(script: &str, scene: impl Fn(&Segment, Peer)) {
    for by in By::ALL {
        let segment = Options::new(1 << 16).anonymous().unwrap();
        let peer = by.peer(&format!("oneself/{script}"), &[], &segment);
        scene(&segment, peer);
    }
}

#[track_caller]
fn told(peer: &mut Peer, line: &str, answer: &str) {
    peer.say(line);
    peer.expect(answer);
}

#[test]
fn a_thread_that_is_alone_is_told_that_it_would_wait_for_itself() {
    for script in VAIN {
        both(script, |_, mut peer| {
            let answer = peer.hear();
            assert!(answer.contains("WouldDeadlock"), "{script}: {answer}");
            peer.join();
        });
    }
}

#[test]
fn a_wait_that_something_else_can_end_is_left_alone() {
    for (script, end) in ENDS {
        both(script, |_, mut peer| {
            let answer = peer.hear();
            assert!(answer.contains(end), "{script}: {answer}");
            peer.join();
        });
    }
}

#[test]
fn a_lock_that_anybody_may_release_is_waited_for() {
    both("lock, released by another", |segment, mut peer| {
        peer.expect("ready");
        peer.wait_until_in_futex();
        segment.lock("lock").unwrap().release().unwrap();
        peer.expect("done");
        peer.join();
    });
}

/// The reader waits for the writer, and the writer for the reader; a recursive reader does not wait for it.
#[test]
fn who_reads_again_beside_a_writer_that_waits_gets_in_or_is_told() {
    both("rwlock, beside a writer that waits", |segment, mut peer| {
        peer.expect("reading");
        let lock: RwLock<u64> = segment.rwlock("rwlock", 0).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| *lock.write().unwrap() += 1);
            wait_until(|| lock.writer().is_some());
            // A try meets the writer where it just looks for readers, or where it waits.
            wait_until(|| {
                peer.say("try-read-recursive");
                peer.hear() == "done"
            });
            told(&mut peer, "try-read", "Failed(WouldBlock)");
            told(&mut peer, "read-recursive", "done");
            told(&mut peer, "read", "Failed(WouldDeadlock)");
            told(&mut peer, "write", "Failed(WouldDeadlock)");
            assert!(!writer.is_finished(), "it wrote beside a reader");
            peer.say("end");
            writer.join().unwrap();
        });
        assert_eq!(*lock.read().unwrap(), 1);
        peer.join();
    });
}

/// While its process lives, nobody else can.
#[test]
fn what_a_thread_has_left_its_process_can_free() {
    both("takes in turn", |segment, mut peer| {
        let mutex = segment.mutex("mutex", 0_u64).unwrap();
        let reentrant = segment.reentrant_mutex("reentrant", 0_u64).unwrap();
        let rlock = segment.rlock("rlock").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::mem::forget(mutex.lock().unwrap());
                std::mem::forget(reentrant.lock().unwrap());
                std::mem::forget(reentrant.lock().unwrap());
                rlock.acquire().unwrap();
                rlock.acquire().unwrap();
            });
        });
        told(&mut peer, "mutex", "Failed(TimedOut)");
        told(&mut peer, "reentrant", "Failed(TimedOut)");
        told(&mut peer, "rlock", "TimedOut");
        // SAFETY: the guard was forgotten, and the number is as whole as any.
        unsafe { mutex.force_unlock() }.unwrap();
        // SAFETY: as above.
        unsafe { reentrant.force_unlock() }.unwrap();
        rlock.force_release().unwrap();
        // SAFETY: there is no guard.
        let nothing = unsafe { mutex.force_unlock() };
        assert_eq!(nothing, Err(shmkit::NotOwner));
        assert_eq!(rlock.force_release(), Err(shmkit::NotOwner));
        for line in ["mutex", "reentrant", "rlock"] {
            told(&mut peer, line, "done");
        }
        peer.say("end");
        peer.join();
    });
}
