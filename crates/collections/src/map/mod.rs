//! A map from keys to values.

mod entry;
mod frame;
mod handle;
mod object;
mod part;
mod spec;

pub use self::handle::ShmMap;
pub use self::spec::MapSpec;
