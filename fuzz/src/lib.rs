//! What the fuzz targets do with their bytes.
//!
//! The targets in `targets/` are three lines each. The modules here are also part of the workspace's tests
//! (`tests/ipc/corpus.rs`), which replay the inputs in `corpus/` without a fuzzer; they use nothing that is not
//! there too.

pub mod attach;
pub mod bridge;
pub mod broadcast;
pub mod collections;
pub mod connection;
pub mod directory;
pub mod frames;
pub mod handshake;
pub mod heap;
pub mod input;
pub mod list;
pub mod manager;
pub mod messages;
pub mod ops;
pub mod ordered;
pub mod parcel;
pub mod queue;
pub mod ring;
pub mod schema;
pub mod set;
