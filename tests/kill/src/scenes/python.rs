//! The locks after Python's, and the mutex that may be taken again, as gates of the lock scenes.

use std::cell::Cell;

use shmkit_atomic::AtomicU64;
use shmkit_layout::Object;
use shmkit_sync::{
    Acquired, Lock, LockError, LockFailure, RLock, RLockGuard, ReentrantMutex, ReentrantMutexGuard,
};

use super::lock::{self, Company, Entry, Gate, Inside, Kind, Use};
use super::locks::{Words, data};
use crate::arena::{Me, NOBODY};
use crate::{Actor, Arena, Fault, Scene, Take, Unit};

const LOCK: Kind = Kind {
    name: "lock",
    make: |arena| {
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { Lock::init(arena.object(), (), &NOBODY) };
        made.map(drop).map_err(broken)
    },
    open: open_lock,
    tells: true,
    floors: [30, 50, 20, 50],
};

const RLOCK: Kind = Kind {
    name: "rlock",
    make: |arena| {
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { RLock::init(arena.object(), (), &NOBODY) };
        made.map(drop).map_err(broken)
    },
    open: open_rlock,
    tells: true,
    floors: [50, 90, 40, 90],
};

const REENTRANT: Kind = Kind {
    name: "reentrant",
    make: |arena| {
        // SAFETY: the bytes of a fresh arena are zero, and no actor was forked.
        let made = unsafe { ReentrantMutex::init(arena.object(), [0_u64; 2], &NOBODY) };
        made.map(drop).map_err(broken)
    },
    open: open_reentrant,
    tells: true,
    floors: [50, 90, 40, 90],
};

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let mut scenes = vec![
        lock::alone(LOCK),
        lock::unlock_queued(LOCK, Company::Nobody),
        lock::unlock_queued(LOCK, Company::Barger),
        lock::woken_waiter(LOCK, Company::Nobody),
        lock::woken_waiter(LOCK, Company::Barger),
        lock::paused(LOCK),
        lock::heir(LOCK, false),
        released_by_another(),
    ];
    // Below them is the mutex of the mutex's scenes: what is theirs is `who` and `depth`.
    for kind in [RLOCK, REENTRANT] {
        scenes.extend([lock::alone(kind), lock::unlock_queued(kind, Company::Barger)]);
    }
    scenes.push(lock::heir(REENTRANT, false));
    scenes.push(lock::woken_waiter(RLOCK, Company::Barger));
    scenes
}

fn broken(error: impl std::fmt::Display) -> Fault {
    Fault::broken(error.to_string())
}

fn hung(error: impl std::fmt::Display) -> Fault {
    Fault::hung(error.to_string())
}

fn told(acquired: Acquired) -> Option<bool> {
    Some(acquired != Acquired::Clean)
}

fn open_lock(arena: &Arena, then: Use<'_>) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made a lock here.
    let lock = unsafe { Lock::attach(arena.object(), 1, &me) }.map_err(broken)?;
    then(&Beside { lock, data: data(arena.object())? })
}

fn open_rlock(arena: &Arena, then: Use<'_>) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made a lock here.
    let lock = unsafe { RLock::attach(arena.object(), 1, &me) }.map_err(broken)?;
    then(&Beside { lock, data: data(arena.object())? })
}

/// A lock and two words beside it.
struct Beside<'a, L> {
    lock: L,
    data: &'a [AtomicU64],
}

impl Gate for Beside<'_, Lock<Me<'_>>> {
    fn pass(&self, inside: Inside<'_>) -> Result<(), Fault> {
        let guard = self.lock.lock().map_err(hung)?;
        inside(&mut Words { data: self.data, told: told(guard.acquired()) })
    }

    fn try_pass(&self, inside: Inside<'_>) -> Result<bool, Fault> {
        let told = match self.lock.try_acquire() {
            Ok(acquired) => told(acquired),
            Err(LockFailure::WouldBlock) => return Ok(false),
            Err(other) => return Err(hung(other)),
        };
        inside(&mut Words { data: self.data, told })?;
        self.lock.release().map_err(hung)?;
        Ok(true)
    }
}

impl Beside<'_, RLock<Me<'_>>> {
    /// Acquires it once more for what is inside.
    fn deeper(&self, outer: &RLockGuard<'_, &Me<'_>>, inside: Inside<'_>) -> Result<(), Fault> {
        let inner = self.lock.lock().map_err(hung)?;
        if (self.lock.depth(), inner.acquired()) != (2, Acquired::Clean) {
            return Err(Fault::double_owner(format!("a count was inherited: {:?}", self.lock)));
        }
        inside(&mut Words { data: self.data, told: told(outer.acquired()) })
    }
}

impl Gate for Beside<'_, RLock<Me<'_>>> {
    fn pass(&self, inside: Inside<'_>) -> Result<(), Fault> {
        let outer = self.lock.lock().map_err(hung)?;
        self.deeper(&outer, inside)
    }

    fn try_pass(&self, inside: Inside<'_>) -> Result<bool, Fault> {
        match self.lock.try_lock() {
            Ok(outer) => self.deeper(&outer, inside).map(|()| true),
            Err(LockFailure::WouldBlock) => Ok(false),
            Err(other) => Err(hung(other)),
        }
    }
}

fn open_reentrant(arena: &Arena, then: Use<'_>) -> Result<(), Fault> {
    let me = arena.join()?;
    // SAFETY: `make` made a mutex of this type here.
    let mutex = unsafe { ReentrantMutex::<[u64; 2], _>::attach(arena.object(), 1, &me) };
    then(&mutex.map_err(broken)?)
}

type Guard<'a> = ReentrantMutexGuard<'a, [u64; 2], &'a Me<'a>>;

/// Both guards, and whether the outer one was told.
struct Nested<'a> {
    outer: Guard<'a>,
    inner: Guard<'a>,
    told: bool,
}

impl Nested<'_> {
    fn cell(&self, i: usize) -> &Cell<u64> {
        // In turn, since they are the same.
        let guard = if i == 0 { &self.outer } else { &self.inner };
        let cells: &Cell<[u64]> = &**guard;
        &cells.as_slice_of_cells()[i]
    }
}

impl Entry for Nested<'_> {
    fn told(&self) -> Option<bool> {
        Some(self.told)
    }

    fn get(&self, i: usize) -> u64 {
        std::hint::black_box(self.cell(i)).get()
    }

    fn set(&mut self, i: usize, value: u64) {
        // The compiler must believe that each write is seen.
        std::hint::black_box(self.cell(i)).set(value);
    }

    fn make_consistent(&self) {
        self.outer.make_consistent();
    }
}

/// Locks once more for what is inside.
fn deeper<'a>(
    mutex: &'a ReentrantMutex<[u64; 2], Me<'a>>,
    outer: Result<Guard<'a>, LockError<Guard<'a>>>,
    inside: Inside<'_>,
) -> Result<(), Fault> {
    let (outer, told) = match outer {
        Ok(guard) => (guard, false),
        Err(LockError::OwnerDied(guard)) => (guard, true),
        Err(other) => return Err(hung(other)),
    };
    // As long as nobody has answered for the data, it is told again.
    let (inner, again) = match mutex.lock() {
        Ok(guard) => (guard, false),
        Err(LockError::OwnerDied(guard)) => (guard, true),
        Err(other) => return Err(hung(other)),
    };
    if again != told {
        return Err(Fault::torn(format!("told {told} outside and {again} inside")));
    }
    inside(&mut Nested { outer, inner, told })
}

impl Gate for ReentrantMutex<[u64; 2], Me<'_>> {
    fn pass(&self, inside: Inside<'_>) -> Result<(), Fault> {
        deeper(self, self.lock(), inside)
    }

    fn try_pass(&self, inside: Inside<'_>) -> Result<bool, Fault> {
        match self.try_lock() {
            Err(LockError::Failed(LockFailure::WouldBlock)) => Ok(false),
            outer => deeper(self, outer, inside).map(|()| true),
        }
    }
}

/// The actor has the lock, or is about to wait for it.
const READY: u32 = 1;
/// Go on.
const GO: u32 = 1;

/// Who releases for another is killed, with two waiters asleep: the lock is the holder's still, or free.
fn released_by_another() -> Scene {
    let about = "a release for another killed with two waiters asleep; then the holder releases";
    Scene::new("lock/released-by-another", about, 15, move |stage, point| {
        let arena = Arena::new()?;
        (LOCK.make)(&arena)?;
        let with = |then: &mut dyn FnMut(Lock<Me<'_>>) -> Result<(), Fault>| {
            let me = arena.join()?;
            // SAFETY: `make` made a lock here.
            then(unsafe { Lock::attach(arena.object(), 1, &me) }.map_err(broken)?)
        };
        let mut holder = stage.cast(3, &|actor| {
            with(&mut |lock| {
                lock.acquire().map_err(hung)?;
                let mine = lock.owner();
                actor.phase(READY);
                actor.await_cue(GO)?;
                // Nobody else releases now, so that what is ours stays so.
                if lock.owner() == mine { lock.release().map_err(hung) } else { Ok(()) }
            })
        })?;
        holder.await_phase(READY)?;
        let mut victim = stage.victim(0, &|actor| {
            with(&mut |lock| {
                actor.mark();
                lock.release().map_err(hung)?;
                actor.mark();
                Ok(())
            })
        })?;
        let survivor = |actor: &Actor<'_>| {
            with(&mut |lock| {
                actor.phase(READY);
                let guard = lock.lock().map_err(hung)?;
                actor.sheet().enter(actor.seat(), told(guard.acquired()))?;
                actor.sheet().exit(actor.seat())?;
                drop(guard);
                actor.through();
                Ok(())
            })
        };
        let mut survivors = [stage.cast(1, &survivor)?, stage.cast(2, &survivor)?];
        for survivor in &mut survivors {
            survivor.await_asleep(READY)?;
        }
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        holder.cue(GO);
        holder.finish()?;
        let [one, two] = survivors;
        Ok(Take::new(reached, killed, [one.finish()?, two.finish()?]))
    })
}
