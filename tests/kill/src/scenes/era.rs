//! The scene of an era's end: who joins a place that has given out all its names sweeps them out of the words, and is killed
//! there; whoever comes next sweeps again.
//!
//! Each place has one name, so that a participant is called as the dead one before it: if a word still names that one, it
//! owns what it never took.

use std::fmt::Display;
use std::mem::forget;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use nix::sys::signal::{Signal, kill};
use nix::unistd::getpid;
use shmkit_atomic::AtomicU32;
use shmkit_layout::{Filled, Object, Offset, Region};
use shmkit_pipe::Pipe;
use shmkit_roster::{Judge, OwnerId, Spent, Verdict};
use shmkit_segment::Directory;
use shmkit_sync::{
    LockError, LockFailure, Mutex, Once, ReentrantMutex, RwLock, Seated, Semaphore, SemaphoreError,
};

use crate::arena::Me;
use crate::{Actor, Arena, Fault, Scene, Stage, Take, Unit};

/// Places, and names: one each. No other number in the words is 7.
const PLACES: u32 = 7;
/// Most objects.
const ENTRIES: u32 = 16;
/// Seats of what has seats.
const SEATS: u32 = 3;
/// Of the semaphore.
const PERMITS: u32 = 5;

const VICTIM: usize = 0;
const SURVIVORS: [usize; 2] = [1, 2];
/// Who has all places but one.
const ELDER: usize = 3;
/// Who dies before the victim, with something of each kind.
const DEAD: usize = 4;

/// The actor has what it wants.
const INSIDE: u32 = 1;
/// Leave.
const LEAVE: u32 = 1;

/// Whether this process stops before it sweeps: the first mark of a victim.
static MARKS: AtomicBool = AtomicBool::new(false);

/// Returns the scenes.
pub(crate) fn scenes() -> Vec<Scene> {
    let about = "who sweeps the names of the dead, and then takes a lock, killed; the next ones sweep again";
    vec![Scene::new("era/sweep", about, 300, play)]
}

fn play(stage: &Stage, point: u32) -> Result<Take, Fault> {
    let arena = Arena::of_few_names(PLACES, sweep)?;
    let mut elder = stage.cast(ELDER, &|actor| elder(actor, &arena))?;
    elder.await_phase(INSIDE)?;
    let mut dead = stage.cast(DEAD, &|actor| {
        let me = arena.join()?;
        take_everything(&arena, &me)?;
        // Last, the lock of the directory: it dies amid the making of an object.
        let amid = |_: &mut u64| {
            actor.phase(INSIDE);
            let _ = actor.await_cue(LEAVE);
        };
        object::<Filled<Mutex<u64, Me<'_>>, _>>(&arena, &me, "late", ((), amid)).map(drop)
    })?;
    dead.await_phase(INSIDE)?;
    dead.kill();
    let mut victim = stage.victim(VICTIM, &|actor| {
        MARKS.store(true, Relaxed);
        let me = arena.join()?;
        let mutex: Mutex<u64, Me<'_>> = object(&arena, &me, "mutex", 0)?;
        forget(mutex.lock_or_repair(|_| {}).map_err(|e| hung("lock", e))?);
        actor.mark();
        Ok(())
    })?;
    let reached = victim.advance(Unit::Instruction, point)?;
    let killed = victim.kill();
    let mut through = Vec::new();
    // One after the other: there is one place.
    for seat in SURVIVORS {
        through.push(stage.cast(seat, &|actor| survive(actor, &arena))?.finish()?);
    }
    elder.cue(LEAVE);
    elder.finish()?;
    Ok(Take::new(reached, killed, through))
}

fn sweep(memory: Region<'_>, spent: &Spent) -> Result<(), &'static str> {
    if MARKS.swap(false, Relaxed) {
        // The only error is that there is no such process; it is us.
        let _ = kill(getpid(), Signal::SIGSTOP);
    }
    directory(memory).map_err(|_| "it has no directory")?.sweep(spent)
}

fn directory(memory: Region<'_>) -> Result<Directory<'_>, Fault> {
    // SAFETY: zero at first, and used as this directory since, by participants of the arena's roster.
    unsafe { Directory::attach(memory, 0, ENTRIES, PLACES) }.map_err(broken)
}

/// Finds an object or makes it.
fn object<'a, O: Object<Me<'a>>>(
    arena: &'a Arena,
    me: Me<'a>,
    name: &str,
    spec: O::Spec,
) -> Result<O, Fault> {
    directory(arena.object())?.object(name, spec, me).map_err(|e| hung(name, e))
}

/// Lives under all names but one, and has something that no sweep may touch.
fn elder(actor: &Actor<'_>, arena: &Arena) -> Result<(), Fault> {
    let others = (1..PLACES).map(|_| arena.join()).collect::<Result<Vec<_>, _>>()?;
    let me = &others[0];
    let own: Mutex<u64, Me<'_>> = object(arena, me, "own", 0)?;
    let own = own.lock_or_repair(|_| {}).map_err(|e| hung("lock", e))?;
    let read: RwLock<u64, Me<'_>> = object(arena, me, "read", Seated::new(0).seats(SEATS))?;
    let reading = read.read().map_err(|e| hung("read", e))?;
    let semaphore: Semaphore<Me<'_>> =
        object(arena, me, "semaphore", Seated::new(PERMITS).seats(SEATS))?;
    let permit = semaphore.acquire().map_err(|e| hung("acquire", e))?;
    actor.phase(INSIDE);
    actor.await_cue(LEAVE)?;
    if me.verdict(OwnerId::GONE) != Verdict::Dead {
        return Err(Fault::hung("who was swept is not dead"));
    }
    // It was nobody else's meanwhile.
    drop((own, reading, permit));
    Ok(())
}

/// Takes something of each kind, to die with it.
fn take_everything<'a>(arena: &'a Arena, me: Me<'a>) -> Result<(), Fault> {
    let seated = || Seated::new(0_u64).seats(SEATS);
    forget(
        object::<Mutex<u64, _>>(arena, me, "mutex", 0)?
            .lock_or_repair(|_| {})
            .map_err(|e| hung("lock", e))?,
    );
    let reentrant: ReentrantMutex<u64, _> = object(arena, me, "reentrant", 0)?;
    forget(reentrant.lock().map_err(|e| hung("reentrant", e))?);
    let written: RwLock<u64, _> = object(arena, me, "written", seated())?;
    forget(written.write_or_repair(|_| {}).map_err(|e| hung("write", e))?);
    let read: RwLock<u64, _> = object(arena, me, "read", seated())?;
    forget(read.read().map_err(|e| hung("read", e))?);
    let semaphore: Semaphore<_> =
        object(arena, me, "semaphore", Seated::new(PERMITS).seats(SEATS))?;
    semaphore.acquire().map_err(|e| hung("acquire", e))?.forget();
    let pipe: Pipe<u64, _> = object(arena, me, "pipe", 4)?;
    forget(pipe.sender().map_err(|e| hung("sender", e))?);
    let once: Once<_> = object(arena, me, "once", ())?;
    let _ = once.raw().begin(me, std::time::Duration::ZERO).map_err(|e| hung("begin", e))?;
    Ok(())
}

/// Joins, is named by no word, and gets through everything that the dead have left. Dies with a lock.
fn survive(actor: &Actor<'_>, arena: &Arena) -> Result<(), Fault> {
    let me = arena.join()?;
    let me = &me;
    unnamed(arena, me)?;
    let seated = || Seated::new(0_u64).seats(SEATS);
    let mutex: Mutex<u64, _> = object(arena, me, "mutex", 0)?;
    let guard = match mutex.lock() {
        Err(LockError::OwnerDied(guard)) => guard,
        Ok(_) => return Err(Fault::torn("a lock whose owner died is clean")),
        Err(other) => return Err(hung("lock", other)),
    };
    guard.make_consistent();
    let reentrant: ReentrantMutex<u64, _> = object(arena, me, "reentrant", 0)?;
    match reentrant.lock() {
        Ok(_) => {}
        Err(LockError::OwnerDied(guard)) => guard.make_consistent(),
        Err(other) => return Err(hung("reentrant", other)),
    }
    let written: RwLock<u64, _> = object(arena, me, "written", seated())?;
    drop(written.write_or_repair(|_| {}).map_err(|e| hung("write", e))?);
    let read: RwLock<u64, _> = object(arena, me, "read", seated())?;
    drop(read.read().map_err(|e| hung("read", e))?);
    match read.try_write() {
        Err(LockError::Failed(LockFailure::WouldBlock)) => {}
        Ok(_) => return Err(Fault::double_owner("wrote beside a reader")),
        Err(other) => return Err(hung("try_write", other)),
    }
    let semaphore: Semaphore<_> =
        object(arena, me, "semaphore", Seated::new(PERMITS).seats(SEATS))?;
    let all = semaphore.acquire_many(PERMITS - 1).map_err(|e| hung("acquire_many", e))?;
    match semaphore.try_acquire() {
        Err(SemaphoreError::WouldBlock) => {}
        Ok(_) => return Err(Fault::double_owner("there is a permit too many")),
        Err(other) => return Err(hung("try_acquire", other)),
    }
    drop(all);
    let pipe: Pipe<u64, _> = object(arena, me, "pipe", 4)?;
    drop(pipe.sender().map_err(|e| hung("sender", e))?);
    let once: Once<_> = object(arena, me, "once", ())?;
    once.call_once(|| {}).map_err(|e| hung("call_once", e))?;
    match object::<Mutex<u64, _>>(arena, me, "own", 0)?.try_lock() {
        Err(LockError::Failed(LockFailure::WouldBlock)) => {}
        other => return Err(Fault::double_owner(format!("the elder's lock: {other:?}"))),
    }
    let late: Mutex<u64, _> = object(arena, me, "late", 0)?;
    drop(late.lock().map_err(|e| hung("what was made late", e))?);
    actor.through();
    // The next one inherits it.
    forget(guard);
    Ok(())
}

/// No word of the directory's lock and of the objects may name who has just joined. Its tables count what they hold.
fn unnamed(arena: &Arena, me: Me<'_>) -> Result<(), Fault> {
    let id = me.me().ok_or_else(|| Fault::hung("it has lost its place"))?.get();
    if id != PLACES {
        return Err(Fault::broken(format!("it is called {id}")));
    }
    let region = arena.object();
    let objects = Directory::bytes(ENTRIES, PLACES);
    for at in (0..16).chain(objects..region.len() as u64).step_by(4) {
        let word = Offset::new(at).and_then(|at| region.get::<AtomicU32>(at)).map_err(broken)?;
        if word.load(Relaxed) & OwnerId::MASK == id {
            return Err(Fault::double_owner(format!("the word at {at} names who has just joined")));
        }
    }
    Ok(())
}

fn hung(what: &str, error: impl Display) -> Fault {
    Fault::hung(format!("{what}: {error}"))
}

fn broken(error: impl Display) -> Fault {
    Fault::broken(error.to_string())
}
