//! What a map promises, in one process; `tests/kill` has those who die.

mod cache;
mod changed;
mod corrupt;
mod entries;
mod glance;
mod growing;
#[cfg(feature = "serde")]
mod postcard;
mod set;
mod support;
mod threads;
