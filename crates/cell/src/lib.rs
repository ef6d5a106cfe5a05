//! Typed values and arrays in shared memory, never seen half-written.
//!
//! * [`Value`]: one `T` under its own lock. A write is whole or did not happen, whoever is killed in the middle.
//! * [`Array`]: many of them under one lock. So is a write of one element; a writer killed in the middle of a bulk
//!   write is reported to the next one who comes.
//! * [`Snapshot`]: one `T` that one writer changes, and that any number of readers copy without a lock.
//! * [`Transactional`]: a `T` or many of them, changed part by part, and as a whole or not at all.
//! * [`TransactionalSet`]: the same for several values, arrays and maps together, under one lock.
//! * [`Atomic`] and [`AtomicArray`]: numbers of a machine word, without a lock.
//! * [`Synchronized`]: one of the first two behind a lock that was given, for who ports from Python.
//!
//! All of them are [`Object`](shmkit_layout::Object)s: a directory of named objects can make and find them, and so
//! can you, in a mapping of your own. The locks are between *participants* of a
//! [roster](shmkit_roster::Roster) and between the threads of each of them.
//!
//! This crate does *not* map memory and knows no segments.
//!
//! | | read | written whole | killed in the middle of a write | waits for a lock |
//! | --- | --- | --- | --- | --- |
//! | [`Value`] | `get`, [`lock`](Value::lock) | always | the old value stays | yes, but [`peek`](Value::peek) |
//! | [`Array`], one element | `get` | always | the old or the new element | yes |
//! | [`Array`], a range | `read_range`, `to_vec`, [`lock`](Array::lock) | unless killed | `OwnerDied` to the next | yes |
//! | [`Snapshot`] | `load` | always | the old value stays | never |
//! | [`Transactional`] | [`read`](Transactional::read) | always | all as it was before | yes |
//! | [`TransactionalSet`] | [`read`](TransactionalSet::read) | always, several together | all as it was before | yes |
//! | [`Atomic`] | `load` | always | there is no middle | never |
//!
//! # Features
//!
//! * `ndarray`: a locked array as `ndarray`'s views, of any shape, in place: [`ArrayGuard`]'s `view` and `view_mut`.
//! * `serde`: handles whose objects lie in a segment are values that travel to other processes, in parcels.
//!
//! # Examples
//!
//! In a mapping that the program made, with a roster in its first bytes:
#![doc = "```"]
#![doc = include_str!("../examples/embedded_cells.rs")]
#![doc = "```"]

#[cfg(not(loom))]
mod array;
#[cfg(not(loom))]
mod atomic;
#[cfg(not(loom))]
mod code;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
mod halves;
#[cfg(not(loom))]
mod held;
#[cfg(not(loom))]
mod io;
#[cfg(not(loom))]
mod peek;
#[cfg(any(not(loom), test))]
mod raw;
#[cfg(not(loom))]
mod snapshot;
#[cfg(not(loom))]
mod synchronized;
#[cfg(not(loom))]
mod transactional;
#[cfg(not(loom))]
mod value;

#[cfg(not(loom))]
pub use crate::{
    array::{
        Array, ArrayGuard, ArrayPart, ArrayRangeGuard, ArraySpec, OwnedArrayGuard, Strided,
        StridedMut, elements_at,
    },
    atomic::{Atomic, AtomicArray, AtomicInteger, AtomicNumber, AtomicWord},
    code::{TypeCode, UnknownTypeCode},
    error::{ArrayError, OutOfRange, SetError},
    snapshot::{Snapshot, SnapshotError, SnapshotWriter},
    synchronized::{GivenLock, Synchronized},
    transactional::{
        Data, MapMember, Member, SetTransaction, SetView, Transaction, TransactionError,
        Transactional, TransactionalSet, TransactionalSetSpec, TransactionalSpec,
    },
    value::{OwnedValueGuard, Value, ValueGuard},
};
/// What may lie in shared memory, and where: regions, offsets, types.
#[doc(no_inline)]
pub use shmkit_layout as layout;
/// Who takes part, and who of them is alive.
#[doc(no_inline)]
pub use shmkit_roster as roster;
/// The locks that a cell can be given, and how taking one fails.
#[doc(no_inline)]
pub use shmkit_sync as sync;

/// The alignment that every shape asks for: two objects in one cache line slow each other down. A handle can be attached
/// at any address that is aligned for its fields.
#[cfg(not(loom))]
const LINE: u64 = align_of::<shmkit_layout::CachePadded<()>>() as u64;
