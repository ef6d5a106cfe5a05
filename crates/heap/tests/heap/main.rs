//! What a heap promises, in one process; `tests/kill` has those who die.

mod blocks;
mod corrupt;
mod deaths;
mod grow;
mod retire;
mod support;
mod swap;
mod threads;
