//! What a peer does with a mutex and a semaphore.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use shmkit::{LockError, LockFailure, Mutex, MutexGuard, Permit, Segment, Semaphore};
use shmkit_atomic::futex::{self, Wake};
use shmkit_atomic::{AtomicU32, Deadline, Ordering};
use shmkit_sync::RawMutex;

use crate::Channel;

/// Two numbers that are equal unless somebody is in the middle.
pub type Pair = [u64; 2];

/// The script of a peer that has joined its segment.
///
/// # Panics
///
/// If there is no such script, or the script finds something wrong.
pub(crate) fn play(script: &str, args: &[String], segment: &Segment, channel: &mut Channel) {
    match script {
        "obey" => {
            let mutex = segment.find("pair").expect("pair");
            let doors = segment.find("doors").expect("doors");
            Obedient::new(segment, &mutex, &doors).obey(channel);
        }
        "count" => count(segment, args[0].parse().expect("a number")),
        "churn" => churn(segment, channel),
        "sleep-without-slices" => sleep_without_slices(segment, channel),
        _ => panic!("no script sync/{script}"),
    }
}

/// Adds under the lock, one at a time.
fn count(segment: &Segment, times: u64) {
    let mutex = segment.find::<Mutex<u64>>("count").expect("count");
    for _ in 0..times {
        *mutex.lock().expect("nobody died") += 1;
    }
}

/// Changes the pair until it is killed, under a permit and the lock, and repairs what others left.
fn churn(segment: &Segment, channel: &mut Channel) {
    let mutex = segment.find::<Mutex<Pair>>("pair").expect("pair");
    let doors = segment.find::<Semaphore>("doors").expect("doors");
    channel.say("running");
    loop {
        let _permit = doors.acquire().expect("a permit");
        visit(&mutex);
    }
}

/// One whole change of the pair.
///
/// # Panics
///
/// If the pair is half-written and nobody has told.
pub fn visit(mutex: &Mutex<Pair>) {
    let mut pair = match mutex.lock() {
        Ok(pair) => {
            assert_eq!(pair[0], pair[1], "half-written, and not told");
            pair
        }
        Err(LockError::OwnerDied(mut pair)) => {
            pair[1] = pair[0];
            pair.make_consistent();
            pair
        }
        Err(error) => panic!("{error}"),
    };
    pair[0] += 1;
    std::hint::black_box(&mut *pair);
    pair[1] += 1;
}

/// Sleeps on a held lock's word as a waiter does, but without the slices that would make good for a lost wake-up.
fn sleep_without_slices(segment: &Segment, channel: &mut Channel) {
    let mutex = segment.find::<Mutex<Pair>>("pair").expect("pair");
    // SAFETY: it is only looked at.
    let raw = unsafe { mutex.raw() };
    let word = std::ptr::from_ref::<RawMutex>(raw).cast::<AtomicU32>();
    // SAFETY: the first field of the `repr(C)` RawMutex is its word, an atomic u32.
    let word = unsafe { &*word };
    let marked = word.fetch_or(1 << 31, Ordering::Relaxed) | 1 << 31;
    channel.say("sleeping");
    match futex::wait(word, marked, Deadline::NEVER) {
        Wake::Woken => channel.say("woken"),
        other => panic!("{other:?}"),
    }
}

/// Does as it is told, a line at a time.
struct Obedient<'a> {
    segment: &'a Segment,
    mutex: &'a Mutex<Pair>,
    doors: &'a Semaphore,
    guard: Option<MutexGuard<'a, Pair>>,
    permits: Vec<Permit<'a>>,
}

impl<'a> Obedient<'a> {
    fn new(segment: &'a Segment, mutex: &'a Mutex<Pair>, doors: &'a Semaphore) -> Self {
        Self { segment, mutex, doors, guard: None, permits: Vec::new() }
    }

    fn obey(&mut self, channel: &mut Channel) {
        channel.say("ready");
        loop {
            let line = channel.hear();
            let (verb, number) = line.split_once(' ').unwrap_or((&line, "0"));
            let number: u32 = number.parse().expect("a number");
            let wait = Duration::from_millis(number.into());
            let answer = match verb {
                "end" => return,
                "lock" => self.lock(None),
                "try-lock" => self.lock(Some(Duration::ZERO)),
                "lock-for" => self.lock(Some(wait)),
                "half" => {
                    self.guard().as_mut().expect("held")[0] += 1;
                    "done".to_owned()
                }
                "whole" => {
                    let pair = self.guard().as_mut().expect("held");
                    pair[1] = pair[0];
                    "done".to_owned()
                }
                "consistent" => {
                    self.guard().as_ref().expect("held").make_consistent();
                    "done".to_owned()
                }
                "unlock" => {
                    *self.guard() = None;
                    "unlocked".to_owned()
                }
                "panic" => self.panic(),
                "catch-signals" => catch_signals(),
                "acquire" => self.acquire(number, None),
                "acquire-for" => self.acquire(1, Some(wait)),
                "return" => {
                    self.permits.pop().expect("a permit").release().expect("held");
                    "returned".to_owned()
                }
                _ => panic!("no verb {verb}"),
            };
            channel.say(&answer);
        }
    }

    fn guard(&mut self) -> &mut Option<MutexGuard<'a, Pair>> {
        &mut self.guard
    }

    fn lock(&mut self, wait: Option<Duration>) -> String {
        let start = Instant::now();
        let result = match wait {
            None => self.mutex.lock(),
            Some(Duration::ZERO) => self.mutex.try_lock(),
            Some(wait) => self.mutex.lock_timeout(wait),
        };
        let (guard, answer) = match result {
            Ok(guard) => (guard, "clean".to_owned()),
            Err(LockError::OwnerDied(guard)) => {
                let dead = guard.dead_owner().expect("a dead owner");
                let person = self.segment.participant().person(dead).expect("a person");
                (guard, format!("owner died: {}", person.pid))
            }
            Err(LockError::NotRecoverable(guard)) => (guard, "not recoverable".to_owned()),
            Err(LockError::Poisoned(guard)) => (guard, "poisoned".to_owned()),
            Err(LockError::Failed(LockFailure::TimedOut)) => {
                let wait = wait.expect("a time-out");
                assert!(start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
                return "timed out".to_owned();
            }
            Err(LockError::Failed(failure)) => return format!("{failure:?}"),
            Err(error) => panic!("{error}"),
        };
        self.guard = Some(guard);
        answer
    }

    fn acquire(&mut self, count: u32, wait: Option<Duration>) -> String {
        let start = Instant::now();
        let result = match wait {
            None => self.doors.acquire_many(count),
            Some(Duration::ZERO) => self.doors.try_acquire(),
            Some(wait) => self.doors.acquire_timeout(wait),
        };
        match result {
            Ok(permit) => {
                self.permits.push(permit);
                "acquired".to_owned()
            }
            Err(error) => {
                let wait = wait.unwrap_or_default();
                assert!(start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
                format!("{error:?}")
            }
        }
    }

    /// Panics in the middle of a change.
    fn panic(&mut self) -> String {
        let mut guard = self.mutex.lock().expect("free");
        let panic = catch_unwind(AssertUnwindSafe(move || {
            guard[0] += 1;
            // Not `panic!`, whose message would only be noise.
            resume_unwind(Box::new(()));
        }));
        assert!(panic.is_err());
        "panicked".to_owned()
    }
}

/// From now on SIGUSR1 interrupts system calls, which are not restarted, and does nothing else.
pub(crate) fn catch_signals() -> String {
    extern "C" fn nothing(_: i32) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("sigaction");
    "catching".to_owned()
}
