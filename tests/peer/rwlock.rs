//! What a peer does with a readers-writer lock.

use std::time::{Duration, Instant};

use shmkit::{LockError, LockFailure, RwLock, RwLockReadGuard, RwLockWriteGuard, Segment};
use shmkit_sync::FutexLock;

use crate::Channel;

/// Two numbers that are equal unless somebody is in the middle.
pub type Pair = [u64; 2];

/// The script of a peer that has joined its segment.
///
/// # Panics
///
/// If there is no such script, or the script finds something wrong.
pub(crate) fn play(script: &str, segment: &Segment, channel: &mut Channel) {
    match script {
        "obey" => {
            let lock = segment.find("pair").expect("pair");
            Obedient::new(segment, &lock).obey(channel);
        }
        "churn" => churn(segment, channel),
        _ => panic!("no script rwlock/{script}"),
    }
}

/// Reads and writes in turn until it is killed.
fn churn(segment: &Segment, channel: &mut Channel) {
    let lock = segment.find::<RwLock<Pair>>("pair").expect("pair");
    channel.say("running");
    loop {
        visit(&lock);
    }
}

/// Looks three times, then makes one whole change; returns the number written.
///
/// # Panics
///
/// If the pair is half-written and nobody has told, or changes under a reader.
pub fn visit(lock: &RwLock<Pair>) -> u64 {
    for _ in 0..3 {
        let (pair, told) = match lock.read() {
            Ok(pair) => (pair, false),
            Err(LockError::OwnerDied(pair)) => (pair, true),
            Err(error) => panic!("{error}"),
        };
        let found = *std::hint::black_box(&*pair);
        assert!(found[0] == found[1] || told, "half-written, and not told");
        assert_eq!(*std::hint::black_box(&*pair), found, "it changes under a reader");
    }
    let mut pair = match lock.write() {
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
    pair[1]
}

/// What is held.
enum Held<'a> {
    Nothing,
    Reading(RwLockReadGuard<'a, Pair>),
    Writing(RwLockWriteGuard<'a, Pair>),
}

/// Does as it is told, a line at a time.
struct Obedient<'a> {
    lock: &'a RwLock<Pair>,
    plain: &'a FutexLock,
    held: Held<'a>,
}

impl<'a> Obedient<'a> {
    fn new(segment: &'a Segment, lock: &'a RwLock<Pair>) -> Self {
        Self { lock, plain: plain(segment), held: Held::Nothing }
    }

    fn obey(&mut self, channel: &mut Channel) {
        channel.say("ready");
        loop {
            let line = channel.hear();
            let (verb, number) = line.split_once(' ').unwrap_or((&line, "0"));
            let wait = Duration::from_millis(number.parse().expect("a number"));
            let answer = match verb {
                "end" => return,
                "read" => self.hold(self.lock.read(), Held::Reading, None),
                "try-read" => self.hold(self.lock.try_read(), Held::Reading, None),
                "read-for" => {
                    let start = Instant::now();
                    self.hold(self.lock.read_timeout(wait), Held::Reading, Some((start, wait)))
                }
                "write" => self.hold(self.lock.write(), Held::Writing, None),
                "try-write" => self.hold(self.lock.try_write(), Held::Writing, None),
                "write-for" => {
                    let start = Instant::now();
                    self.hold(self.lock.write_timeout(wait), Held::Writing, Some((start, wait)))
                }
                "half" => {
                    self.writing()[0] += 1;
                    "done".to_owned()
                }
                "whole" => {
                    let pair = self.writing();
                    pair[1] = pair[0];
                    "done".to_owned()
                }
                "consistent" => {
                    self.writing().make_consistent();
                    "done".to_owned()
                }
                "downgrade" => {
                    let Held::Writing(guard) = std::mem::replace(&mut self.held, Held::Nothing)
                    else {
                        panic!("no writer")
                    };
                    self.held = Held::Reading(RwLockWriteGuard::downgrade(guard));
                    "done".to_owned()
                }
                "show" => match &self.held {
                    Held::Nothing => "nothing".to_owned(),
                    Held::Reading(pair) => format!("{pair:?}"),
                    Held::Writing(pair) => format!("{pair:?}"),
                },
                "release" => {
                    self.held = Held::Nothing;
                    "released".to_owned()
                }
                "catch-signals" => crate::sync::catch_signals(),
                "plain-lock" => {
                    self.plain.lock();
                    "locked".to_owned()
                }
                "plain-unlock" => {
                    // SAFETY: whoever took it, the test says that it is over; it guards nothing.
                    unsafe { self.plain.unlock() };
                    "unlocked".to_owned()
                }
                _ => panic!("no verb {verb}"),
            };
            channel.say(&answer);
        }
    }

    fn writing(&mut self) -> &mut RwLockWriteGuard<'a, Pair> {
        match &mut self.held {
            Held::Writing(guard) => guard,
            _ => panic!("no writer"),
        }
    }

    /// Keeps the guard and says how it came; checks that a wait was not shorter than asked.
    fn hold<G>(
        &mut self,
        result: Result<G, LockError<G>>,
        held: fn(G) -> Held<'a>,
        waited: Option<(Instant, Duration)>,
    ) -> String {
        let (guard, answer) = match result {
            Ok(guard) => (guard, "clean"),
            Err(LockError::OwnerDied(guard)) => (guard, "owner died"),
            Err(LockError::NotRecoverable(guard)) => (guard, "not recoverable"),
            Err(LockError::Poisoned(guard)) => (guard, "poisoned"),
            Err(LockError::Failed(LockFailure::TimedOut)) => {
                let (start, wait) = waited.expect("a time-out");
                assert!(start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
                return "timed out".to_owned();
            }
            Err(LockError::Failed(failure)) => return format!("{failure:?}"),
            Err(error) => panic!("{error}"),
        };
        self.held = held(guard);
        answer.to_owned()
    }
}

/// Finds the plain lock in the segment: the bytes of the object `plain` are its, all zero at first.
///
/// # Panics
///
/// If there is none.
pub fn plain(segment: &Segment) -> &FutexLock {
    let cell = segment.find::<shmkit::Atomic<u32>>("plain").expect("plain");
    let word = std::ptr::from_ref(cell.cell()).cast::<FutexLock>();
    // SAFETY: an atomic u32, as a `FutexLock` is, that lives as long as the segment; nobody uses it as a number.
    unsafe { &*word }
}
