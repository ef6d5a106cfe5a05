//! What several use at a time: readers, waiters, a barrier's parties.

use std::mem::MaybeUninit;

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::Relaxed;

use super::locks::{lock, make_consistent, make_mutex, make_rwlock, unlock};
use super::{Shared, check};
use crate::scenes::locks::data;
use crate::{Actor, Arena, Fault, Scene, Take, Unit};

const VICTIM: usize = 0;
const SURVIVOR: usize = 1;
const OTHER: usize = 2;

/// The actor is about to wait.
const WAITING: u32 = 1;
/// Go on.
const GO: u32 = 1;

/// A reader is killed; a writer comes.
pub(crate) fn reader() -> Scene {
    let about = "read killed; then a writer comes";
    Scene::new("glibc/rwlock-read", about, 20, |stage, point| {
        let arena = Arena::new()?;
        let raw = Shared::at(&arena, 0)?;
        make_rwlock(raw)?;
        let mut victim = stage.victim(VICTIM, &|actor| {
            actor.mark();
            // SAFETY: made above.
            check("rdlock", unsafe { libc::pthread_rwlock_rdlock(raw.get()) })?;
            // SAFETY: taken above.
            check("unlock", unsafe { libc::pthread_rwlock_unlock(raw.get()) })?;
            actor.mark();
            Ok(())
        })?;
        let reached = victim.advance(Unit::Instruction, point)?;
        let killed = victim.kill();
        let writer = stage.cast(SURVIVOR, &|actor| {
            // SAFETY: made above.
            check("wrlock", unsafe { libc::pthread_rwlock_wrlock(raw.get()) })?;
            actor.through();
            Ok(())
        })?;
        Ok(Take::new(reached, killed, [writer.finish()?]))
    })
}

/// A waiter is woken, and killed; another one waits, and is to be woken.
pub(crate) fn condvar() -> Scene {
    let about = "a woken waiter killed; then another one waits, and a third process broadcasts";
    Scene::new("glibc/condvar", about, 20, |stage, point| {
        let arena = Arena::new()?;
        let room = Room::new(&arena)?;
        room.make()?;
        let mut victim = stage.victim(VICTIM, &|actor| {
            actor.mark();
            room.wait_for(1)?;
            actor.mark();
            Ok(())
        })?;
        victim.run_to_sleep(1)?;
        let first = stage.cast(OTHER, &|actor| room.announce(actor, 1))?;
        victim.await_wake()?;
        first.finish()?;
        let reached = victim.advance_awake(point)?;
        let killed = victim.kill();
        let mut waiter = stage.cast(SURVIVOR, &|actor| {
            actor.phase(WAITING);
            room.wait_for(2)?;
            actor.through();
            Ok(())
        })?;
        waiter.await_asleep(WAITING)?;
        let second = stage.cast(OTHER + 1, &|actor| room.announce(actor, 2))?;
        Ok(Take::new(reached, killed, [waiter.finish()?, second.finish()?]))
    })
}

/// A condition variable, its mutex, and what is waited for.
struct Room<'a> {
    mutex: &'a Shared<libc::pthread_mutex_t>,
    condvar: &'a Shared<libc::pthread_cond_t>,
    round: &'a AtomicU64,
}

impl<'a> Room<'a> {
    fn new(arena: &'a Arena) -> Result<Self, Fault> {
        let round = &data(arena.object())?[0];
        Ok(Self { mutex: Shared::at(arena, 0)?, condvar: Shared::at(arena, 128)?, round })
    }

    fn make(&self) -> Result<(), Fault> {
        make_mutex(self.mutex)?;
        let mut attributes = MaybeUninit::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: room for the attributes.
        check("attributes", unsafe { libc::pthread_condattr_init(attributes) })?;
        // SAFETY: made above.
        let answer =
            unsafe { libc::pthread_condattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) };
        check("process-shared", answer)?;
        // SAFETY: zero bytes that nobody uses yet, and attributes made above.
        check("condvar", unsafe { libc::pthread_cond_init(self.condvar.get(), attributes) })
    }

    fn lock(&self) -> Result<(), Fault> {
        if lock(self.mutex)? {
            make_consistent(self.mutex);
        }
        Ok(())
    }

    fn wait_for(&self, round: u64) -> Result<(), Fault> {
        self.lock()?;
        while self.round.load(Relaxed) < round {
            // SAFETY: both made by `make`, the mutex held.
            match unsafe { libc::pthread_cond_wait(self.condvar.get(), self.mutex.get()) } {
                libc::EOWNERDEAD => make_consistent(self.mutex),
                answer => check("wait", answer)?,
            }
        }
        unlock(self.mutex)
    }

    fn announce(&self, actor: &Actor<'_>, round: u64) -> Result<(), Fault> {
        self.lock()?;
        self.round.store(round, Relaxed);
        // SAFETY: made by `make`.
        check("broadcast", unsafe { libc::pthread_cond_broadcast(self.condvar.get()) })?;
        unlock(self.mutex)?;
        actor.through();
        Ok(())
    }
}

/// The last of two parties is killed; the first one sleeps.
pub(super) fn barrier() -> Scene {
    let about = "the last party killed; the other one waits";
    Scene::new("glibc/barrier", about, 20, |stage, point| {
        let arena = Arena::new()?;
        let raw = Shared::<libc::pthread_barrier_t>::at(&arena, 0)?;
        let mut attributes = MaybeUninit::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: room for the attributes.
        check("attributes", unsafe { libc::pthread_barrierattr_init(attributes) })?;
        // SAFETY: made above.
        let answer = unsafe {
            libc::pthread_barrierattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED)
        };
        check("process-shared", answer)?;
        // SAFETY: zero bytes that nobody uses yet, and attributes made above.
        check("barrier", unsafe { libc::pthread_barrier_init(raw.get(), attributes, 2) })?;
        let wait = || {
            // SAFETY: made above.
            match unsafe { libc::pthread_barrier_wait(raw.get()) } {
                libc::PTHREAD_BARRIER_SERIAL_THREAD => Ok(()),
                answer => check("wait", answer),
            }
        };
        let mut first = stage.cast(SURVIVOR, &|actor| {
            actor.await_cue(GO)?;
            actor.phase(WAITING);
            wait()?;
            actor.through();
            Ok(())
        })?;
        let mut victim = stage.victim(VICTIM, &|actor| {
            actor.mark();
            wait()?;
            actor.mark();
            Ok(())
        })?;
        first.cue(GO);
        first.await_asleep(WAITING)?;
        let reached = victim.advance_awake(point)?;
        let killed = victim.kill();
        Ok(Take::new(reached, killed, [first.finish()?]))
    })
}
