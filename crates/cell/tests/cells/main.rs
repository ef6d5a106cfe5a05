//! Cells in one process: participants are models of processes, and deaths are stores.

mod array;
mod atomic;
#[cfg(feature = "ndarray")]
mod ndarray;
mod snapshot;
mod support;
mod transactional;
mod transactional_set;
mod value;
