//! Tests that need more than one process: one module per subject.

mod cell;
mod conformance;
mod corpus;
mod crowds;
mod directory;
mod namespaces;
mod oneself;
mod patience;
mod pipe;
mod python;
mod roster;
mod roster_descriptors;
mod roster_file;
mod roster_fork;
mod rwlock;
mod schema;
mod segment;
mod segment_exit;
mod segment_faults;
mod segment_fork;
mod segment_leave;
mod segment_refusals;
mod segment_share;
mod support;
mod sync;
mod tracker;
