//! Segments: shared memory with a name or without, that is whole from its first moment and never leaks.
//!
//! A [`Segment`] is a mapping, a place in its roster, and a directory of named, typed objects:
//!
//! ```
//! use shmkit_segment::{Options, Segment};
//!
//! # fn main() -> Result<(), shmkit_segment::SegmentError> {
//! # let name = &format!("test-{}-lib", std::process::id());
//! let ours = Options::new(4096).content("weather/1").create(name)?;
//! // Any other process, by name:
//! let theirs = Segment::open(name)?;
//! assert_eq!(theirs.header().content.name(), "weather/1");
//! # Ok(())
//! # }
//! ```
//!
//! * [`Options`] makes one: [`create`](Options::create), [`open_or_create`](Options::open_or_create),
//!   [`anonymous`](Options::anonymous). [`OpenOptions`] joins one: by name, by descriptor, by inheritance.
//! * The last participant out removes the name, unless the segment is [persistent](Options::persistent). Whoever is
//!   killed leaves nothing but, if *everybody* was killed, the name; [`remove_if_dead`](Segment::remove_if_dead),
//!   the next creator of the name, and every [`sweep`] remove that.
//! * [`Observer`] looks at one without taking part in it.
//! * [`SealedMemory`] is bytes that nobody can write to any more, for peers that are not trusted.
//! * [`RawSegment`] is bytes under a name, for programs of other languages: Python's `SharedMemory` opens it, and it Python's.
//! * [`Segment::send`] and [`Segment::receive`] pass one through a Unix socket, [`Located::send`] an object with it.
//! * [`ShareSegment`] hands a segment to a program that is started, [`Segment::join_after_fork`] to a forked child; [`join_all_after_fork`] joins
//!   all that a process inherited.
//!
//! ```text
//! 0 header | 128 roster | directory | the user's bytes … size … limit
//! ```
//!
//! What this crate does *not* do: it makes no segment smaller, nor larger than it was [allowed to become](Options::max), it makes none on a file system without nameless files
//! (`O_TMPFILE`) and record locks, and it defends against no *hostile* peer: whoever may write the file may do
//! anything to it. See `layout` for what a buggy one can do.
//!
//! # Features
//!
//! * `serde`: [`Located`] handles are serialised as where they are, and open themselves on the other side; segments and their
//!   objects travel in parcels.
//! * `shared_memory`: a region over a `Shmem` of the unmaintained `shared_memory` crate that a program already has, so that it
//!   can move over one primitive at a time.
//! * `tracing`: an event at `DEBUG` for each segment that is made or opened, or removed because the dead had left it, to whoever subscribes. Nothing is printed.

#[cfg(not(loom))]
pub mod arena;
#[cfg(not(loom))]
mod attach;
#[cfg(all(feature = "serde", not(loom)))]
mod carry;
#[cfg(not(loom))]
mod checked;
#[cfg(not(loom))]
mod create;
#[cfg(not(loom))]
mod directory;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
mod exit;
#[cfg(not(loom))]
mod expect;
#[cfg(not(loom))]
mod file;
#[cfg(not(loom))]
mod folder;
#[cfg(not(loom))]
mod fork;
#[cfg(not(loom))]
mod growth;
#[cfg(any(not(loom), test))]
mod index;
#[cfg(not(loom))]
mod inherit;
#[cfg(not(loom))]
mod inspect;
#[cfg(not(loom))]
mod keeper;
#[cfg(not(loom))]
mod last;
#[cfg(not(loom))]
mod leave;
#[cfg(not(loom))]
mod list;
#[cfg(not(loom))]
mod locate;
#[cfg(not(loom))]
mod maker;
#[cfg(not(loom))]
mod mapping;
#[cfg(not(loom))]
mod memory;
#[cfg(not(loom))]
mod name;
#[cfg(not(loom))]
mod observer;
#[cfg(not(loom))]
mod options;
#[cfg(not(loom))]
mod pass;
#[cfg(not(loom))]
mod patience;
#[cfg(not(loom))]
mod raw;
#[cfg(not(loom))]
mod remove;
#[cfg(not(loom))]
mod scope;
#[cfg(not(loom))]
mod sealed;
#[cfg(not(loom))]
mod segment;
#[cfg(not(loom))]
mod share;
#[cfg(not(loom))]
mod shared;
#[cfg(feature = "shared_memory")]
#[cfg(not(loom))]
pub mod shmem;
#[cfg(not(loom))]
mod starting;
#[cfg(not(loom))]
mod status;
#[cfg(not(loom))]
pub mod sweep;
#[cfg(not(loom))]
mod table;
#[cfg(not(loom))]
mod token;
#[cfg(not(loom))]
mod told;
#[cfg(any(not(loom), test))]
mod usage;
#[cfg(not(loom))]
mod uses;

#[cfg(all(feature = "serde", not(loom)))]
pub use crate::carry::Carried;
#[cfg(not(loom))]
pub use crate::{
    directory::{Directory, Entry, ObjectError, ObjectErrorKind},
    error::{ErrorKind, SegmentError},
    expect::OpenOptions,
    fork::{join_all_after_fork, join_all_at_fork},
    leave::Leave,
    locate::{LocateError, Located, Locator},
    name::{DIRECTORY, MAX_NAME, PREFIX},
    observer::Observer,
    options::Options,
    raw::{RawOptions, RawSegment},
    remove::RemoveOutcome,
    scope::Scope,
    sealed::SealedMemory,
    segment::Segment,
    share::{ShareSegment, Sharing},
};
