//! Typed values and arrays in shared memory, never seen half-written.
//!
//! * [`Value`]: one `T` under its own lock. A write is whole or did not happen, whoever is killed in the middle.
//! * [`Array`]: many of them under one lock. So is a write of one element; a writer killed in the middle of a bulk
//!   write is reported to the next one who comes.
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
//! | [`Atomic`] | `load` | always | there is no middle | never |
//!
//! # Examples
//!
//! In a mapping that the program made, with a roster in its first bytes:
#![doc = "```"]
#![doc = include_str!("../examples/embedded_cells.rs")]
#![doc = "```"]
// Everything here is a handle on mapped bytes; loom's atomics cannot lie in bytes. What there is to model is the lock,
// in `shmkit-sync`.
#![cfg(not(loom))]

mod array;
mod atomic;
mod code;
mod error;
mod held;
mod io;
mod synchronized;
mod value;

pub use crate::array::{Array, ArrayGuard, ArraySpec, OwnedArrayGuard};
pub use crate::atomic::{Atomic, AtomicArray, AtomicInteger, AtomicNumber, AtomicWord};
pub use crate::code::{TypeCode, UnknownTypeCode};
pub use crate::error::{ArrayError, OutOfRange, SetError};
pub use crate::synchronized::{GivenLock, Synchronized};
pub use crate::value::{OwnedValueGuard, Value, ValueGuard};
/// What may lie in shared memory, and where: regions, offsets, types.
#[doc(no_inline)]
pub use shmkit_layout as layout;
/// Who takes part, and who of them is alive.
#[doc(no_inline)]
pub use shmkit_roster as roster;
/// The locks that a cell can be given, and how taking one fails.
#[doc(no_inline)]
pub use shmkit_sync as sync;

use shmkit_atomic::Ordering::SeqCst;

/// The alignment that every shape asks for: two objects in one cache line slow each other down. A handle can be attached
/// at any address that is aligned for its fields.
const LINE: u64 = align_of::<shmkit_layout::CachePadded<()>>() as u64;

/// Keeps the compiler from moving a write over this point.
///
/// A kill cuts the program at one instruction: the stores before it have happened, those after it never will, on every
/// processor, since interrupts are precise. The heir sees that prefix whole, because it learned of the death from the
/// kernel, which released the record lock afterwards. So only the compiler can put steps of a commit in the wrong order.
#[inline]
fn in_program_order() {
    // SeqCst: towards whoever looks after a kill at any instruction, as towards a signal handler; no instruction.
    shmkit_atomic::compiler_fence(SeqCst);
}
