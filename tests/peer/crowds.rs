//! What many peers do at one object: each takes its place there and keeps it until it is told to go.

use std::fmt::Debug;
use std::thread;
use std::time::Duration;

use shmkit::{Barrier, Condvar, LockError, Mutex, RwLock, Segment, Semaphore};

use crate::Channel;

/// Far longer than anything takes.
const LONG: Duration = Duration::from_secs(15);

/// The script of a peer that has joined its segment.
pub(crate) fn play(script: &str, args: &[String], segment: &Segment, channel: &mut Channel) {
    match script {
        "hold" => {
            let semaphore = segment.find::<Semaphore>("semaphore").expect("a semaphore");
            stay(semaphore.acquire(), channel);
        }
        "read" => {
            let rwlock = segment.find::<RwLock<u64>>("rwlock").expect("an rwlock");
            stay(rwlock.read().map_err(of_the_lock), channel);
        }
        "read-and-meet" => {
            let rwlock = segment.find::<RwLock<u64>>("rwlock").expect("an rwlock");
            let barrier = segment.find::<Barrier>("barrier").expect("a barrier");
            let _reading = rwlock.read().expect("nobody writes");
            barrier.wait_timeout(LONG).expect("all come, and all read");
        }
        "die-with-all" => die_with_all(segment, channel),
        "wait" => {
            let threads = args[0].parse().expect("a number");
            wait(segment, threads);
            channel.say("all awake");
        }
        _ => panic!("no script crowds/{script}"),
    }
}

/// Says how it went, and keeps what it got until it hears something.
fn stay<G, E: Debug>(taken: Result<G, E>, channel: &mut Channel) {
    match &taken {
        Ok(_) => channel.say("in"),
        Err(error) => channel.say(&format!("{error:?}")),
    }
    channel.hear();
}

fn of_the_lock<G>(error: LockError<G>) -> impl Debug {
    error.failure().expect("nobody dies")
}

/// Takes all that those have left who did the same, counts itself, and waits to be killed.
fn die_with_all(segment: &Segment, channel: &mut Channel) {
    let lock = segment.find::<Mutex<u64>>("lock").expect("a mutex");
    let rwlock = segment.find::<RwLock<u64>>("rwlock").expect("an rwlock");
    let semaphore = segment.find::<Semaphore>("semaphore").expect("a semaphore");
    let mut count = match lock.try_lock() {
        Ok(first) => first,
        Err(LockError::OwnerDied(next)) => next,
        Err(other) => panic!("{other}"),
    };
    *count += 1;
    let _reading = rwlock.try_read().expect("nobody writes");
    let _permit = semaphore.try_acquire().expect("one is the living one's, one is left");
    assert!(rwlock.try_write().is_err() && semaphore.try_acquire().is_err());
    channel.say(&format!("number {}", *count));
    channel.hear();
}

/// So many threads wait at a time until the number is no longer 0.
fn wait(segment: &Segment, threads: u32) {
    let lock = segment.find::<Mutex<u64>>("lock").expect("a mutex");
    let condvar = segment.find::<Condvar>("condvar").expect("a condition variable");
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let number = lock.lock().expect("nobody dies");
                let zero = |number: &mut u64| *number == 0;
                let (_, busy) = condvar.wait_while_timeout(number, zero, LONG).expect("a seat");
                assert!(!busy, "it was never woken");
            });
        }
    });
}
