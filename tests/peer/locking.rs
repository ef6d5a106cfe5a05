//! What a peer does with the locks after Python's and with a condition variable.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use shmkit::{
    Acquired, Atomic, Condvar, Lock, LockError, LockFailure, Mutex, MutexGuard, Objects, RLock,
    Segment, ShareSegment, WaitError, Wakeup,
};

use crate::sync::catch_signals;
use crate::{Channel, KEY};

/// What everybody finds in the segment, or makes.
#[derive(Debug)]
pub struct Things {
    /// Released by anybody.
    pub lock: Lock,
    /// Acquired again by its owner.
    pub rlock: RLock,
    /// A number that only its lock protects: not one atomic step is made of it.
    pub number: Atomic<u64>,
    /// A number under a mutex.
    pub state: Mutex<i64>,
    /// That the state has changed.
    pub changed: Condvar,
    /// Another condition about the state.
    pub other: Condvar,
    /// Something under the `rlock`.
    pub r_changed: Condvar,
    /// Something under the `lock`.
    pub l_changed: Condvar,
}

impl Things {
    /// Finds all, or makes them.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub fn of(segment: &Segment) -> Self {
        let lock = segment.lock("lock").expect("lock");
        let l_changed = segment.condvar("l-changed").expect("l-changed");
        Self {
            l_changed: l_changed.with_lock(&lock).expect("the same lock for all"),
            lock,
            rlock: segment.rlock("rlock").expect("rlock"),
            number: segment.atomic("number", 0).expect("number"),
            state: segment.mutex("state", 0).expect("state"),
            changed: segment.condvar("changed").expect("changed"),
            other: segment.condvar("other").expect("other"),
            r_changed: segment.condvar("r-changed").expect("r-changed"),
        }
    }
}

/// The script of a peer that has joined its segment.
///
/// # Panics
///
/// If there is no such script, or the script finds something wrong.
pub(crate) fn play(script: &str, args: &[String], segment: &Segment, channel: &mut Channel) {
    match script {
        "obey" => Obedient { segment, things: &Things::of(segment), guard: None }.obey(channel),
        "count" => count(&Things::of(segment), args[0].parse().expect("a number")),
        _ => panic!("no script locking/{script}"),
    }
}

/// Adds to the unprotected number, one at a time, alternately under both locks' own way of use.
fn count(things: &Things, times: u64) {
    for i in 0..times {
        if i % 2 == 0 {
            assert_eq!(things.lock.acquire(), Ok(Acquired::Clean), "nobody died");
            things.number.store(things.number.load() + 1);
            things.lock.release().expect("acquired");
        } else {
            let _guard = things.lock.lock().expect("nobody died");
            things.number.store(things.number.load() + 1);
        }
    }
}

/// Does as it is told, a line at a time.
struct Obedient<'a> {
    segment: &'a Segment,
    things: &'a Things,
    guard: Option<MutexGuard<'a, i64>>,
}

impl<'a> Obedient<'a> {
    fn obey(&mut self, channel: &mut Channel) {
        channel.say("ready");
        loop {
            let line = channel.hear();
            let mut words = line.split(' ');
            let verb = words.next().unwrap_or_default();
            let args: Vec<&str> = words.collect();
            if verb == "end" {
                return;
            }
            let answer = self.answer(verb, &args);
            channel.say(&answer);
        }
    }

    fn answer(&mut self, verb: &str, args: &[&str]) -> String {
        let Things { lock, rlock, state, changed, other, r_changed, l_changed, .. } = self.things;
        let number = |i: usize| -> i64 { args[i].parse().expect("a number") };
        let millis = |i| Duration::from_millis(number(i) as u64);
        match verb {
            "acquire" => self.told(lock.acquire()),
            "try-acquire" => self.told(lock.try_acquire()),
            "acquire-for" => at_least(millis(0), || self.told(lock.acquire_timeout(millis(0)))),
            "release" => format!("{:?}", lock.release()),
            "locked" => lock.locked().to_string(),
            "r-acquire" => self.told(rlock.acquire()),
            "r-try-acquire" => self.told(rlock.try_acquire()),
            "r-release" => format!("{:?}", rlock.release()),
            "r-depth" => rlock.depth().to_string(),
            "catch-signals" => catch_signals(),
            "lock" => {
                self.guard = Some(state.lock().expect("nobody died"));
                "locked".to_owned()
            }
            "unlock" => {
                self.guard = None;
                "unlocked".to_owned()
            }
            // While the peer stops here, it holds the lock.
            "hold" => {
                self.guard = Some(state.lock().expect("nobody died"));
                **self.guard.as_mut().expect("just locked") = number(0);
                "held".to_owned()
            }
            "set" => {
                let mut state = state.lock().expect("nobody died");
                *state = number(0);
                changed.notify(&state, number(1) as u32).expect("held").to_string()
            }
            "wait" => self.wait(changed, None),
            "wait-other" => self.wait(other, None),
            "wait-for" => self.wait(changed, Some(millis(0))),
            "await-state" => {
                let state = state.lock().expect("nobody died");
                drop(changed.wait_while(state, |state| *state != number(0)).expect("nobody died"));
                "so it is".to_owned()
            }
            "await-state-for" => at_least(millis(1), || {
                let state = state.lock().expect("nobody died");
                let busy = |state: &mut i64| *state != number(0);
                let (_, busy) =
                    changed.wait_while_timeout(state, busy, millis(1)).expect("nobody died");
                (!busy).to_string()
            }),
            "r-wait" => r_wait(rlock, r_changed, number(0)),
            "l-wait" => self.l_wait(lock, l_changed),
            "serve" => self.serve(),
            "pass-on" => self.pass_on(args[0]),
            _ => panic!("no verb {verb}"),
        }
    }

    fn told(&self, end: Result<Acquired, LockFailure>) -> String {
        match end {
            Ok(Acquired::Clean) => "clean".to_owned(),
            Ok(Acquired::OwnerDied(dead)) => {
                let person = self.segment.participant().person(dead).expect("a person");
                format!("owner died: {}", person.pid)
            }
            Err(failure) => format!("{failure:?}"),
        }
    }

    /// One wait, of which the answer is told when the lock is free again.
    fn wait(&mut self, condition: &Condvar, wait: Option<Duration>) -> String {
        let guard = match self.things.state.lock() {
            Ok(guard) => guard,
            Err(LockError::OwnerDied(_)) => panic!("somebody died before"),
            Err(error) => panic!("{error}"),
        };
        let start = Instant::now();
        // A limit for all: a test that fails leaves nobody here.
        let limit = wait.unwrap_or(Duration::from_secs(20));
        match condition.wait_timeout(guard, limit) {
            Ok((guard, wakeup)) => {
                assert_eq!(self.things.state.owner(), self.segment.participant().id());
                drop(guard);
                match wakeup {
                    Wakeup::Notified => "notified",
                    Wakeup::OwnerDied => "noticed",
                    Wakeup::Interrupted => "interrupted",
                    Wakeup::PeerDied(_) => "bereft",
                    Wakeup::TimedOut => {
                        assert!(start.elapsed() >= limit, "{:?} of {limit:?}", start.elapsed());
                        "timed out"
                    }
                    other => panic!("{other:?}"),
                }
                .to_owned()
            }
            Err(WaitError::OwnerDied(guard, _)) => {
                let dead = guard.dead_owner().expect("a dead owner");
                let person = self.segment.participant().person(dead).expect("a person");
                guard.make_consistent();
                format!("owner died: {}", person.pid)
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// One wait with a lock without data.
    fn l_wait(&self, lock: &Lock, condition: &Condvar) -> String {
        let guard = lock.lock().expect("acquired");
        assert_eq!(guard.acquired(), Acquired::Clean, "somebody died before");
        match condition.wait_timeout(guard, Duration::from_secs(20)) {
            Ok((guard, wakeup)) => {
                assert_eq!(lock.owner(), self.segment.participant().id());
                assert_eq!(guard.acquired(), Acquired::Clean);
                format!("{wakeup:?}")
            }
            Err(WaitError::OwnerDied(guard, _)) => self.told(Ok(guard.acquired())),
            Err(error) => panic!("{error}"),
        }
    }

    /// Forks a child that counts under the lock, as a server does that was started for its children's sake.
    fn serve(&self) -> String {
        // SAFETY: this program has one thread; its child ends by `_exit`.
        match unsafe { fork() }.expect("forked") {
            ForkResult::Child => {
                let counted = catch_unwind(AssertUnwindSafe(|| {
                    self.segment.join_after_fork().expect("joined");
                    count(self.things, 1);
                }));
                // SAFETY: ends the process at once, without its parent's exit handlers.
                unsafe { libc::_exit(i32::from(counted.is_err())) }
            }
            ForkResult::Parent { child } => {
                assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 0)));
                "served".to_owned()
            }
        }
    }

    /// Hands the segment on to a child of its own that runs the peers' program, which acquires and releases what this peer has.
    fn pass_on(&self, program: &str) -> String {
        let mut command = Command::new(program);
        command.args(["locking/count", "1"]).stdin(Stdio::null()).stdout(Stdio::null());
        let status =
            command.share_segment(KEY, self.segment).expect("shared").status().expect("started");
        assert!(status.success(), "{status}");
        "passed on".to_owned()
    }
}

/// Runs something that may take no less than `wait`, unless it succeeds.
fn at_least(wait: Duration, run: impl FnOnce() -> String) -> String {
    let start = Instant::now();
    let end = run();
    let ended = end == "TimedOut" || end == "false";
    assert!(!ended || start.elapsed() >= wait, "{:?} instead of {wait:?}", start.elapsed());
    end
}

/// Acquires so often, waits, and releases as often.
fn r_wait(lock: &RLock, condition: &Condvar, times: i64) -> String {
    for _ in 0..times {
        assert_eq!(lock.acquire(), Ok(Acquired::Clean));
    }
    let (lock, wakeup) = condition.wait_timeout(lock, Duration::from_secs(20)).expect("held");
    assert_eq!((wakeup, i64::from(lock.depth())), (Wakeup::Notified, times));
    for _ in 0..times {
        lock.release().expect("restored");
    }
    assert_eq!(lock.depth(), 0);
    "notified".to_owned()
}
