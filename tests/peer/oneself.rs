//! A peer that asks for what it holds itself, and says what it is told.

use std::fmt::Debug;
use std::mem::forget;
use std::ops::ControlFlow;
use std::thread;
use std::time::Duration;

use shmkit::{Objects, Patience, RwLock, Segment};

use crate::Channel;

/// What a thread that is alone would wait for for ever, by the name of its script.
pub const VAIN: [&str; 13] = [
    "mutex",
    "mutex, owned guard",
    "mutex, forgotten",
    "mutex, of a thread that ended",
    "rwlock, read then write",
    "rwlock, write then read",
    "rwlock, write then write",
    "value",
    "array",
    "semaphore",
    "semaphore, beside others",
    "reentrant mutex, of a thread that ended",
    "rlock, of a thread that ended",
];

/// What ends otherwise, and how.
pub const ENDS: [(&str, &str); 5] = [
    ("mutex, with a limit", "TimedOut"),
    ("mutex, to be interrupted", "Interrupted"),
    ("mutex, in another thread", "done"),
    ("semaphore, a permit in another thread", "done"),
    ("reentrant mutex", "done"),
];

/// Holds what the script is called after, asks for it again, and says what came of it.
///
/// # Panics
///
/// If there is no such script.
pub fn play(script: &str, segment: &Segment, channel: &mut Channel) {
    let said = match script {
        "lock, released by another" => {
            let lock = segment.lock("lock").expect("lock");
            lock.acquire().expect("free");
            channel.say("ready");
            said(lock.acquire())
        }
        "rwlock, beside a writer that waits" => return beside(segment, channel),
        "takes in turn" => return in_turn(segment, channel),
        _ => ask(script, segment),
    };
    channel.say(&said);
}

/// Reads, and reads again in the way that it is told, while another process waits to write.
fn beside(segment: &Segment, channel: &mut Channel) {
    let lock: RwLock<u64> = segment.rwlock("rwlock", 0).expect("rwlock");
    let reading = lock.read().expect("free");
    channel.say("reading");
    loop {
        let again = match channel.hear().as_str() {
            "read" => said(lock.read()),
            "write" => said(lock.write()),
            "read-recursive" => said(lock.read_recursive()),
            "try-read-recursive" => said(lock.try_read_recursive()),
            "try-read" => said(lock.try_read()),
            _ => break,
        };
        channel.say(&again);
    }
    drop(reading);
}

/// Asks for each lock that it is told, for a moment.
fn in_turn(segment: &Segment, channel: &mut Channel) {
    const MOMENT: Duration = Duration::from_millis(20);
    let mutex = segment.mutex("mutex", 0_u64).expect("mutex");
    let reentrant = segment.reentrant_mutex("reentrant", 0_u64).expect("reentrant");
    let rlock = segment.rlock("rlock").expect("rlock");
    loop {
        let taken = match channel.hear().as_str() {
            "mutex" => said(mutex.lock_timeout(MOMENT)),
            "reentrant" => said(reentrant.lock_timeout(MOMENT)),
            "rlock" => said(rlock.lock_timeout(MOMENT)),
            _ => break,
        };
        channel.say(&taken);
    }
}

fn said<T, E: Debug>(result: Result<T, E>) -> String {
    result.map_or_else(|error| format!("{error:?}"), |_| "done".to_owned())
}

fn ask(script: &str, segment: &Segment) -> String {
    let mutex = segment.mutex("mutex", 0_u64).expect("mutex");
    let rwlock = segment.rwlock("rwlock", 0_u64).expect("rwlock");
    let semaphore = segment.semaphore("semaphore", 3).expect("semaphore");
    let reentrant = segment.reentrant_mutex("reentrant", 0_u64).expect("reentrant");
    match script {
        "mutex" => {
            let _held = mutex.lock();
            said(mutex.lock())
        }
        "mutex, owned guard" => {
            let _held = mutex.lock_owned();
            said(mutex.clone().lock_owned())
        }
        "mutex, forgotten" => {
            forget(mutex.lock());
            said(mutex.lock())
        }
        "mutex, of a thread that ended" => {
            ended(|| forget(mutex.lock()));
            said(mutex.lock())
        }
        "mutex, with a limit" => {
            let _held = mutex.lock();
            said(mutex.lock_timeout(Duration::from_millis(20)))
        }
        "mutex, to be interrupted" => {
            let _held = mutex.lock();
            let stop = || ControlFlow::Break(());
            said(mutex.lock_deadline(Patience::ENDLESS.interruptible(&stop)))
        }
        "mutex, in another thread" => thread::scope(|scope| {
            let held = mutex.lock();
            let waiter = scope.spawn(|| said(mutex.lock()));
            // Until it has looked, and sleeps: it may be alone in wanting it, but not in the process.
            thread::sleep(Duration::from_millis(30));
            drop(held);
            waiter.join().expect("told")
        }),
        "rwlock, read then write" => {
            let _held = rwlock.read();
            said(rwlock.write())
        }
        "rwlock, write then read" => {
            let _held = rwlock.write();
            said(rwlock.read())
        }
        "rwlock, write then write" => {
            let _held = rwlock.write();
            said(rwlock.write())
        }
        "value" => {
            let value = segment.value("value", 0_u64).expect("value");
            value.update(|_| said(value.get())).expect("free")
        }
        "array" => {
            let array = segment.array::<u64>("array", 4).expect("array");
            let _held = array.lock();
            said(array.get(1))
        }
        "semaphore" => {
            let _held = semaphore.acquire_many(3);
            said(semaphore.acquire())
        }
        // Others may give back what they hold: it would not be enough.
        "semaphore, beside others" => {
            let _held = semaphore.acquire_many(2);
            said(semaphore.acquire_many(2))
        }
        "semaphore, a permit in another thread" => thread::scope(|scope| {
            let permit = semaphore.acquire_many(3);
            scope.spawn(move || {
                thread::sleep(Duration::from_millis(30));
                drop(permit);
            });
            said(semaphore.acquire())
        }),
        "reentrant mutex" => {
            let _held = reentrant.lock();
            said(reentrant.lock())
        }
        "reentrant mutex, of a thread that ended" => {
            ended(|| forget(reentrant.lock()));
            said(reentrant.lock())
        }
        "rlock, of a thread that ended" => {
            let rlock = segment.rlock("rlock").expect("rlock");
            ended(|| forget(rlock.lock()));
            said(rlock.acquire())
        }
        _ => panic!("no script oneself/{script}"),
    }
}

/// Has another thread do it, and end.
fn ended(run: impl FnOnce() + Send) {
    thread::scope(|scope| scope.spawn(run).join()).expect("done");
}
