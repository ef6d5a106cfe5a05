//! What the scenes of a condition variable are about: *tickets* under a lock that one waits with.

use std::hint::black_box;
use std::time::Duration;

use shmkit_layout::{Object, Region};
use shmkit_roster::Judge;
use shmkit_sync::{
    Acquired, Condvar, LockError, Mutex, MutexGuard, RLock, Seated, WaitError, Waitable, Wakeup,
};

use super::lock::Entry;
use super::locks::{Words, data};
use crate::arena::{Me, NOBODY};
use crate::{Arena, Fault};

/// Where the lock lies in the object, in bytes; the condition variable is at its beginning.
const LOCK: u64 = 1024;

/// Of the tickets: how many there are, and how many were ever taken.
const HERE: usize = 0;
const TAKEN: usize = 1;

/// Which lock is waited with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum With {
    Mutex,
    /// Acquired twice.
    RLock,
}

/// What an actor has: a condition variable, its lock and the tickets.
pub(crate) struct Office<'a> {
    condvar: Condvar<Me<'a>>,
    lock: Either<'a>,
    arena: &'a Arena,
}

enum Either<'a> {
    Mutex(Mutex<[u64; 2], Me<'a>>),
    RLock(RLock<Me<'a>>),
}

/// The tickets, while their lock is held.
trait Tickets: Waitable {
    fn get(&mut self, office: &Office<'_>, which: usize) -> u64;
    fn set(&mut self, office: &Office<'_>, which: usize, value: u64);
}

impl<K: Judge> Tickets for MutexGuard<'_, [u64; 2], K> {
    fn get(&mut self, _: &Office<'_>, which: usize) -> u64 {
        black_box(&**self)[which]
    }

    fn set(&mut self, _: &Office<'_>, which: usize, value: u64) {
        black_box(&mut **self)[which] = value;
        black_box(&mut **self);
    }
}

impl<K: Judge> Tickets for &RLock<K> {
    fn get(&mut self, office: &Office<'_>, which: usize) -> u64 {
        office.words().get(which)
    }

    fn set(&mut self, office: &Office<'_>, which: usize, value: u64) {
        office.words().set(which, value);
    }
}

impl Office<'_> {
    fn words(&self) -> Words<'_> {
        let data = data(self.arena.object()).expect("two words");
        Words { data, told: None }
    }

    /// Does something with the lock held; told of a death, it answers for the tickets, each of which is issued and taken
    /// in one step.
    pub(crate) fn inside(
        &self,
        run: &mut dyn FnMut(&mut dyn Held) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        match &self.lock {
            Either::Mutex(mutex) => {
                let guard = match mutex.lock() {
                    Ok(guard) => guard,
                    Err(LockError::OwnerDied(guard)) => {
                        guard.make_consistent();
                        guard
                    }
                    Err(other) => return Err(hung(other)),
                };
                run(&mut Inside { office: self, guard: Some(guard) })
            }
            Either::RLock(lock) => {
                lock.acquire().map_err(hung)?;
                if lock.acquire() != Ok(Acquired::Clean) || lock.depth() != 2 {
                    return Err(Fault::double_owner(format!("a count was inherited: {lock:?}")));
                }
                run(&mut Inside { office: self, guard: Some(lock) })?;
                if lock.depth() != 2 {
                    return Err(Fault::hung(format!("the count was not restored: {lock:?}")));
                }
                lock.release().map_err(hung)?;
                lock.release().map_err(hung)
            }
        }
    }
}

/// What can be done with the lock held, whichever it is.
pub(crate) trait Held {
    fn tickets(&mut self) -> u64;
    fn taken(&mut self) -> u64;
    /// Adds so many.
    fn issue(&mut self, count: u64);
    /// Takes one.
    fn take(&mut self);
    fn notify(&mut self, n: u32) -> Result<u32, Fault>;
    /// Gives the lock up and waits.
    fn wait(&mut self, wait: Option<Duration>) -> Result<Wakeup, Fault>;
}

struct Inside<'o, G> {
    office: &'o Office<'o>,
    guard: Option<G>,
}

impl<G: Tickets + Answers> Held for Inside<'_, G> {
    fn tickets(&mut self) -> u64 {
        self.guard.as_mut().expect("held").get(self.office, HERE)
    }

    fn taken(&mut self) -> u64 {
        self.guard.as_mut().expect("held").get(self.office, TAKEN)
    }

    fn issue(&mut self, count: u64) {
        let now = self.tickets();
        self.guard.as_mut().expect("held").set(self.office, HERE, now + count);
    }

    fn take(&mut self) {
        // Two steps, of which the first is what counts: dead in between, it is looked upon as not taken. So say first
        // that it was.
        let (here, taken) = (self.tickets(), self.taken());
        let guard = self.guard.as_mut().expect("held");
        guard.set(self.office, TAKEN, taken + 1);
        guard.set(self.office, HERE, here - 1);
    }

    fn notify(&mut self, n: u32) -> Result<u32, Fault> {
        self.office.condvar.notify(self.guard.as_ref().expect("held"), n).map_err(hung)
    }

    fn wait(&mut self, wait: Option<Duration>) -> Result<Wakeup, Fault> {
        let guard = self.guard.take().expect("held");
        let end = self.office.condvar.wait_timeout(guard, wait.unwrap_or(Duration::MAX));
        let (guard, wakeup) = match end {
            Ok(end) => end,
            Err(WaitError::OwnerDied(guard, wakeup)) => {
                guard.answer();
                (guard, wakeup)
            }
            Err(other) => return Err(hung(other)),
        };
        self.guard = Some(guard);
        Ok(wakeup)
    }
}

/// What an heir does.
trait Answers {
    fn answer(&self);
}

impl<K: Judge> Answers for MutexGuard<'_, [u64; 2], K> {
    fn answer(&self) {
        self.make_consistent();
    }
}

impl<K: Judge> Answers for &RLock<K> {
    fn answer(&self) {}
}

fn broken(error: impl std::fmt::Display) -> Fault {
    Fault::broken(error.to_string())
}

fn hung(error: impl std::fmt::Display) -> Fault {
    Fault::hung(error.to_string())
}

pub(crate) fn arena(with: With) -> Result<Arena, Fault> {
    let arena = Arena::new()?;
    let (condvar, lock) = places(&arena)?;
    // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
    unsafe { Condvar::init(condvar, Seated::new(()).seats(64), &NOBODY) }.map_err(broken)?;
    match with {
        // SAFETY: as above.
        With::Mutex => unsafe { Mutex::init(lock, [0_u64; 2], &NOBODY) }.map(drop),
        // SAFETY: as above.
        With::RLock => unsafe { RLock::init(lock, (), &NOBODY) }.map(drop),
    }
    .map_err(broken)?;
    Ok(arena)
}

type Places<'a> = (Region<'a>, Region<'a>);

fn places(arena: &Arena) -> Result<Places<'_>, Fault> {
    let object = arena.object();
    Ok((object.sub(0, LOCK).map_err(broken)?, object.sub(LOCK, 1024).map_err(broken)?))
}

/// Returns how many wait and were not notified yet.
pub(crate) fn waiters(arena: &Arena) -> Result<u32, Fault> {
    let (condvar, _) = places(arena)?;
    // SAFETY: `arena` made one here.
    let condvar = unsafe { Condvar::attach(condvar, 1, &NOBODY) };
    Ok(condvar.map_err(broken)?.waiters())
}

/// Joins, and does something in the office.
pub(crate) fn open(
    arena: &Arena,
    with: With,
    then: impl FnOnce(&Office<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let me = arena.join()?;
    let (condvar, lock) = places(arena)?;
    // SAFETY: `arena` made one here.
    let condvar = unsafe { Condvar::attach(condvar, 1, &me) }.map_err(broken)?;
    let lock = match with {
        // SAFETY: `arena` made a mutex of this type here.
        With::Mutex => Either::Mutex(unsafe { Mutex::attach(lock, 1, &me) }.map_err(broken)?),
        // SAFETY: `arena` made a lock here.
        With::RLock => Either::RLock(unsafe { RLock::attach(lock, 1, &me) }.map_err(broken)?),
    };
    then(&Office { condvar, lock, arena })
}

/// Waits for a ticket and takes it. It does not pass the word on: there is a notification for each ticket.
pub(crate) fn take(office: &Office<'_>) -> Result<(), Fault> {
    office.inside(&mut |held| {
        while held.tickets() == 0 {
            held.wait(None)?;
        }
        held.take();
        Ok(())
    })
}

/// Issues so many tickets, and notifies as many.
pub(crate) fn issue(office: &Office<'_>, tickets: u64) -> Result<(), Fault> {
    office.inside(&mut |held| {
        held.issue(tickets);
        let woken = held.notify(tickets as u32)?;
        if u64::from(woken) > tickets {
            return Err(Fault::double_owner(format!("{woken} woken for {tickets}")));
        }
        Ok(())
    })
}
