//! Making objects: the part of the directory that needs its lock.

use std::ptr;
use std::time::Duration;

use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::crash::in_program_order;
use shmkit_atomic::{AtomicU64, Deadline};
use shmkit_layout::{Object, Region, Shape, align_up};
use shmkit_roster::{Judge, OwnerId};
use shmkit_sync::{LockFailure, Outcome, RawMutex};

use super::entry::{Name, Record};
use super::error::Reason;
use super::table::{LOCK, WRITTEN};
use super::{Directory, MAX_ALIGN, ObjectError};
use crate::index;

impl<'a> Directory<'a> {
    /// Finds the object called `name`, or makes it. `spec` says what it must be: kind, type and length; a first value
    /// counts only if it is made.
    ///
    /// Finding takes no lock.
    ///
    /// # Errors
    ///
    /// Those of [`find`](Self::find), without `NotFound`, and of [`make`](Self::make), without `Exists`.
    ///
    /// # If a peer dies
    ///
    /// while it makes the object: the object is whole or absent, and this call makes it.
    pub fn object<O, J>(self, name: &str, spec: O::Spec, judge: &'a J) -> Result<O, ObjectError>
    where
        O: Object<&'a J>,
        J: Judge,
    {
        // SAFETY: the region lives as long as the borrow of the judge, and the handle no longer.
        unsafe { self.object_with(name, spec, judge) }
    }

    /// [`object`](Self::object) with any keeper.
    ///
    /// # Safety
    ///
    /// As [`find_with`](Self::find_with).
    pub(crate) unsafe fn object_with<O, K>(
        self,
        name: &str,
        spec: O::Spec,
        keeper: K,
    ) -> Result<O, ObjectError>
    where
        O: Object<K>,
        K: Judge + Clone,
    {
        let wanted = Wanted::new::<O, K>(name, &spec, keeper.places())?;
        let run = move || {
            if let Some(found) = self.seek(wanted.name)? {
                // SAFETY: the caller's promise.
                return unsafe { self.use_same(found, &wanted.shape, keeper) };
            }
            let held = self.hold(&keeper)?;
            let next = index::catch_up(&self)?;
            if let Some(found) = self.seek(wanted.name)? {
                drop(held);
                // SAFETY: the caller's promise.
                return unsafe { self.use_same(found, &wanted.shape, keeper) };
            }
            // SAFETY: the caller's promise.
            let object = unsafe { self.build(&held, next, wanted, spec, keeper.clone()) }?;
            drop(held);
            self.keep_schema::<O, K>(&keeper);
            Ok(object)
        };
        run().map_err(|reason| reason.of(name))
    }

    /// Makes the object called `name`.
    ///
    /// # Errors
    ///
    /// [`Exists`](super::ObjectErrorKind::Exists), [`Full`](super::ObjectErrorKind::Full),
    /// [`NoRoom`](super::ObjectErrorKind::NoRoom), [`InvalidSpec`](super::ObjectErrorKind::InvalidSpec),
    /// [`InvalidName`](super::ObjectErrorKind::InvalidName); what keeps the directory from being locked, within
    /// its [time limit](Self::time_limit):
    /// [`Busy`](super::ObjectErrorKind::Busy), [`NotJoined`](super::ObjectErrorKind::NotJoined),
    /// [`CannotJudge`](super::ObjectErrorKind::CannotJudge); and [`Corrupt`](super::ObjectErrorKind::Corrupt).
    ///
    /// # If a peer dies
    ///
    /// while it makes an object: that object is whole or absent, and the next maker goes on.
    pub fn make<O, J>(self, name: &str, spec: O::Spec, judge: &'a J) -> Result<O, ObjectError>
    where
        O: Object<&'a J>,
        J: Judge,
    {
        // SAFETY: the region lives as long as the borrow of the judge, and the handle no longer.
        unsafe { self.make_with(name, spec, judge) }
    }

    /// [`make`](Self::make) with any keeper.
    ///
    /// # Safety
    ///
    /// As [`find_with`](Self::find_with).
    pub(crate) unsafe fn make_with<O, K>(
        self,
        name: &str,
        spec: O::Spec,
        keeper: K,
    ) -> Result<O, ObjectError>
    where
        O: Object<K>,
        K: Judge + Clone,
    {
        let wanted = Wanted::new::<O, K>(name, &spec, keeper.places())?;
        let run = move || {
            let held = self.hold(&keeper)?;
            let next = index::catch_up(&self)?;
            if let Some(found) = self.seek(wanted.name)? {
                return Err(Reason::Exists { found: found.shape });
            }
            // SAFETY: the caller's promise.
            let object = unsafe { self.build(&held, next, wanted, spec, keeper.clone()) }?;
            drop(held);
            self.keep_schema::<O, K>(&keeper);
            Ok(object)
        };
        run().map_err(|reason| reason.of(name))
    }

    /// Attaches to a found object, if it has the shape that was asked for.
    ///
    /// # Safety
    ///
    /// As [`find_with`](Self::find_with).
    unsafe fn use_same<O, K>(self, found: Record, asked: &Shape, keeper: K) -> Result<O, Reason>
    where
        O: Object<K>,
    {
        let same_type = (found.shape.kind, found.shape.tag) == (asked.kind, asked.tag);
        if !same_type {
            let difference = self.differs::<O, K>(&found.shape, keeper);
            let (found, asked) = (found.shape.into(), asked.to_string());
            return Err(Reason::WrongType { found, asked, difference });
        }
        if found.shape != *asked {
            return Err(Reason::WrongLength { found: found.shape, asked: Box::new(*asked) });
        }
        // SAFETY: the caller's promise.
        unsafe { self.use_found(found, keeper) }
    }

    /// Makes an object in the next free bytes and publishes it as entry `next`, the first that is free.
    ///
    /// # Safety
    ///
    /// As [`find_with`](Self::find_with).
    unsafe fn build<O, K>(
        self,
        held: &Held<'_, K>,
        next: u32,
        wanted: Wanted<'_>,
        spec: O::Spec,
        keeper: K,
    ) -> Result<O, Reason>
    where
        O: Object<K>,
        K: Judge,
    {
        let Wanted { name, shape } = wanted;
        held.check()?;
        let at = self.entry_for(next)?;
        let (rest_at, offset) = self.room(self.end(next)?, name, &shape)?;
        let region = self.region.sub(offset, shape.bytes).map_err(Reason::Place)?;
        self.zero(region, offset)?;
        // SAFETY: the bytes are zero (`zero`), and nobody else uses them: they lie behind every published
        // object and only the holder of the lock uses such bytes, as above. The rest is the caller's promise.
        let object = unsafe { O::init(region, spec, keeper) }.map_err(Reason::Spec)?;

        // The object's own code has run: it may have forked, or learned that the roster has lost our place.
        held.check()?;
        name.write_rest(self.region, rest_at).map_err(Reason::Place)?;
        let record = Record::new(name, rest_at, offset, shape);
        record.write(self.region, at, held.id).map_err(Reason::Place)?;
        in_program_order();
        self.publish(next)?;
        Ok(object)
    }

    /// Makes entry `next`, which is written, and its object visible. From here on it is there: what is wrong with the others
    /// is for the next one to say.
    fn publish(self, next: u32) -> Result<(), Reason> {
        let state = index::Words::state(&self, next)?;
        index::publish(state.ok_or(Reason::Corrupt { field: "table", index: next, found: 0 })?);
        in_program_order();
        let _ = index::catch_up(&self);
        Ok(())
    }

    /// Zeroes the bytes of a new object or table, which begins at `offset`: those that a killed or failed maker may have
    /// written to. The others have been zero from the beginning, and a gigabyte of them need not be looked at.
    pub(super) fn zero(self, region: Region<'_>, offset: u64) -> Result<(), Reason> {
        let written: &AtomicU64 = self.word(WRITTEN)?;
        let end = offset + region.len() as u64;
        let before = written.load(Relaxed);
        let dirty = before.min(end).saturating_sub(offset) as usize;
        // SAFETY: `region` is mapped for writing (`Region::from_raw_parts`), it is at least as long, and nobody else uses the
        // bytes: they lie behind every published object and table (`end`), and only the holder of the lock, which is us, uses
        // bytes that are not published.
        unsafe { ptr::write_bytes(region.base().as_ptr(), 0, dirty) };
        written.store(before.max(end), Relaxed);
        // The mark is there before the object's first byte is, so that the next maker zeroes what this one has left.
        in_program_order();
        Ok(())
    }

    /// Returns the places of the rest of a name, 0 if it has none, and of its object, at or after `end`.
    fn room(self, end: u64, name: Name<'_>, shape: &Shape) -> Result<(u64, u64), Reason> {
        let len = self.len;
        let place = || {
            let (rest_at, after) = match name.rest_bytes() {
                0 => (0, end),
                bytes => {
                    let rest_at = align_up(end, 8)?;
                    (rest_at, rest_at.checked_add(bytes)?)
                }
            };
            let offset = align_up(after, shape.align)?;
            (offset.checked_add(shape.bytes)? <= len).then_some((rest_at, offset))
        };
        place().ok_or_else(|| Reason::NoRoom {
            needed: shape.bytes.saturating_add(name.rest_bytes()),
            align: shape.align,
            free: len.saturating_sub(end),
            len,
        })
    }

    /// Locks the directory. Whoever died holding it left nothing to repair.
    fn hold<'h, J: Judge>(self, judge: &'h J) -> Result<Held<'h, J>, Reason>
    where
        'a: 'h,
    {
        let lock: &RawMutex = self.word(LOCK)?;
        let waited = self.time_limit;
        let fails = |failure| Reason::Lock { failure, owner: lock.owner(), waited };
        let outcome = lock.lock(judge, Deadline::after(waited)).map_err(fails)?;
        let id = lock.owner();
        let held = Held { lock, judge, id };
        match outcome {
            Outcome::Clean => {}
            // Whole entries are published, others are free: the directory is consistent at every instruction, and
            // whoever makes an object indexes first what is not indexed yet.
            // The lock is ours, so this can fail only in a forked child, whose every step fails.
            Outcome::OwnerDied | Outcome::NotRecoverable => {
                let _ = lock.make_consistent(judge);
            }
        }
        Ok(held)
    }
}

/// What is asked for.
struct Wanted<'n> {
    name: Name<'n>,
    shape: Shape,
}

impl<'n> Wanted<'n> {
    fn new<O: Object<K>, K>(
        name: &'n str,
        spec: &O::Spec,
        places: u32,
    ) -> Result<Self, ObjectError> {
        let shape = O::shape(spec, places).map_err(|error| Reason::Spec(error).of(name))?;
        assert!(
            (shape.kind, shape.tag) == (O::KIND, O::TAG),
            "an `Object` whose shape is not of its own KIND and TAG"
        );
        if !shape.align.is_power_of_two() || shape.align > MAX_ALIGN {
            return Err(Reason::Alignment { found: shape.align }.of(name));
        }
        Ok(Self { name: Name::new(name)?, shape })
    }
}

/// The locked directory.
struct Held<'a, J: Judge> {
    lock: &'a RawMutex,
    judge: &'a J,
    /// Who took it.
    id: Option<OwnerId>,
}

impl<J: Judge> Held<'_, J> {
    /// Fails if this process is not, or no longer, the one that took the lock: it must not write.
    fn check(&self) -> Result<(), Reason> {
        if self.id.is_some() && self.judge.me() == self.id && self.lock.owner() == self.id {
            return Ok(());
        }
        let owner = self.lock.owner();
        Err(Reason::Lock { failure: LockFailure::NotJoined, owner, waited: Duration::ZERO })
    }
}

impl<J: Judge> Drop for Held<'_, J> {
    fn drop(&mut self) {
        // SAFETY: `hold` took it, once, and what it guards is used only by who has a `Held`, which ends.
        // Fails only if the lock is not ours, in a forked child: then it is not ours to release.
        let _ = unsafe { self.lock.unlock(self.judge) };
    }
}
