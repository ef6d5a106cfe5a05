//! Collections in shared memory.
//!
//! * [`ShmMap`]: from keys to values, of fixed or any length; bounded, and a cache if it may drop what nobody asks for.
//! * [`ShmSet`]: keys alone.
//! * [`ShmVec`]: elements in a row, as many as there is room for; of bytes, it is a [`ShmBytes`].
//! * [`ShmDeque`]: the same with two ends; with a bound, it keeps the newest.
//! * [`ShmString`]: a text.
//! * [`ShareableList`]: that of Python's `multiprocessing`, byte for byte, in any bytes that both sides have.
//! * [`Item`]: what a key or a value can be; with the feature `serde`, anything, in a `Postcard`.
//!
//! A collection brings its own memory: a [heap](shmkit_heap) in the bytes that it is made with. A new version of what is
//! changed is written aside, and one store puts it in the old one's place: whoever is killed leaves the one or the other.
//!
//! What this crate does *not* know: segments.
//!
//! # Features
//!
//! * `serde`: keys and values of maps of any type that can be serialised, in postcard's bytes: `Postcard`; and handles whose objects lie
//!   in a segment are values that travel to other processes, in parcels.

mod deque;
mod error;
mod facts;
mod io;
mod item;
mod list;
mod map;
#[cfg(feature = "serde")]
mod postcard;
mod seq;
mod set;
mod string;
mod vec;

pub use crate::deque::{DequeGuard, DequeSpec, ShmDeque};
pub use crate::error::{MapError, SeqError};
pub use crate::facts::facts;
pub use crate::item::Item;
pub use crate::list::{IntTooWide, ListError, ListItem, ShareableList};
pub use crate::map::{Changed, MapEntry, MapSpec, Seen, ShmMap};
#[cfg(feature = "serde")]
pub use crate::postcard::Postcard;
pub use crate::set::ShmSet;
pub use crate::string::{ShmString, StringGuard};
pub use crate::vec::{ShmBytes, ShmVec, VecGuard};
