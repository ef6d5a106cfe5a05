//! Cells in one process: participants are models of processes, and deaths are stores.

mod array;
mod atomic;
mod snapshot;
mod support;
mod transactional;
mod transactional_set;
mod value;
