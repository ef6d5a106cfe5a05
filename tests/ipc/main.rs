//! Tests that need more than one process: one module per subject.

mod cell;
mod directory;
mod roster;
mod roster_file;
mod roster_fork;
mod support;
mod tracker;
