//! Collections in shared memory.
//!
//! * [`ShmMap`]: from keys to values, of fixed or any length; bounded, and a cache if it may drop what nobody asks for.
//! * [`Item`]: what a key or a value can be.
//!
//! A collection brings its own memory: a [heap](shmkit_heap) in the bytes that it is made with. A new version of what is
//! changed is written aside, and one store puts it in the old one's place.
//!
//! What this crate does *not* know: segments.

mod error;
mod item;
mod map;

pub use crate::error::MapError;
pub use crate::item::Item;
pub use crate::map::{MapSpec, ShmMap};
