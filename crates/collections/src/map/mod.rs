//! A map from keys to values.

mod changed;
mod entry;
mod frame;
mod glance;
mod handle;
mod iter;
mod object;
mod part;
mod slot;
mod spec;

pub use self::changed::{Changed, Seen};
pub(crate) use self::frame::{MapFrame, Shard};
pub use self::handle::ShmMap;
pub(crate) use self::object::{SHARDS, shards};
pub use self::slot::MapEntry;
pub use self::spec::MapSpec;
