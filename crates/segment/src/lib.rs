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
//! * [`SealedMemory`] is bytes that nobody can write to any more, for peers that are not trusted.
//! * [`ShareSegment`] hands a segment to a program that is started, [`Segment::join_after_fork`] to a forked child; [`join_all_after_fork`] joins
//!   all that a process inherited.
//!
//! ```text
//! 0 header | 128 roster | directory | the user's bytes … size
//! ```
//!
//! What this crate does *not* do: it resizes no segment, it makes no segment on a file system without nameless files
//! (`O_TMPFILE`) and record locks, and it defends against no *hostile* peer: whoever may write the file may do
//! anything to it. See `layout` for what a buggy one can do.
//!
//! # Features
//!
//! * `serde`: [`Located`] handles are serialised as where they are, and open themselves on the other side.
//! * `shared_memory`: a region over a `Shmem` of the unmaintained `shared_memory` crate that a program already has, so that it
//!   can move over one primitive at a time.

mod attach;
mod checked;
mod create;
mod directory;
mod error;
mod exit;
mod expect;
mod file;
mod folder;
mod fork;
mod inherit;
mod inspect;
mod last;
mod leave;
mod list;
mod locate;
mod maker;
mod name;
mod options;
mod patience;
mod remove;
mod sealed;
mod segment;
mod share;
mod shared;
#[cfg(feature = "shared_memory")]
pub mod shmem;
mod starting;
mod status;
pub mod sweep;
mod table;
mod token;

pub use crate::directory::{Directory, Entry, ObjectError, ObjectErrorKind};
pub use crate::error::{ErrorKind, SegmentError};
pub use crate::expect::OpenOptions;
pub use crate::fork::{join_all_after_fork, join_all_at_fork};
pub use crate::leave::Leave;
pub use crate::locate::{LocateError, Located, Locator};
pub use crate::name::{DIRECTORY, MAX_NAME, PREFIX};
pub use crate::options::Options;
pub use crate::remove::RemoveOutcome;
pub use crate::sealed::SealedMemory;
pub use crate::segment::Segment;
pub use crate::share::{ShareSegment, Sharing};
