//! Making objects: the part of the directory that needs its lock.

use shmkit_atomic::AtomicU64;
use shmkit_atomic::Ordering::Relaxed;
use shmkit_atomic::crash::in_program_order;
use shmkit_layout::{Commit, Object, Shape};
use shmkit_roster::Judge;

use super::entry::{Name, Record};
use super::error::Reason;
use super::extent::Place;
use super::held::Held;
use super::room::Need;
use super::table::{GAP, MADE};
use super::users::{Borrowed, Keeper};
use super::{Directory, MAX_ALIGN, ObjectError};
use crate::index::{self, Sought, State, Words};

impl<'a> Directory<'a> {
    /// Finds the object called `name`, or makes it. `spec` says what it must be: kind, type and length; a first value
    /// counts only if it is made.
    ///
    /// Finding takes no lock, as [`find`](Self::find) says.
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
        J: Judge + Commit,
    {
        // SAFETY: the region lives as long as the borrow of the judge, and the handle no longer.
        unsafe { self.object_with(name, spec, &Borrowed(judge)) }
    }

    /// [`object`](Self::object) with any keeper.
    ///
    /// # Safety
    ///
    /// As [`find_with`](Self::find_with).
    pub(crate) unsafe fn object_with<O, K, U>(
        self,
        name: &str,
        spec: O::Spec,
        keeper: &U,
    ) -> Result<O, ObjectError>
    where
        O: Object<K>,
        K: Clone,
        U: Keeper<K>,
    {
        let wanted = Wanted::new::<O, K>(name, &spec, keeper.judge().places())?;
        let run = move || {
            if let Some((found, kept)) = self.seek(wanted.name, keeper)? {
                // SAFETY: the caller's promise.
                return unsafe { self.use_same(found, &wanted.shape, kept, keeper) };
            }
            let held = self.hold(keeper.judge())?;
            if let Some((found, kept)) = self.seek_held(wanted.name, keeper)? {
                drop(held);
                // SAFETY: the caller's promise.
                return unsafe { self.use_same(found, &wanted.shape, kept, keeper) };
            }
            // SAFETY: the caller's promise.
            let object = unsafe { self.build(&held, wanted, spec, keeper) }?;
            drop(held);
            self.keep_schema::<O, K, U>(keeper);
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
        J: Judge + Commit,
    {
        // SAFETY: the region lives as long as the borrow of the judge, and the handle no longer.
        unsafe { self.make_with(name, spec, &Borrowed(judge)) }
    }

    /// [`make`](Self::make) with any keeper.
    ///
    /// # Safety
    ///
    /// As [`find_with`](Self::find_with).
    pub(crate) unsafe fn make_with<O, K, U>(
        self,
        name: &str,
        spec: O::Spec,
        keeper: &U,
    ) -> Result<O, ObjectError>
    where
        O: Object<K>,
        K: Clone,
        U: Keeper<K>,
    {
        let wanted = Wanted::new::<O, K>(name, &spec, keeper.judge().places())?;
        let run = move || {
            let held = self.hold(keeper.judge())?;
            if let Sought::Found(_, _, found) = self.seek_once(wanted.name)? {
                return Err(Reason::Exists { found: found.shape });
            }
            // SAFETY: the caller's promise.
            let object = unsafe { self.build(&held, wanted, spec, keeper) }?;
            drop(held);
            self.keep_schema::<O, K, U>(keeper);
            Ok(object)
        };
        run().map_err(|reason| reason.of(name))
    }

    /// Attaches to a found object, if it has the shape that was asked for.
    ///
    /// # Safety
    ///
    /// As [`find_with`](Self::find_with).
    unsafe fn use_same<O, K, U>(
        self,
        found: Record,
        asked: &Shape,
        kept: K,
        keeper: &U,
    ) -> Result<O, Reason>
    where
        O: Object<K>,
        U: Keeper<K>,
    {
        let same_type = (found.shape.kind, found.shape.tag) == (asked.kind, asked.tag);
        if !same_type {
            let difference = self.differs::<O, K, U>(&found.shape, keeper);
            let (found, asked) = (found.shape.into(), asked.to_string());
            return Err(Reason::WrongType { found, asked, difference });
        }
        if found.shape != *asked {
            return Err(Reason::WrongLength { found: found.shape, asked: Box::new(*asked) });
        }
        // SAFETY: the caller's promise.
        unsafe { self.use_found(found, kept, keeper) }
    }

    /// Makes an object where there is room, and publishes it.
    ///
    /// # Safety
    ///
    /// As [`find_with`](Self::find_with).
    unsafe fn build<O, K, U>(
        self,
        held: &Held<'_, U::Judge>,
        wanted: Wanted<'_>,
        spec: O::Spec,
        keeper: &U,
    ) -> Result<O, Reason>
    where
        O: Object<K>,
        K: Clone,
        U: Keeper<K>,
    {
        let Wanted { name, shape } = wanted;
        held.check()?;
        let next = self.entry_for(held)?;
        let offset = self.place(held, Need::object(name, &shape))?;
        let rest = name.rest_bytes();
        let end = offset + shape.bytes;
        let committed = offset + O::committed(&spec, &shape).min(shape.bytes);
        self.have(Place { start: offset - rest, committed, end }, held.judge)?;
        let region = self.region().sub(offset, shape.bytes).map_err(Reason::Place)?;

        let made: &AtomicU64 = self.word(MADE)?;
        // 61 bits of it are in a state; nobody makes so many.
        let generation = (made.load(Relaxed) & (u64::MAX >> 3)) + 1;
        let state = State::new(State::NAMED, generation);
        let kept = keeper.begin(self, next.entry, state, false)?;
        let kept = kept.ok_or_else(|| self.corrupt("user", next.entry, generation))?;
        // SAFETY: the bytes are zero (`have`), and nobody else uses them: they lie in no object and no table (`place`), and
        // only the holder of the lock uses such bytes, as above. The rest is the caller's promise.
        let object = unsafe { O::init(region, spec, kept) };
        if object.is_err() {
            // Its bytes are below what was ever written, and in no object.
            self.word::<AtomicU64>(GAP)?.store(u64::MAX, Relaxed);
        }
        let object = object.map_err(Reason::Spec)?;

        // The object's own code has run: it may have forked, or learned that the roster has lost our place.
        held.check()?;
        made.store(generation, Relaxed);
        self.take(next)?;
        name.write_rest(self.region(), offset - rest).map_err(Reason::Place)?;
        let at = self.entry_at(next.entry)?.ok_or_else(|| self.corrupt("table", next.entry, 0))?;
        let record = Record::new(name, offset, shape);
        record.write(self.region(), at, held.id).map_err(Reason::Place)?;
        in_program_order();
        let word = self.state_word(next.entry)?;
        index::insert(&self, next.entry)?;
        index::publish(word, generation);
        Ok(object)
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
