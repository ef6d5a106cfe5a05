//! The bytes of a shared region, with no operating system behind them.
//!
//! * [`Region`]: a borrowed view of bytes that somebody keeps mapped: a segment, your own mapping, a static.
//! * [`Offset`]: the pointer of a region; it means the same in every process.
//! * [`ShmSafe`]: plain values that may be copied in and out, each with a stable [`TypeTag`]; [`Checked`] for values that not
//!   every bit pattern is.
//! * [`Schema`]: what the bytes of a type mean; the [`Definition`] of one is what another process says about it.
//! * [`Shared`]: words that may be *borrowed* in place, because every access to them is atomic.
//! * [`Object`]: a primitive that lives in a region; its [`Shape`] is what a directory records of it.
//! * [`Commit`]: has the memory behind bytes that are only reserved, as an object grows in place.
//! * [`Peek`]: an object that can be seen by who only looks.
//! * [`Header`]: the first bytes of a segment file.
//!
//! This crate does *not* map anything and knows no processes.
//!
//! # Features
//!
//! * `derive`: `#[derive(ShmSafe)]`, from `shmkit-derive`.
//!
//! # The one assumption
//!
//! The Rust reference does not say what it means that another *process* writes to memory that this one has mapped.
//! Every `unsafe` block of shmkit that touches shared bytes rests on one assumption, and on no other:
//!
//! > A read or write by another process acts as one by another thread of this process would: an atomic access as an
//! > atomic access of the same width, any other as a plain one.
//!
//! It is what the [compilers that share C++'s memory model do][lockfree] for lock-free atomics, which are
//! address-free. From it follows the rule of the workspace: shared bytes are borrowed only as [`Shared`] (atomics),
//! or while a lock or a ring position gives this process the exclusive right to them, as `T: ShmSafe`, which every
//! bit pattern is valid for. A cooperating peer (T0) keeps to locks and positions. A buggy peer (T1) that does not
//! can make a *value* wrong, never its type; numbers that shmkit itself reads from shared memory are checked before
//! use. A hostile peer (T2) can race on purpose, which no in-place borrow survives in the abstract machine: share
//! with it only what is sealed against writing, and copy before you validate.
//!
//! [lockfree]: https://www.open-std.org/jtc1/sc22/wg21/docs/papers/2014/n4013.html

mod checked;
mod commit;
#[cfg(not(loom))]
mod copy;
mod facts;
mod header;
mod in_place;
mod io;
mod names;
mod object;
mod offset;
mod pad;
mod padded;
mod peek;
mod plain;
mod region;
mod schema;
mod shared;
mod tag;

pub use crate::checked::{Checked, InvalidValue};
pub use crate::commit::{Commit, CommitError};
#[cfg(not(loom))]
pub use crate::copy::{copy_in, copy_out};
pub use crate::facts::{Fact, Facts};
pub use crate::header::{Header, HeaderError, MAGIC, VERSION};
pub use crate::in_place::{Filled, InPlace};
pub use crate::names::{NameWords, Names};
pub use crate::object::{Kind, Object, Shape, ShapeError};
pub use crate::offset::{Offset, OffsetError, align_up};
pub use crate::pad::Pad;
pub use crate::padded::CachePadded;
pub use crate::peek::Peek;
pub use crate::plain::{ShmChecked, ShmNiche, ShmSafe};
pub use crate::region::Region;
pub use crate::schema::{Definition, DefinitionError, Difference, Field, Schema, Variant};
pub use crate::shared::Shared;
pub use crate::tag::TypeTag;
#[cfg(feature = "derive")]
pub use shmkit_derive::ShmSafe;

/// What `#[derive(ShmSafe)]` writes refers to this, by way of whichever crate the program has.
#[doc(hidden)]
pub mod __derive {
    pub use bytemuck::{Pod, Zeroable};

    pub use crate::plain::{ShmChecked, ShmNiche, ShmSafe, none_of};
    pub use crate::schema::{Field, Schema, Variant};
}
